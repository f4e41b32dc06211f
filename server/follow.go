package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"debusine"
	"debusine/api"
	"debusine/store"
)

const (
	followBeat  = 15 * time.Second // something is sent at least this often
	followStall = 30 * time.Second // a follower must take an event within
	followCheck = 4                // beats after which the rights are asked for again
)

// followLog sends the log as it grows, as server-sent events, through every
// attempt, until nothing can follow. A stream that ends without the event end was
// cut: who follows comes back with Last-Event-ID, to this process or another.
func (s *Server) followLog(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	from, err := c.from()
	if err != nil {
		return err
	}
	leave, err := s.tails.admit(c.who)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(c.ctx())
	defer cancel()
	defer context.AfterFunc(s.tails.stopping, cancel)()
	f := &follower{reading: reading{s: s, workRequest: w.ID}, c: c}
	defer f.close()
	state, from, err := f.begin(ctx, from)
	if err != nil {
		return err
	}
	f.position = from
	header := c.Response().Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would hold it back
	harmless(header)
	header.Set("Cache-Control", "no-store")
	c.Response().Committed = true
	c.Response().Writer.WriteHeader(http.StatusOK)
	f.out = newEvents(c.Response().Writer)
	if f.attempt != 0 {
		err = f.tell(api.LogFromAttempt, state, fmt.Sprintf("attempt %d on worker %s", f.attempt, state.Worker))
	} else {
		err = f.out.beat()
	}
	f.tail = s.tails.follow(w.ID, f.attempt)
	defer func() { s.tails.leave(f.tail) }()
	if err == nil {
		err = f.run(ctx)
	}
	if ctx.Err() != nil || errors.Is(err, errGone) {
		return nil // who followed has gone, or the server stops
	}
	return err
}

// errGone says that a follower does not take what it is sent.
var errGone = errors.New("the follower is gone")

// follower is one stream under way.
type follower struct {
	reading
	position
	c    *call
	tail *tail
	out  *events
	told string // the last mark that need not be repeated
}

// after is what a step leaves to do.
type after int

const (
	wait  after = iota // until the state is another
	retry              // soon: what there is could not be read
	onwards
	over
)

// retryPause is the time before what could not be read is tried again.
const retryPause = 500 * time.Millisecond

