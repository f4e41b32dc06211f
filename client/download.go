package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"debusine"
	"debusine/api"
)

// Corrupt says that a file came whole, and is not the file that it should be.
type Corrupt struct {
	Path      string
	Want, Got string // SHA-256
}

func (e Corrupt) Error() string {
	return fmt.Sprintf("%s has the SHA-256 %s, but should have %s", e.Path, e.Got, e.Want)
}

// Download writes one file of an artifact and verifies its size and SHA-256.
// What to holds already is taken for the beginning of the file, as an earlier
// download may have left it; if that turns out wrong, all is fetched anew. Each
// byte that arrives renews the client's patience.
func (c *Client) Download(ctx context.Context, a api.Artifact, path string, to *os.File, progress Progress) error {
	want, known := a.Files[path]
	if !known {
		return debusine.Missing{What: fmt.Sprintf("file %s in artifact %d", quoted(path), a.ID),
			Hint: fmt.Sprintf("debusine artifact show %d lists its files", a.ID)}
	}
	d := &download{Client: c, address: c.address(filePath(a.ID, path), nil), path: path, want: want, to: to,
		hash: sha256.New(), moved: progress.start(path, want.Size)}
	resumed, err := d.takeUp(ctx)
	if err != nil {
		return err
	}
	err = d.run(ctx)
	if resumed && errors.As(err, new(Corrupt)) {
		if err := d.restart(); err != nil {
			return err
		}
		err = d.run(ctx)
	}
	return err
}

// download is one file on its way from the server.
type download struct {
	*Client
	address string
	path    string
	want    api.File
	to      *os.File
	hash    hash.Hash
	at      int64 // bytes that are on disk and in hash
	moved   func(int64)
}

// takeUp hashes what is there from an earlier download.
func (d *download) takeUp(ctx context.Context) (resumed bool, err error) {
	info, err := d.to.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return false, nil
	}
	if info.Size() > d.want.Size {
		return false, d.restart()
	}
	if _, err := d.to.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	if d.at, err = io.Copy(d.hash, stoppable{ctx, d.to}); err != nil {
		return false, fmt.Errorf("reading what an earlier download left: %w", err)
	}
	d.moved(d.at)
	return true, nil
}

func (d *download) restart() error {
	d.moved(-d.at)
	d.at = 0
	d.hash.Reset()
	if err := d.to.Truncate(0); err != nil {
		return err
	}
	_, err := d.to.Seek(0, io.SeekStart)
	return err
}

func (d *download) run(ctx context.Context) error {
	b := backoff{client: d.Client}
	for d.at < d.want.Size {
		before := d.at
		err := d.step(ctx)
		if d.at > before {
			b.forget()
		}
		if err != nil && (!mayPass(err) || !b.pause(ctx, err)) {
			return fmt.Errorf("downloading %s: %w", d.path, err)
		}
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != d.want.Checksums["sha256"] {
		return Corrupt{Path: d.path, Want: d.want.Checksums["sha256"], Got: got}
	}
	return nil
}

// step makes one request for the rest and takes what comes.
func (d *download) step(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := d.request(ctx, http.MethodGet, d.address)
	if err != nil {
		return err
	}
	if d.at > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	}
	answer, err := d.http.Do(r)
	if err != nil {
		return d.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fault(answer)
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	if err := d.skip(answer, body); err != nil {
		return d.unreachable(stalledOr(ctx, err))
	}
	into := &arriving{d: d}
	// The wrappers keep io.CopyBuffer from choosing smaller pieces of its own.
	rest := struct{ io.Reader }{io.LimitReader(body, d.want.Size-d.at+1)}
	if _, err = io.CopyBuffer(struct{ io.Writer }{into}, rest, make([]byte, min(pieceSize, d.want.Size-d.at+1))); into.err != nil {
		return into.err
	}
	if err == nil && d.at < d.want.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return d.unreachable(stalledOr(ctx, err))
	}
	return nil
}

// skip reads over what is here already, where a server does not know ranges.
func (d *download) skip(answer *http.Response, body io.Reader) error {
	if d.at == 0 {
		return nil
	}
	if answer.StatusCode == http.StatusPartialContent {
		if got := answer.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", d.at)) {
			return fmt.Errorf("asked for the file from byte %d on, got %s", d.at, quoted(got))
		}
		return nil
	}
	_, err := io.CopyN(io.Discard, body, d.at)
	return err
}

// pieceSize is how much is read, hashed and written at a time, in bytes.
const pieceSize = 512 << 10

// arriving writes to disk and to the hash, side by side: the one waits for
// memory and disk, the other for the processor. err is what the disk said.
type arriving struct {
	d   *download
	err error
}

func (a *arriving) Write(p []byte) (int, error) {
	if a.d.at+int64(len(p)) > a.d.want.Size {
		a.err = fmt.Errorf("the server sends more than the %d bytes of %s", a.d.want.Size, a.d.path)
		return 0, a.err
	}
	hashed := make(chan struct{})
	go func() { a.d.hash.Write(p); close(hashed) }()
	n, err := a.d.to.Write(p)
	<-hashed
	if err != nil {
		// More may be hashed than is on disk: nothing goes on from here.
		a.err = fmt.Errorf("writing %s: %w", a.d.to.Name(), err)
		return n, a.err
	}
	a.d.at += int64(n)
	a.d.moved(int64(n))
	return n, nil
}

// Tarball writes all files of an artifact as the server packs them, .tar.gz.
// It cannot be taken up where it broke.
func (c *Client) Tarball(ctx context.Context, a api.Artifact, to io.Writer, moved func(int64)) error {
	given, err := url.Parse(a.DownloadTarGzURL)
	if err != nil || given.Path == "" {
		return fmt.Errorf("the server gives no address for the tarball of artifact %d", a.ID)
	}
	// As we reach the server, whatever it calls itself: the token stays here.
	given.Scheme, given.Host, given.User = c.base.Scheme, c.base.Host, nil
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.request(ctx, http.MethodGet, given.String())
	if err != nil {
		return err
	}
	r.Header.Set("Accept-Encoding", "identity")
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fault(answer)
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	if _, err := io.Copy(to, counted{body, moved}); err != nil {
		return fmt.Errorf("downloading the tarball of artifact %d: %w", a.ID, stalledOr(ctx, err))
	}
	return nil
}

type counted struct {
	from  io.Reader
	moved func(int64)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.moved(int64(n))
	return n, err
}
