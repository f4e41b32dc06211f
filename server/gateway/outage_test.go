package gateway_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// A row whose task never comes (its outbox is not started yet) must not hold up a
// machine of capacity 1.
func TestAPhantomBlocksNobody(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "a", "b")
	s.work(s.gateway, "one", secret, 1, succeed)
	s.row("a")
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	_, h := s.noop("b")
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Both sides of the two-way test: a machine kept for one workspace takes its work
// alone, when the workspace is a gate.
func TestAMachineThatIsKeptForAWorkspaceTakesNothingElse(t *testing.T) {
	s := newSite(t)
	kept, secret := s.machine("kept", 1, "x")
	s.exec(`UPDATE workers SET tags_required = '{task:workspace:debusine:System}' WHERE id = $1`, kept)
	s.work(s.gateway, "kept", secret, 1, succeed)
	plain, _ := s.noop("x")
	time.Sleep(time.Second)
	if status, _, _ := s.status(plain); status != debusine.Pending {
		t.Errorf("work that passes no gate is %s", status)
	}
	s.exec(`INSERT INTO gates (tag) VALUES ('task:workspace:debusine:System')`)
	_, h := s.noop("x")
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
}

// Polls whose connection dies at any moment take tasks along; none is lost, and no
// machine is blamed.
func TestPollsThatDieLoseNothing(t *testing.T) {
	s := newSite(t)
	_, flaky := s.machine("flaky", 3, "x")
	_, steady := s.machine("steady", 1, "x")
	s.work(s.gateway, "steady", steady, 1, succeed)
	ctx, cancel := context.WithCancel(t.Context())
	var polls sync.WaitGroup
	c := s.dial(s.gateway, flaky)
	for range 3 {
		polls.Go(func() {
			for ctx.Err() == nil {
				s.tryPoll(c, "worker/flaky", time.Duration(1+rand.IntN(40))*time.Millisecond)
			}
		})
	}
	var handles []handle
	for range 20 {
		_, h := s.noop("x")
		handles = append(handles, h)
	}
	time.Sleep(time.Second)
	cancel()
	polls.Wait()
	for _, h := range handles {
		if o := s.outcome(h); !o.Succeeded() {
			t.Errorf("%+v", o)
		}
	}
	if losses := s.count(`SELECT sum(losses)::int FROM work_requests`); losses != 0 {
		t.Errorf("%d losses are counted", losses)
	}
	t.Logf("%+v", s.gateway.Stats())
}

func TestTwoGatewaysShareTheQueues(t *testing.T) {
	s := newSite(t)
	other, stop := s.serve(nil)
	defer stop()
	classes := []string{"a", "b", "c"}
	for i, name := range []string{"one", "two", "three", "four"} {
		_, secret := s.machine(name, 1, classes...)
		g := s.gateway
		if i%2 == 1 {
			g = other
		}
		s.work(g, name, secret, 1, slowly)
	}
	var handles []handle
	for i := range 90 {
		_, h := s.noop(classes[i%3])
		handles = append(handles, h)
	}
	for _, h := range handles {
		if o := s.outcome(h); !o.Succeeded() {
			t.Errorf("%+v", o)
		}
	}
	a, b := s.gateway.Stats(), other.Stats()
	t.Logf("%+v, %+v", a, b)
	if a.Given == 0 || b.Given == 0 || a.Given+b.Given < 90 {
		t.Errorf("they gave %d and %d", a.Given, b.Given)
	}
	if back := a.HandedBack + b.HandedBack; back > 9 {
		t.Errorf("%d of 90 were handed back", back)
	}
}

func TestTheGatewayListensAgainWhenItsConnectionBreaks(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	s.work(s.gateway, "one", secret, 1, succeed)
	_, h := s.noop("x")
	s.outcome(h)
	s.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	time.Sleep(time.Second)
	within(t, 20*time.Second, "it listens", func() bool {
		return s.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen wr'`) == 1
	})
	_, h = s.noop("x")
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
}

