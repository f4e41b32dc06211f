package gateway

import (
	"context"
	"slices"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"debusine/store"
	"debusine/task"
)

// Times of the planner's.
const (
	cacheFor    = 50 * time.Millisecond  // how long the rows that wait are believed
	readEvery   = 950 * time.Millisecond // and read again without a reason
	keepReady   = 200 * time.Millisecond
	settleAfter = 300 * time.Millisecond // what was given should have begun by then
	voidAfter   = 4 * time.Second        // looked at every half second: voided before 5 s
	knowFor     = 24 * time.Hour         // a worker that is busy has no poll here
	shutFor     = 2 * time.Minute        // a stopped worker process polls no more
)

// waiter is a poll of a worker that waits for a task.
type waiter struct {
	id       int64
	worker   int64
	hash     string // of the token
	instance string // which process of the worker
	answer   chan answer
}

// answer ends a worker's poll: with a task, an error, or neither.
type answer struct {
	task *hand
	err  error
}

// hand is a task that Temporal gave us, from then until its worker has begun it.
type hand struct {
	task     *workflowservice.PollActivityTaskQueueResponse
	delivery store.Delivery // its worker once it is given
	queue    string
	since    time.Time // received, or given
	given    bool
	voiding  bool
}

// expected is a worker whose next poll should come at once.
type expected struct {
	worker int64
	until  time.Time
}

// known is a worker with polls here, and what it may have.
type known struct {
	store.GatewayWorker
	rights rights
	table  int // the edition of the table of queues from which they come
	seen   time.Time
}

// planner owns the state; only its goroutine (run) touches it. Others send it
// functions (tell).
type planner struct {
	g      *Gateway
	events chan func()
	done   chan struct{}
	wake   *time.Timer

	queues    []store.QueueTags
	table     int // counts editions of queues; 0: never read
	workers   map[int64]*known
	waiters   []*waiter
	last      int64 // waiter id
	soon      []expected
	ready     []*hand         // nobody has them yet, oldest first
	hands     map[int64]*hand // by work request: ready, or given and not known to have begun
	polls     []*openPoll
	rows      []store.ReadyRow
	readAt    time.Time
	taken     map[int64]bool // received since the rows were read
	served    []int64        // workspaces that got work, the last one last
	raised    map[string]time.Time
	dirty     bool // the rows have changed
	stale     bool // somebody has come, or a promise is over, since they were read
	failures  int  // of polls, in succession
	pause     time.Time
	shut      map[instance]time.Time
	returning int  // tasks on their way back to Temporal
	looking   bool // a look at what was given is under way
	closing   bool
}

type instance struct {
	worker int64
	key    string
}

func newPlanner(g *Gateway) *planner {
	return &planner{g: g, events: make(chan func(), 256), done: make(chan struct{}), wake: time.NewTimer(time.Hour),
		workers: map[int64]*known{}, hands: map[int64]*hand{}, taken: map[int64]bool{}, raised: map[string]time.Time{}, shut: map[instance]time.Time{}}
}

// tell has the planner do something; after its end nothing is done.
func (p *planner) tell(f func()) bool {
	select {
	case p.events <- f:
		return true
	case <-p.done:
		return false
	}
}

// run plans until ctx ends and nothing is under way any more, or too long after.
func (p *planner) run(ctx context.Context) {
	defer close(p.done)
	second, half := time.NewTicker(time.Second), time.NewTicker(500*time.Millisecond)
	defer second.Stop()
	defer half.Stop()
	stop := ctx.Done()
	var hurry <-chan time.Time
	for !p.closing || len(p.polls)+p.returning > 0 {
		select {
		case f := <-p.events:
			f()
			p.catchUp()
		case <-second.C:
			p.refresh()
		case <-half.C:
			p.look()
		case <-p.wake.C:
			p.stale = true
		case <-stop:
			p.close()
			stop, hurry = nil, time.After(stopWithin)
		case <-hurry:
			p.g.Log.Warn("the gateway stops with polls under way; what they bring is handed back by the sweep", "polls", len(p.polls))
			return
		}
		p.plan()
	}
}

// catchUp takes all events that have come, so that one plan serves them.
func (p *planner) catchUp() {
	for {
		select {
		case f := <-p.events:
			f()
		default:
			return
		}
	}
}

