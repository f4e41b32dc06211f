package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"debusine/api"
	"debusine/client"
	"debusine/stack"
)

// house is the installation that is measured, with a user's client.
type house struct {
	*stack.Stack
	*client.Client
	token   string
	program string
	dir     string        // of all that the installation keeps; removed at the end
	keep    string        // what outlives it: the build environment
	db      *pgxpool.Pool // to look behind the API, and to fill a large collection
	born    time.Time
}

// workspace is where everything is made: each installation has it.
const workspace = "System"

func openHouse(ctx context.Context, program, keep string) (*house, error) {
	h := &house{keep: keep}
	var err error
	if h.program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	if _, err := os.Stat(h.program); err != nil {
		return nil, fmt.Errorf("%w; hint: make build", err)
	}
	// Builds and PostgreSQL, which are other users, must reach it.
	if h.dir, err = os.MkdirTemp("/var/tmp", "debusine-bench-"); err != nil {
		return nil, err
	}
	if err := h.start(ctx); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *house) start(ctx context.Context) (err error) {
	if err := os.Chmod(h.dir, 0o755); err != nil {
		return err
	}
	h.Stack, err = stack.Start(ctx, stack.Options{State: filepath.Join(h.dir, "state"), Program: h.program, NoWorker: true, NoSigning: true})
	if err != nil {
		return err
	}
	h.born = time.Now()
	if h.token, err = h.userToken(); err != nil {
		return err
	}
	h.Client = client.New(client.Options{BaseURL: h.API() + "/api", Token: h.token})
	h.db, err = pgxpool.New(ctx, h.DSN())
	return err
}

// close stops everything and removes it.
func (h *house) close() {
	if h.db != nil {
		h.db.Close()
	}
	if h.Stack != nil {
		h.Stop(context.Background())
	}
	os.RemoveAll(h.dir)
}

// userToken is that of the installation's first user.
func (h *house) userToken() (string, error) {
	raw, err := os.ReadFile(h.ClientConfig())
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(raw)) {
		if token, ok := strings.CutPrefix(line, "token = "); ok {
			return strings.TrimSpace(token), nil
		}
	}
	return "", fmt.Errorf("%s holds no token", h.ClientConfig())
}

// admin runs `debusine admin` and gives the last word that it prints.
func (h *house) admin(ctx context.Context, args ...string) (string, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program, append([]string{"admin", "--database", h.DSN()}, args...)...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("debusine admin %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	words := strings.Fields(string(out))
	if len(words) == 0 {
		return "", nil
	}
	return words[len(words)-1], nil
}

// machine is a worker process.
type machine struct {
	name, state string
	options     []string // of `debusine worker`, beside those that all have
	cmd         *exec.Cmd
	leave       func()
}

// join starts an enabled worker and returns when it polls.
func (h *house) join(ctx context.Context, name string, concurrency int, classes ...string) (*machine, error) {
	return h.joinWith(ctx, nil, name, concurrency, classes...)
}

// joinWith is join with options of the worker's.
func (h *house) joinWith(ctx context.Context, options []string, name string, concurrency int, classes ...string) (*machine, error) {
	m := &machine{name: name, state: filepath.Join(h.dir, "worker-"+name), options: options}
	if err := os.MkdirAll(m.state, 0o755); err != nil {
		return nil, err
	}
	token, err := h.admin(ctx, "worker", "create", name, "--enable", "--concurrency", fmt.Sprint(concurrency))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(m.state+".token", []byte(token), 0o600); err != nil {
		return nil, err
	}
	if err := h.classify(ctx, name, classes); err != nil {
		return nil, err
	}
	if err := m.start(h, concurrency); err != nil {
		return nil, err
	}
	if err := m.joined(ctx); err != nil {
		m.leave()
		return nil, err
	}
	return m, nil
}

// classify gives a worker tags that only an administrator may.
func (h *house) classify(ctx context.Context, name string, classes []string) error {
	if len(classes) == 0 {
		return nil
	}
	tags := make([]string, len(classes))
	for i, class := range classes {
		tags[i] = "worker:class:" + class
	}
	_, err := h.admin(ctx, "worker", "edit-metadata", name, "--set", "provided_tags="+strings.Join(tags, ","))
	return err
}

// start runs the process in a group of its own. leave ends it: work that it may
// have in hand does not matter to a bench.
func (m *machine) start(h *house, concurrency int) error {
	log, err := os.Create(m.state + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(h.program, append([]string{"worker", "--api-url", h.API() + "/api", "--token-file", m.state + ".token", "--name", m.name,
		"--arch", architecture, "--state", m.state, "--concurrency", fmt.Sprint(concurrency)}, m.options...)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return fmt.Errorf("starting a worker: %w", err)
	}
	gone := make(chan struct{})
	go func() { m.cmd.Wait(); close(gone) }()
	m.leave = func() {
		syscall.Kill(-m.cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			syscall.Kill(-m.cmd.Process.Pid, syscall.SIGKILL)
			<-gone
		}
	}
	return nil
}

// joined waits for the worker's own word that it was taken in.
func (m *machine) joined(ctx context.Context) error {
	return m.says(ctx, "msg=joined", 20*time.Second)
}

// says waits until a text is in the worker's log.
func (m *machine) says(ctx context.Context, text string, within time.Duration) error {
	for end := time.Now().Add(within); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if raw, err := os.ReadFile(m.state + ".log"); err == nil && bytes.Contains(raw, []byte(text)) {
			return nil
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("worker %s does not say %q; its last words: %s", m.name, text, m.said()))
}

// said is the end of the worker's log.
func (m *machine) said() string {
	raw, _ := os.ReadFile(m.state + ".log")
	return string(raw[max(0, len(raw)-2000):])
}

// complaints are the last warnings and errors of the server's.
func (h *house) complaints() string {
	if h == nil {
		return ""
	}
	raw, _ := os.ReadFile(filepath.Join(h.State(), "log", "server.log"))
	var last []string
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			last = append(last, "  server: "+line)
		}
	}
	return strings.Join(last[max(0, len(last)-5):], "")
}

// ask makes a work request.
func (h *house) ask(ctx context.Context, name string, data any) (api.WorkRequest, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return api.WorkRequest{}, err
	}
	return h.CreateWorkRequest(ctx, api.WorkRequestCreate{TaskName: name, TaskData: raw, Workspace: workspace})
}

// await asks each pace until a work request has ended, and wants it to have
// ended well.
func (h *house) await(ctx context.Context, id int64, pace time.Duration) (api.WorkRequest, error) {
	for {
		w, err := h.WorkRequest(ctx, id)
		if err != nil {
			return w, err
		}
		if w.Status == "completed" || w.Status == "aborted" {
			if w.Result != "success" {
				return w, fmt.Errorf("work request %d ended as %s with result %q: %s", id, w.Status, w.Result, w.OutputData)
			}
			return w, nil
		}
		if err := pause(ctx, pace); err != nil {
			return w, fmt.Errorf("waiting for work request %d (%s): %w", id, w.Status, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
