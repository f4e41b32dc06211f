package stack

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as it does. The
// kernel's word "your parent died" (Pdeathsig) is about the thread that forked,
// and Go ends threads as it likes.
type spawner struct{ jobs chan func() }

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	answer := make(chan error)
	s.jobs <- func() { answer <- cmd.Start() }
	return <-answer
}

func (s *spawner) close() { close(s.jobs) }

// identity is what tells a process from a later one with the same number.
type identity struct {
	pid     int
	started string // clock ticks since boot: field 22 of proc(5)'s stat
	boot    string
	program string
}

func identify(pid int) (identity, error) {
	fields, err := statFields(pid)
	if err != nil {
		return identity{}, err
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return identity{}, fmt.Errorf("reading the program of process %d: %w", pid, err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("reading the boot's id: %w", err)
	}
	return identity{
		pid: pid, started: fields[19], boot: strings.TrimSpace(string(boot)),
		// A program that was built anew meanwhile is shown so.
		program: strings.TrimSuffix(program, " (deleted)"),
	}, nil
}

// statFields returns proc(5)'s stat from field 3, the state, on: the name before
// it may hold spaces and brackets.
func statFields(pid int) ([]string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, fmt.Errorf("reading process %d: %w", pid, err)
	}
	_, after, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	fields := strings.Fields(string(after))
	if !ok || len(fields) < 20 {
		return nil, fmt.Errorf("reading process %d: its stat has an unknown form", pid)
	}
	return fields, nil
}

func (id identity) String() string {
	return fmt.Sprintf("%d\n%s\n%s\n%s\n", id.pid, id.started, id.boot, id.program)
}

// parseIdentity reads what String wrote.
func parseIdentity(text string) (identity, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 4 {
		return identity{}, errors.New("a pid file has four lines")
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid < 2 {
		return identity{}, fmt.Errorf("%q is no pid", lines[0])
	}
	return identity{pid: pid, started: lines[1], boot: lines[2], program: lines[3]}, nil
}

// lives says whether this very process still runs; a zombie does not.
func (id identity) lives() bool {
	now, err := identify(id.pid)
	if err != nil || now != id {
		return false
	}
	fields, err := statFields(id.pid)
	return err == nil && fields[0] != "Z"
}

// stateMark is set in the environment of every part; what a part leaves behind in
// its process group is known by it.
const stateMark = "DEBUSINE_STACK_STATE"

// orphans lists the processes of the group that the identity led and that bear
// our mark. The kernel gives no new process the number of a living group, but the
// group itself could have ended and come again; hence the mark.
func (id identity) orphans(f folder) []int {
	if id.pid == 0 {
		return nil
	}
	var found []int
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		fields, err := statFields(pid)
		if err != nil || fields[2] != strconv.Itoa(id.pid) || fields[0] == "Z" {
			continue
		}
		environ, err := os.ReadFile(entry + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+stateMark+"="+string(f)+"\x00")) {
			found = append(found, pid)
		}
	}
	return found
}

// endLeftovers ends what an earlier stack of this folder left running, in the
// order of a clean stop, and removes the pid files. It answers the names.
func (f folder) endLeftovers(patience time.Duration) ([]string, error) {
	files, _ := filepath.Glob(f.path("run", "*.pid"))
	var ended []string
	for _, name := range stopOrder(files) {
		text, err := os.ReadFile(f.path("run", name+".pid"))
		if err != nil {
			return ended, fmt.Errorf("reading what ran before: %w", err)
		}
		if id, err := parseIdentity(string(text)); err == nil && id.pid != os.Getpid() {
			if id.end(f, politeSignal(name), patience) {
				ended = append(ended, name)
			}
			if id.lives() {
				return ended, fmt.Errorf("process %d (%s), left by an earlier stack, does not end; hint: look why, then start again", id.pid, name)
			}
		}
		if err := os.Remove(f.path("run", name+".pid")); err != nil {
			return ended, fmt.Errorf("removing an old pid file: %w", err)
		}
	}
	return ended, nil
}

// end asks, waits and then kills; it answers whether anything was there.
func (id identity) end(f folder, polite syscall.Signal, patience time.Duration) bool {
	there := false
	if id.lives() {
		there = true
		syscall.Kill(id.pid, polite)
		for deadline := time.Now().Add(patience); id.lives() && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
		if id.lives() {
			syscall.Kill(-id.pid, syscall.SIGKILL)
		}
		for deadline := time.Now().Add(5 * time.Second); id.lives() && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	for _, pid := range id.orphans(f) {
		there = true
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return there
}
