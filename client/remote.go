package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
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
	return &remote{url: parsed, dir: dir, progress: progress, http: &http.Client{Transport: newTransport()}}, nil
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

// decompressors unpack control parts of .debs with Debian's own tools, which
// are told how much memory they may use.
func decompressors(ctx context.Context) debian.Decompressors {
	return debian.Decompressors{
		"xz":  tool(ctx, "xz", "-dc", "--memlimit-decompress=256MiB"),
		"zst": tool(ctx, "zstd", "-dcq", "--memory=256MiB"),
	}
}

func tool(ctx context.Context, name string, args ...string) func(io.Reader) (io.ReadCloser, error) {
	return func(packed io.Reader) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancel(ctx)
		command := exec.CommandContext(ctx, name, args...)
		command.Stdin = packed
		out, err := command.StdoutPipe()
		if err == nil {
			err = command.Start()
		}
		if err != nil {
			cancel()
			return nil, fmt.Errorf("unpacking with %s: %w", name, err)
		}
		return &piped{out, command, cancel}, nil
	}
}

// piped is the output of a program that ends when it is closed.
type piped struct {
	io.Reader
	command *exec.Cmd
	cancel  context.CancelFunc
}

// Close ends the program, which may not be through: the control part may be
// followed by more.
func (p *piped) Close() error {
	p.cancel()
	_ = p.command.Wait()
	return nil
}
