package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(ms int) time.Time { return now.Add(-time.Duration(ms) * time.Millisecond) }
	may := func(queues ...string) rights {
		r := rights{}
		for _, q := range queues {
			r[q] = true
		}
		return r
	}
	waits := func(id int64, queues ...string) slot { return slot{id, may(queues...)} }
	soon := func(queues ...string) slot { return slot{0, may(queues...)} }
	for name, c := range map[string]struct {
		v     view
		give  []gift
		start []string
		idle  bool
	}{
		"nothing waits: the worker is idle": {v: view{free: []slot{waits(1, "a")}}, idle: true},
		"a row and a worker: a poll":        {v: view{free: []slot{waits(1, "a")}, rows: []string{"a"}}, start: []string{"a"}},
		"a row of a queue that nobody may have is left": {
			v: view{free: []slot{waits(1, "a")}, rows: []string{"b"}}, idle: true},
		"no more polls than workers": {
			v: view{free: []slot{waits(1, "a")}, rows: []string{"a", "a", "a"}}, start: []string{"a"}},
		"the best row comes first": {
			v: view{free: []slot{waits(1, "a", "b")}, rows: []string{"b", "a"}}, start: []string{"b"}},
		"the worker with the fewest rights is taken, so that the other is left for what only it may do": {
			v: view{free: []slot{waits(1, "a", "b"), waits(2, "a")}, rows: []string{"a", "b"}}, start: []string{"a", "b"}},
		"an expected worker is as good": {
			v: view{free: []slot{soon("a")}, rows: []string{"a"}}, start: []string{"a"}},
		"a new poll covers its row and keeps its worker": {
			v: view{free: []slot{waits(1, "a")}, rows: []string{"a"}, polls: []openPoll{{"a", ago(10)}}}},
		"the row of another queue finds no worker when a new poll keeps it": {
			v: view{free: []slot{waits(1, "a", "b")}, rows: []string{"a", "b"}, polls: []openPoll{{"a", ago(10)}}}},
		"an old poll still covers its row, and frees its worker for another": {
			v: view{free: []slot{waits(1, "a", "b")}, rows: []string{"a", "b"}, polls: []openPoll{{"a", ago(250)}}}, start: []string{"b"}},
		"an old poll whose queue was announced anew keeps a worker again": {
			v: view{free: []slot{waits(1, "a", "b")}, rows: []string{"a", "b"}, polls: []openPoll{{"a", ago(250)}}, raised: map[string]time.Time{"a": ago(20)}}},
		"a poll without a row keeps nobody": {
			v: view{free: []slot{waits(1, "a", "b")}, rows: []string{"b"}, polls: []openPoll{{"a", ago(10)}}}, start: []string{"b"}},
		"of two polls the newer is believed, and two rows are covered": {
			v: view{free: []slot{waits(1, "a"), waits(2, "a")}, rows: []string{"a", "a", "a"}, polls: []openPoll{{"a", ago(300)}, {"a", ago(10)}}}, start: []string{"a"}},
		"a task in hand goes to a poll that waits": {
			v: view{free: []slot{waits(7, "a")}, ready: []string{"a"}}, give: []gift{{0, 7}}},
		"a task in hand goes before what could be fetched": {
			v: view{free: []slot{waits(7, "a", "b")}, ready: []string{"a"}, rows: []string{"b"}}, give: []gift{{0, 7}}},
		"a task in hand keeps a worker that is expected, and waits": {
			v: view{free: []slot{soon("a", "b")}, ready: []string{"a"}, rows: []string{"b"}}},
		"a task in hand prefers the worker that is there": {
			v: view{free: []slot{waits(7, "a", "b", "c"), soon("a")}, ready: []string{"a"}, rows: []string{"a"}}, give: []gift{{0, 7}}, start: []string{"a"}},
		"two tasks in hand, one worker: the older is given": {
			v: view{free: []slot{waits(7, "a", "b")}, ready: []string{"b", "a"}}, give: []gift{{0, 7}}},
		"a worker without rights gets nothing": {
			v: view{free: []slot{waits(7)}, ready: []string{"a"}, rows: []string{"a"}}, idle: true},
	} {
		c.v.now = now
		got := decide(c.v)
		if !slices.Equal(got.give, c.give) || !slices.Equal(got.start, c.start) || got.idle != c.idle {
			t.Errorf("%s: gives %v, starts %v, idle %v; wanted %v, %v, %v", name, got.give, got.start, got.idle, c.give, c.start, c.idle)
		}
	}
}

// Whatever the state: no task is given twice or to one who may not have it, no
// worker gets two, and there are no more new polls than workers and rows.
func TestDecideKeepsItsPromisesInEveryState(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Now()
	queue := func() string { return fmt.Sprint(random.IntN(5)) }
	queues := func(most int) (list []string) {
		for range random.IntN(most) {
			list = append(list, queue())
		}
		return list
	}
	for range 20_000 {
		v := view{now: now, ready: queues(4), rows: queues(12), raised: map[string]time.Time{queue(): now.Add(-50 * time.Millisecond)}}
		for i := range random.IntN(6) {
			s := slot{waiter: int64(i + 1), rights: rights{}}
			if random.IntN(3) == 0 {
				s.waiter = 0
			}
			for _, q := range queues(5) {
				s.rights[q] = true
			}
			v.free = append(v.free, s)
		}
		for range random.IntN(4) {
			v.polls = append(v.polls, openPoll{queue(), now.Add(-time.Duration(random.IntN(400)) * time.Millisecond)})
		}
		d := decide(v)
		seen, used := map[int]bool{}, map[int64]bool{}
		for _, g := range d.give {
			i := slices.IndexFunc(v.free, func(s slot) bool { return s.waiter == g.waiter })
			if seen[g.ready] || used[g.waiter] || g.waiter == 0 || i < 0 || !v.free[i].rights[v.ready[g.ready]] {
				t.Fatalf("%+v gives %+v", v, d.give)
			}
			seen[g.ready], used[g.waiter] = true, true
		}
		if len(d.give)+len(d.start) > len(v.free) || len(d.start) > len(v.rows) {
			t.Fatalf("%+v decides %+v", v, d)
		}
		for _, q := range d.start {
			if !slices.ContainsFunc(v.free, func(s slot) bool { return s.rights[q] }) || !slices.Contains(v.rows, q) {
				t.Fatalf("%+v starts %s", v, q)
			}
		}
	}
}
