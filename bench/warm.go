package main

import (
	"context"
	"fmt"
	"time"
)

// warmHello is a build with a worker that keeps its environment ready, POST →
// completed, beside the bare sbuild command on the stored tarball. The two take
// turns, and who goes first changes.
func warmHello(ctx context.Context, h *house) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*(pairs+2)*buildWithin)
	defer cancel()
	cold, err := h.joinWith(ctx, unpacking, "cold", 1)
	if err != nil {
		return nil, err
	}
	b, err := h.prepareBuild(ctx, cold)
	cold.leave()
	if err != nil {
		return nil, fmt.Errorf("%w; the worker's last words: %s", err, cold.said())
	}
	m, err := h.join(ctx, "warm", 1)
	if err != nil {
		return nil, err
	}
	defer m.leave()
	if _, err := b.with(ctx); err != nil {
		return nil, fmt.Errorf("%w; the worker's last words: %s", err, m.said())
	}
	if err := m.says(ctx, "an environment is fresh", time.Minute); err != nil {
		return nil, err
	}
	var warm, alone []float64
	for pair := range pairs {
		with, without, err := b.pair(ctx, pair%2 == 0)
		if err != nil {
			return nil, err
		}
		fmt.Printf("  %s: %.2f s in an environment kept ready, %.2f s bare; the worker: %s\n", built, with.Seconds(), without.Seconds(), phases(m.said()))
		warm, alone = append(warm, with.Seconds()), append(alone, without.Seconds())
	}
	return []Row{newRow("warm-hello", median(warm), "s", withinBaseline(0.75), median(alone))}, nil
}
