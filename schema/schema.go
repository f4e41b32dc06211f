// Package schema carries the SQL migrations of the server's database and
// applies them. They are numbered, go forward only, and each is written so that
// the binary before it still works on the result: a rolling upgrade never has
// to stop builds.
package schema

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed *.sql
var migrations embed.FS

//go:embed signing/*.sql
var signing embed.FS

// Migrate brings the database behind conn to the newest version and reports
// that version. Servers that start together wait for one another: tern takes
// an advisory lock.
func Migrate(ctx context.Context, conn *pgx.Conn) (version int32, err error) {
	return migrateWith(ctx, conn, migrations)
}

// MigrateSigning does the same for the signing worker's own database.
func MigrateSigning(ctx context.Context, conn *pgx.Conn) (version int32, err error) {
	own, err := fs.Sub(signing, "signing")
	if err != nil {
		return 0, err
	}
	return migrateWith(ctx, conn, own)
}

func migrateWith(ctx context.Context, conn *pgx.Conn, files fs.FS) (version int32, err error) {
	m, err := migrate.NewMigrator(ctx, conn, "schema_version")
	if err != nil {
		return 0, fmt.Errorf("preparing migrations: %w", err)
	}
	if err := m.LoadMigrations(files); err != nil {
		return 0, fmt.Errorf("reading migrations: %w", err)
	}
	if err := m.Migrate(ctx); err != nil {
		return 0, fmt.Errorf("migrating the database: %w", err)
	}
	return m.GetCurrentVersion(ctx)
}
