package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"debusine/files"
	"debusine/store"
)

// garbage is what a collection removed.
type garbage struct {
	items, artifacts, files int64 // entries of history, artifacts, files that no artifact holds
	contents                int   // of the file store
	bytes                   int64
}

// collectGarbage forgets removed items by their collections' retention, removes
// artifacts whose time has come, and then the files that no artifact holds and
// that were stored longer than grace ago, rows before bytes: what a crash leaves
// in the middle is bytes without a row, which the next one removes. The server
// claims its folder, others must find it claimed.
func collectGarbage(ctx context.Context, db *store.DB, disk *files.Disk, grace time.Duration, server bool) (g garbage, err error) {
	if err := disk.Claim(db.Installation(), server); err != nil {
		return g, err
	}
	var errs [4]error
	g.items, errs[0] = db.ForgetItems(ctx)
	g.artifacts, errs[1] = db.ExpireArtifacts(ctx)
	g.files, errs[2] = db.DropFiles(ctx, grace)
	g.contents, g.bytes, errs[3] = disk.Collect(ctx, grace, db.Wanted)
	return g, errors.Join(errs[:]...)
}

func artifactsCommand() *cli.Command {
	return &cli.Command{Name: "artifacts", Usage: "artifacts and their files", Subcommands: []*cli.Command{
		verb("gc", "", "remove what has expired and nothing keeps; the server does it once an hour", 0, artifactsGC,
			&cli.StringFlag{Name: "files", Usage: "the server's --files `DIR`; with --state it is known"},
			&cli.DurationFlag{Name: "grace", Value: leftovers, Usage: "leave files that were stored within this `DURATION`: an upload may be about to need them"}),
	}}
}

// shortestGrace is what an upload may take from its last byte to its record.
const shortestGrace = time.Minute

func artifactsGC(c *cli.Context, db *store.DB) error {
	grace := c.Duration("grace")
	if grace < shortestGrace {
		return cli.Exit(fmt.Sprintf("--grace must be at least %s", shortestGrace), 2)
	}
	dir := c.String("files")
	if dir == "" && c.String("state") != "" {
		dir = filepath.Join(c.String("state"), "files")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return cli.Exit(fmt.Sprintf("%q is not the folder of the artifacts' files\nhint: name the server's folder: --files DIR", dir), 2)
	}
	disk, err := files.Open(dir)
	if err != nil {
		return err
	}
	gone, err := collectGarbage(c.Context, db, disk, grace, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "removed %d artifacts, %d entries of collections' history, %d files of %d bytes\n", gone.artifacts, gone.items, gone.contents, gone.bytes)
	return nil
}
