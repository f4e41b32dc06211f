package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// The databases and the roles that own them; signing.go has one more. No role may
// connect to another's: what builds tell Temporal must not become a way to the tokens.
const (
	databaseOurs       = "debusine"
	databaseTemporal   = "temporal"
	databaseVisibility = "temporal_visibility"
	roleOurs           = "debusine"
	roleTemporal       = "temporal"
	roleAll            = "postgres"
)

// postgresUser is the system user that root starts PostgreSQL as.
const postgresUser = "debusine-pg"

// socketLimit is the longest path of a socket: unix(7), less the final zero.
const socketLimit = 107

// postgres is the private cluster of one state folder.
type postgres struct {
	folder    folder
	host      string              // where it is, for libpq; "": our socket
	bin       string              // the folder of the host's programs
	owner     *syscall.Credential // nil: ourselves
	passwords map[string]string   // by role
}

func newPostgres(f folder) (*postgres, error) {
	p := &postgres{folder: f}
	if socket := f.path("pg", ".s.PGSQL.5432"); len(socket) > socketLimit {
		return nil, fmt.Errorf("the path of PostgreSQL's socket, %s, is longer than the %d bytes that the kernel takes; hint: name a shorter folder with --state", socket, socketLimit)
	}
	var err error
	if p.bin, err = postgresPrograms("/usr/lib/postgresql", p.data()); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if p.owner, err = systemUser(postgresUser); err != nil {
			return nil, err
		}
	}
	return p, p.readPasswords()
}

// readPasswords reads those of all roles, each from the file of who needs it.
func (p *postgres) readPasswords() (err error) {
	if p.passwords, err = p.folder.passwords(); err != nil {
		return err
	}
	p.passwords[roleSigning], err = p.folder.signingPassword()
	return err
}

func (p *postgres) data() string { return p.folder.path("pg", "data") }

// postgresPrograms picks the newest version under root, or the one that made the
// cluster if there is one already.
func postgresPrograms(root, data string) (string, error) {
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err == nil {
		want := strings.TrimSpace(string(version))
		bin := filepath.Join(root, want, "bin")
		if _, err := os.Stat(filepath.Join(bin, "postgres")); err != nil {
			return "", fmt.Errorf("the database in %s was made by PostgreSQL %s, which is not installed; hint: apt-get install postgresql-%s", data, want, want)
		}
		return bin, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("looking for the database: %w", err)
	}
	found, _ := filepath.Glob(filepath.Join(root, "*", "bin", "postgres"))
	best, newest := "", 0
	for _, file := range found {
		bin := filepath.Dir(file)
		if number, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && number > newest {
			best, newest = bin, number
		}
	}
	if newest < 15 {
		return "", fmt.Errorf("PostgreSQL 15 or newer is not installed under %s; hint: make deps", root)
	}
	return best, nil
}

// systemUser finds the user, making it when it is missing. Only root can.
func systemUser(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		made := exec.Command("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
			"--shell", "/usr/sbin/nologin", "--comment", "runs Debusine's PostgreSQL", name)
		// Another stack may make it at the same moment: the second look decides.
		said, failed := made.CombinedOutput()
		if u, err = user.Lookup(name); err != nil {
			return nil, fmt.Errorf("making the user %s: %w: %s", name, failed, strings.TrimSpace(string(said)))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the user %s: %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the user %s has the id %q", name, u.Uid)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the user %s has the group id %q", name, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// passwords reads pki/pgpass, in libpq's form, or makes it.
func (f folder) passwords() (map[string]string, error) {
	text, err := f.keep("pki/pgpass", func() (string, error) {
		var lines []string
		for _, role := range []string{roleAll, roleOurs, roleTemporal} {
			word, err := secret(25)
			if err != nil {
				return "", err
			}
			lines = append(lines, "*:*:*:"+role+":"+word)
		}
		return strings.Join(lines, "\n"), nil
	})
	if err != nil {
		return nil, err
	}
	words := map[string]string{}
	for line := range strings.Lines(text) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) == 5 {
			words[fields[3]] = fields[4]
		}
	}
	for _, role := range []string{roleAll, roleOurs, roleTemporal} {
		if words[role] == "" {
			return nil, fmt.Errorf("%s has no password for %s; hint: put the file back from a backup", f.path("pki", "pgpass"), role)
		}
	}
	return words, nil
}

// dsn is a connection string without a secret in it, fit for a command line: the
// password file is named, and only its owner can read it.
func (f folder) dsn(role, database string) string {
	return dsnAt(f.path("pg"), f.path("pki", "pgpass"), role, database)
}

func dsnAt(host, passwords, role, database string) string {
	return fmt.Sprintf("host=%s user=%s dbname=%s passfile=%s sslmode=disable", dsnQuote(host), role, dsnQuote(database), dsnQuote(passwords))
}

func (p *postgres) dsn(role, database string) string {
	if p.host == "" {
		return p.folder.dsn(role, database)
	}
	return dsnAt(p.host, p.folder.path("pki", "pgpass"), role, database)
}

func dsnQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// prepare makes the cluster if there is none. It is built beside its place and
// renamed: a stop in the middle leaves nothing that looks like a cluster.
func (p *postgres) prepare(ctx context.Context) error {
	dir := p.folder.path("pg")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making PostgreSQL's folder: %w", err)
	}
	if err := errors.Join(os.Chmod(dir, 0o700), p.give(dir)); err != nil {
		return fmt.Errorf("making PostgreSQL's folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(p.data(), "PG_VERSION")); err == nil {
		return p.writeAccess(p.data())
	}
	fresh, word := p.folder.path("pg", "data.new"), p.folder.path("pg", "password.new")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clearing an unfinished database: %w", err)
	}
	defer os.Remove(word)
	if err := writeFile(word, []byte(p.passwords[roleAll]+"\n"), 0o600); err != nil {
		return err
	}
	if err := p.give(word); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	make := p.program(ctx, "initdb", "-D", fresh, "-U", roleAll, "--auth=scram-sha-256", "--pwfile="+word, "-E", "UTF8", "--locale=C.UTF-8")
	if said, err := make.CombinedOutput(); err != nil {
		return fmt.Errorf("making the database with initdb: %w: %s", err, strings.TrimSpace(string(said)))
	}
	if err := p.writeAccess(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, p.data()); err != nil {
		return fmt.Errorf("making the database: %w", err)
	}
	return nil
}

// writeAccess writes who may connect, and how: pg_hba.conf.
func (p *postgres) writeAccess(data string) error {
	file := filepath.Join(data, "pg_hba.conf")
	rule := "# Written at each start. Everybody shows a password, on the socket alone.\nlocal all all scram-sha-256\n"
	if err := writeFile(file, []byte(rule), 0o600); err != nil {
		return err
	}
	if err := p.give(file); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

func (p *postgres) give(file string) error {
	if p.owner == nil {
		return nil
	}
	return os.Chown(file, int(p.owner.Uid), int(p.owner.Gid))
}

// program is a command of the host's PostgreSQL, as its user.
func (p *postgres) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir = p.folder.path("pg")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.owner}
	return cmd
}

func (p *postgres) command() (*exec.Cmd, error) {
	return p.program(context.Background(), "postgres", "-D", p.data(), "-k", p.folder.path("pg"),
		"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=200",
		// Temporal's services hold 50 to 55 connections; the rest is ours.
		"-c", "shared_buffers=256MB", "-c", "logging_collector=off", "-c", "log_timezone=UTC"), nil
}

func (p *postgres) ready(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.dsn(roleAll, "postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// furnish makes the roles and databases that are missing, and sets the passwords
// to those of the file.
func (p *postgres) furnish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.dsn(roleAll, "postgres"))
	if err != nil {
		return fmt.Errorf("connecting to the new database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, role := range []string{roleOurs, roleTemporal, roleSigning} {
		if err := makeRole(ctx, conn, role, p.passwords[role]); err != nil {
			return err
		}
	}
	for database, owner := range map[string]string{databaseOurs: roleOurs, databaseTemporal: roleTemporal, databaseVisibility: roleTemporal, databaseSigning: roleSigning} {
		if err := makeDatabase(ctx, conn, database, owner); err != nil {
			return err
		}
	}
	return nil
}

func makeRole(ctx context.Context, conn *pgx.Conn, role, password string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&there); err != nil {
		return fmt.Errorf("looking for the role %s: %w", role, err)
	}
	verb := "CREATE"
	if there {
		verb = "ALTER"
	}
	// Role and password are ours: letters and digits only.
	if _, err := conn.Exec(ctx, verb+" ROLE "+role+" LOGIN PASSWORD '"+password+"'"); err != nil {
		return fmt.Errorf("making the role %s: %w", role, err)
	}
	return nil
}

// makeDatabase makes the database for its owner alone: by default everybody may
// connect to a new one.
func makeDatabase(ctx context.Context, conn *pgx.Conn, database, owner string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there); err != nil {
		return fmt.Errorf("looking for the database %s: %w", database, err)
	}
	name := pgx.Identifier{database}.Sanitize()
	if !there {
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
			return fmt.Errorf("making the database %s: %w", database, err)
		}
	}
	if _, err := conn.Exec(ctx, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC"); err != nil {
		return fmt.Errorf("closing the database %s to others: %w", database, err)
	}
	return nil
}

// schemaBegun says whether a database of Temporal holds at least one version of
// its schema; a set-up that was interrupted before that is begun anew.
func (p *postgres) schemaBegun(ctx context.Context, database string) (bool, error) {
	conn, err := pgx.Connect(ctx, p.dsn(roleTemporal, database))
	if err != nil {
		return false, fmt.Errorf("connecting to the database %s: %w", database, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var table bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&table); err != nil || !table {
		return false, err
	}
	var begun bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM schema_version WHERE curr_version <> '0.0')").Scan(&begun)
	if err != nil {
		return false, fmt.Errorf("reading the schema version of %s: %w", database, err)
	}
	return begun, nil
}

// part is PostgreSQL as a part; its shutdown writes a checkpoint, which takes time.
func (p *postgres) part() *part {
	return &part{name: namePostgres, command: p.command, ready: p.ready, patience: 60 * time.Second}
}
