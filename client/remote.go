package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"debusine"
	"debusine/debian"
)

// maxControl bounds a .dsc or .changes that is fetched, maxDeb a .deb, in bytes.
const (
	maxControl = 8 << 20
	maxDeb     = 16 << 30
)

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// remote fetches a Debian file and those beside it. It speaks to archives, so
// no token of ours goes with it.
type remote struct {
	url      *url.URL
	dir      string
	progress Progress
	http     *http.Client
}

func newRemote(address, dir string, progress Progress) (*remote, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, debusine.Invalid{What: quoted(address) + " is not a URL"}
	}
	if _, err := debian.ParseFileName(path.Base(parsed.Path)); err != nil {
		return nil, debusine.Invalid{What: fmt.Sprintf("%s: %v", address, err)}
	}
	return &remote{url: parsed, dir: dir, progress: progress, http: &http.Client{Transport: newTransport(nil)}}, nil
}

// main fetches the file that the URL names.
func (r *remote) main(ctx context.Context) (string, error) {
	name, limit := path.Base(r.url.Path), int64(maxControl)
	if ext := path.Ext(name); ext == ".deb" || ext == ".udeb" {
		limit = maxDeb
	}
	return r.fetch(ctx, name, limit)
}

// file fetches a file that is listed. One byte more than it should have is
// enough to see that it is another.
func (r *remote) file(ctx context.Context, f debian.File) (string, error) {
	return r.fetch(ctx, f.Name, f.Size)
}

func (r *remote) fetch(ctx context.Context, name string, limit int64) (string, error) {
	address := r.url.ResolveReference(&url.URL{Path: "./" + name})
	to := filepath.Join(r.dir, name)
	if _, err := os.Lstat(to); err == nil {
		return to, nil // a .changes and its .dsc list the same files
	}
	if err := r.download(ctx, address.String(), to, name, limit); err != nil {
		return "", fmt.Errorf("fetching %s: %w", address, err)
	}
	return to, nil
}

func (r *remote) download(ctx context.Context, address, to, name string, limit int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := r.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the archive answered %s", answer.Status)
	}
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	n, err := io.Copy(file, counted{io.LimitReader(body, limit+1), r.progress.start(name, answer.ContentLength)})
	if err = errors.Join(stalledOr(ctx, err), file.Close()); err != nil {
		return err
	}
	if n > limit {
		return debusine.Invalid{What: fmt.Sprintf("%s is larger than the %d bytes that it may have", name, limit)}
	}
	return nil
}
