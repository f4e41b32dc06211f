package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"debusine/task"
)

const (
	queued       = 1000 // noops in one queue
	queuedInSix  = 300  // in each round of the six queues
	sixRounds    = 3
	patienceEach = 2 * time.Second // for one noop of a crowd, before the measure is given up
)

// oneQueue is the throughput of one worker: first POST → last completed.
func oneQueue(ctx context.Context, h *house) ([]Row, error) {
	const concurrency = 8
	m, err := h.join(ctx, "queue", concurrency)
	if err != nil {
		return nil, err
	}
	defer m.leave()
	b, err := openBare(ctx, h, concurrency)
	if err != nil {
		return nil, err
	}
	defer b.close()
	// Both have the way to themselves once before it counts.
	if _, err := b.rate(ctx, 50); err != nil {
		return nil, fmt.Errorf("the bare SDK: %w", err)
	}
	if _, err := h.crowd(ctx, 50, one); err != nil {
		return nil, err
	}
	theirs, err := b.rate(ctx, queued)
	if err != nil {
		return nil, fmt.Errorf("the bare SDK: %w", err)
	}
	ours, err := h.crowd(ctx, queued, one)
	if err != nil {
		return nil, err
	}
	return []Row{newRow("noops-1000", ours.rate, "/s", timesBaseline(0.6), theirs)}, nil
}

// sixQueues spreads the same over six queues. Each of three workers may have
// four of them, each queue has two workers. One queue, done by the same three,
// is the baseline; they take turns.
func sixQueues(ctx context.Context, h *house) ([]Row, error) {
	for i, name := range []string{"six-a", "six-b", "six-c"} {
		var classes []string
		for at := range 4 {
			classes = append(classes, class(2*i+at))
		}
		m, err := h.join(ctx, name, 1, classes...)
		if err != nil {
			return nil, err
		}
		defer m.leave()
	}
	if _, err := h.crowd(ctx, 30, six); err != nil {
		return nil, err
	}
	var single, spread []float64
	handBacks := 0
	for range sixRounds {
		inOne, err := h.crowd(ctx, queuedInSix, one)
		if err != nil {
			return nil, err
		}
		inSix, err := h.crowd(ctx, queuedInSix, six)
		if err != nil {
			return nil, err
		}
		single, spread = append(single, inOne.rate), append(spread, inSix.rate)
		handBacks += inSix.handBacks
	}
	return []Row{
		newRow("noops-six-queues", median(spread), "/s", timesBaseline(0.5), median(single)),
		newRow("hand-backs", float64(handBacks)/(sixRounds*queuedInSix), "a task", atMost(0.05), 0),
	}, nil
}

func one(int) task.NoopData { return task.NoopData{} }

func six(i int) task.NoopData { return task.NoopData{Class: class(i)} }

func class(i int) string { return string(rune('a' + i%6)) }

// crowded is how a crowd of work requests fared.
type crowded struct {
	rate      float64 // a second, from the first POST to the last that completed
	handBacks int     // deliveries by Temporal beyond the first of each
}

// crowd asks for n noops, by several clients at once, and waits for all.
func (h *house) crowd(ctx context.Context, n int, data func(i int) task.NoopData) (crowded, error) {
	ids := make([]int64, n)
	began := time.Now()
	err := inParallel(n, func(i int) error {
		w, err := h.ask(ctx, "noop", data(i))
		ids[i] = w.ID
		return err
	})
	if err != nil {
		return crowded{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n)*patienceEach)
	defer cancel()
	for {
		last, open, err := h.lastOf(ctx, ids)
		if err != nil {
			return crowded{}, err
		}
		if open == 0 {
			found, err := h.handBacks(ctx, ids)
			return crowded{float64(n) / last.Sub(began).Seconds(), found}, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return crowded{}, errors.Join(err, fmt.Errorf("%d of %d noops are still open", open, n))
		}
	}
}

// lastOf looks into the database: asking the API for a thousand would be load.
// PostgreSQL's clock is the machine's, and so ours.
func (h *house) lastOf(ctx context.Context, ids []int64) (last time.Time, open int, err error) {
	err = h.db.QueryRow(ctx, `SELECT coalesce(max(completed_at), now()), count(*) FILTER (WHERE status <> 'completed')
		FROM work_requests WHERE id = ANY($1)`, ids).Scan(&last, &open)
	return last, open, err
}

// handBacks counts by Temporal's own count of deliveries: nothing fails in a
// noop, so what was delivered again was handed back.
func (h *house) handBacks(ctx context.Context, ids []int64) (n int, err error) {
	err = h.db.QueryRow(ctx, `SELECT coalesce(sum(times - 1), 0) FROM (SELECT max(temporal_attempt) AS times
		FROM attempts WHERE work_request_id = ANY($1) GROUP BY work_request_id) AS delivered`, ids).Scan(&n)
	return n, err
}
