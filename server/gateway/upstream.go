package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	enums "go.temporal.io/api/enums/v1"
	failures "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	taskqueues "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"debusine/store"
	"debusine/task"
)

const (
	identity    = "gateway"        // ours, in Temporal's eyes
	pollWithin  = 10 * time.Second // Temporal refuses 2 s and less without a word
	tellWithin  = 10 * time.Second
	quickReturn = 50 * time.Millisecond // until Temporal gives a task again that was handed back
	notOurs     = time.Minute
)

// start polls a real queue once. Its context is its own and is never cancelled.
func (p *planner) start(queue string, now time.Time) {
	poll := &openPoll{queue, now}
	p.polls = append(p.polls, poll)
	p.g.counts.polls.Add(1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), pollWithin)
		defer cancel()
		got, err := p.g.Temporal.PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{
			Namespace: p.g.Namespace, Identity: identity,
			TaskQueue: &taskqueues.TaskQueue{Name: queue, Kind: enums.TASK_QUEUE_KIND_NORMAL},
		})
		p.tell(func() { p.polled(poll, got, err) })
	}()
}

// polled takes what a poll brought: a task in most cases.
func (p *planner) polled(poll *openPoll, got *workflowservice.PollActivityTaskQueueResponse, err error) {
	p.polls = slices.DeleteFunc(p.polls, func(o *openPoll) bool { return o == poll })
	now := time.Now()
	if err != nil && !errors.As(err, new(*serviceerror.DeadlineExceeded)) {
		p.failures++
		p.pause = now.Add(min(50*time.Millisecond<<min(p.failures, 6), 2*time.Second))
		p.dirty = true
		p.g.quietly("poll", "Temporal does not answer the gateway's polls", "queue", poll.queue, "error", err)
		return
	}
	p.failures = 0
	if len(got.GetTaskToken()) == 0 {
		p.g.counts.empty.Add(1)
		p.dirty = true
		return
	}
	h := &hand{task: got, queue: poll.queue, since: now}
	id, ours := task.ParseActivityID(p.g.Installation, got.GetActivityId())
	h.delivery = store.Delivery{WorkRequest: id, TaskToken: got.GetTaskToken(), Attempt: got.GetAttempt()}
	if !ours {
		p.g.Log.Error("a task on a queue of ours is not ours; it is handed back", "queue", poll.queue, "activity", got.GetActivityId())
		p.handBack(h, task.Cannot)
		return
	}
	p.serve(id)
	p.taken[id] = true
	p.hands[id] = h
	p.ready = append(p.ready, h)
}

// serve puts the workspace of a task that came at the end of the line.
func (p *planner) serve(id int64) {
	i := slices.IndexFunc(p.rows, func(r store.ReadyRow) bool { return r.ID == id })
	if i < 0 {
		return // the hint did not know of it: no harm
	}
	workspace := p.rows[i].Workspace
	p.served = append(slices.DeleteFunc(p.served, func(w int64) bool { return w == workspace }), workspace)
	if len(p.served) > mostServed {
		p.served = slices.Delete(p.served, 0, len(p.served)-mostServed)
	}
}

// mostServed is how many workspaces are remembered in the order of their turns.
const mostServed = 1000

// handBack gives a task to Temporal to be given out again, and keeps it in hand
// until that is done: the hint must not see it before.
func (p *planner) handBack(h *hand, why string) {
	p.returning++
	p.g.counts.handedBack.Add(1)
	go func() {
		delay := quickReturn
		if h.delivery.WorkRequest == 0 {
			delay = notOurs
		}
		var err error
		for try := range 4 {
			if err = p.g.failUpstream(identity, h.delivery, why, "", delay); !unreachable(err) {
				break
			}
			time.Sleep(200 * time.Millisecond << try)
		}
		if err != nil && !errors.As(err, new(*serviceerror.NotFound)) {
			p.g.Log.Warn("a task could not be handed back; the sweep will do it", "work_request", h.delivery.WorkRequest, "why", why, "error", err)
		}
		p.tell(func() { p.returned(h) })
	}()
}

func (p *planner) returned(h *hand) {
	p.returning--
	if p.hands[h.delivery.WorkRequest] == h {
		delete(p.hands, h.delivery.WorkRequest)
	}
	p.dirty = true
}

// failUpstream fails an activity so that Temporal gives it out again after delay;
// zero leaves that to the activity's own policy.
func (g *Gateway) failUpstream(who string, d store.Delivery, why, text string, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
	defer cancel()
	info := &failures.ApplicationFailureInfo{Type: why}
	if delay > 0 {
		info.NextRetryDelay = durationpb.New(delay)
	}
	if text == "" {
		text = why
	}
	_, err := g.Temporal.RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		TaskToken: d.TaskToken, Namespace: g.Namespace, Identity: who,
		Failure: &failures.Failure{Message: text, Source: identity, FailureInfo: &failures.Failure_ApplicationFailureInfo{ApplicationFailureInfo: info}},
	})
	return err
}

// look compares what was given with what has begun: the one is forgotten, the
// other voided and handed back when it is late.
func (p *planner) look() {
	now := time.Now()
	var given []*hand
	for _, h := range p.hands {
		if h.given && !h.voiding && now.Sub(h.since) > settleAfter {
			given = append(given, h)
		}
	}
	if len(given) == 0 || p.looking {
		return
	}
	p.looking = true
	deliveries := make([]store.Delivery, len(given))
	for i, h := range given {
		deliveries[i] = h.delivery
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		waiting, err := p.g.DB.NotBegun(ctx, deliveries)
		if err != nil {
			p.g.quietly("begun", "the gateway cannot see what has begun", "error", err)
		}
		p.tell(func() {
			p.looking = false
			if err == nil {
				p.looked(given, waiting)
			}
		})
	}()
}

func (p *planner) looked(given []*hand, waiting []int64) {
	for _, h := range given {
		id := h.delivery.WorkRequest
		switch {
		case p.hands[id] != h || !h.given:
		case !slices.Contains(waiting, id):
			delete(p.hands, id)
		case time.Since(h.since) > voidAfter:
			p.void(h)
		}
	}
}

// void makes sure that a task that was given and not begun never begins, and
// hands it back. Its worker has at most a second left to begin.
func (p *planner) void(h *hand) {
	h.voiding = true
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		voided, err := p.g.DB.VoidDelivery(ctx, h.delivery)
		p.tell(func() {
			switch {
			case err != nil: // the next look tries again
				h.voiding = false
				p.g.quietly("void", "a delivery could not be voided", "error", err)
			case voided:
				p.g.Log.Warn("a task was given and not begun; it is handed back", "work_request", h.delivery.WorkRequest, "worker", h.delivery.Worker)
				p.handBack(h, task.NeverBegun)
			case p.hands[h.delivery.WorkRequest] == h:
				delete(p.hands, h.delivery.WorkRequest)
			}
		})
	}()
}

// unreachable says that a call may work later.
func unreachable(err error) bool {
	return errors.As(err, new(*serviceerror.Unavailable)) || errors.As(err, new(*serviceerror.DeadlineExceeded)) ||
		errors.As(err, new(*serviceerror.ResourceExhausted)) || errors.Is(err, context.DeadlineExceeded)
}
