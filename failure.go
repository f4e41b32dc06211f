package debusine

import "slices"

// FailureClass is the kind of thing that a build failed of.
type FailureClass string

// The classes of failures, as wanna-build's administrators sort them.
const (
	FailedDependencies FailureClass = "build-dependencies" // they cannot be installed
	FailedDisk         FailureClass = "disk"               // it was full
	FailedNetwork      FailureClass = "network"            // a mirror was away, or the build asked for a network
	FailedTime         FailureClass = "time-out"           // the time limit, or silence
	FailedKilled       FailureClass = "killed"             // by a signal from outside
	FailedMemory       FailureClass = "memory"             // there was not enough
	FailedTests        FailureClass = "test-suite"         // the package's own
	FailedCompile      FailureClass = "compile"            // configure, compiler, linker, or a build step that just fails
	FailedSource       FailureClass = "source"             // it does not unpack, or its packaging contradicts itself
	FailedEnvironment  FailureClass = "environment"        // the chroot cannot be used, for any package
	FailedUnknown      FailureClass = "unknown"
)

// FailureClasses are all classes, sorted.
func FailureClasses() []FailureClass {
	all := []FailureClass{FailedDependencies, FailedDisk, FailedNetwork, FailedTime, FailedKilled, FailedMemory, FailedTests, FailedCompile,
		FailedSource, FailedEnvironment, FailedUnknown}
	slices.Sort(all)
	return all
}

// BuildFailure says why a build failed, for people, rules and retries. Beyond
// Debusine's own output data.
type BuildFailure struct {
	Class    FailureClass `json:"class"`
	Stage    string       `json:"stage,omitempty"`    // sbuild's Fail-Stage
	Evidence string       `json:"evidence,omitempty"` // the words that tell
	// TimeMends says that the same build may succeed later: a mirror comes back,
	// a dependency arrives, a disk is emptied.
	TimeMends bool `json:"time_mends,omitempty"`
}
