package task

import (
	"time"

	"debusine"
)

// NoopData is the input of noop (Worker): Debusine's test task.
type NoopData struct {
	common
	Result            *bool  `json:"result,omitempty"`             // default true; false is a failure
	Exception         bool   `json:"exception,omitempty"`          // the attempt breaks instead of ending
	BuildArchitecture string `json:"build_architecture,omitempty"` // ours: of the machine; default any machine of amd64
	Class             string `json:"class,omitempty"`              // ours: worker:class:CLASS is required
}

func (d *NoopData) check() error { return checkOptionalArch(d.BuildArchitecture, d.Class) }

// Needs nothing.
func (d *NoopData) Needs() []Need { return nil }

// Requires a machine of the architecture, of the class if one is named.
func (d *NoopData) Requires() []string { return simpleTags("noop", d.BuildArchitecture, d.Class) }

// Describe says which machine is meant.
func (d *NoopData) Describe(map[string][]debusine.Artifact) Description {
	return Description{Architecture: orDefault(d.BuildArchitecture)}
}

// SleepData is the input of sleep (Worker).
type SleepData struct {
	common
	Seconds           float64 `json:"seconds"` // how long, at most a day
	BuildArchitecture string  `json:"build_architecture,omitempty"`
	Class             string  `json:"class,omitempty"`
}

func (d *SleepData) check() error {
	if d.Seconds < 0 || d.Seconds > (24*time.Hour).Seconds() {
		return debusine.Invalid{What: "seconds must lie between 0 and 86400", Per: map[string]string{"seconds": "out of range"}}
	}
	return checkOptionalArch(d.BuildArchitecture, d.Class)
}

// Needs nothing.
func (d *SleepData) Needs() []Need { return nil }

// Requires a machine of the architecture, of the class if one is named.
func (d *SleepData) Requires() []string { return simpleTags("sleep", d.BuildArchitecture, d.Class) }

// Describe says which machine is meant.
func (d *SleepData) Describe(map[string][]debusine.Artifact) Description {
	return Description{Architecture: orDefault(d.BuildArchitecture)}
}

// fallbackArchitecture is that of tasks that name none (Debusine's setting of
// the same name).
const fallbackArchitecture = "amd64"

func orDefault(arch string) string {
	if arch == "" {
		return fallbackArchitecture
	}
	return arch
}

func simpleTags(name, arch, class string) []string {
	tags := []string{"worker:type:worker", versionTag(name), "worker:build-arch:" + orDefault(arch)}
	if class != "" {
		tags = append(tags, "worker:class:"+class)
	}
	return tags
}

func checkOptionalArch(arch, class string) error {
	if class != "" && !plainWord(class) {
		return debusine.Invalidf("class %.80q is not a word", class)
	}
	if arch == "" {
		return nil
	}
	return checkArch("build_architecture", arch)
}
