package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
)

// Options say what to start and where. The zero value of each field but State is
// a fit default.
type Options struct {
	State     string       // the state folder; made when missing. Folders above it must be searchable for all
	PortBase  int          // first of a block of loopback ports; 0 looks for a free block
	Log       *slog.Logger // where the stack tells what it does; nil: nowhere
	Program   string       // the debusine binary for server, workers and admin; "": the running one
	Mirror    string       // kept in the file mirror for those who bootstrap environments; "": no file, they ask the machine's apt
	NoWorker  bool         // no build worker is started
	NoSigning bool         // no signing worker is started
	Env       []string     // NAME=VALUE, added to the environment of server, workers and admin
}

// Stack is a running stack, ours or (after Attach) another process's.
type Stack struct {
	options  Options
	folder   folder
	ports    ports
	temporal *temporal
	log      *slog.Logger

	// Only in the process that started it.
	lock    *os.File
	words   *os.File // log/standalone.log
	spawner *spawner
	parts   []*part // in start order
	done    chan struct{}
}

// StartInfrastructure starts PostgreSQL, Temporal and its Web UI and returns when
// all three answer: a few seconds. ctx bounds the start alone; Stop ends them. An
// error is a sentence for the user, and nothing is left running.
func StartInfrastructure(ctx context.Context, o Options) (*Stack, error) {
	return start(ctx, o, (*Stack).startInfrastructure)
}

// Start starts everything: the infrastructure, then the server and the workers,
// as child processes of o.Program.
func Start(ctx context.Context, o Options) (*Stack, error) {
	return start(ctx, o, func(s *Stack, ctx context.Context) error {
		architectures := askNative(ctx)
		if err := s.startInfrastructure(ctx); err != nil {
			return err
		}
		return s.startOurs(ctx, architectures)
	})
}

func start(ctx context.Context, o Options, what func(*Stack, context.Context) error) (*Stack, error) {
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	if err := what(s, ctx); err != nil {
		fmt.Fprintln(s.words, err)
		s.Stop(context.Background())
		return nil, err
	}
	go s.renew()
	return s, nil
}

