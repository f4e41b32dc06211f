package executor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// How often a command's group, or its tree without one, is looked at.
const (
	groupPace = 250 * time.Millisecond
	treePace  = 500 * time.Millisecond
)

// watch looks at what a command takes while it runs.
type watch struct {
	limits  Limits
	group   *jobGroup // nil: the tree is looked at
	first   int       // the process that all others descend from
	strikes chan strike

	stop chan struct{}
	wait sync.WaitGroup
	disk *diskWatch
	peak int64 // the most memory seen; read after the end
}

// watchJob starts looking. What struck comes on strikes, once at least.
func watchJob(first int, folder string, limits Limits, group *jobGroup) *watch {
	w := &watch{limits: limits, group: group, first: first, strikes: make(chan strike, 4), stop: make(chan struct{})}
	w.disk = &diskWatch{dir: folder, limit: limits.Disk, strikes: w.strikes, open: func() int64 { return deletedUse(first, folder) }}
	w.wait.Go(func() { w.disk.watch(w.stop) })
	w.wait.Go(w.look)
	return w
}

func (w *watch) look() {
	pace := groupPace
	if w.group == nil {
		pace = treePace
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		if w.group != nil {
			w.lookAtGroup()
		} else {
			w.lookAtTree()
		}
	}
}

// lookAtGroup stops a command that the kernel refused a process: what a fork
// bomb does next is to try again. Memory needs no stop: the kernel has killed
// the process that took too much.
func (w *watch) lookAtGroup() {
	now := w.group.usage()
	w.peak = max(w.peak, now.memory)
	if now.refusedForks > 0 {
		w.strike(struckProcesses(w.limits.Processes))
	}
}

func (w *watch) lookAtTree() {
	memory, tasks := treeUse(w.first)
	w.peak = max(w.peak, memory)
	if w.limits.Memory > 0 && memory > w.limits.Memory {
		w.strike(struckMemory(w.limits.Memory))
	}
	// RLIMIT_NPROC lets it come near, and no further.
	if w.limits.Processes > 0 && tasks >= max(w.limits.Processes-2, 1) {
		w.strike(struckProcesses(w.limits.Processes))
	}
}

// strike never blocks: one is enough to stop the command.
func (w *watch) strike(s strike) {
	select {
	case w.strikes <- s:
	default:
	}
}

// finish ends the looking and fills in what was seen. It is called when all
// processes are dead; a command that failed after the kernel killed part of it
// failed for want of memory.
func (w *watch) finish(result *Result) {
	close(w.stop)
	w.wait.Wait()
	result.Disk = w.disk.most()
	if w.group != nil {
		last := w.group.usage()
		if last.oomKills > 0 && result.ExitCode != 0 {
			result.struck(struckMemory(w.limits.Memory))
		}
		if last.refusedForks > 0 && result.ExitCode != 0 {
			result.struck(struckProcesses(w.limits.Processes))
		}
		result.User, result.System = max(result.User, last.user), max(result.System, last.system)
	}
	if w.group == nil && w.limits.Memory > 0 && result.MaxRSS > w.limits.Memory && result.ExitCode != 0 {
		result.struck(struckMemory(w.limits.Memory))
	}
	result.CPU = result.User + result.System
	result.PeakMemory = max(w.peak, result.MaxRSS)
}

// treeUse sums up the memory of the processes that descend from one, and
// counts their threads.
func treeUse(first int) (memory, tasks int64) {
	for _, pid := range descendants(first) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		memory += (statusValue(raw, "RssAnon:") + statusValue(raw, "RssShmem:")) << 10
		tasks += statusValue(raw, "Threads:")
	}
	return memory, tasks
}

// statusValue reads a number of /proc/PID/status.
func statusValue(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte(name)); found {
			if fields := bytes.Fields(rest); len(fields) > 0 {
				value, _ := strconv.ParseInt(string(fields[0]), 10, 64)
				return value
			}
		}
	}
	return 0
}
