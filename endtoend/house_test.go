package endtoend

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/stack"
)

// house is a whole installation. Tests that break parts of it have one of their
// own; the others take turns in one that they share.
type house struct {
	*stack.Stack
	dir, crash string
	more       []string // NAME=VALUE for its programs, of the one test that has it
}

// built is the binary with live crash points, and the folder that all houses
// stand in.
var built struct{ dir, bin string }

// shared is the house that no test breaks, for one test at a time.
var shared struct {
	sync.Mutex
	*house
}

func TestMain(m *testing.M) {
	if to := os.Getenv(recordEnv); to != "" {
		if err := record(to); err != nil {
			fmt.Fprintln(os.Stderr, "recording histories:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The tests wait far more than they work: by default only as many run at once
	// as there are processors. More would start their installations all at once.
	flag.Set("test.parallel", "8")
	code := m.Run()
	if shared.house != nil {
		shared.Stop(context.Background())
	}
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build makes the binary once.
var build = sync.OnceValue(func() (err error) {
	if built.dir, err = os.MkdirTemp("/var/tmp", "debusine-endtoend-"); err != nil {
		return err
	}
	if err := os.Chmod(built.dir, 0o755); err != nil {
		return err
	}
	built.bin = filepath.Join(built.dir, "debusine")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "crash", "-o", built.bin, "debusine/cmd/debusine").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building debusine: %w\n%s", err, out)
	}
	return nil
})

// start starts an installation without build machines, and with a signing worker
// if it is to sign. env is what its programs have in their environment beyond the
// usual.
func start(signs bool, env ...string) (*house, error) {
	if err := build(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(built.dir, "house-")
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, crash: filepath.Join(dir, "crash"), more: env}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(h.crash, 0o755)); err != nil {
		return nil, err
	}
	h.Stack, err = stack.Start(context.Background(), stack.Options{State: filepath.Join(dir, "state"), NoWorker: true, NoSigning: !signs, Program: built.bin, Env: append(h.env(), h.more...)})
	return h, err
}

// env is what our programs have in their environment beyond the usual.
func (h *house) env() []string { return []string{"DEBUSINE_CRASH_AT=" + h.crash} }

// ownHouse is an installation that the test may break, beside those of others.
func ownHouse(t *testing.T) *house {
	t.Helper()
	return houseOfOwn(t, false)
}

func houseOfOwn(t *testing.T, signs bool, env ...string) *house {
	t.Helper()
	needs(t)
	t.Parallel()
	h, err := start(signs, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if to := os.Getenv(keepEnv); to != "" && !t.Failed() {
			if err := recordOf(h.Stack, to); err != nil {
				t.Error(err)
			}
		}
		h.Stop(context.Background())
	})
	return h
}

// sharedHouse is one that nobody breaks, until the test's end.
func sharedHouse(t *testing.T) *house {
	t.Helper()
	needs(t)
	t.Parallel()
	shared.Lock()
	t.Cleanup(shared.Unlock)
	if shared.house == nil {
		h, err := start(false)
		if err != nil {
			t.Fatal(err)
		}
		shared.house = h
	}
	return shared.house
}

// needs skips in short runs: they have no installation.
func needs(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a whole installation")
	}
}

// admin runs `debusine admin` and gives the last word that it prints.
func (h *house) admin(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(built.bin, append([]string{"admin", "--database", h.DSN()}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("debusine admin %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

// user is a client with the token of the installation's first user.
func (h *house) user(t *testing.T) *client.Client {
	t.Helper()
	raw, err := os.ReadFile(h.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if token, ok := strings.CutPrefix(line, "token = "); ok {
			return client.New(client.Options{BaseURL: h.API() + "/api", Token: strings.TrimSpace(token), Patience: 60 * time.Second})
		}
	}
	t.Fatal("no token in the client's configuration")
	return nil
}

// machine is a build machine: a worker process of ours.
type machine struct {
	house                  *house
	name, arch, log, token string
	cmd                    *exec.Cmd
}

// join makes a worker that an administrator has enabled, and starts it. It is
// ended with the test.
func (h *house) join(t *testing.T, name, arch string, concurrency int, classes ...string) *machine {
	t.Helper()
	dir := filepath.Join(h.dir, "worker-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &machine{house: h, name: name, arch: arch, log: dir + ".log", token: dir + ".token"}
	if err := os.WriteFile(m.token, []byte(h.admin(t, "worker", "create", name, "--enable", "--concurrency", fmt.Sprint(concurrency))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, class := range classes {
		h.admin(t, "worker", "edit-metadata", name, "--set", "provided_tags=worker:class:"+class)
	}
	m.start(t, concurrency)
	t.Cleanup(func() {
		m.kill()
		h.admin(t, "worker", "disable", name)
		if t.Failed() {
			raw, _ := os.ReadFile(m.log)
			t.Logf("log of worker %s:\n%s", name, tail(raw, 3000))
		}
	})
	return m
}

func (m *machine) start(t *testing.T, concurrency int) {
	t.Helper()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(built.bin, "worker", "--api-url", m.house.API()+"/api", "--token-file", m.token, "--name", m.name, "--arch", m.arch,
		"--state", filepath.Join(m.house.dir, "worker-"+m.name), "--concurrency", fmt.Sprint(concurrency))
	m.cmd.Env = append(os.Environ(), m.house.env()...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go m.cmd.Wait()
}

// kill ends the worker's process group with -9.
func (m *machine) kill() {
	if m.cmd != nil && m.cmd.Process != nil {
		syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func tail(raw []byte, n int) string {
	if len(raw) > n {
		raw = raw[len(raw)-n:]
	}
	return string(raw)
}

// ask makes a work request.
func ask(t *testing.T, c *client.Client, taskName, data string) int64 {
	t.Helper()
	w, err := c.CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: taskName, TaskData: json.RawMessage(data), Workspace: "System"})
	if err != nil {
		t.Fatalf("creating %s: %v", taskName, err)
	}
	return w.ID
}

// until waits for a work request to look as wanted.
func until(t *testing.T, c *client.Client, id int64, within time.Duration, what string, ok func(api.WorkRequest) bool) api.WorkRequest {
	t.Helper()
	deadline := time.Now().Add(within)
	var last api.WorkRequest
	for time.Now().Before(deadline) {
		w, err := c.WorkRequest(t.Context(), id)
		if err == nil {
			if last = w; ok(w) {
				return w
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("work request %d is not %s after %v: status %s, result %q, attempt %d, worker %q, waiting %q, output %s",
		id, what, within, last.Status, last.Result, last.Attempt, last.WorkerName, last.WaitingReason, last.OutputData)
	return last
}

// patient is how long a test waits for what takes seconds where nothing is lost. A
// task that Temporal gave out to nobody, as happens on a machine at its limit, is
// handed back by the sweep, which comes once a minute.
const patient = 3 * time.Minute

func ended(w api.WorkRequest) bool { return w.Status == "completed" || w.Status == "aborted" }

func running(w api.WorkRequest) bool { return w.Status == "running" }

// arm makes the next process at the gap end the victim: another process, or
// with 0 itself.
func (h *house) arm(t *testing.T, gap string, victim int) {
	t.Helper()
	text := ""
	if victim != 0 {
		text = fmt.Sprint(victim)
	}
	// Written aside first: a half-written file would be obeyed.
	path := filepath.Join(h.crash, gap)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

// fired says that the gap was reached.
func (h *house) fired(gap string) bool {
	_, err := os.Stat(filepath.Join(h.crash, gap))
	return err != nil
}
