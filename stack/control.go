package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pid answers the process number of a part (postgresql, temporal, ui, server,
// signing, worker-ARCH) that runs at this moment.
func (s *Stack) Pid(name string) (int, error) {
	id, err := s.identity(name)
	return id.pid, err
}

func (s *Stack) identity(name string) (identity, error) {
	text, err := os.ReadFile(s.folder.path("run", name+".pid"))
	if err != nil {
		return identity{}, fmt.Errorf("looking for %s: %w: %w", name, errNoPart, err)
	}
	id, err := parseIdentity(string(text))
	if err != nil {
		return identity{}, fmt.Errorf("looking for %s: %w", name, err)
	}
	if !id.lives() {
		return identity{}, fmt.Errorf("looking for %s: %w", name, errNoPart)
	}
	return id, nil
}

// Kill ends a part as a crash would, with signal 9, and returns when it is gone. It
// is started again, if it is not held.
func (s *Stack) Kill(name string) error {
	id, err := s.identity(name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(id.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	for id.lives() {
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// Hold stops a part in order and keeps it down until Release.
func (s *Stack) Hold(name string) error {
	if err := s.hold(name); err != nil {
		return err
	}
	id, err := s.identity(name)
	if err != nil {
		return nil // down already
	}
	id.end(s.folder, politeSignal(name), 30*time.Second)
	return nil
}

// HoldKilled kills a part with signal 9 and keeps it down until Release.
func (s *Stack) HoldKilled(name string) error {
	if err := s.hold(name); err != nil {
		return err
	}
	return s.Kill(name)
}

func (s *Stack) hold(name string) error {
	if err := os.WriteFile(s.folder.path("hold", name), nil, 0o644); err != nil {
		return fmt.Errorf("holding %s: %w", name, err)
	}
	return nil
}

// Release lets a held part start again and waits until it answers.
func (s *Stack) Release(ctx context.Context, name string) error {
	if err := os.Remove(s.folder.path("hold", name)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("releasing %s: %w", name, err)
	}
	return s.Await(ctx, name)
}

// Await waits until a part runs and answers: after Kill, until it is back.
func (s *Stack) Await(ctx context.Context, name string) error {
	for {
		_, err := s.identity(name)
		if err == nil {
			within, cancel := context.WithTimeout(ctx, 5*time.Second)
			err = s.probe(within, name)
			cancel()
		}
		if err == nil {
			return nil
		}
		if !pause(ctx, glance) {
			return fmt.Errorf("waiting for %s: %w (%w)", name, ctx.Err(), err)
		}
	}
}

// Parts lists the parts that run, in start order.
func (s *Stack) Parts() []string {
	files, _ := filepath.Glob(s.folder.path("run", "*.pid"))
	names := stopOrder(files)
	slices.Reverse(names)
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := s.identity(name)
		return err != nil
	})
}

// probe asks a part whether it answers; a worker has nobody to ask.
func (s *Stack) probe(ctx context.Context, name string) error {
	switch name {
	case namePostgres:
		return (&postgres{folder: s.folder}).ready(ctx)
	case nameTemporal:
		return s.temporal.ready(ctx)
	case nameUI:
		return s.temporal.uiPart().ready(ctx)
	case nameServer:
		return s.serverReady(ctx)
	case nameSigning:
		return s.signingReady(ctx)
	}
	return nil
}

// NewDatabase makes an empty database that Debusine's role owns and answers its
// connection string; drop removes it, also while connections to it are open.
func (s *Stack) NewDatabase(ctx context.Context, name string) (dsn string, drop func() error, err error) {
	conn, err := pgx.Connect(ctx, s.folder.dsn(roleAll, "postgres"))
	if err != nil {
		return "", nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := makeDatabase(ctx, conn, name, roleOurs); err != nil {
		return "", nil, err
	}
	return s.folder.dsn(roleOurs, name), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.folder.dsn(roleAll, "postgres"))
		if err != nil {
			return fmt.Errorf("connecting to PostgreSQL: %w", err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("dropping the database %s: %w", name, err)
		}
		return nil
	}, nil
}

// NewNamespace makes a Temporal namespace with our search attributes: some two
// seconds, since Temporal's caches are refreshed so often.
func (s *Stack) NewNamespace(ctx context.Context, name string) error {
	return s.temporal.makeNamespace(ctx, name)
}

// ForTests gives a test binary its infrastructure: that of the running stack whose
// state folder the environment variable DEBUSINE_STATE names, else one of its own
// in a temporary folder, ended after run. It answers the exit status; when nothing
// starts it says so on standard error and answers 1.
func ForTests(run func() int, to **Stack) int {
	if state := os.Getenv("DEBUSINE_STATE"); state != "" {
		attached, err := Attach(state)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		*to = attached
		return run()
	}
	state, err := os.MkdirTemp("", "debusine-stack-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(state)
	started, err := StartInfrastructure(context.Background(), Options{State: state})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer started.Stop(context.Background())
	*to = started
	return run()
}
