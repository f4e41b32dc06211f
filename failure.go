package debusine

import "slices"

// FailureClass sorts failures of builds by what was lacking.
type FailureClass string

// The classes.
const (
	FailedDependencies FailureClass = "build-dependencies" // cannot be satisfied or installed
	FailedNetwork      FailureClass = "network"            // a mirror, or what the build itself asked for
	FailedDisk         FailureClass = "disk"
	FailedMemory       FailureClass = "memory"
	FailedTimeOut      FailureClass = "time-out" // the whole, or a build that was silent
	FailedKilled       FailureClass = "killed"
	FailedTestSuite    FailureClass = "test-suite"
	FailedCompile      FailureClass = "compile" // also configure and link
	FailedSource       FailureClass = "source"  // the source package: it does not unpack, or its packaging is wrong
	FailedUnknown      FailureClass = "unknown"
)

// FailureClasses are all of them.
func FailureClasses() []FailureClass {
	return []FailureClass{FailedDependencies, FailedNetwork, FailedDisk, FailedMemory, FailedTimeOut, FailedKilled, FailedTestSuite,
		FailedCompile, FailedSource, FailedUnknown}
}

// Known says that it is one of the classes.
func (c FailureClass) Known() bool { return slices.Contains(FailureClasses(), c) }

// BuildFailure says what a build failed of. Beyond Debusine's own output data.
type BuildFailure struct {
	Class FailureClass `json:"class"`
	// Stage is sbuild's word for where: "build", "install-deps" … Empty when sbuild
	// itself was stopped.
	Stage string `json:"stage,omitempty"`
	// MendsWithTime says that the same build may succeed later although nobody changes
	// the package or its limits.
	MendsWithTime bool `json:"mends_with_time"`
	// Evidence is the line or sentence that told.
	Evidence string `json:"evidence,omitempty"`
}

// String is the class in brackets with what a person wants to know of it.
func (f *BuildFailure) String() string {
	if f == nil || f.Class == "" {
		return ""
	}
	if f.MendsWithTime {
		return string(f.Class) + ", which time may mend"
	}
	return string(f.Class)
}
