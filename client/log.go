package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// LogPosition is where in the logs of a work request to begin, or where reading
// has come to. The zero value is the beginning of the newest attempt's.
type LogPosition struct {
	Attempt int   // its number; 0: the newest
	Offset  int64 // in bytes
	Tail    *int  // only so many lines from the end of what there is; nil: from Offset on
}

func (p LogPosition) query() url.Values {
	q := url.Values{}
	if p.Attempt != 0 {
		q.Set("attempt", strconv.Itoa(p.Attempt))
	}
	if p.Tail != nil {
		q.Set("tail", strconv.Itoa(*p.Tail))
	} else if p.Offset != 0 {
		q.Set("offset", number(p.Offset))
	}
	return q
}

// LogRead is what WorkRequestLog has read.
type LogRead struct {
	LogPosition        // after the last byte written
	Bytes       int64  // that were written
	Complete    bool   // nothing will be added, and no other attempt begin
	Ending      string // of the attempt: completed, lost, given-back; "" while it runs
}

// WorkRequestLog writes the log of one attempt at a work request, as far as it
// is, byte for byte. A transfer that breaks is resumed; what was written is
// counted also when an error comes back.
func (c *Client) WorkRequestLog(ctx context.Context, id int64, from LogPosition, to io.Writer) (LogRead, error) {
	b := backoff{client: c}
	read := LogRead{LogPosition: from}
	for {
		n, err := c.log(ctx, id, &read, to)
		if read.Bytes += n; n > 0 {
			b.forget()
		}
		if err == nil || !mayPass(err) || !b.pause(ctx, err) {
			read.Complete = read.Complete && err == nil
			return read, err
		}
	}
}

func (c *Client) log(ctx context.Context, id int64, read *LogRead, to io.Writer) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.request(ctx, http.MethodGet, c.address(workRequestPath(id, "log/"), read.query()))
	if err != nil {
		return 0, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return 0, fault(answer)
	}
	if err := read.told(answer.Header); err != nil {
		return 0, err
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	into := &writing{to: to}
	n, err = io.Copy(into, body)
	read.Offset += n
	if into.err != nil {
		return n, fmt.Errorf("writing the log: %w", into.err)
	}
	if err != nil {
		return n, c.unreachable(stalledOr(ctx, err))
	}
	return n, nil
}

// told takes what the server says of the log before the log itself.
func (r *LogRead) told(header http.Header) error {
	attempt, err := strconv.Atoi(header.Get("Debusine-Log-Attempt"))
	offset, err2 := strconv.ParseInt(header.Get("Debusine-Log-Offset"), 10, 64)
	if err != nil || err2 != nil {
		return errors.New("the server does not say which part of the log it sends; is it older than this command?")
	}
	r.Attempt, r.Offset, r.Tail = attempt, offset, nil
	r.Complete, r.Ending = header.Get("Debusine-Log-Complete") == "true", header.Get("Debusine-Log-Ending")
	return nil
}

// writing tells errors of writing from those of reading.
type writing struct {
	to  io.Writer
	err error
}

func (w *writing) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.err = err
	return n, err
}
