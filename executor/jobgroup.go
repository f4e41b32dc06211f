package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// jobGroup is the control group of one command: cgroups(7), of version 2 or 1,
// whose files differ in their names. memory and pids are one folder in 2.
type jobGroup struct {
	version      int
	memory, pids string
}

// newGroup makes the group of a command with its limits; nil where the machine
// has no control groups.
func (g groups) newGroup(name string, limits Limits) (*jobGroup, error) {
	if g.version == 0 {
		return nil, nil
	}
	memory := filepath.Join(g.parents[0], g.prefix+name)
	j := &jobGroup{version: g.version, memory: memory, pids: memory}
	if g.version == 1 {
		j.pids = filepath.Join(g.parents[1], g.prefix+name)
	}
	for _, path := range j.paths() {
		if err := os.Mkdir(path, 0o755); err != nil {
			j.remove()
			return nil, fmt.Errorf("making the control group of the job: %w", err)
		}
	}
	if err := j.limit(limits); err != nil {
		j.remove()
		return nil, fmt.Errorf("bounding the job: %w", err)
	}
	return j, nil
}

func (j *jobGroup) paths() []string {
	if j.pids == j.memory {
		return []string{j.memory}
	}
	return []string{j.memory, j.pids}
}

// limit writes the limits. Memory and swap are bounded as one; a kernel
// without swap accounting has no file for it.
func (j *jobGroup) limit(limits Limits) error {
	if limits.Processes > 0 {
		if err := writeFile(filepath.Join(j.pids, "pids.max"), strconv.FormatInt(limits.Processes, 10)); err != nil {
			return err
		}
	}
	if limits.Memory <= 0 {
		return nil
	}
	memory, swap, swapMost := "memory.max", "memory.swap.max", "0"
	if j.version == 1 {
		memory, swap, swapMost = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.FormatInt(limits.Memory, 10)
	}
	if err := writeFile(filepath.Join(j.memory, memory), strconv.FormatInt(limits.Memory, 10)); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(j.memory, swap), swapMost); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// doors are open files; who writes "0" into each of them is in the group.
func (j *jobGroup) doors() ([]*os.File, error) {
	var open []*os.File
	for _, path := range j.paths() {
		file, err := os.OpenFile(filepath.Join(path, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			closeAll(open)
			return nil, fmt.Errorf("opening the control group of the job: %w", err)
		}
		open = append(open, file)
	}
	return open, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

func (j *jobGroup) remove() error {
	var all error
	for _, path := range j.paths() {
		all = errors.Join(all, removeGroup(path))
	}
	return all
}

// usage is what a job takes now (memory) and what struck so far.
type usage struct {
	memory       int64 // bytes of processes and of files in memory
	oomKills     int64 // processes that the kernel killed for memory
	refusedForks int64
	user, system time.Duration // 0 where the kernel does not count them here
}

func (j *jobGroup) usage() usage {
	var u usage
	stat := keyed(filepath.Join(j.memory, "memory.stat"))
	if j.version == 1 {
		u.memory = stat["total_rss"] + stat["total_shmem"]
		u.oomKills = keyed(filepath.Join(j.memory, "memory.oom_control"))["oom_kill"]
	} else {
		u.memory = stat["anon"] + stat["shmem"]
		u.oomKills = keyed(filepath.Join(j.memory, "memory.events"))["oom_kill"]
		cpu := keyed(filepath.Join(j.memory, "cpu.stat"))
		u.user = time.Duration(cpu["user_usec"]) * time.Microsecond
		u.system = time.Duration(cpu["system_usec"]) * time.Microsecond
	}
	u.refusedForks = keyed(filepath.Join(j.pids, "pids.events"))["max"]
	return u
}

// keyed reads lines of a word and a number; empty when there is no such file.
func keyed(path string) map[string]int64 {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	values := make(map[string]int64)
	for line := range strings.Lines(string(raw)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseInt(number, 10, 64); err == nil {
			values[name] = value
		}
	}
	return values
}
