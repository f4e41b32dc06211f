package stack

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newPart is a shell script kept running.
func newPart(t *testing.T, name, script string) *part {
	t.Helper()
	p := &part{
		name: name, folder: newFolder(t), log: slog.New(slog.DiscardHandler), spawner: newSpawner(), patience: 2 * time.Second,
		within:  2 * time.Second,
		command: func() (*exec.Cmd, error) { return exec.Command("sh", "-c", script), nil },
		ready:   func(context.Context) error { return nil },
	}
	t.Cleanup(p.spawner.close)
	return p
}

func (p *part) mustBeUp(t *testing.T) identity {
	t.Helper()
	if err := p.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.folder.path("run", p.name+".pid"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := parseIdentity(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

func TestAPartThatDiesIsStartedAgain(t *testing.T) {
	p := newPart(t, "x", "sleep 1000; :")
	p.begin()
	defer p.stop(nil)
	first := p.mustBeUp(t)
	syscall.Kill(first.pid, syscall.SIGKILL)
	eventually(t, "it dies", func() bool { return !p.alive() })
	eventually(t, "it is back", p.alive)
	if second := p.mustBeUp(t); second.pid == first.pid {
		t.Error("the pid file was not renewed")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lastExit != "ended by signal killed" {
		t.Errorf("it is said that it %s", p.lastExit)
	}
}

func TestAHeldPartStaysDownUntilReleased(t *testing.T) {
	p := newPart(t, "x", "sleep 1000; :")
	p.begin()
	defer p.stop(nil)
	s := &Stack{folder: p.folder, log: p.log}
	p.mustBeUp(t)
	if err := s.HoldKilled("x"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(firstPause + 300*time.Millisecond)
	if p.alive() {
		t.Error("it came back while held")
	}
	if _, err := s.Pid("x"); !errors.Is(err, errNoPart) {
		t.Errorf("its pid is answered: %v", err)
	}
	err := s.Release(t.Context(), "x")
	// It is told of by its file a moment before the part itself knows.
	for end := time.Now().Add(10 * time.Second); !p.alive() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || !p.alive() {
		t.Errorf("released: %v, alive %v", err, p.alive())
	}
}

func TestAPartThatNeverComesUpIsToldInASentence(t *testing.T) {
	p := newPart(t, "x", "echo first; echo the disk is on fire >&2; exit 3")
	p.ready = func(context.Context) error { return errors.New("nobody answers") }
	p.begin()
	defer p.stop(nil)
	err := p.up(t.Context())
	if err == nil {
		t.Fatal("it is said to be up")
	}
	for _, want := range []string{"x did not come up", "ended with status 3", "nobody answers", `"the disk is on fire"`, "hint: its log is " + p.logFile()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	for name, script := range map[string]string{
		"a part that obeys":          "sleep 1000 & trap 'exit 0' TERM; wait",
		"a part that does not":       "trap '' TERM; sleep 1000 & while :; do sleep 1; done",
		"a part that died meanwhile": "sleep 1000 & exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPart(t, "x", script)
			p.patience = 300 * time.Millisecond
			p.begin()
			eventually(t, "it starts", func() bool { _, err := os.Stat(p.folder.path("run", "x.pid")); return err == nil })
			time.Sleep(100 * time.Millisecond)
			p.stop(nil)
			if left := marked(p.folder); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if _, err := os.Stat(p.folder.path("run", "x.pid")); err == nil {
				t.Error("the pid file is left")
			}
		})
	}
}

func TestASecondSignalHurries(t *testing.T) {
	p := newPart(t, "x", "trap '' TERM; while :; do sleep 0.1; done")
	p.patience = time.Minute
	p.begin()
	p.mustBeUp(t)
	hurry := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() { close(hurry) })
	began := time.Now()
	p.stop(hurry)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// marked lists the processes that bear the folder's mark, whatever their group.
func marked(f folder) []string {
	var found []string
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		environ, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(environ), "\x00"+stateMark+"="+string(f)+"\x00") {
			words, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, filepath.Base(filepath.Dir(file))+" "+strings.ReplaceAll(string(words), "\x00", " "))
		}
	}
	return found
}

func TestLeftoversAreEndedAndStrangersAreNot(t *testing.T) {
	f := newFolder(t)
	sleeper := func() (*exec.Cmd, identity) {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go cmd.Wait()
		t.Cleanup(func() { cmd.Process.Kill() })
		var id identity
		eventually(t, "sleep runs", func() bool {
			id, _ = identify(cmd.Process.Pid)
			return strings.HasSuffix(id.program, "sleep") || strings.HasSuffix(id.program, "coreutils")
		})
		return cmd, id
	}
	_, ours := sleeper()
	_, stranger := sleeper()
	reused := stranger
	reused.started = "1"
	for name, text := range map[string]string{"temporal": ours.String(), "ui": reused.String(), "server": "rubbish"} {
		if err := os.WriteFile(f.path("run", name+".pid"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ended, err := f.endLeftovers(2 * time.Second)
	if err != nil || strings.Join(ended, " ") != "temporal" {
		t.Errorf("ended %v: %v", ended, err)
	}
	if ours.lives() {
		t.Error("the leftover lives")
	}
	if !stranger.lives() {
		t.Error("a stranger with a reused number was ended")
	}
	if left, _ := filepath.Glob(f.path("run", "*.pid")); len(left) > 0 {
		t.Errorf("pid files are left: %v", left)
	}
}

func TestIdentityIsReadAsItWasWritten(t *testing.T) {
	id, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	back, err := parseIdentity(id.String())
	if err != nil || back != id || !back.lives() {
		t.Errorf("%v became %v: %v", id, back, err)
	}
	for _, text := range []string{"", "1\n2\n3\n4\n", "x\n2\n3\n4\n", "12\n", "-7\n1\n2\n3\n"} {
		if _, err := parseIdentity(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestLogsOfThreeRunsBeforeAreKept(t *testing.T) {
	f := newFolder(t)
	for _, run := range []string{"1", "2", "3", "4", "5"} {
		if err := f.rotate("x"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.path("log", "x.log"), []byte("run "+run+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"x.log": "run 5", "x.log.1": "run 4", "x.log.3": "run 2"} {
		if got := lastLine(f.path("log", name)); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(f.path("log", "x.log.4")); err == nil {
		t.Error("a fourth is kept")
	}
}

func TestPartsEndInTheReverseOfTheirStart(t *testing.T) {
	got := strings.Join(stopOrder([]string{"/r/postgresql.pid", "/r/server.pid", "/r/standalone.pid", "/r/temporal.pid", "/r/ui.pid", "/r/worker-amd64.pid"}), " ")
	if got != "worker-amd64 server ui temporal postgresql" {
		t.Errorf("the order is %s", got)
	}
}
