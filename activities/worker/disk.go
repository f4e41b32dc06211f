package workeract

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"debusine"
	"debusine/executor"
)

// space is what a file system had for jobs while a command ran, in bytes.
type space struct {
	before, least int64
}

// watchSpace looks at the file system of a folder every second until stopped.
func watchSpace(dir string) (stop func() space) {
	seen := space{before: freeSpace(dir)}
	seen.least = seen.before
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				seen.least = min(seen.least, freeSpace(dir))
			}
		}
	}()
	return sync.OnceValue(func() space { close(end); <-done; return seen })
}

// freeSpace is what others than root may fill.
func freeSpace(dir string) int64 {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0
	}
	return int64(disk.Bavail) * disk.Bsize
}

// ranOut tells whether there was nothing left at some moment: less than a
// hundredth, of 64 MiB at most.
func (s space) ranOut() bool { return s.before > 0 && s.least < min(s.before/100, 64<<20) }

// scarce tells whether so little was left at some moment that a second later
// there may have been nothing: less than a tenth, of 1 GiB at most.
func (s space) scarce() bool { return s.before > 0 && s.least < min(s.before/10, 1<<30) }

// judgeSpace is for a build that failed while the disk was full. One that took
// most of it has itself to blame and would fill any disk of that size; one that
// did not was unlucky with its neighbours, which time can mend.
func (v *verdict) judgeSpace(s space, ran executor.Result) {
	if v.result == debusine.Success || !s.ranOut() && ran.Struck != executor.MachineDisk {
		return
	}
	v.code = "disk-full"
	if ran.Disk >= s.before/2 {
		v.result = debusine.Failure
		v.reason = fmt.Sprintf("the build filled the build machine's disk, which had %d MiB free when it began", s.before>>20)
		return
	}
	v.result = debusine.TemporaryFailure
	v.reason = fmt.Sprintf("the build machine's disk was full; the build itself took no more than %d of the %d MiB free when it began", ran.Disk>>20, s.before>>20)
}
