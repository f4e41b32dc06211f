package gateway

import (
	"context"
	"sync"
	"time"
)

// marks gathers small notes for the database and writes them together. A lost
// note is harmless: Temporal is told again, a worker is heard again.
type marks struct {
	g            *Gateway
	mu           sync.Mutex
	workRequests []int64
	attempts     []int64
	workers      map[int64]bool
}

const (
	markEvery  = 100 * time.Millisecond
	heardEvery = 10 * time.Second
)

func newMarks(g *Gateway) *marks { return &marks{g: g, workers: map[int64]bool{}} }

// told notes that Temporal knows the end of an attempt (0: of none) and, unless
// nil, of its work request.
func (m *marks) told(workRequest *int64, attempt int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if workRequest != nil {
		m.workRequests = append(m.workRequests, *workRequest)
	}
	if attempt != 0 {
		m.attempts = append(m.attempts, attempt)
	}
}

// heard notes that a worker is connected.
func (m *marks) heard(worker int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.workers[worker] = true
}

// run writes until ctx ends, and then what is left.
func (m *marks) run(ctx context.Context) {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.write(context.WithoutCancel(ctx), true)
			return
		}
		workers := time.Since(last) > heardEvery
		if workers {
			last = time.Now()
		}
		m.write(ctx, workers)
	}
}

func (m *marks) write(ctx context.Context, withWorkers bool) {
	m.mu.Lock()
	workRequests, attempts := m.workRequests, m.attempts
	m.workRequests, m.attempts = nil, nil
	var workers []int64
	if withWorkers {
		for id := range m.workers {
			workers = append(workers, id)
		}
		clear(m.workers)
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if len(workRequests)+len(attempts) > 0 {
		if err := m.g.DB.MarkTold(ctx, workRequests, attempts); err != nil {
			m.g.quietly("marks", "it was not noted what Temporal knows; it will be told again", "error", err)
		}
	}
	if len(workers) > 0 {
		if err := m.g.DB.WorkersHeard(ctx, workers); err != nil {
			m.g.quietly("marks", "it was not noted which workers are connected", "error", err)
		}
	}
}
