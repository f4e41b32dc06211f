// Package storetest gives each test a database of its own on a real
// PostgreSQL. One private cluster is started per test binary, on a socket in a
// temporary folder, and ended with it; databases are copied from a template
// that already has the schema, which takes some tens of milliseconds.
package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine/store"
)

type cluster struct {
	dir      string
	postgres *exec.Cmd
	number   atomic.Int64
}

var (
	once   sync.Once
	shared *cluster
	failed error
)

// Main runs the tests of a package and ends the cluster afterwards. Every
// package that calls Open needs `func TestMain(m *testing.M) { storetest.Main(m) }`.
func Main(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// Open gives the test a fresh database with the schema, closed at its end.
func Open(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), DSN(t), "test")
	if err != nil {
		t.Fatalf("opening the test's database: %v", err)
	}
	t.Cleanup(db.Close)
	// The template's heartbeat is as old as the cluster, which would look like an
	// outage to a test that starts late.
	if _, err := db.Pool().Exec(context.Background(), `UPDATE presence SET beat_at = now(), grace_until = now()`); err != nil {
		t.Fatal(err)
	}
	return db
}

// DSN makes a fresh database with the server's schema and gives its address.
func DSN(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "seeded")
}

// EmptyDSN makes a database without a schema and gives its address: for the
// signing worker, whose database is its own.
func EmptyDSN(t testing.TB) string {
	t.Helper()
	return newDatabase(t, "template0")
}

func newDatabase(t testing.TB, template string) string {
	t.Helper()
	once.Do(func() { shared, failed = start() })
	if failed != nil {
		t.Fatalf("starting PostgreSQL for tests: %v (hint: make deps)", failed)
	}
	name := fmt.Sprintf("t%d", shared.number.Add(1))
	conn, err := pgx.Connect(context.Background(), shared.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+name+" TEMPLATE "+template+" STRATEGY FILE_COPY"); err != nil {
		t.Fatal(err)
	}
	return shared.dsn(name)
}

func (c *cluster) dsn(database string) string {
	return fmt.Sprintf("host=%s user=postgres dbname=%s", c.dir, database)
}

// start makes the cluster and the template database. PostgreSQL refuses to run
// as root, so root starts it as nobody, in a folder that is nobody's.
func start() (*cluster, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(bins) == 0 {
		return nil, fmt.Errorf("no /usr/lib/postgresql/*/bin/postgres")
	}
	bin := filepath.Dir(bins[len(bins)-1])
	dir, err := os.MkdirTemp("/tmp", "debusine-pg-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		if attr.Credential, err = nobody(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	c.postgres = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=200")
	c.postgres.SysProcAttr, c.postgres.Dir = attr, dir
	if err := c.postgres.Start(); err != nil {
		return nil, err
	}
	return c, c.makeTemplate()
}

func nobody() (*syscall.Credential, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (c *cluster) makeTemplate() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.dsn("postgres"))
		if err == nil {
			_, err = conn.Exec(ctx, "CREATE DATABASE seeded")
			conn.Close(ctx)
			if err != nil {
				return err
			}
			break
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	db, err := store.Open(ctx, c.dsn("seeded"), "test")
	if err != nil {
		return err
	}
	db.Close()
	return nil
}

func (c *cluster) stop() {
	if c.postgres != nil && c.postgres.Process != nil {
		syscall.Kill(-c.postgres.Process.Pid, syscall.SIGQUIT)
		c.postgres.Wait()
	}
	os.RemoveAll(c.dir)
}
