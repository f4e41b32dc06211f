package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"debusine"
)

// Sizes in bytes. A file that is wholeFile at most goes in one request, without
// a question before or after. proxyChunk is what Debusine's own client sends at
// a time: proxies in front of servers are set up for it.
const (
	wholeFile  = 16 << 20
	proxyChunk = 50 << 20
)

// Upload sends one file of an artifact. After a broken connection it asks what
// the server has and goes on from there; each byte that arrives renews the
// client's patience.
func (c *Client) Upload(ctx context.Context, artifact int64, path, local string, progress Progress) error {
	file, err := os.Open(local)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	u := &upload{Client: c, address: c.address(filePath(artifact, path), nil), file: file, size: info.Size(),
		chunk: info.Size(), moved: progress.start(path, info.Size())}
	return u.run(ctx)
}

// upload is one file on its way to the server.
type upload struct {
	*Client
	address string
	file    *os.File
	size    int64
	chunk   int64       // most bytes in one request
	has     int64       // what the server has
	moved   func(int64) // progress
	anew    bool        // the file was begun again after a 409
	asked   bool        // the server was asked after a 416
	mu      sync.Mutex
	shown   int64 // what progress was told
}

func (u *upload) run(ctx context.Context) error {
	b := backoff{client: u.Client}
	for ask := false; ; {
		before := u.has
		done, err := u.step(ctx, ask)
		if done {
			u.show(u.size)
			return nil
		}
		if u.has > before {
			b.forget()
		}
		var a Answered
		switch {
		case err == nil:
			ask = false
		case errors.As(err, &a) && a.Status == http.StatusRequestEntityTooLarge && u.chunk > proxyChunk:
			u.chunk, ask = proxyChunk, true
		case errors.As(err, new(debusine.Conflict)) && !u.anew && u.has > 0:
			// What the server had was not the beginning of this file.
			u.anew, u.has, ask = true, 0, false
		case errors.As(err, &a) && a.Status == http.StatusRequestedRangeNotSatisfiable && !u.asked:
			// The server has less, or more, than we thought.
			u.asked, ask = true, true
		case !mayPass(err) || !b.pause(ctx, err):
			return err
		default:
			ask = u.size > wholeFile
		}
	}
}

// step asks what the server has, where that is in doubt, and sends the next
// part.
func (u *upload) step(ctx context.Context, ask bool) (done bool, err error) {
	if ask {
		done, err := u.put(ctx, fmt.Sprintf("bytes */%d", u.size), 0, 0)
		if done || err != nil {
			return done, err
		}
	}
	u.show(u.has)
	length := min(u.chunk, u.size-u.has)
	if length == u.size && u.size <= wholeFile {
		return u.put(ctx, "", 0, length)
	}
	return u.put(ctx, fmt.Sprintf("bytes %d-%d/%d", u.has, u.has+length-1, u.size), u.has, length)
}

// put makes one request. has is set to what the server says that it has.
func (u *upload) put(ctx context.Context, contentRange string, from, length int64) (done bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := u.request(ctx, http.MethodPut, u.address)
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	if contentRange != "" {
		r.Header.Set("Content-Range", contentRange)
	}
	if length > 0 {
		body := &sending{from: watch(io.NewSectionReader(u.file, from, length), cancel), u: u}
		defer body.Close()
		r.Body = body
		r.ContentLength = length
		if length > wholeFile {
			r.Header.Set("Expect", "100-continue") // a refusal comes before a gigabyte is sent
		}
	}
	answer, err := u.http.Do(r)
	if err != nil {
		return false, u.unreachable(stalledOr(ctx, err))
	}
	defer answer.Body.Close()
	return u.read(answer, contentRange)
}

// read understands the answer to a PUT: 201 the file is complete, 200 or 206
// with Range a part of it is there, 200 without one (to a question) all of it.
func (u *upload) read(answer *http.Response, contentRange string) (done bool, err error) {
	switch answer.StatusCode {
	case http.StatusCreated, http.StatusNoContent:
		return true, nil
	case http.StatusOK, http.StatusPartialContent:
		received := answer.Header.Get("Range")
		if received == "" && answer.StatusCode == http.StatusOK && strings.HasPrefix(contentRange, "bytes */") {
			return true, nil
		}
		if u.has, err = parseReceived(received, u.size); err != nil {
			return false, err
		}
		return false, nil
	case http.StatusRequestEntityTooLarge:
		return false, Answered{Status: answer.StatusCode, What: "a part of the file is too large for a server on the way"}
	}
	err = fault(answer)
	var c debusine.Conflict
	if errors.As(err, &c) && c.Hint == "" {
		err = debusine.WithHint(err, "the file may have been changed while it was uploaded; try again")
	}
	return false, err
}

// parseReceived reads how many bytes the server has from "bytes=0-N". By Debusine's
// protocol N is that number, not the last byte's.
func parseReceived(header string, size int64) (int64, error) {
	end, found := strings.CutPrefix(header, "bytes=0-")
	n, err := strconv.ParseInt(end, 10, 64)
	if !found || err != nil || n < 0 || n > size {
		return 0, fmt.Errorf("the server's answer to an upload has the Range %s, which makes no sense", quoted(header))
	}
	return n, nil
}

// show tells the progress that at bytes are through.
func (u *upload) show(at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at != u.shown {
		u.moved(at - u.shown)
	}
	u.shown = at
}

// sending is the body of a request, and counts what is read of it. The
// transport may still read when the answer is there already.
type sending struct {
	from *watched
	u    *upload
	over atomic.Bool
}

func (s *sending) Read(p []byte) (int, error) {
	if s.over.Load() {
		return 0, io.ErrClosedPipe
	}
	n, err := s.from.Read(p)
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	if n > 0 && !s.over.Load() {
		s.u.shown += int64(n)
		s.u.moved(int64(n))
	}
	return n, err
}

func (s *sending) Close() error {
	s.over.Store(true)
	s.from.stop()
	return nil
}
