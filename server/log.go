package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"debusine"
	"debusine/store"
)

const (
	longestPiece = 1 << 20  // bytes that a worker may append at once: the schema's own bound
	logStep      = 64 << 10 // bytes of a log that are read and sent at a time
	tailMost     = 4 << 20  // bytes in which the last lines are looked for: a line may be endless
)

// position is where in the logs of a work request somebody reads.
type position struct {
	attempt int // 0: the newest
	offset  int64
	tail    int64 // the last so many lines; -1: from offset on
}

// String is the id of an event.
func (p position) String() string { return fmt.Sprintf("%d-%d", p.attempt, p.offset) }

// from reads a position from the query, or from what an event stream that broke
// has said last.
func (c *call) from() (p position, err error) {
	if last := c.Request().Header.Get("Last-Event-ID"); last != "" {
		p.tail = -1
		attempt, offset, _ := strings.Cut(last, "-")
		p.attempt, err = strconv.Atoi(attempt)
		if err == nil {
			p.offset, err = strconv.ParseInt(offset, 10, 64)
		}
		if err != nil || p.attempt < 0 || p.offset < 0 {
			return p, debusine.WithHint(debusine.Invalidf("Last-Event-ID %.40q is not of this stream", last), "it is ATTEMPT-OFFSET")
		}
	} else {
		attempt, err := c.query("attempt")
		if err != nil {
			return p, err
		}
		if p.offset, err = c.query("offset"); err != nil {
			return p, err
		}
		if p.tail, err = c.query("tail"); err != nil {
			return p, err
		}
		if c.QueryParam("tail") == "" {
			p.tail = -1
		}
		p.attempt = int(min(attempt, 1<<40))
	}
	if p.attempt > 1<<30 {
		return p, debusine.Missingf("attempt %d", p.attempt)
	}
	return p, nil
}

// reading reads the log of one attempt: its artifact, once there is one, and
// the live log until then. Both have the same bytes at the same offsets.
type reading struct {
	s           *Server
	workRequest int64
	artifact    store.LogArtifact // that is open
	file        io.ReadSeekCloser
}

// at reads at most so many bytes from offset. None may mean that the artifact
// has just replaced the live log: the state is to be asked for again.
func (r *reading) at(ctx context.Context, state store.LogState, offset, most int64) ([]byte, error) {
	most = min(most, state.Size()-offset)
	if most <= 0 {
		return nil, nil
	}
	if state.Artifact == nil {
		return r.s.db.LiveLog(ctx, r.workRequest, state.AttemptID, offset, most)
	}
	if r.file == nil || r.artifact != *state.Artifact {
		r.close()
		file, err := r.s.content(debusine.ArtifactFile{Path: state.Artifact.Path, SHA256: state.Artifact.SHA256, Size: state.Artifact.Size})
		if err != nil {
			return nil, err
		}
		r.file, r.artifact = file, *state.Artifact
	}
	piece := make([]byte, most)
	if _, err := r.file.Seek(offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the log in artifact %d: %w", r.artifact.ID, err)
	}
	if _, err := io.ReadFull(r.file, piece); err != nil {
		return nil, fmt.Errorf("reading the log in artifact %d: %w", r.artifact.ID, err)
	}
	return piece, nil
}

func (r *reading) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// lastLines finds where the last lines begin, within tailMost.
func (r *reading) lastLines(ctx context.Context, state store.LogState, lines int64) (offset int64, err error) {
	end := state.Size()
	if lines == 0 {
		return end, nil
	}
	floor := max(0, end-tailMost)
	for at := end; at > floor; {
		from := max(floor, at-logStep)
		piece, err := r.at(ctx, state, from, at-from)
		if err != nil {
			return 0, err
		}
		piece = piece[:min(int64(len(piece)), at-from)]
		if at == end { // the newline at the very end begins no line
			piece = bytes.TrimSuffix(piece, []byte("\n"))
		}
		for i := bytes.LastIndexByte(piece, '\n'); i >= 0; i = bytes.LastIndexByte(piece[:i], '\n') {
			if lines--; lines == 0 {
				return from + int64(i) + 1, nil
			}
		}
		at = from
	}
	return floor, nil
}

