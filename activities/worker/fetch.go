package workeract

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"debusine/api"
	"debusine/debian"
)

// atOnce bounds parallel requests of one job to the server.
const atOnce = 4

// fetchAll downloads the files of an artifact that want accepts (all, when
// nil) into a new folder. Names come from whoever made the artifact: only a
// plain one becomes a file.
func (a *attempt) fetchAll(ctx context.Context, artifact api.Artifact, dir string, want func(name string) bool) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var paths []string
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for name := range artifact.Files {
		if want != nil && !want(name) {
			continue
		}
		if _, err := debian.ParseFileName(name); err != nil {
			return nil, unusablef("artifact %d: %v", artifact.ID, err)
		}
		path := filepath.Join(dir, name)
		paths = append(paths, path)
		group.Go(func() error {
			if err := fetchOne(ctx, a.server, artifact.ID, name, path); err != nil {
				return fmt.Errorf("fetching %s of artifact %d: %w", name, artifact.ID, err)
			}
			return nil
		})
	}
	return paths, group.Wait()
}

func fetchOne(ctx context.Context, server Server, artifact int64, name, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	err = server.Download(ctx, artifact, name, file)
	return errors.Join(err, file.Close())
}
