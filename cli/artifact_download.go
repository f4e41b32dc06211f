package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"debusine/api"
	"debusine/client"
)

func artifactDownloadCommand() *cli.Command {
	return &cli.Command{
		Name: "download", Usage: "download an artifact's files and verify them", ArgsUsage: "ID [FILE …]",
		Description: "A download that was cut goes on where it stopped when it is started again.\n\nExample: debusine artifact download 12 --target-directory hello/",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "target-directory", Value: ".", Usage: "into `DIR`, which is made where it is missing"},
			&cli.BoolFlag{Name: "tarball", Usage: "as one artifact-ID.tar.gz"}},
		Action: talk(artifactDownload),
	}
}

func artifactDownload(s *session) error {
	if s.NArg() < 1 {
		return s.want("ID", "[FILE …]")
	}
	id, err := parseID("an artifact", s.Args().First())
	if err != nil {
		return err
	}
	a, err := s.api.Artifact(s.ctx(), id)
	if err != nil {
		return err
	}
	target := s.String("target-directory")
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	progress, end := s.transfer("downloading")
	var paths []string
	if s.Bool("tarball") {
		paths, err = s.downloadTarball(a, target, progress)
	} else {
		paths, err = s.downloadFiles(a, target, s.Args().Tail(), progress)
	}
	end()
	if err != nil {
		return err
	}
	return s.out.print(struct {
		Artifact int64    `json:"artifact"`
		Files    []string `json:"files"`
	}{id, paths}, func() error {
		for _, path := range paths {
			fmt.Fprintln(s.out.to, visible(path))
		}
		return nil
	})
}

// downloadFiles fetches the named files, all when none is named. The folder is
// opened as a root: no path that a server gives leads out of it.
func (s *session) downloadFiles(a api.Artifact, target string, names []string, progress client.Progress) ([]string, error) {
	root, err := os.OpenRoot(target)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if len(names) == 0 {
		names = fileNames(a)
	}
	group, ctx := errgroup.WithContext(s.ctx())
	group.SetLimit(4)
	paths := make([]string, len(names))
	for i, name := range slices.Sorted(slices.Values(names)) {
		paths[i] = filepath.Join(target, name)
		group.Go(func() error { return s.downloadFile(ctx, a, root, name, progress) })
	}
	return paths, group.Wait()
}

// downloadFile fetches one file under a name of its own, and renames it when it
// is whole and right.
func (s *session) downloadFile(ctx context.Context, a api.Artifact, root *os.Root, name string, progress client.Progress) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("artifact %d has a file %q, which would leave the folder", a.ID, name)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	part := fmt.Sprintf("%s.artifact-%d.part", name, a.ID)
	to, err := root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(s.api.Download(ctx, a, name, to, progress), to.Close())
	if err != nil {
		if info, statErr := root.Stat(part); statErr == nil && info.Size() == 0 || errors.As(err, new(client.Corrupt)) {
			err = errors.Join(err, root.Remove(part))
		}
		return err
	}
	return root.Rename(part, name)
}

func (s *session) downloadTarball(a api.Artifact, target string, progress client.Progress) ([]string, error) {
	name := filepath.Join(target, fmt.Sprintf("artifact-%d.tar.gz", a.ID))
	part, err := os.Create(name + ".part")
	if err != nil {
		return nil, err
	}
	moved := func(int64) {}
	if progress != nil {
		moved = progress(name, sizeOf(a)) // unpacked; the packed size is not known
	}
	err = errors.Join(s.api.Tarball(s.ctx(), a, io.Writer(part), moved), part.Close())
	if err != nil {
		return nil, errors.Join(err, os.Remove(part.Name()))
	}
	return []string{name}, os.Rename(part.Name(), name)
}
