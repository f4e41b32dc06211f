package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// WorkRequestLog writes what the log of a work request has from a byte on. It
// gives how much that was, and whether the log is complete: nothing will be
// added. What was written is counted also when an error comes back.
func (c *Client) WorkRequestLog(ctx context.Context, id, offset int64, to io.Writer) (n int64, complete bool, err error) {
	b := backoff{client: c}
	for {
		var got int64
		got, complete, err = c.log(ctx, id, offset+n, to)
		if n += got; got > 0 {
			b.forget()
		}
		if err == nil || !mayPass(err) || !b.pause(ctx, err) {
			return n, complete && err == nil, err
		}
	}
}

func (c *Client) log(ctx context.Context, id, offset int64, to io.Writer) (n int64, complete bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := c.request(ctx, http.MethodGet, c.address(workRequestPath(id, "log/"), url.Values{"offset": {number(offset)}}))
	if err != nil {
		return 0, false, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, false, c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return 0, false, fault(answer)
	}
	body := watch(answer.Body, cancel)
	defer body.stop()
	into := &writing{to: to}
	n, err = io.Copy(into, body)
	if into.err != nil {
		return n, false, fmt.Errorf("writing the log: %w", into.err)
	}
	if err != nil {
		return n, false, c.unreachable(stalledOr(ctx, err))
	}
	return n, answer.Header.Get("Debusine-Log-Complete") == "true", nil
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
