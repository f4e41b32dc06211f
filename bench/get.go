package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"debusine/task"
)

const (
	connections = 32
	hammering   = 5 * time.Second
)

// getWorkRequest is how many work requests the API shows a second. The client is
// net/http alone, since it has the same two cores as the server: what it would
// spend on reading JSON would be missing there.
func getWorkRequest(ctx context.Context, h *house) ([]Row, error) {
	m, err := h.join(ctx, "shown", 1)
	if err != nil {
		return nil, err
	}
	w, err := h.ask(ctx, "noop", task.NoopData{})
	if err == nil {
		_, err = h.await(ctx, w.ID, pollPace)
	}
	m.leave()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("%s/api/1.0/work-request/%d/", h.API(), w.ID)
	if _, err := h.hammer(ctx, address, time.Second); err != nil {
		return nil, err
	}
	rate, err := several(3, func() (float64, error) { return h.hammer(ctx, address, hammering) })
	if err != nil {
		return nil, err
	}
	return []Row{newRow("get-work-request", rate, "/s", atLeast(2000), 0)}, nil
}

// hammer asks again and again over all connections and gives the answers a second.
func (h *house) hammer(ctx context.Context, address string, d time.Duration) (float64, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	var (
		group    errgroup.Group
		answered atomic.Int64
		began    = time.Now()
	)
	for range connections {
		group.Go(func() error {
			for time.Since(began) < d {
				if err := h.get(ctx, transport, address); err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), err
}

func (h *house) get(ctx context.Context, transport *http.Transport, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Token", h.token)
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s is answered with %s", address, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
