package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"debusine"
	"debusine/api"
)

// atOnce is how many files of an artifact are on their way at a time.
const atOnce = 8

// NewArtifact is an artifact to be made of local files.
type NewArtifact struct {
	Category    string
	Data        any // as the category wants it; marshalled to JSON
	Workspace   string
	WorkRequest int64               // 0 for none
	Files       map[string]string   // path in the artifact to path on disk
	Same        map[string]api.File // files that the server has already, where the maker can read them
	ExpireAt    *time.Time
}

// Progress is told of a file that starts to move, with its size in bytes, and
// gives the function that is called with the bytes moved since: negative where
// a part has to be sent again.
type Progress func(path string, size int64) (moved func(n int64))

func (p Progress) start(path string, size int64) func(int64) {
	if p == nil {
		return func(int64) {}
	}
	return p(path, size)
}

// Artifact gives an artifact with its files.
func (c *Client) Artifact(ctx context.Context, id int64) (a api.Artifact, err error) {
	return a, c.do(ctx, call{method: http.MethodGet, path: artifactPath(id, ""), into: &a})
}

// ArtifactFilter chooses artifacts. Zero values choose all.
type ArtifactFilter struct {
	Workspace   string
	Category    string
	WorkRequest int64 // that made them
}

// Artifacts lists complete artifacts, newest first.
func (c *Client) Artifacts(ctx context.Context, f ArtifactFilter) iter.Seq2[api.Artifact, error] {
	q := url.Values{}
	if f.Workspace != "" {
		q.Set("workspace", f.Workspace)
	}
	if f.Category != "" {
		q.Set("category", f.Category)
	}
	if f.WorkRequest != 0 {
		q.Set("work_request", number(f.WorkRequest))
	}
	return pages[api.Artifact](ctx, c, "artifact/", q)
}

// Relate joins two artifacts: extends, relates-to or built-using. Doing it
// twice changes nothing.
func (c *Client) Relate(ctx context.Context, artifact, target int64, kind string) error {
	return c.do(ctx, call{method: http.MethodPost, path: "artifact-relation/",
		body: api.Relation{Artifact: artifact, Target: target, Type: kind}})
}

// Relations lists the relations from an artifact, or with to set those that
// point to it.
func (c *Client) Relations(ctx context.Context, artifact int64, to bool) (all []api.Relation, err error) {
	q := url.Values{}
	if to {
		q.Set("target_artifact", number(artifact))
	} else {
		q.Set("artifact", number(artifact))
	}
	return all, c.do(ctx, call{method: http.MethodGet, path: "artifact-relation/", query: q, into: &all})
}

// CreateArtifact makes an artifact and uploads all that the server lacks of it.
// The answer is as the server gave it before the upload.
func (c *Client) CreateArtifact(ctx context.Context, n NewArtifact, progress Progress) (api.Artifact, error) {
	return c.createArtifact(ctx, n, progress, true)
}

// AnnounceArtifact makes an artifact and uploads nothing of it yet: see
// ResumeArtifact.
func (c *Client) AnnounceArtifact(ctx context.Context, n NewArtifact) (api.Artifact, error) {
	return c.announce(ctx, n, true)
}

// ReadSame reads a local file that must be the one that the server has.
func ReadSame(ctx context.Context, local string, want api.File) ([]byte, error) {
	size, sum, err := hashFile(ctx, local)
	if err != nil {
		return nil, err
	}
	if size != want.Size || sum != want.Checksums["sha256"] {
		return nil, debusine.Conflictf("%s is another file than the server has", local)
	}
	return os.ReadFile(local)
}

func (c *Client) createArtifact(ctx context.Context, n NewArtifact, progress Progress, once bool) (a api.Artifact, err error) {
	if a, err = c.announce(ctx, n, once); err != nil {
		return a, err
	}
	return a, c.uploadAll(ctx, a, n.Files, progress)
}

func (c *Client) announce(ctx context.Context, n NewArtifact, once bool) (a api.Artifact, err error) {
	body := api.ArtifactCreate{Category: n.Category, Workspace: n.Workspace, ExpireAt: n.ExpireAt}
	if body.Data, err = json.Marshal(n.Data); err != nil {
		return a, fmt.Errorf("writing the data of the artifact: %w", err)
	}
	if n.WorkRequest != 0 {
		body.WorkRequest = &n.WorkRequest
	}
	if body.Files, err = describe(ctx, n.Files); err != nil {
		return a, err
	}
	for path, file := range n.Same {
		body.Files[path] = api.File{Type: "file", Size: file.Size, Checksums: file.Checksums, ContentType: file.ContentType}
	}
	return a, c.do(ctx, call{method: http.MethodPost, path: "artifact/", body: body, into: &a, once: once})
}

// uploadAll sends what the server asks for, several files at once.
func (c *Client) uploadAll(ctx context.Context, a api.Artifact, files map[string]string, progress Progress) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, path := range a.FilesToUpload {
		local, known := files[path]
		if !known {
			return fmt.Errorf("the server asks for %s, which is no file of artifact %d", quoted(path), a.ID)
		}
		group.Go(func() error {
			if err := c.Upload(ctx, a.ID, path, local, progress); err != nil {
				return fmt.Errorf("uploading %s: %w", path, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// describe hashes files. Two at once keep up with a disk.
func describe(ctx context.Context, files map[string]string) (map[string]api.File, error) {
	var (
		mu        sync.Mutex
		described = make(map[string]api.File, len(files))
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for path, local := range files {
		group.Go(func() error {
			size, sum, err := hashFile(ctx, local)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			described[path] = api.File{Type: "file", Size: size, Checksums: map[string]string{"sha256": sum}}
			return nil
		})
	}
	return described, group.Wait()
}

// hashFile gives size in bytes and SHA-256 of a regular file.
func hashFile(ctx context.Context, path string) (int64, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return 0, "", err
	} else if !info.Mode().IsRegular() {
		return 0, "", debusine.Invalid{What: path + " is not a regular file", Hint: "an artifact is made of files; name each of them"}
	}
	hash := sha256.New()
	size, err := io.Copy(hash, stoppable{ctx, file})
	if err != nil {
		return 0, "", fmt.Errorf("reading %s: %w", path, err)
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}

// stoppable is a reader that ends with a context.
type stoppable struct {
	ctx  context.Context
	from io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.from.Read(p)
}

func artifactPath(id int64, rest string) string { return fmt.Sprintf("artifact/%d/%s", id, rest) }

// filePath keeps the slashes of a path in an artifact.
func filePath(id int64, path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return artifactPath(id, "files/"+strings.Join(segments, "/")+"/")
}