// plan decides, reading the rows again when they may have changed, and acts.
func (p *planner) plan() {
	now := time.Now()
	p.expire(now)
	if len(p.waiters)+len(p.soon) > 0 && !p.closing {
		d := decide(p.view(now))
		age := now.Sub(p.readAt)
		if p.dirty || age > readEvery || p.stale && (d.idle || age > cacheFor) {
			p.read()
			now = time.Now()
			d = decide(p.view(now))
		}
		p.act(d, now)
	}
	p.sleep(now)
}

// expire hands back what nobody could take, and gives up on expected polls.
func (p *planner) expire(now time.Time) {
	p.soon = slices.DeleteFunc(p.soon, func(e expected) bool { return !now.Before(e.until) })
	p.ready = slices.DeleteFunc(p.ready, func(h *hand) bool {
		late := p.closing || now.Sub(h.since) >= keepReady
		if late {
			p.handBack(h, task.WorkerBusy)
		}
		return late
	})
}

func (p *planner) view(now time.Time) view {
	v := view{now: now, raised: p.raised}
	for _, w := range p.waiters {
		if known := p.workers[w.worker]; known != nil && !known.Draining {
			v.free = append(v.free, slot{w.id, known.rights})
		}
	}
	for _, e := range p.soon {
		if known := p.workers[e.worker]; known != nil && !known.Draining {
			v.free = append(v.free, slot{0, known.rights})
		}
	}
	for _, h := range p.ready {
		v.ready = append(v.ready, h.queue)
	}
	for _, r := range p.rows {
		if !p.taken[r.ID] && p.hands[r.ID] == nil {
			v.rows = append(v.rows, r.Queue)
		}
	}
	for _, o := range p.polls {
		v.polls = append(v.polls, *o)
	}
	return v
}

// read fetches the best rows of the queues that the free workers may have.
func (p *planner) read() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	free := p.view(time.Now()).free
	p.dirty, p.stale, p.rows, p.readAt = false, false, nil, time.Now()
	clear(p.taken)
	union := map[string]bool{}
	for _, s := range free {
		for queue := range s.rights {
			union[queue] = true
		}
	}
	if len(union) == 0 {
		return
	}
	queues, except := make([]string, 0, len(union)), make([]int64, 0, len(p.hands))
	for queue := range union {
		queues = append(queues, queue)
	}
	for id := range p.hands {
		except = append(except, id)
	}
	rows, err := p.g.DB.ReadyRows(ctx, queues, except, p.served, 2*len(free)+8)
	if err != nil {
		p.g.quietly("rows", "the gateway cannot read what waits for machines", "error", err)
		return
	}
	p.rows = rows
}

// act carries a decision out.
func (p *planner) act(d decision, now time.Time) {
	given := map[*hand]bool{}
	for _, gift := range d.give {
		h := p.ready[gift.ready]
		if w := p.leave(gift.waiter); w != nil {
			h.given, h.since, h.delivery.Worker = true, now, w.worker
			w.answer <- answer{task: h}
			given[h] = true
			p.g.counts.given.Add(1)
		}
	}
	p.ready = slices.DeleteFunc(p.ready, func(h *hand) bool { return given[h] })
	if now.Before(p.pause) {
		return
	}
	for _, queue := range d.start {
		p.start(queue, now)
	}
}

// sleep sets the time of the next plan, if no event makes it sooner.
func (p *planner) sleep(now time.Time) {
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	for _, h := range p.ready {
		sooner(h.since.Add(keepReady))
	}
	for _, o := range p.polls {
		sooner(o.started.Add(promise))
		sooner(p.raised[o.queue].Add(promise))
	}
	if len(p.waiters)+len(p.soon) > 0 {
		sooner(p.pause)
	}
	p.wake.Reset(next.Sub(now))
}

// leave takes a poll out of those that wait.
func (p *planner) leave(id int64) *waiter {
	i := slices.IndexFunc(p.waiters, func(w *waiter) bool { return w.id == id })
	if i < 0 {
		return nil
	}
	w := p.waiters[i]
	p.waiters = slices.Delete(p.waiters, i, i+1)
	return w
}

// close begins the end: polls are refused from now on.
func (p *planner) close() {
	p.closing, p.soon = true, nil
	for _, w := range p.waiters {
		w.answer <- answer{err: errStopping}
	}
	p.waiters = nil
}
