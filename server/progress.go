package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// A file may take hours, but a connection that carries next to nothing is given
// up: it holds a lock, a goroutine and a file.
const (
	progressWait = 30 * time.Second
	progressSize = 32 << 10 // bytes that must come within progressWait
	sendStep     = 4 << 20  // bytes handed to the kernel at a time
)

// progress reads a request's body and moves its deadline as long as enough
// arrives.
type progress struct {
	body    io.Reader
	control *http.ResponseController
	since   int64 // bytes since the deadline was moved
}

func newProgress(c *call) *progress {
	p := &progress{body: c.Request().Body, control: http.NewResponseController(c.Response().Writer)}
	p.move()
	return p
}

func (p *progress) move() {
	// A writer without deadlines is a test's.
	_ = p.control.SetReadDeadline(time.Now().Add(progressWait))
	p.since = 0
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if p.since += int64(n); p.since >= progressSize {
		p.move()
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = brokenOff{err}
	}
	return n, err
}

// steadily writes an answer in steps, each of which must be taken in time. What
// it is given to read from a file goes through the kernel's sendfile.
type steadily struct {
	http.ResponseWriter
	control *http.ResponseController
}

func newSteadily(w http.ResponseWriter) *steadily {
	return &steadily{ResponseWriter: w, control: http.NewResponseController(w)}
}

func (s *steadily) move() {
	// As slow as uploads may be: a step within this time.
	_ = s.control.SetWriteDeadline(time.Now().Add(sendStep / progressSize * progressWait))
}

// Write writes one step.
func (s *steadily) Write(b []byte) (int, error) {
	s.move()
	return s.ResponseWriter.Write(b)
}

// ReadFrom copies r, which is mostly a part of a file.
func (s *steadily) ReadFrom(r io.Reader) (copied int64, err error) {
	left := int64(-1)
	if limited, ok := r.(*io.LimitedReader); ok {
		r, left = limited.R, limited.N // the kernel wants the file itself
	}
	for left != 0 {
		step := int64(sendStep)
		if left > 0 {
			step = min(step, left)
		}
		s.move()
		n, err := io.Copy(s.ResponseWriter, &io.LimitedReader{R: r, N: step})
		copied += n
		if left > 0 {
			left -= n
		}
		if err != nil || n < step {
			return copied, err
		}
	}
	return copied, nil
}