func (f *follower) run(ctx context.Context) error {
	beat := time.NewTicker(followBeat)
	defer beat.Stop()
	for beats := 1; ; {
		state, changed := f.tail.look()
		next := wait
		if state != nil {
			var err error
			if next, err = f.step(ctx, *state); err != nil {
				return err
			}
		}
		switch next {
		case over:
			return nil
		case onwards:
			continue
		}
		var again <-chan time.Time
		if next == retry {
			again = time.After(retryPause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-changed:
		case <-beat.C:
			err := f.out.beat()
			if beats++; err == nil && beats%followCheck == 0 {
				err = f.allowed()
			}
			if err != nil {
				return err
			}
		}
	}
}

// allowed asks whether who follows may still see the work request.
func (f *follower) allowed() error {
	who, err := f.s.principal(f.c.Request(), f.c.route)
	if err == nil {
		f.c.who = who
		_, err = f.s.workRequest(f.c)
	}
	if err != nil && away(err) {
		return nil // nothing is read meanwhile either
	}
	return err
}

// step sends what there is, then says what happened at its end.
func (f *follower) step(ctx context.Context, state store.LogState) (after, error) {
	for f.attempt != 0 && f.offset < state.Size() {
		piece := f.tail.at(f.offset)
		if piece = piece[:min(len(piece), logStep)]; len(piece) == 0 || state.Artifact != nil {
			var err error
			if piece, err = f.at(ctx, state, f.offset, logStep); err != nil && !away(err) {
				return over, err
			}
			if len(piece) == 0 {
				return retry, nil
			}
		}
		f.offset += int64(len(piece))
		if err := f.out.log(f.String(), piece); err != nil {
			return over, err
		}
	}
	switch {
	case f.attempt == 0 && state.Attempt != 0:
		return onwards, f.move(state.Attempt, state, fmt.Sprintf("attempt %d on worker %s", state.Attempt, state.Worker))
	case state.Ended() && state.Next != 0:
		return onwards, f.move(state.Next, state, fmt.Sprintf("%s; attempt %d follows", endingOf(state), state.Next))
	case state.Complete():
		return over, f.tell(api.LogEnd, state, lastWords(state))
	case state.Ended():
		return wait, f.once(api.LogWaits, state, endingOf(state)+"; another attempt follows")
	case state.Full():
		return wait, f.once(api.LogIsFull, state, fmt.Sprintf("only the first %d MiB of a log are shown while it grows; the rest follows at its end", store.MaxLiveLog>>20))
	}
	return wait, nil
}

// move goes on with another attempt's log.
func (f *follower) move(to int, state store.LogState, message string) error {
	f.s.tails.leave(f.tail)
	f.tail = f.s.tails.follow(f.workRequest, to)
	f.attempt, f.offset = to, 0
	return f.tell(api.LogFromAttempt, state, message)
}

// once tells what was not told just before.
func (f *follower) once(kind string, state store.LogState, message string) error {
	if f.told == message {
		return nil
	}
	return f.tell(kind, state, message)
}

func (f *follower) tell(kind string, state store.LogState, message string) error {
	f.told = message
	mark := api.LogMark{Attempt: f.attempt, Offset: f.offset, Worker: state.Worker, Ending: state.Ending, Status: string(state.Status),
		Result: string(state.Result), Message: message}
	if state.Artifact != nil {
		mark.Artifact, mark.SHA256 = &state.Artifact.ID, state.Artifact.SHA256
	}
	return f.out.mark(f.String(), kind, mark)
}

// endingOf says how an attempt ended.
func endingOf(s store.LogState) string {
	switch s.Ending {
	case "lost":
		return fmt.Sprintf("the worker %s was lost", s.Worker)
	case "given-back":
		return fmt.Sprintf("the worker %s gave it back", s.Worker)
	}
	return fmt.Sprintf("attempt %d has ended", s.Attempt)
}

// lastWords say why nothing follows.
func lastWords(s store.LogState) string {
	words := "the log is complete"
	switch {
	case s.Status == debusine.Aborted && s.AbortedBy != "":
		words = "aborted by " + s.AbortedBy + ": the log ends here"
	case s.Status == debusine.Aborted:
		words = "aborted: the log ends here"
	case s.Ending == "lost":
		words = endingOf(s) + ", and no attempt follows: the log ends here"
	}
	if s.Full() {
		words += fmt.Sprintf(" (only its first %d MiB were kept)", store.MaxLiveLog>>20)
	}
	return words
}

// events writes a stream of server-sent events, each of which must be taken in
// time.
type events struct {
	to      *bufio.Writer
	control *http.ResponseController
	stall   time.Duration // in which each event must be taken
}

func newEvents(w http.ResponseWriter) *events {
	return &events{to: bufio.NewWriterSize(w, 16<<10), control: http.NewResponseController(w), stall: followStall}
}

// send writes one event and has it leave; bufio keeps the first error.
func (e *events) send(write func()) error {
	// A writer without deadlines is a test's.
	_ = e.control.SetWriteDeadline(time.Now().Add(e.stall))
	write()
	if err := e.to.Flush(); err != nil {
		return errGone
	}
	_ = e.control.Flush()
	return nil
}

// log writes a piece of log; the id says where to go on after it.
func (e *events) log(id string, piece []byte) error {
	return e.send(func() {
		fmt.Fprintf(e.to, "id: %s\nevent: %s\ndata: ", id, api.LogPiece)
		encoder := base64.NewEncoder(base64.StdEncoding, e.to)
		_, _ = encoder.Write(piece)
		_ = encoder.Close()
		_, _ = e.to.WriteString("\n\n")
	})
}

// mark writes what is not log.
func (e *events) mark(id, kind string, m api.LogMark) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing a mark of the log: %w", err)
	}
	return e.send(func() { fmt.Fprintf(e.to, "id: %s\nevent: %s\ndata: %s\n\n", id, kind, raw) })
}

// beat is a comment that keeps the connection, and whoever is between, awake.
func (e *events) beat() error { return e.send(func() { _, _ = e.to.WriteString(":\n\n") }) }
