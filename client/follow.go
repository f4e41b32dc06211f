package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"debusine/api"
)

// longestEvent is how long a line of an event stream may be, in bytes.
const longestEvent = 4 << 20

var errLongLine = fmt.Errorf("an event has a line of more than %d bytes", longestEvent)

// FollowLog writes the log of a work request as it grows, byte for byte, through
// every attempt from where it begins, until nothing can follow; then it gives the
// mark that said so. mark is called for what is not log: that another attempt's
// follows, that one is waited for (see api.LogPiece). A stream that breaks is
// taken up where it broke, as long as the client is patient. at is where the
// reading has come to, also when an error comes back.
func (c *Client) FollowLog(ctx context.Context, id int64, from LogPosition, to io.Writer, mark func(kind string, m api.LogMark)) (at LogPosition, end api.LogMark, err error) {
	f := &following{c: c, id: id, LogPosition: from, to: to, mark: mark}
	b := backoff{client: c}
	for {
		came := f.events
		err = f.stream(ctx)
		if f.events > came {
			b.forget()
		}
		if err == nil || !mayPass(err) || !b.pause(ctx, err) {
			return f.LogPosition, f.end, err
		}
	}
}

// following is a log that is followed, over all its connections.
type following struct {
	LogPosition
	c      *Client
	id     int64
	to     io.Writer
	mark   func(string, api.LogMark)
	last   string // id of the last event
	told   string // the message of the last mark
	events int
	end    api.LogMark
}

// stream follows over one connection; nil when the end was told.
func (f *following) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := f.c.request(ctx, http.MethodGet, f.c.address(workRequestPath(f.id, "log/events/"), f.query()))
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	if f.last != "" {
		r.Header.Set("Last-Event-ID", f.last)
	}
	answer, err := f.c.http.Do(r)
	if err != nil {
		return f.c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fault(answer)
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	lines := bufio.NewReaderSize(body, 128<<10)
	for {
		e, err := readEvent(lines)
		if errors.Is(err, errLongLine) {
			return fmt.Errorf("following the log: %w", err)
		}
		if err != nil {
			return f.c.unreachable(stalledOr(ctx, err))
		}
		if over, err := f.take(e); over || err != nil {
			return err
		}
	}
}

// take does what an event says; over when it was the last.
func (f *following) take(e event) (over bool, err error) {
	f.events++
	if e.kind == api.LogPiece {
		piece := make([]byte, base64.StdEncoding.DecodedLen(len(e.data)))
		n, err := base64.StdEncoding.Decode(piece, e.data)
		if err != nil {
			return false, fmt.Errorf("reading the log: %w", err)
		}
		if _, err := f.to.Write(piece[:n]); err != nil {
			return false, fmt.Errorf("writing the log: %w", err)
		}
		return false, f.at(e.id)
	}
	var m api.LogMark
	if err := json.Unmarshal(e.data, &m); err != nil {
		return false, fmt.Errorf("reading a mark of the log: %w", err)
	}
	// After a break the server says again where we are.
	again := f.told == m.Message || e.kind == api.LogFromAttempt && f.last != "" && m.Attempt == f.Attempt
	if err := f.at(e.id); err != nil {
		return false, err
	}
	if e.kind == api.LogEnd {
		f.end = m
		return true, nil
	}
	if !again {
		f.told = m.Message
		f.mark(e.kind, m)
	}
	return false, nil
}

// at takes note of where to go on.
func (f *following) at(id string) (err error) {
	attempt, offset, _ := strings.Cut(id, "-")
	if f.Attempt, err = strconv.Atoi(attempt); err == nil {
		f.Offset, err = strconv.ParseInt(offset, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("reading the log: an event has the id %.40q", id)
	}
	f.last, f.Tail = id, nil
	return nil
}

// event is one server-sent event.
type event struct {
	id, kind string
	data     []byte
}

// readEvent reads the next one that has data. Of the format, what the server
// does not send (data of several lines, retry) is left out.
func readEvent(from *bufio.Reader) (e event, err error) {
	for {
		line, err := readLine(from)
		if err != nil {
			return e, err
		}
		if len(line) == 0 && e.data != nil {
			return e, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			e.id = string(value)
		case "event":
			e.kind = string(value)
		case "data":
			e.data = bytes.Clone(value)
		}
	}
}

// readLine reads a line of bounded length without its end.
func readLine(from *bufio.Reader) (line []byte, err error) {
	for {
		part, err := from.ReadSlice('\n')
		switch {
		case err == nil && line == nil:
			return bytes.TrimRight(part, "\r\n"), nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // the stream has no end but the event
			}
			return nil, err
		case len(line)+len(part) > longestEvent:
			return nil, errLongLine
		}
		line = append(line, part...)
		if err == nil {
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
}
