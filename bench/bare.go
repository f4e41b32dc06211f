package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
)

// bare is the SDK with nothing of ours: standalone activities that do nothing,
// in a namespace of their own on the same Temporal.
type bare struct {
	client client.Client
	worker worker.Worker
	began  int64 // names activities of one life apart from those of another

	started atomic.Int64
	mu      sync.Mutex
	done    []string // ids, in the order in which they were done
}

const (
	bareNamespace = "bench-bare"
	bareQueue     = "bare"
)

// openBare starts a worker that does as many activities at once as ours.
func openBare(ctx context.Context, h *house, concurrency int) (*bare, error) {
	if err := h.NewNamespace(ctx, bareNamespace); err != nil {
		return nil, err
	}
	tls, err := h.TLS()
	if err != nil {
		return nil, err
	}
	b := &bare{began: time.Now().UnixNano()}
	b.client, err = client.DialContext(ctx, client.Options{HostPort: h.TemporalAddress(), Namespace: bareNamespace,
		ConnectionOptions: client.ConnectionOptions{TLS: tls}, Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return nil, fmt.Errorf("connecting the bare SDK: %w", err)
	}
	b.worker = worker.New(b.client, bareQueue, worker.Options{DisableWorkflowWorker: true,
		MaxConcurrentActivityExecutionSize: concurrency, MaxConcurrentActivityTaskPollers: concurrency})
	b.worker.RegisterActivityWithOptions(b.nothing, activity.RegisterOptions{Name: "nothing"})
	if err := b.worker.Start(); err != nil {
		b.client.Close()
		return nil, fmt.Errorf("starting the bare SDK's worker: %w", err)
	}
	return b, nil
}

func (b *bare) close() {
	b.worker.Stop()
	b.client.Close()
}

func (b *bare) nothing(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, activity.GetInfo(ctx).ActivityID)
	return nil
}

func (b *bare) start(ctx context.Context) (client.ActivityHandle, error) {
	return b.client.ExecuteActivity(ctx, client.StartActivityOptions{ID: fmt.Sprintf("nothing/%d/%d", b.began, b.started.Add(1)), TaskQueue: bareQueue,
		StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Hour}, "nothing")
}

// one is the time from start to result.
func (b *bare) one(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	handle, err := b.start(ctx)
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return time.Since(began), err
}

// rate starts n and gives how many were done a second, from the first start to
// the last result. Only the results of the last few are asked for: a thousand
// questions would be work that nobody who measures throughput wants.
func (b *bare) rate(ctx context.Context, n int) (float64, error) {
	first := len(b.order())
	began := time.Now()
	if err := inParallel(n, func(int) error { _, err := b.start(ctx); return err }); err != nil {
		return 0, err
	}
	for len(b.order()) < first+n {
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	order := b.order()
	for _, id := range order[max(first, len(order)-2*starters):] {
		if err := b.client.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: id}).Get(ctx, nil); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func (b *bare) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done
}
