// Package store keeps the nouns in PostgreSQL: one file a noun, the SQL in
// sight. Postgres owns what exists; what is under way belongs to Temporal, and
// the two meet in a few columns of work_requests and attempts (attempt.go,
// outbox.go).
//
// Methods of DB are whole transactions and return the root package's nouns and
// faults. Private functions take the transaction, so that they compose. What
// must always hold is a constraint in package schema; a violated one comes back
// as the fault that a caller understands (see fault).
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"debusine"
	"debusine/schema"
)

// DB is the database of one installation. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	name string // of the installation; part of every Temporal id
	seal []byte
	fqdn string // what the server is known as, outside; "localhost" until it is said
}

// KnownAs says by which host's name others know the server. It is for the start.
func (db *DB) KnownAs(fqdn string) { db.fqdn = fqdn }

// querier is what a transaction and the pool have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Open connects to the database at dsn (a URL or key=value words, as libpq
// takes them), brings its schema up to date, and makes sure that the
// installation has a name: the one given, or a random one for a new database.
func Open(ctx context.Context, dsn, installation string) (*DB, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := schema.Migrate(ctx, conn); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("reading the database's address: %w", err)
	}
	if config.MaxConns < 16 {
		config.MaxConns = 16
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	db := &DB{pool: pool, fqdn: "localhost"}
	if err := db.install(ctx, installation); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// Close gives all connections back.
func (db *DB) Close() { db.pool.Close() }

// Installation is the short name that Temporal ids carry.
func (db *DB) Installation() string { return db.name }

// SealKey is the secret with which gateways of this installation seal task
// tokens: 32 bytes.
func (db *DB) SealKey() []byte { return db.seal }

// Pool hands out connections for what needs one of its own, such as LISTEN.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

func (db *DB) install(ctx context.Context, name string) error {
	if name == "" {
		name = fmt.Sprintf("%x", randomBytes(4))
	}
	_, err := db.pool.Exec(ctx, `INSERT INTO installation (name, seal_key) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, randomBytes(32))
	if err != nil {
		return fmt.Errorf("naming the installation: %w", fault(err, "installation"))
	}
	if err := db.pool.QueryRow(ctx, `SELECT name, seal_key FROM installation`).Scan(&db.name, &db.seal); err != nil {
		return fmt.Errorf("reading the installation's name: %w", err)
	}
	return seed(ctx, db.pool)
}

// seed makes what a new installation starts with: the scope debusine and its
// workspace System, with the singleton collections. It changes nothing later.
func seed(ctx context.Context, q querier) error {
	for _, sql := range []string{
		`INSERT INTO scopes (name, label) VALUES ('debusine', 'Debusine') ON CONFLICT DO NOTHING`,
		`INSERT INTO users (username, is_system) VALUES ('_system', true) ON CONFLICT DO NOTHING`,
		`INSERT INTO groups (name, scope_id, system) SELECT 'Members', id, true FROM scopes WHERE name = 'debusine' ON CONFLICT DO NOTHING`,
		`INSERT INTO groups (name, scope_id) SELECT 'Owners', id FROM scopes WHERE name = 'debusine' ON CONFLICT DO NOTHING`,
		`INSERT INTO scope_roles (scope_id, group_id, role) SELECT scope_id, id, 'owner' FROM groups WHERE name = 'Owners' AND workspace_id IS NULL ON CONFLICT DO NOTHING`,
		`INSERT INTO workspaces (scope_id, name) SELECT id, 'System' FROM scopes WHERE name = 'debusine' ON CONFLICT DO NOTHING`,
		`INSERT INTO collections (workspace_id, category, name) SELECT id, 'debian:package-build-logs', '_' FROM workspaces WHERE name = 'System' ON CONFLICT DO NOTHING`,
		`INSERT INTO collections (workspace_id, category, name, full_history_retention_period, metadata_only_retention_period)
		 SELECT id, 'debusine:task-history', '_', interval '0 days', interval '30 days' FROM workspaces WHERE name = 'System' ON CONFLICT DO NOTHING`,
		`INSERT INTO collections (workspace_id, category, name) SELECT id, 'debian:environments', 'debian' FROM workspaces WHERE name = 'System' ON CONFLICT DO NOTHING`,
		`INSERT INTO presence (beat_at, grace_until) VALUES (now(), now()) ON CONFLICT DO NOTHING`,
	} {
		if _, err := q.Exec(ctx, sql); err != nil {
			return fmt.Errorf("seeding a new database: %w", err)
		}
	}
	return nil
}

// inTx runs fn in one transaction and commits it when fn returns nil.
func (db *DB) inTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db.pool, fn)
}

// fault turns PostgreSQL's own words into a fault about what; other errors pass.
func fault(err error, what string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return debusine.Missingf("%s", what)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case "23505": // unique_violation
		return debusine.Conflictf("%s already exists", what)
	case "23514", "23502", "22P02", "22001", "22021", "22P05": // checks, nulls, syntax, length, encoding
		return debusine.Invalidf("%s is not acceptable: %s", what, pg.Message)
	case "23503": // foreign_key_violation
		return debusine.Conflictf("%s is still referred to, or refers to nothing", what)
	}
	return err
}

// isFault says that the error is one that a caller can do something about.
func isFault(err error) bool { return debusine.IsFault(err) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	return b
}