// begin resolves a position: which attempt, and from which byte.
func (r *reading) begin(ctx context.Context, p position) (store.LogState, position, error) {
	state, err := r.s.db.LogState(ctx, r.workRequest, p.attempt)
	if err != nil {
		return state, p, err
	}
	p.attempt = state.Attempt
	if p.tail >= 0 {
		p.offset, err = r.lastLines(ctx, state, p.tail)
	}
	return state, p, err
}

// showLog sends the log as far as it is.
func (s *Server) showLog(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	from, err := c.from()
	if err != nil {
		return err
	}
	r := &reading{s: s, workRequest: w.ID}
	defer r.close()
	state, from, err := r.begin(c.ctx(), from)
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Debusine-Log-Attempt", strconv.Itoa(state.Attempt))
	header.Set("Debusine-Log-Offset", strconv.FormatInt(from.offset, 10))
	header.Set("Debusine-Log-Ending", state.Ending)
	// The state was read first: a log that had ended then is complete.
	header.Set("Debusine-Log-Complete", strconv.FormatBool(state.Complete()))
	if state.Artifact != nil {
		header.Set("Debusine-Log-Artifact", strconv.FormatInt(state.Artifact.ID, 10))
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.FormatInt(max(0, state.Size()-from.offset), 10))
	harmless(header)
	c.Response().Committed = true
	out := newSteadily(c.Response().Writer)
	out.WriteHeader(http.StatusOK)
	for end := state.Size(); from.offset < end; {
		piece, err := r.at(c.ctx(), state, from.offset, min(logStep, end-from.offset))
		if err == nil && len(piece) == 0 { // the artifact has replaced it meanwhile
			if state, err = s.db.LogState(c.ctx(), w.ID, state.Attempt); err == nil && (state.Artifact == nil || state.Size() < end) {
				err = debusine.Conflictf("the log of work request %d has lost what was after byte %d", w.ID, from.offset)
			}
		}
		if err != nil {
			return err // the connection breaks: who reads asks for the rest
		}
		if _, err := out.Write(piece); err != nil {
			return nil // nobody is there to be told
		}
		from.offset += int64(len(piece))
	}
	return nil
}

// appendLog takes a piece of the live log from the worker that runs it. It asks
// the database for little: there may be thousands of these a second.
func (s *Server) appendLog(c *call) error {
	id, err := c.number("id", "work request")
	if err != nil {
		return err
	}
	if c.who.Kind == debusine.Attempt {
		err = c.allow(debusine.Resource{What: fmt.Sprintf("work request %d", id), WorkRequest: id})
	} else {
		_, err = s.workRequest(c)
	}
	if err != nil {
		return err
	}
	if !s.pace.take(c.who.AttemptID, time.Now()) {
		return tooMany{"the log comes in too many small pieces", time.Second}
	}
	offset, err := c.query("offset")
	if err != nil {
		return err
	}
	chunk, err := c.body(longestPiece)
	if err != nil {
		return err
	}
	if err := s.db.AppendLog(c.ctx(), id, c.who.AttemptID, offset, chunk); err != nil {
		return err
	}
	s.tails.wake(id)
	return c.NoContent(http.StatusNoContent)
}

// pace bounds how often an attempt may append: a worker that is well takes four
// a second, and at its end the whole of a live log at once.
type pace struct {
	mu      sync.Mutex
	buckets map[int64]*bucket // by attempt
}

type bucket struct {
	left float64
	at   time.Time
}

const (
	paceBurst = 400
	paceRate  = 20 // a second
	paceMost  = 10_000
)

func newPace() *pace { return &pace{buckets: map[int64]*bucket{}} }

// take says whether the attempt may append now.
func (p *pace) take(attempt int64, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buckets[attempt]
	if b == nil {
		if len(p.buckets) >= paceMost {
			clear(p.buckets)
		}
		b = &bucket{left: paceBurst, at: now}
		p.buckets[attempt] = b
	}
	b.left = min(paceBurst, b.left+now.Sub(b.at).Seconds()*paceRate)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
