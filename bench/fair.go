package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"debusine/api"
	"debusine/task"
)

const (
	hoard      = 2000 // noops of the workspace that came first
	fairRounds = 7    // of the one that comes later
	otherSpace = "Fair"
)

// fairness is how long a workspace waits for a machine that has two thousand work
// requests of another to do: on the same queue, and on a queue of its own.
func fairness(ctx context.Context, h *house) ([]Row, error) {
	if _, err := h.admin(ctx, "workspace", "create", otherSpace); err != nil {
		return nil, err
	}
	m, err := h.join(ctx, "fair", 1, class(0))
	if err != nil {
		return nil, err
	}
	defer m.leave()
	var jobs []float64
	for range fairRounds {
		job, err := h.oneNoop(ctx)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, milliseconds(job))
	}
	err = inParallel(hoard, func(int) error {
		_, err := h.ask(ctx, "noop", task.NoopData{})
		return err
	})
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, way := range []struct {
		name string
		data task.NoopData
	}{{"fair-one-queue", task.NoopData{}}, {"fair-two-queues", task.NoopData{Class: class(0)}}} {
		var waits []float64
		for range fairRounds {
			wait, err := h.waitOf(ctx, way.data)
			if err != nil {
				return rows, err
			}
			waits = append(waits, milliseconds(wait))
		}
		rows = append(rows, newRow(way.name, median(waits), "ms", atMost(1000+median(jobs)), 0))
	}
	return rows, h.stillCrowded(ctx)
}

// waitOf is the time from a POST in the other workspace to the begin, by
// PostgreSQL's clock.
func (h *house) waitOf(ctx context.Context, data task.NoopData) (wait time.Duration, err error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	w, err := h.CreateWorkRequest(ctx, api.WorkRequestCreate{TaskName: "noop", TaskData: raw, Workspace: otherSpace})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err = h.await(ctx, w.ID, 20*time.Millisecond); err != nil {
		return 0, err
	}
	var started time.Time
	err = h.db.QueryRow(ctx, `SELECT started_at FROM work_requests WHERE id = $1`, w.ID).Scan(&started)
	return started.Sub(began), err
}

// stillCrowded makes sure that there was something to be fair about until the end.
func (h *house) stillCrowded(ctx context.Context) error {
	var waiting int
	err := h.db.QueryRow(ctx, `SELECT count(*) FROM work_requests WHERE status = 'pending'`).Scan(&waiting)
	if err == nil && waiting < 100 {
		err = errors.New("the crowd was gone before the measure was over")
	}
	if err == nil {
		fmt.Printf("  %d of %d noops still wait\n", waiting, hoard)
	}
	return err
}
