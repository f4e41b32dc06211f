package executortest

import (
	"slices"
	"time"

	"debusine/executor"
)

// Testbed is a Runner whose commands run in a system of their own, with what is
// peculiar to it. The suites ask it for the same promises.
type Testbed struct {
	Runner
	// Opening is how long the system may take to open and to close: time limits
	// and bounds count from then.
	Opening time.Duration
	// Guest: it has a kernel of its own, whose memory, disk and processes are
	// seen from outside as one process.
	Guest bool
	// Leave gets a command of the system's root out of it as far as is known, to
	// attack from there. None: it would have to break the machine that QEMU
	// emulates, and then be the job.
	Leave []string
	// Own are folders that are the job's own where Leave leads to.
	Own []string
}

// opening is 0 for the Machine itself.
func opening(m Runner) time.Duration {
	bed, _ := m.(Testbed)
	return bed.Opening
}

func isGuest(m Runner) bool {
	bed, _ := m.(Testbed)
	return bed.Guest
}

func isTestbed(m Runner) bool {
	_, is := m.(Testbed)
	return is
}

// outside is a command line that leaves the testbed first.
func outside(m Runner, argv []string) []string {
	bed, _ := m.(Testbed)
	return slices.Concat(bed.Leave, argv)
}

// limit bounds a command's own time.
func limit(m Runner, d time.Duration) func(*executor.Command) {
	return func(c *executor.Command) { c.Limit = d + opening(m) }
}
