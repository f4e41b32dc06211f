package gateway

import (
	"context"
	"slices"
	"time"

	"debusine/store"
	"debusine/task"
)

// wait has a worker's poll wait for a task, for an error, or for the end of its
// time, when both are nil. A task whose poll died meanwhile is given to another.
func (p *planner) wait(ctx context.Context, w *waiter, worker store.GatewayWorker) (*hand, error) {
	w.answer = make(chan answer, 1)
	if !p.tell(func() { p.arrive(w, worker) }) {
		return nil, errStopping
	}
	limit := time.NewTimer(longestPoll)
	defer limit.Stop()
	select {
	case a := <-w.answer:
		if a.task != nil && ctx.Err() != nil {
			p.tell(func() { p.again(a.task) })
			return nil, ctx.Err()
		}
		return a.task, a.err
	case <-limit.C:
	case <-ctx.Done():
	case <-p.done:
		return nil, errStopping
	}
	left := make(chan struct{})
	if !p.tell(func() { p.leave(w.id); close(left) }) {
		return nil, errStopping
	}
	select {
	case <-left:
	case <-p.done: // what was told last may never be done
	}
	select {
	case a := <-w.answer: // it came in the same moment
		if a.task != nil && ctx.Err() != nil {
			p.tell(func() { p.again(a.task) })
			return nil, ctx.Err()
		}
		return a.task, a.err
	default:
		return nil, nil
	}
}

// arrive takes a poll in; it is what was expected after an answer.
func (p *planner) arrive(w *waiter, worker store.GatewayWorker) {
	if p.closing {
		w.answer <- answer{err: errStopping}
		return
	}
	if _, shut := p.shut[instance{w.worker, w.instance}]; shut {
		w.answer <- answer{}
		return
	}
	p.last++
	w.id, p.stale = p.last, true
	p.know(worker)
	p.waiters = append(p.waiters, w)
	if i := slices.IndexFunc(p.soon, func(e expected) bool { return e.worker == w.worker }); i >= 0 {
		p.soon = slices.Delete(p.soon, i, i+1)
	}
}

// again gives a task, whose worker is gone before it was told, to another.
func (p *planner) again(h *hand) {
	if p.hands[h.delivery.WorkRequest] == h && h.given && !h.voiding {
		h.given, h.delivery.Worker, h.since = false, 0, time.Now()
		p.ready = append(p.ready, h)
	}
}

// answered expects the next poll of a worker that has just ended a task, and
// forgets the task.
func (p *planner) answered(d store.Delivery) {
	p.begun(d)
	if k := p.workers[d.Worker]; k != nil && !p.closing && len(p.soon) < 1024 {
		k.seen, p.stale = time.Now(), true
		p.soon = append(p.soon, expected{d.Worker, time.Now().Add(promise)})
	}
}

// begun forgets a task that is its worker's affair now.
func (p *planner) begun(d store.Delivery) {
	if h := p.hands[d.WorkRequest]; h != nil && h.given && string(h.delivery.TaskToken) == string(d.TaskToken) {
		delete(p.hands, d.WorkRequest)
	}
}

// shutdown ends the polls of a worker's process that stops, at once and empty.
func (p *planner) shutdown(worker int64, key string) {
	if len(p.shut) < 10_000 {
		p.shut[instance{worker, key}] = time.Now()
	}
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		stops := w.worker == worker && w.instance == key
		if stops {
			w.answer <- answer{}
		}
		return stops
	})
}

// announced hears that a queue has work; with no name, that some may have come
// unheard.
func (p *planner) announced(queue string) {
	p.dirty = true
	if queue == "" || !slices.ContainsFunc(p.queues, func(q store.QueueTags) bool { return q.Name == queue }) {
		p.readQueues()
	}
	if queue != "" {
		p.raised[queue] = time.Now()
	}
}

// readQueues reads the table of queues, and what each worker may have of it.
func (p *planner) readQueues() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	queues, err := p.g.DB.AllQueues(ctx)
	if err != nil {
		p.g.quietly("queues", "the gateway cannot read the table of queues", "error", err)
		return
	}
	p.table++
	p.queues = queues
	for i, q := range p.queues {
		p.queues[i].Required = task.QueueRequired(q.Required)
	}
	for _, k := range p.workers {
		k.rights, k.table = p.rightsOf(k.GatewayWorker), p.table
	}
}

// know keeps what the database says of a worker.
func (p *planner) know(w store.GatewayWorker) {
	if p.table == 0 {
		p.readQueues()
	}
	k := p.workers[w.ID]
	if k == nil || k.table != p.table || !slices.Equal(k.Provided, w.Provided) || !slices.Equal(k.Required, w.Required) {
		k = &known{rights: p.rightsOf(w), table: p.table}
		p.workers[w.ID] = k
	}
	k.GatewayWorker, k.seen = w, time.Now()
}

func (p *planner) rightsOf(w store.GatewayWorker) rights {
	r := rights{}
	for _, q := range p.queues {
		missing, unmet := task.Entitled(w.Provided, w.Required, q.Required, q.Provided)
		if task.MayPoll(q.Name) && len(missing)+len(unmet) == 0 {
			r[q.Name] = true
		}
	}
	return r
}

// refresh looks once a second whether the workers that wait still may.
func (p *planner) refresh() {
	p.forget(time.Now())
	if len(p.waiters) == 0 {
		return
	}
	hashes := map[string]bool{}
	for _, w := range p.waiters {
		hashes[w.hash] = true
	}
	list := make([]string, 0, len(hashes))
	for hash := range hashes {
		list = append(list, hash)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	workers, err := p.g.DB.WorkersByToken(ctx, list)
	if err != nil {
		p.g.quietly("workers", "the gateway cannot read about its workers", "error", err)
		return
	}
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		worker, ok := workers[w.hash]
		if ok && worker.Enabled {
			p.know(worker)
			p.g.marks.heard(worker.ID)
			return false
		}
		w.answer <- answer{err: errDisabled}
		return true
	})
}

// forget drops what is of no use any more.
func (p *planner) forget(now time.Time) {
	for key, at := range p.shut {
		if now.Sub(at) > shutFor {
			delete(p.shut, key)
		}
	}
	for queue, at := range p.raised {
		if now.Sub(at) > promise {
			delete(p.raised, queue)
		}
	}
	for id, k := range p.workers {
		if now.Sub(k.seen) > knowFor {
			delete(p.workers, id)
		}
	}
}
