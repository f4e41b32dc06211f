// Package executortest is what every machine that runs commands must keep to,
// as one suite of tests, and a Machine for the tests of others.
package executortest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"debusine/executor"
)

// Open gives a Machine with a state folder and an instance name of its own.
// The folder is not t.TempDir: a build user cannot enter that.
func Open(t *testing.T) *executor.Machine {
	t.Helper()
	return OpenIn(t, Dir(t))
}

// OpenIn is Open for a state folder that is there already.
func OpenIn(t *testing.T, dir string) *executor.Machine {
	t.Helper()
	return OpenWith(t, executor.Config{Dir: dir})
}

// OpenWith is Open with a configuration, whose folder and name may be missing.
func OpenWith(t *testing.T, config executor.Config) *executor.Machine {
	t.Helper()
	if config.Dir == "" {
		config.Dir = Dir(t)
	}
	config.Instance = "test-" + strings.ToLower(filepath.Base(config.Dir))
	config.InheritNetwork = os.Geteuid() != 0
	m, err := executor.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// Dir makes a folder that every user may enter, and removes it at the end.
func Dir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "executor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Runner is what the contract is about.
type Runner interface {
	Run(context.Context, executor.Command) (executor.Result, error)
	NewFolder(workRequest int64) (*executor.Folder, error)
}

// Shell runs a script in a new folder and returns its result and output.
func Shell(t *testing.T, m Runner, ctx context.Context, script string, more ...func(*executor.Command)) (executor.Result, string) {
	t.Helper()
	folder := NewFolder(t, m)
	c := executor.Command{Argv: []string{"sh", "-c", script}, Folder: folder, Output: filepath.Join(folder.Path, "log")}
	for _, change := range more {
		change(&c)
	}
	result, err := m.Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(c.Output)
	if err != nil {
		t.Fatal(err)
	}
	return result, string(said)
}

// NewFolder makes a job's folder that goes with the test.
func NewFolder(t *testing.T, m Runner) *executor.Folder {
	t.Helper()
	folder, err := m.NewFolder(7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.Remove(); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// Contract runs the suite on a machine.
func Contract(t *testing.T, m Runner) {
	t.Run("a command's exit code and both its outputs come back", func(t *testing.T) {
		result, said := Shell(t, m, t.Context(), "echo out; echo err >&2; exit 7")
		if result.ExitCode != 7 || result.Succeeded() || said != "out\nerr\n" {
			t.Errorf("got %+v, %q", result, said)
		}
	})
	t.Run("a command killed by a signal says which", func(t *testing.T) {
		if result, _ := Shell(t, m, t.Context(), "kill -SEGV $$"); result.ExitCode != 128+11 {
			t.Errorf("exit code %d", result.ExitCode)
		}
	})
	t.Run("what was used is measured", func(t *testing.T) { measured(t, m) })
	t.Run("nothing of the worker's environment is there", func(t *testing.T) { environment(t, m) })
	t.Run("what looks on sees the same bytes", func(t *testing.T) { tap(t, m) })
	t.Run("output beyond its limit is left out, with a mark, and its end is kept", func(t *testing.T) { bounded(t, m) })
	t.Run("a limit of time ends the command and keeps its log", func(t *testing.T) {
		result, said := Shell(t, m, t.Context(), "echo begun; exec sleep 60", limit(m, 2*time.Second))
		if !result.TimedOut || result.Succeeded() || said != "begun\n" || result.Duration > 20*time.Second+opening(m) {
			t.Errorf("got %+v, %q", result, said)
		}
	})
	t.Run("a cancelled command may clean up, and keeps its log", func(t *testing.T) { cancelled(t, m) })
	t.Run("what ignores SIGTERM, forks and makes daemons is gone in ten seconds", func(t *testing.T) { forkTree(t, m) })
	t.Run("daemons do not outlive a command that has succeeded", func(t *testing.T) {
		sleep := unusual()
		Shell(t, m, t.Context(), "setsid sleep "+sleep+" >/dev/null 2>&1 & echo ok")
		if alive(sleep) {
			t.Error("the daemon is alive")
		}
	})
	t.Run("a program that is not installed is the machine's error", func(t *testing.T) {
		folder := NewFolder(t, m)
		c := executor.Command{Argv: []string{"no-such-program"}, Folder: folder, Output: filepath.Join(folder.Path, "log")}
		result, err := m.Run(t.Context(), c)
		if isTestbed(m) { // its programs are no matter of the machine's
			said, _ := os.ReadFile(c.Output)
			if err != nil || result.ExitCode != 127 || !strings.Contains(string(said), "no-such-program") {
				t.Errorf("got %+v, %v, %s", result, err, said)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), "no-such-program is missing; hint: install") {
			t.Errorf("got %v", err)
		}
	})
}

func measured(t *testing.T, m Runner) {
	result, _ := Shell(t, m, t.Context(),
		"dd if=/dev/zero of=file bs=1M count=8 2>/dev/null; end=$(($(date +%s%N) + 300000000)); while [ $(date +%s%N) -lt $end ]; do :; done")
	if result.Duration < 300*time.Millisecond || result.CPU < 50*time.Millisecond {
		t.Errorf("duration %v, CPU %v", result.Duration, result.CPU)
	}
	if result.MaxRSS < 512<<10 || result.Disk < 8<<20 && !isGuest(m) {
		t.Errorf("memory %d, disk %d", result.MaxRSS, result.Disk)
	}
}

func environment(t *testing.T, m Runner) {
	t.Setenv("DEBUSINE_TOKEN", "secret")
	_, said := Shell(t, m, t.Context(), "env; tr '\\0' '\\n' < /proc/self/environ", func(c *executor.Command) {
		c.Env = map[string]string{"DEB_BUILD_OPTIONS": "nocheck"}
	})
	if strings.Contains(said, "secret") {
		t.Errorf("the worker's variable is seen: %s", said)
	}
	for _, want := range []string{"PATH=", "HOME=", "TMPDIR=", "DEB_BUILD_OPTIONS=nocheck\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("%s is missing in %s", want, said)
		}
	}
	if n := strings.Count(said, "\n"); n > 26 {
		t.Errorf("%d lines of environment: %s", n, said)
	}
}

func tap(t *testing.T, m Runner) {
	var seen bytes.Buffer
	_, said := Shell(t, m, t.Context(), "printf 'a\\377b\\0'; seq 10000", func(c *executor.Command) { c.Tap = &seen })
	if seen.String() != said || len(said) < 10000 || !strings.HasPrefix(said, "a\xffb\x00") {
		t.Errorf("seen %d bytes, in the file %d", seen.Len(), len(said))
	}
}

func bounded(t *testing.T, m Runner) {
	result, said := Shell(t, m, t.Context(), "seq 1 100000; echo Status: successful", func(c *executor.Command) { c.OutputLimit = 1000 })
	if len(said) > 1000+64<<10+200 || result.LeftOut == 0 {
		t.Errorf("%d bytes, %d left out", len(said), result.LeftOut)
	}
	if !strings.HasPrefix(said, "1\n2\n") || !strings.HasSuffix(said, "\nStatus: successful\n") {
		t.Errorf("begin or end is missing")
	}
	mark := "longer than 1000 bytes; " + strconv.FormatInt(result.LeftOut, 10) + " bytes are left out here]"
	if !strings.Contains(said, mark) {
		t.Errorf("no mark %q", mark)
	}
}

func cancelled(t *testing.T, m Runner) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := waiter{for_: "begun", then: cancel}
	result, said := Shell(t, m, ctx, "trap 'echo cleaned; exit 1' TERM; echo begun; while :; do sleep 0.05; done",
		func(c *executor.Command) { c.Tap = &begun })
	if !result.Cancelled || !strings.HasSuffix(said, "cleaned\n") || result.Duration > 20*time.Second+opening(m) {
		t.Errorf("got %+v, %q", result, said)
	}
}

func forkTree(t *testing.T, m Runner) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := waiter{for_: "begun", then: cancel}
	sleep := unusual()
	script := `trap '' TERM
		for i in 1 2 3; do setsid sh -c 'trap "" TERM; sleep ` + sleep + ` & sleep ` + sleep + `' & done
		unshare --user --map-auto --map-root-user --pid --fork sh -c 'sleep ` + sleep + `' &
		sleep 0.5; echo begun; wait; sleep ` + sleep
	start := time.Now()
	result, _ := Shell(t, m, ctx, script, func(c *executor.Command) { c.Tap = &begun })
	if !result.Cancelled || time.Since(start) > 10*time.Second+opening(m) {
		t.Errorf("got %+v in %v", result, time.Since(start))
	}
	if alive(sleep) {
		t.Error("a process is alive")
	}
}

// waiter calls then when the text has passed by.
type waiter struct {
	for_ string
	then func()
	seen strings.Builder
}

func (w *waiter) Write(p []byte) (int, error) {
	w.seen.Write(p)
	if strings.Contains(w.seen.String(), w.for_) {
		w.then()
	}
	return len(p), nil
}

// unusual is a number of seconds to sleep by which a process is found.
func unusual() string {
	return "4" + strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
}

// alive looks for a sleep among all processes of the machine.
func alive(seconds string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if words, err := os.ReadFile(file); err == nil && bytes.Equal(words, []byte("sleep\x00"+seconds+"\x00")) {
			return true
		}
	}
	return false
}