// open takes the state folder and its ports for this process.
func open(o Options) (*Stack, error) {
	s := &Stack{options: o, log: o.Log, done: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	found, err := findTools()
	if err != nil {
		return nil, err
	}
	if s.folder, err = openFolder(o.State); err != nil {
		return nil, err
	}
	if s.lock, err = s.folder.lock(); err != nil {
		return nil, err
	}
	s.spawner = newSpawner()
	if err := s.occupy(); err != nil {
		s.Stop(context.Background())
		return nil, err
	}
	s.temporal = &temporal{folder: s.folder, ports: s.ports, tools: found}
	return s, nil
}

// occupy ends what an earlier stack left, chooses the ports and makes the keys.
func (s *Stack) occupy() error {
	if err := s.keepMirror(); err != nil {
		return err
	}
	ended, err := s.folder.endLeftovers(20 * time.Second)
	if len(ended) > 0 {
		s.log.Warn("parts of an earlier stack were ended", "parts", strings.Join(ended, " "))
	}
	if err != nil {
		return err
	}
	if s.ports = (ports{Base: s.options.PortBase}); s.ports.Base == 0 {
		s.ports, err = anyPorts()
	} else {
		err = s.ports.free()
	}
	if err != nil {
		return err
	}
	// A hold is for the stack that it was made under.
	held, _ := filepath.Glob(s.folder.path("hold", "*"))
	for _, file := range append(held, s.folder.path("run", "ready")) {
		os.Remove(file)
	}
	if err := s.folder.savePorts(s.ports); err != nil {
		return err
	}
	if err := s.folder.rotate("schema"); err != nil {
		return err
	}
	if err := s.tee(); err != nil {
		return err
	}
	if id, err := identify(os.Getpid()); err == nil {
		if err := writeFile(s.folder.path("run", stackName+".pid"), []byte(id.String()), 0o644); err != nil {
			return err
		}
	}
	return s.folder.certificates(time.Now())
}

// tee lets the stack's own words go to log/standalone.log too: in the background
// nobody reads standard error.
func (s *Stack) tee() error {
	if err := s.folder.rotate(stackName); err != nil {
		return err
	}
	var err error
	s.words, err = os.OpenFile(s.folder.path("log", stackName+".log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("opening the stack's own log: %w", err)
	}
	s.log = slog.New(slog.NewMultiHandler(s.log.Handler(), slog.NewTextHandler(s.words, nil)))
	return nil
}

// startInfrastructure starts PostgreSQL, then Temporal on it, then the Web UI.
func (s *Stack) startInfrastructure(ctx context.Context) error {
	pg, err := newPostgres(s.folder)
	if err != nil {
		return err
	}
	s.temporal.password = pg.passwords[roleTemporal]
	if err := pg.prepare(ctx); err != nil {
		return err
	}
	if err := s.bringUp(ctx, pg.part()); err != nil {
		return err
	}
	if err := pg.furnish(ctx); err != nil {
		return err
	}
	if err := s.temporal.configure(); err != nil {
		return err
	}
	if err := s.temporal.migrate(ctx, pg.schemaBegun); err != nil {
		return err
	}
	if err := s.bringUp(ctx, s.temporal.serverPart()); err != nil {
		return err
	}
	if err := s.temporal.makeNamespace(ctx, Namespace); err != nil {
		return err
	}
	return s.bringUp(ctx, s.temporal.uiPart())
}

// bringUp starts the parts together and waits for each.
func (s *Stack) bringUp(ctx context.Context, parts ...*part) error {
	for _, p := range parts {
		p.folder, p.log, p.spawner = s.folder, s.log, s.spawner
		if err := s.folder.rotate(p.name); err != nil {
			return err
		}
		p.begin()
		s.parts = append(s.parts, p)
	}
	for _, p := range parts {
		began := time.Now()
		if err := p.up(ctx); err != nil {
			return err
		}
		s.log.Info("a part is up", "part", p.name, "after", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// Stop ends what this process started, the workers first and PostgreSQL last, and
// returns when nothing is left. It is polite until ctx ends, then hurries. A stack
// that was attached is left alone.
func (s *Stack) Stop(ctx context.Context) {
	if s.lock == nil {
		return
	}
	close(s.done)
	for at := len(s.parts) - 1; at >= 0; {
		// Parts of one rank, the workers, end together.
		first := at
		for first > 0 && rank(s.parts[first-1].name) == rank(s.parts[at].name) {
			first--
		}
		together(s.parts[first:at+1], func(p *part) { p.stop(ctx.Done()) })
		at = first - 1
	}
	s.parts = nil
	s.spawner.close()
	os.Remove(s.folder.path("run", "ready"))
	os.Remove(s.folder.path("run", "stack.json"))
	os.Remove(s.folder.path("run", stackName+".pid"))
	if s.words != nil {
		s.words.Close()
	}
	s.lock.Close()
	s.lock = nil
}

func together(parts []*part, do func(*part)) {
	done := make(chan struct{})
	for _, p := range parts {
		go func() {
			do(p)
			done <- struct{}{}
		}()
	}
	for range parts {
		<-done
	}
}

// renew looks at the certificates once a day; Temporal reads them again hourly.
func (s *Stack) renew() {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case now := <-day.C:
			if err := s.folder.certificates(now); err != nil {
				s.log.Error("certificates were not renewed", "error", err)
			}
		case <-s.done:
			return
		}
	}
}

// Attach answers the stack that runs in the state folder, started by another
// process of the same user or of root.
func Attach(state string) (*Stack, error) {
	abs, err := filepath.EvalSymlinks(state)
	if err == nil {
		abs, err = filepath.Abs(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the state folder: %w", err)
	}
	s := &Stack{folder: folder(abs), log: slog.New(slog.DiscardHandler)}
	if s.ports, err = s.folder.loadPorts(); err != nil {
		return nil, err
	}
	found, err := findTools()
	if err != nil {
		return nil, err
	}
	words, err := s.folder.passwords()
	if err != nil {
		return nil, err
	}
	s.temporal = &temporal{folder: s.folder, ports: s.ports, tools: found, password: words[roleTemporal]}
	return s, nil
}

// State is the state folder, absolute and without links.
func (s *Stack) State() string { return string(s.folder) }

// DSN is the connection string of Debusine's own database. The password is not in
// it, but in a file that it names.
func (s *Stack) DSN() string { return s.folder.dsn(roleOurs, databaseOurs) }

// TemporalAddress is the frontend's HOST:PORT.
func (s *Stack) TemporalAddress() string { return s.ports.address(portFrontend) }

// TemporalFiles are the PEM files that a client of the frontend needs.
func (s *Stack) TemporalFiles() (authority, certificate, key string) {
	return s.folder.path("pki", "ca.crt"), s.folder.path("pki", "client.crt"), s.folder.path("pki", "client.key")
}

// TLS is the same for the SDK: client.ConnectionOptions{TLS: …}.
func (s *Stack) TLS() (*tls.Config, error) { return s.folder.clientTLS("client") }

// UI is the Web UI's URL, API and Gateway are the server's addresses; the last two
// answer only when Start started it.
func (s *Stack) UI() string { return "http://" + s.ports.address(portUI) }

// API is the URL of the HTTP API, without /api.
func (s *Stack) API() string { return "http://" + s.ports.address(portAPI) }

// Gateway is the HOST:PORT of the worker gateway.
func (s *Stack) Gateway() string { return s.ports.address(portGateway) }

// ClientConfig is the file of the client's configuration.
func (s *Stack) ClientConfig() string { return s.folder.path("client", "config.ini") }

// Client connects to Temporal's namespace, waiting no longer than ctx allows.
func (s *Stack) Client(ctx context.Context, namespace string) (client.Client, error) {
	return s.temporal.dial(ctx, namespace)
}

// program is the debusine binary.
func (s *Stack) program(ctx context.Context, args ...string) (*exec.Cmd, error) {
	name := s.options.Program
	if name == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding our own program: %w", err)
		}
		// After a rebuild the kernel calls the old file "(deleted)"; the new one stands there.
		name = strings.TrimSuffix(self, " (deleted)")
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), s.options.Env...)
	return cmd, nil
}

// errNoPart is about a name that is not in run/.
var errNoPart = errors.New("no such part runs")
