package main

import (
	"context"
	"fmt"
	"time"

	"debusine/task"
)

// architecture is what the workers of the bench are.
const architecture = "amd64"

const (
	latencyRounds = 50
	warmUp        = 10
	// pollPace is how often it is asked whether a work request has ended.
	pollPace = 2 * time.Millisecond
)

// noopLatency is the way of one small work request through the whole machinery:
// POST, row, Temporal, gateway, begin, complete, until a GET shows it completed.
// Ours and the bare SDK take turns, so that both meet the same noise.
func noopLatency(ctx context.Context, h *house) ([]Row, error) {
	m, err := h.join(ctx, "latency", 8)
	if err != nil {
		return nil, err
	}
	defer m.leave()
	b, err := openBare(ctx, h, 8)
	if err != nil {
		return nil, err
	}
	defer b.close()
	var ours, theirs []float64
	for round := range warmUp + latencyRounds {
		our, err := h.oneNoop(ctx)
		if err != nil {
			return nil, err
		}
		their, err := b.one(ctx)
		if err != nil {
			return nil, fmt.Errorf("the bare SDK: %w", err)
		}
		if round >= warmUp {
			ours, theirs = append(ours, milliseconds(our)), append(theirs, milliseconds(their))
		}
	}
	return []Row{newRow("noop", median(ours), "ms", atMost(40), median(theirs))}, nil
}

func (h *house) oneNoop(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	w, err := h.ask(ctx, "noop", task.NoopData{})
	if err != nil {
		return 0, err
	}
	_, err = h.await(ctx, w.ID, pollPace)
	return time.Since(began), err
}
