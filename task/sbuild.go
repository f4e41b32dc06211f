package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"debusine"
	"debusine/debian"
)

// SbuildInput names what sbuild builds.
type SbuildInput struct {
	SourceArtifact       debusine.Lookup   `json:"source_artifact"`
	ExtraBinaryArtifacts []debusine.Lookup `json:"extra_binary_artifacts,omitempty"`
}

// SbuildData is the input of sbuild (Worker): spec §3.1. Cross builds, binNMUs,
// profiles and extra repositories are not accepted yet.
type SbuildData struct {
	common
	Input             SbuildInput     `json:"input"`
	BuildArchitecture string          `json:"build_architecture"`         // of the machine and of the chroot
	Environment       debusine.Lookup `json:"environment"`                // in debian:environments
	Backend           string          `json:"backend,omitempty"`          // auto means unshare
	BuildComponents   []string        `json:"build_components,omitempty"` // any, all; default [any]
}

// mostExtra is how many artifacts a build may take its extra packages from.
const mostExtra = 1000

func (d *SbuildData) check() error {
	if d.Backend == "" || d.Backend == "auto" {
		d.Backend = "unshare"
	}
	if len(d.BuildComponents) == 0 {
		d.BuildComponents = []string{"any"}
	}
	if d.Input.SourceArtifact.IsZero() {
		return missing("input.source_artifact")
	}
	if d.Environment.IsZero() {
		return missing("environment")
	}
	if d.Backend != "unshare" {
		return debusine.Invalid{What: fmt.Sprintf("backend %.80q is not supported", d.Backend), Hint: "use auto or unshare", Per: map[string]string{"backend": "unsupported"}}
	}
	for i, c := range d.BuildComponents {
		if c != "any" && c != "all" {
			return debusine.Invalid{What: fmt.Sprintf("build component %.80q is not supported", c), Hint: "use any, all or both", Per: map[string]string{"build_components": "unsupported"}}
		}
		if slices.Contains(d.BuildComponents[:i], c) {
			return debusine.Invalidf("build component %s is given twice", c)
		}
	}
	if len(d.Input.ExtraBinaryArtifacts) > mostExtra {
		return debusine.Invalidf("input.extra_binary_artifacts has %d entries, %d are allowed", len(d.Input.ExtraBinaryArtifacts), mostExtra)
	}
	return checkArch("build_architecture", d.BuildArchitecture)
}

// Needs the source, the extra packages and an environment of the architecture.
func (d *SbuildData) Needs() []Need {
	needs := []Need{
		{Field: "input_source_artifact_id", Lookups: []debusine.Lookup{d.Input.SourceArtifact}, Categories: []string{"debian:source-package"}},
		{Field: "environment_id", Lookups: []debusine.Lookup{d.Environment}, Categories: []string{"debian:system-tarball"}, DefaultCategory: "debian:environments",
			Environment: &Environment{Architecture: d.BuildArchitecture, Format: "tarball", Backend: d.Backend, Task: "sbuild"}},
	}
	return append(needs, Need{Field: "input_extra_binary_artifacts_ids", Lookups: d.Input.ExtraBinaryArtifacts, Many: true,
		Categories: []string{"debian:binary-package", "debian:upload"}})
}

// Requires a machine of the architecture with sbuild and the backend.
func (d *SbuildData) Requires() []string {
	return []string{"worker:type:worker", versionTag("sbuild"), "worker:build-arch:" + d.BuildArchitecture,
		"worker:executor:" + d.Backend, "worker:cap:sbuild"}
}

// Describe names the source package and its version; the context is the
// environment's codename.
func (d *SbuildData) Describe(found map[string][]debusine.Artifact) Description {
	var (
		source struct{ Name, Version string }
		tar    struct{ Codename string }
	)
	for _, a := range found["input_source_artifact_id"] {
		_ = json.Unmarshal(a.Data, &source) // validated when the artifact was made
	}
	for _, a := range found["environment_id"] {
		_ = json.Unmarshal(a.Data, &tar)
	}
	arch := d.BuildArchitecture
	if slices.Equal(d.BuildComponents, []string{"all"}) {
		arch = "all"
	}
	return Description{Subject: source.Name, ParameterSummary: source.Name + "_" + source.Version,
		RuntimeContext:       strings.Join(d.BuildComponents, "+") + ":" + d.BuildArchitecture + ":" + d.BuildArchitecture,
		ConfigurationContext: tar.Codename, Suite: tar.Codename, Architecture: arch, Source: source.Name, Version: source.Version}
}

func checkArch(field, arch string) error {
	if arch == "" {
		return missing(field)
	}
	a, err := debian.ParseArch(arch)
	if err != nil || a == "all" || a == "source" {
		return debusine.Invalid{What: fmt.Sprintf("architecture %.80q is unknown", arch), Hint: "see dpkg-architecture -L", Per: map[string]string{field: "unknown architecture"}}
	}
	return nil
}

func missing(field string) error {
	return debusine.Invalid{What: "parameter " + field + " is missing", Per: map[string]string{field: "required"}}
}

func plainWord(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+._-") == ""
}
