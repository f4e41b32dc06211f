package gateway

import (
	"slices"
	"time"
)

// promise is how long a poll, once work was announced for its queue, keeps a
// worker for what it may bring, and how long a worker that has just answered
// counts as free before it asks. A hint may be wrong; no worker waits longer
// than this for a task that does not come.
const promise = 200 * time.Millisecond

// rights are the queues of which a worker may have work.
type rights map[string]bool

// slot is room for one task: a poll of a worker that waits for an answer, or
// (soon) one that is about to come.
type slot struct {
	waiter int64 // 0 for one that is only expected
	rights rights
}

// openPoll is a poll of ours that Temporal has not answered.
type openPoll struct {
	queue   string
	started time.Time
}

// view is all that a decision depends on.
type view struct {
	now    time.Time
	free   []slot               // polls that wait, in the order of their arrival; then those expected
	ready  []string             // queues of the tasks in hand that nobody has, oldest first
	rows   []string             // queues of the work requests that wait, best first
	polls  []openPoll           // in the order of their start
	raised map[string]time.Time // when work was last announced for a queue
}

// gift gives a task in hand to a poll that waits.
type gift struct {
	ready  int // index into view.ready
	waiter int64
}

// decision is what to do now.
type decision struct {
	give  []gift
	start []string // queues to poll, one poll each
	idle  bool     // somebody is left without work
}

// decide is the whole policy. Workers are first kept for the tasks in hand and
// for the polls under way. Then, best work request first, a poll is started for
// each that no open poll covers while a worker that may have it is free. Of the
// workers that would do, the one with the fewest rights is taken: the others may
// be the only ones for something else.
func decide(v view) decision {
	var d decision
	free := slices.Clone(v.free)
	slices.SortStableFunc(free, func(a, b slot) int { return len(a.rights) - len(b.rights) })
	take := func(queue string) (slot, bool) {
		i := slices.IndexFunc(free, func(s slot) bool { return s.rights[queue] })
		if i < 0 {
			return slot{}, false
		}
		s := free[i]
		free = slices.Delete(free, i, i+1)
		return s, true
	}
	waiting := func(queue string) (slot, bool) {
		i := slices.IndexFunc(free, func(s slot) bool { return s.waiter != 0 && s.rights[queue] })
		if i < 0 {
			return take(queue)
		}
		s := free[i]
		free = slices.Delete(free, i, i+1)
		return s, true
	}
	for i, queue := range v.ready {
		if s, ok := waiting(queue); ok && s.waiter != 0 {
			d.give = append(d.give, gift{i, s.waiter})
		}
	}
	covered := keepPromises(v, take)
	for _, queue := range v.rows {
		if covered[queue] > 0 {
			covered[queue]--
			continue
		}
		if _, ok := take(queue); ok {
			d.start = append(d.start, queue)
		}
	}
	d.idle = len(free) > 0
	return d
}

// keepPromises takes a worker for each open poll that may be about to bring a
// task, the newest first, and counts the open polls of each queue.
func keepPromises(v view, take func(string) (slot, bool)) (open map[string]int) {
	open = map[string]int{}
	for _, p := range v.polls {
		open[p.queue]++
	}
	wanted := map[string]int{}
	for _, queue := range v.rows {
		wanted[queue]++
	}
	for _, p := range slices.Backward(v.polls) {
		since := p.started
		if raised := v.raised[p.queue]; raised.After(since) {
			since = raised
		}
		if wanted[p.queue] > 0 {
			wanted[p.queue]--
			if v.now.Sub(since) < promise {
				take(p.queue)
			}
		}
	}
	return open
}