// While Temporal is away, a running attempt is heard, an abort reaches it, and an
// end is taken; Temporal is told later.
func TestTemporalAway(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 2, "x")
	finish := make(chan bool)
	s.work(s.gateway, "one", secret, 2, func(ctx context.Context, b store.Beginning) (debusine.Result, error) {
		for {
			select {
			case <-finish:
				return debusine.Success, nil
			case <-ctx.Done():
				return "", ctx.Err()
			default:
				beat(ctx)
			}
		}
	})
	ended, h := s.noop("x")
	aborted, _ := s.noop("x")
	within(t, 20*time.Second, "both run", func() bool { return s.count(`SELECT count(*) FROM attempts`) == 2 })
	must(t, infrastructure.HoldKilled("temporal"))
	t.Cleanup(func() { infrastructure.Release(context.Background(), "temporal") })
	s.exec(`UPDATE attempts SET heard_at = now() - interval '20 seconds', passed_on_at = now() - interval '1 hour'`)
	within(t, 20*time.Second, "both are heard", func() bool {
		return s.count(`SELECT count(*) FROM attempts WHERE heard_at > now() - interval '5 seconds'`) == 2
	})
	_, err := s.db.Abort(context.Background(), aborted, 1)
	must(t, err)
	within(t, 20*time.Second, "the aborted one has stopped", func() bool {
		return s.count(`SELECT count(*) FROM attempts WHERE work_request_id = $1 AND ended_at IS NOT NULL`, aborted) == 1
	})
	close(finish)
	within(t, 20*time.Second, "the other has ended", func() bool {
		status, _, _ := s.status(ended)
		return status == debusine.Completed
	})
	within(t, 20*time.Second, "the failed passing on is noted", func() bool {
		return s.count(`SELECT count(*) FROM attempts WHERE passed_on_at = '-infinity'`) > 0
	})
	must(t, infrastructure.Release(t.Context(), "temporal"))
	time.Sleep(time.Second)
	s.settle()
	if o := s.outcome(h); o != (task.Outcome{ID: ended, Status: debusine.Completed, Result: debusine.Success}) {
		t.Errorf("Temporal was told %+v", o)
	}
	_, h = s.noop("x")
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("afterwards: %+v", o)
	}
	if losses := s.count(`SELECT sum(losses)::int FROM work_requests`); losses != 0 {
		t.Errorf("%d losses are counted", losses)
	}
}

// While PostgreSQL is away nothing can be said, so nothing is; afterwards the same
// attempt goes on.
func TestPostgreSQLAway(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	finish := make(chan bool)
	s.work(s.gateway, "one", secret, 1, func(ctx context.Context, b store.Beginning) (debusine.Result, error) {
		for {
			select {
			case <-finish:
				return debusine.Success, nil
			case <-ctx.Done():
				return "", ctx.Err()
			default:
				beat(ctx)
			}
		}
	})
	id, h := s.noop("x")
	within(t, 20*time.Second, "it runs", func() bool { return s.count(`SELECT count(*) FROM attempts`) == 1 })
	must(t, infrastructure.HoldKilled("postgresql"))
	time.Sleep(5 * time.Second)
	must(t, infrastructure.Release(t.Context(), "postgresql"))
	must(t, infrastructure.Await(t.Context(), "temporal"))
	within(t, 20*time.Second, "it is heard again", func() bool {
		var n int
		err := s.db.Pool().QueryRow(context.Background(), `SELECT count(*) FROM attempts WHERE heard_at > now() - interval '2 seconds'`).Scan(&n)
		return err == nil && n == 1
	})
	close(finish)
	within(t, 20*time.Second, "it has ended", func() bool {
		status, _, _ := s.status(id)
		return status == debusine.Completed
	})
	s.settle()
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
	if n := s.count(`SELECT count(*) FROM attempts`); n != 1 {
		t.Errorf("%d attempts", n)
	}
}
