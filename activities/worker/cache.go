package workeract

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"debusine/api"
)

// cacheSize is how many environments a machine keeps: the least recently used
// goes first.
const cacheSize = 10

// cache keeps environments by artifact number, in a folder where builds can
// read but not write. A file there is whole: it arrives by rename.
type cache struct {
	dir string

	mu      sync.Mutex
	entries map[int64]*cached
}

// cached is one environment; mu is held while it is fetched or checked.
type cached struct {
	mu    sync.Mutex
	users int // guarded by cache.mu
}

func openCache(state string) (*cache, error) {
	dir := filepath.Join(state, "cache")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of environments: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.part*"))
	if err != nil {
		return nil, err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("clearing the folder of environments: %w", err)
		}
	}
	return &cache{dir: dir, entries: map[int64]*cached{}}, nil
}

// environment gives the path of an environment's tarball, fetched if need be
// and with its SHA-256 checked in any case. It stays until release is called.
func (c *cache) environment(ctx context.Context, server Server, artifact api.Artifact) (path string, release func(), err error) {
	name, file, err := onlyTarball(artifact)
	if err != nil {
		return "", nil, err
	}
	return c.only(ctx, server, artifact.ID, name, tarSuffix(name), file)
}

// only is the one file of an artifact.
func (c *cache) only(ctx context.Context, server Server, id int64, name, suffix string, file api.File) (path string, release func(), err error) {
	entry, release := c.take(id)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	path = filepath.Join(c.dir, strconv.FormatInt(id, 10)+suffix)
	if err := checkFile(path, file); err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // what was used last goes last
		return path, release, nil
	}
	if err := c.fetch(ctx, server, id, name, path); err != nil {
		release()
		return "", nil, fmt.Errorf("fetching environment %d: %w", id, err)
	}
	return path, release, nil
}

func (c *cache) take(id int64) (*cached, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, found := c.entries[id]
	if !found {
		entry = &cached{}
		c.entries[id] = entry
	}
	entry.users++
	return entry, sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		entry.users--
	})
}

func (c *cache) fetch(ctx context.Context, server Server, id int64, name, path string) error {
	if err := c.makeRoom(); err != nil {
		return err
	}
	file, err := os.CreateTemp(c.dir, filepath.Base(path)+".part*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	err = server.Download(ctx, id, name, file)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// makeRoom removes what was used longest ago, and is not in use.
func (c *cache) makeRoom() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	type old struct {
		id   int64
		path string
		used time.Time
	}
	var kept []old
	for _, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), ".")
		id, err := strconv.ParseInt(number, 10, 64)
		info, statErr := entry.Info()
		if err == nil && statErr == nil {
			kept = append(kept, old{id, filepath.Join(c.dir, entry.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(kept, func(a, b old) int { return a.used.Compare(b.used) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i < len(kept)-(cacheSize-1); i++ {
		if entry := c.entries[kept[i].id]; entry != nil && entry.users > 0 {
			continue
		}
		delete(c.entries, kept[i].id)
		if err := os.Remove(kept[i].path); err != nil {
			return err
		}
	}
	return nil
}

// onlyTarball finds the one file of an environment.
func onlyTarball(artifact api.Artifact) (string, api.File, error) {
	for name, file := range artifact.Files {
		if len(artifact.Files) == 1 && tarSuffix(name) != "" {
			return name, file, nil
		}
	}
	return "", api.File{}, unusablef("environment %d is not one tar file of a known compression", artifact.ID)
}

// tarSuffix is what tells sbuild how to unpack.
func tarSuffix(name string) string {
	for _, suffix := range []string{".tar", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar.lz4"} {
		if strings.HasSuffix(name, suffix) {
			return suffix
		}
	}
	return ""
}

// checkFile compares a file with what the server says of it.
func checkFile(path string, want api.File) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != want.Size {
		return fmt.Errorf("%s has %d bytes, not %d", filepath.Base(path), info.Size(), want.Size)
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{file}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.Checksums["sha256"] {
		return fmt.Errorf("%s has SHA-256 %s, not %s", filepath.Base(path), got, want.Checksums["sha256"])
	}
	return nil
}
