package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/stack"
)

// house is the one installation of this test binary. Tests that break parts of
// it put them back, and do not run in parallel.
var house struct {
	*stack.Stack
	dir, bin, crash string
}

func TestMain(m *testing.M) {
	if to := os.Getenv(recordEnv); to != "" {
		if err := record(to); err != nil {
			fmt.Fprintln(os.Stderr, "recording histories:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := begin(); err != nil {
		fmt.Fprintln(os.Stderr, "endtoend:", err)
		os.Exit(1)
	}
	code := 0
	if house.Stack != nil {
		code = m.Run()
		house.Stop(context.Background())
	}
	os.RemoveAll(house.dir)
	os.Exit(code)
}

// begin builds the binary with live crash points and starts the installation;
// in short mode nothing.
func begin() (err error) {
	for _, arg := range os.Args {
		if arg == "-test.short=true" || strings.HasPrefix(arg, "-test.list") {
			return nil
		}
	}
	if house.dir, err = os.MkdirTemp("/var/tmp", "debusine-endtoend-"); err != nil {
		return err
	}
	if err := os.Chmod(house.dir, 0o755); err != nil {
		return err
	}
	house.bin, house.crash = filepath.Join(house.dir, "debusine"), filepath.Join(house.dir, "crash")
	if err := os.Mkdir(house.crash, 0o755); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "crash", "-o", house.bin, "debusine/cmd/debusine").CombinedOutput()
	if err != nil {
		return fmt.Errorf("building debusine: %w\n%s", err, out)
	}
	os.Setenv("DEBUSINE_CRASH_AT", house.crash)
	house.Stack, err = stack.Start(context.Background(), stack.Options{State: filepath.Join(house.dir, "state"), NoWorker: true, Program: house.bin})
	return err
}

// needs skips nothing: short runs have no tests of this kind at all.
func needs(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a whole installation")
	}
}

// admin runs `debusine admin` and gives the last word that it prints.
func admin(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(house.bin, append([]string{"admin", "--database", house.DSN()}, args...)...).CombinedOutput()
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
func user(t *testing.T) *client.Client {
	t.Helper()
	raw, err := os.ReadFile(house.ClientConfig())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if token, ok := strings.CutPrefix(line, "token = "); ok {
			return client.New(client.Options{BaseURL: house.API() + "/api", Token: strings.TrimSpace(token), Patience: 60 * time.Second})
		}
	}
	t.Fatal("no token in the client's configuration")
	return nil
}

// machine is a build machine: a worker process of ours.
type machine struct {
	name, arch, log, token string
	cmd                    *exec.Cmd
}

// join makes a worker that an administrator has enabled, and starts it. It is
// ended with the test.
func join(t *testing.T, name, arch string, concurrency int, classes ...string) *machine {
	t.Helper()
	dir := filepath.Join(house.dir, "worker-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &machine{name: name, arch: arch, log: dir + ".log", token: dir + ".token"}
	if err := os.WriteFile(m.token, []byte(admin(t, "worker", "create", name, "--enable", "--concurrency", fmt.Sprint(concurrency))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, class := range classes {
		admin(t, "worker", "edit-metadata", name, "--set", "provided_tags=worker:class:"+class)
	}
	m.start(t, concurrency)
	t.Cleanup(func() {
		m.kill()
		admin(t, "worker", "disable", name)
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
	m.cmd = exec.Command(house.bin, "worker", "--api-url", house.API()+"/api", "--token-file", m.token, "--name", m.name, "--arch", m.arch,
		"--state", filepath.Join(house.dir, "worker-"+m.name), "--concurrency", fmt.Sprint(concurrency))
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

func ended(w api.WorkRequest) bool { return w.Status == "completed" || w.Status == "aborted" }

func running(w api.WorkRequest) bool { return w.Status == "running" }

// arm makes the next process at the gap end the victim: another process, or
// with 0 itself.
func arm(t *testing.T, gap string, victim int) {
	t.Helper()
	text := ""
	if victim != 0 {
		text = fmt.Sprint(victim)
	}
	// Written aside first: a half-written file would be obeyed.
	path := filepath.Join(house.crash, gap)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(path) })
}

// fired says that the gap was reached.
func fired(gap string) bool {
	_, err := os.Stat(filepath.Join(house.crash, gap))
	return err != nil
}
