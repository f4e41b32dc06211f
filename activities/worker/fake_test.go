package workeract_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/executor/executortest"
)

// shelf is a server that keeps artifacts in a folder.
type shelf struct {
	dir string

	mu        sync.Mutex
	artifacts map[int64]api.Artifact
	last      int64
	relations []string
	log       []byte
	downloads int
	down      bool // AppendLog fails
}

func newShelf(t *testing.T) *shelf {
	return &shelf{dir: t.TempDir(), artifacts: map[int64]api.Artifact{}}
}

func (s *shelf) Artifact(_ context.Context, id int64) (api.Artifact, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	artifact, found := s.artifacts[id]
	if !found {
		return artifact, debusine.Missingf("artifact %d", id)
	}
	return artifact, nil
}

func (s *shelf) path(id int64, name string) string {
	return filepath.Join(s.dir, fmt.Sprint(id), strings.ReplaceAll(name, "/", "|"))
}

func (s *shelf) Download(ctx context.Context, id int64, name string, to *os.File) error {
	s.mu.Lock()
	s.downloads++
	s.mu.Unlock()
	from, err := os.Open(s.path(id, name))
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// CreateFrom finds what is the same by its checksum.
func (s *shelf) CreateFrom(ctx context.Context, category string, data any, files map[string]string, same map[string]api.File) (int64, error) {
	files = maps.Clone(files)
	s.mu.Lock()
	for _, artifact := range s.artifacts {
		for name, held := range artifact.Files {
			for wanted, f := range same {
				if held.Checksums["sha256"] == f.Checksums["sha256"] {
					files[wanted] = s.path(artifact.ID, name)
				}
			}
		}
	}
	s.mu.Unlock()
	return s.CreateArtifact(ctx, category, data, files)
}

func (s *shelf) CreateArtifact(ctx context.Context, category string, data any, files map[string]string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return 0, err
	}
	names := slices.Sorted(maps.Keys(files))
	if _, err := debusine.ParseArtifactData(category, raw, names); err != nil {
		return 0, fmt.Errorf("%s: %w", category, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id := s.last
	artifact := api.Artifact{ID: id, Category: category, Data: raw, Files: map[string]api.File{}}
	if err := os.Mkdir(filepath.Join(s.dir, fmt.Sprint(id)), 0o755); err != nil {
		return 0, err
	}
	for name, path := range files {
		file, err := copyFile(s.path(id, name), path)
		if err != nil {
			return 0, err
		}
		artifact.Files[name] = file
	}
	s.artifacts[id] = artifact
	return id, nil
}

// copyFile copies and tells size and checksum.
func copyFile(to, from string) (api.File, error) {
	in, err := os.Open(from)
	if err != nil {
		return api.File{}, err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return api.File{}, err
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(out, sum), in)
	return api.File{Size: size, Checksums: map[string]string{"sha256": hex.EncodeToString(sum.Sum(nil))}}, errors.Join(err, out.Close())
}

// beside is another shelf that has some artifacts of this one: builds that run
// beside one another each have their log.
func (s *shelf) beside(t *testing.T, shared ...api.Artifact) *shelf {
	t.Helper()
	other := newShelf(t)
	other.last = s.last
	for _, a := range shared {
		if err := os.Symlink(filepath.Join(s.dir, fmt.Sprint(a.ID)), filepath.Join(other.dir, fmt.Sprint(a.ID))); err != nil {
			t.Fatal(err)
		}
		other.artifacts[a.ID] = a
	}
	return other
}

func (s *shelf) Relate(_ context.Context, from, to int64, kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relations = append(s.relations, fmt.Sprintf("%s %s %s", s.artifacts[from].Category, kind, s.artifacts[to].Category))
	return nil
}

func (s *shelf) AppendLog(_ context.Context, offset int64, chunk []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return fmt.Errorf("the server is away")
	}
	if offset != int64(len(s.log)) {
		return fmt.Errorf("offset %d, have %d", offset, len(s.log))
	}
	s.log = append(s.log, chunk...)
	return nil
}

// put makes an artifact of texts.
func (s *shelf) put(t *testing.T, category string, data any, files map[string]string) int64 {
	t.Helper()
	dir, paths := t.TempDir(), map[string]string{}
	for name, text := range files {
		paths[name] = filepath.Join(dir, fmt.Sprint(len(paths)))
		if err := os.WriteFile(paths[name], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.CreateArtifact(t.Context(), category, data, paths)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// all gives the artifacts of a category, by number.
func (s *shelf) all(category string) []api.Artifact {
	var found []api.Artifact
	for _, artifact := range s.artifacts {
		if artifact.Category == category {
			found = append(found, artifact)
		}
	}
	slices.SortFunc(found, func(a, b api.Artifact) int { return int(a.ID - b.ID) })
	return found
}

// text is the content of an artifact's only file.
func (s *shelf) text(t *testing.T, artifact api.Artifact) string {
	t.Helper()
	if len(artifact.Files) != 1 {
		t.Fatalf("artifact %d has files %v", artifact.ID, artifact.Files)
	}
	for name := range artifact.Files {
		content, err := os.ReadFile(s.path(artifact.ID, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	return ""
}

func newDoer(t *testing.T) *workeract.Doer {
	t.Helper()
	doer, err := workeract.New(t.Context(), executortest.Open(t), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return doer
}

// job makes a job of anything that is JSON.
func job(t *testing.T, task string, data, dynamic any) workeract.Job {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	more, err := json.Marshal(dynamic)
	if err != nil {
		t.Fatal(err)
	}
	return workeract.Job{WorkRequest: 7, Task: task, Data: raw, Dynamic: more, Workspace: "System"}
}

type object = map[string]any

// saw tells whether the live log holds a text by now.
func (s *shelf) saw(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(string(s.log), text)
}
