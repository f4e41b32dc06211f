package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Bounds of a call.
const (
	maxAnswer   = 64 << 20        // bytes of JSON
	callTimeout = 3 * time.Minute // one attempt, answer included
	firstPause  = 100 * time.Millisecond
	longPause   = 5 * time.Second
)

// call is one call of the API.
type call struct {
	method string
	path   string // below /1.0/, escaped
	query  url.Values
	body   any  // JSON; nil for none
	into   any  // JSON; nil when the answer does not matter
	once   bool // not to be repeated unless it surely was not sent
}

// do makes a call, with the client's patience.
func (c *Client) do(ctx context.Context, what call) error {
	var body []byte
	if what.body != nil {
		var err error
		if body, err = json.Marshal(what.body); err != nil {
			return fmt.Errorf("writing the request: %w", err)
		}
	}
	return c.patiently(ctx, func(ctx context.Context) error {
		err := c.try(ctx, what, body)
		if what.once && !surelyNotSent(err) {
			return final{err}
		}
		return err
	})
}

// try makes one attempt at a call.
func (c *Client) try(ctx context.Context, what call, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.request(ctx, what.method, c.address(what.path, what.query))
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		// GetBody is left out: net/http would send what may be sent once again.
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fault(answer)
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(err)
	case len(raw) > maxAnswer:
		return fmt.Errorf("the server's answer is longer than %d bytes", maxAnswer)
	case what.into == nil || answer.StatusCode == http.StatusNoContent:
		return nil
	}
	if err := json.Unmarshal(raw, what.into); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

// final marks an error that is not to be tried again.
type final struct{ error }

// patiently tries something until it goes well, fails for good, or has failed
// for as long as the client is patient.
func (c *Client) patiently(ctx context.Context, try func(context.Context) error) error {
	b := backoff{client: c}
	for {
		err := try(ctx)
		var last final
		switch {
		case errors.As(err, &last):
			return last.error
		case err == nil, !mayPass(err):
			return err
		}
		if !b.pause(ctx, err) {
			return err
		}
	}
}

// backoff counts failures in a row.
type backoff struct {
	client *Client
	since  time.Time // of the first failure; zero for none
	next   time.Duration
}

// forget is called when something went well: patience begins anew.
func (b *backoff) forget() { b.since, b.next = time.Time{}, 0 }

// pause waits for the next attempt; false when patience or ctx is at its end.
func (b *backoff) pause(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if b.since.IsZero() {
		b.since, b.next = time.Now(), firstPause
	}
	// Jitter: a hundred workers must not all come back in the same moment.
	pause := b.next/2 + rand.N(b.next)
	var asked Answered
	if errors.As(err, &asked) && asked.RetryAfter > pause {
		pause = asked.RetryAfter
	}
	if time.Since(b.since)+pause > b.client.o.Patience {
		return false
	}
	b.next = min(2*b.next, longPause)
	if b.client.o.Waiting != nil {
		b.client.o.Waiting(err, pause)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// mayPass says that the same request may fare better later.
func mayPass(err error) bool {
	var u Unreachable
	if errors.As(err, &u) {
		return !u.forGood()
	}
	var a Answered
	return errors.As(err, &a) && a.passing()
}

// surelyNotSent says that no connection was ever made for a request.
func surelyNotSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func number(id int64) string { return strconv.FormatInt(id, 10) }
