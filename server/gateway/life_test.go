package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"debusine"
	"debusine/stack"
	"debusine/store"
	"debusine/task"
)

func TestWorkIsDoneThroughTheGateway(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	s.work(s.gateway, "one", secret, 1, succeed)
	for range 3 {
		id, h := s.noop("x")
		if o := s.outcome(h); o != (task.Outcome{ID: id, Status: debusine.Completed, Result: debusine.Success}) {
			t.Errorf("Temporal was told %+v", o)
		}
		within(t, 20*time.Second, "Temporal's knowledge is noted", func() bool {
			return s.count(`SELECT count(*) FROM work_requests r JOIN attempts a ON a.work_request_id = r.id WHERE r.id = $1 AND temporal_closed AND told`, id) == 1
		})
	}
	if stats := s.gateway.Stats(); stats.Given != 3 || stats.HandedBack != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestEachWorkerGetsWhatItMayAndNothingElse(t *testing.T) {
	s := newSite(t)
	did := make(chan string, 100)
	for name, classes := range map[string][]string{"small": {"small"}, "big": {"small", "big"}} {
		_, secret := s.machine(name, 1, classes...)
		s.work(s.gateway, name, secret, 1, func(_ context.Context, b store.Beginning) (debusine.Result, error) {
			var class string
			if err := s.db.Pool().QueryRow(context.Background(), `SELECT configured_task_data->>'class' FROM work_requests r JOIN attempts a ON a.work_request_id = r.id WHERE a.id = $1`, b.AttemptID).Scan(&class); err != nil {
				return "", err
			}
			did <- name + " " + class
			return debusine.Success, nil
		})
	}
	for range 10 {
		_, big := s.noop("big")
		_, small := s.noop("small")
		s.outcome(big)
		s.outcome(small)
	}
	nobody, _ := s.noop("huge")
	time.Sleep(time.Second)
	close(did)
	for what := range did {
		if what == "small "+s.class("big") {
			t.Error("the small machine did big work")
		}
	}
	if status, _, _ := s.status(nobody); status != debusine.Pending {
		t.Errorf("what nobody may have is %s", status)
	}
}

func TestAWorkerThatDrainsLosesNothing(t *testing.T) {
	s := newSite(t)
	_, first := s.machine("first", 1, "x")
	stop := s.work(s.gateway, "first", first, 1, drain)
	id, h := s.noop("x")
	within(t, 20*time.Second, "the attempt is given back", func() bool {
		return s.count(`SELECT count(*) FROM attempts WHERE work_request_id = $1 AND ending = 'given-back' AND told`, id) > 0
	})
	stop()
	_, second := s.machine("second", 1, "x")
	s.work(s.gateway, "second", second, 1, succeed)
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
	if _, _, losses := s.status(id); losses != 0 {
		t.Errorf("%d losses are counted", losses)
	}
}

func TestAnAttemptThatBreaksIsALossAndTheThirdIsAnError(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	s.work(s.gateway, "one", secret, 1, func(context.Context, store.Beginning) (debusine.Result, error) { panic("broken machine") })
	id, h := s.noop("x")
	if o := s.outcome(h); o.Result != debusine.Error || o.ID != id {
		t.Errorf("Temporal was told %+v", o)
	}
	if status, result, losses := s.status(id); status != debusine.Completed || result != debusine.Error || losses != store.MaxLosses {
		t.Errorf("%s %s, %d losses", status, result, losses)
	}
}

func TestAnAbortReachesTheWorkerWithItsHeartbeat(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	began, stopped := make(chan bool, 1), make(chan time.Time, 1)
	s.work(s.gateway, "one", secret, 1, func(ctx context.Context, _ store.Beginning) (debusine.Result, error) {
		began <- true
		for ctx.Err() == nil {
			beat(ctx)
		}
		stopped <- time.Now()
		return "", ctx.Err()
	})
	id, h := s.noop("x")
	<-began
	_, err := s.db.Abort(context.Background(), id, 1)
	must(t, err)
	aborted := time.Now()
	select {
	case at := <-stopped:
		t.Logf("the worker stopped after %s", at.Sub(aborted))
	case <-time.After(10 * time.Second):
		t.Fatal("the worker does not stop")
	}
	if o := s.outcome(h); o.Status != debusine.Aborted {
		t.Errorf("Temporal was told %+v", o)
	}
	within(t, 20*time.Second, "the attempt is over", func() bool {
		return s.count(`SELECT count(*) FROM attempts WHERE work_request_id = $1 AND ended_at IS NULL`, id) == 0
	})
}

func TestWhatIsGivenAndNotBegunIsVoidedAndGivenToAnother(t *testing.T) {
	s := newSite(t)
	_, dead := s.machine("dead", 1, "x")
	id, h := s.noop("x")
	got := s.poll(s.dial(s.gateway, dead), "dead", 10*time.Second)
	_, alive := s.machine("alive", 1, "x")
	s.work(s.gateway, "alive", alive, 1, succeed)
	began := time.Now()
	if o := s.outcome(h); !o.Succeeded() {
		t.Errorf("%+v", o)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	if n := s.count(`SELECT count(*) FROM voided_deliveries WHERE delivery = $1 AND work_request_id = $2`, d.ID(), id); n != 1 {
		t.Errorf("%d voided deliveries", n)
	}
	if b, err := s.db.Begin(context.Background(), d); err != nil || b.Verdict == store.RunIt {
		t.Errorf("a late begin is answered with %+v, %v", b, err)
	}
	if _, _, losses := s.status(id); losses != 0 {
		t.Errorf("%d losses are counted", losses)
	}
}

func TestAWorkerThatWaitsIsFoundByWorkThatComes(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	s.work(s.gateway, "one", secret, 1, succeed)
	_, h := s.noop("x") // the queue is known from now on
	s.outcome(h)
	time.Sleep(300 * time.Millisecond)
	before := s.gateway.Stats().Polls
	time.Sleep(1500 * time.Millisecond)
	if polls := s.gateway.Stats().Polls - before; polls != 0 {
		t.Errorf("%d polls without work", polls)
	}
	quickest := time.Hour // by the notification; without one it takes up to a second
	for range 5 {
		began := time.Now()
		_, h = s.noop("x")
		s.outcome(h)
		quickest = min(quickest, time.Since(began))
	}
	if quickest > 500*time.Millisecond {
		t.Errorf("it took %s", quickest)
	}
}

func TestAStoppingGatewayHandsBackAndAnotherGoesOn(t *testing.T) {
	s := newSite(t)
	other, stopOther := s.serve(nil)
	defer stopOther()
	_, one := s.machine("one", 1, "x")
	_, two := s.machine("two", 1, "x")
	var handles []handle
	s.work(s.gateway, "one", one, 1, slowly)
	s.work(other, "two", two, 1, slowly)
	for range 30 {
		_, h := s.noop("x")
		handles = append(handles, h)
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	s.stop()
	t.Logf("the gateway stopped after %s", time.Since(began))
	within(t, 20*time.Second, "everything is done", func() bool {
		return s.count(`SELECT count(*) FROM work_requests WHERE status <> 'completed'`) == 0
	})
	s.settle()
	for _, h := range handles {
		if o := s.outcome(h); !o.Succeeded() {
			t.Errorf("%+v", o)
		}
	}
	if open := s.count(`SELECT count(*) FROM attempts WHERE ended_at IS NULL`); open != 0 {
		t.Errorf("%d attempts are open", open)
	}
}

func TestAWorkerThatStopsHasNoTaskOnItsWay(t *testing.T) {
	s := newSite(t)
	_, one := s.machine("one", 4, "x")
	stop := s.work(s.gateway, "one", one, 4, succeed)
	_, h := s.noop("x")
	s.outcome(h)
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s: its polls were not ended", took)
	}
	_, h = s.noop("x")
	_, two := s.machine("two", 1, "x")
	s.work(s.gateway, "two", two, 1, succeed)
	s.outcome(h)
	if stats := s.gateway.Stats(); stats.HandedBack != 0 || stats.Given != 2 {
		t.Errorf("%+v", stats)
	}
}

// settle tells Temporal what nobody told it, as the server does.
func (s *site) settle() {
	s.t.Helper()
	untold, err := s.db.Untold(context.Background(), 0, 0)
	must(s.t, err)
	for _, u := range untold {
		result, err := converter.GetDefaultDataConverter().ToPayloads(task.Outcome{ID: u.ID, Status: u.Status, Result: u.Result})
		must(s.t, err)
		within(s.t, time.Minute, "Temporal takes it", func() bool {
			_, err = s.temporal.WorkflowService().RespondActivityTaskCompleted(context.Background(),
				&workflowservice.RespondActivityTaskCompletedRequest{Namespace: stack.Namespace, TaskToken: u.TaskToken, Result: result})
			return err == nil || errors.As(err, new(*serviceerror.NotFound)) // the gateway was quicker
		})
		s.t.Logf("work request %d is settled: %v", u.ID, err)
	}
}

func slowly(context.Context, store.Beginning) (debusine.Result, error) {
	time.Sleep(50 * time.Millisecond)
	return debusine.Success, nil
}

func TestAWorkerThatIsDisabledAndStopsIsNoLoss(t *testing.T) {
	s := newSite(t)
	worker, secret := s.machine("one", 1, "x")
	id, _ := s.noop("x")
	c := s.dial(s.gateway, secret)
	got := s.poll(c, "one", 10*time.Second)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	_, err = s.db.Begin(t.Context(), d)
	must(t, err)
	s.exec(`UPDATE workers SET enabled = false WHERE id = $1`, worker)
	within(t, 10*time.Second, "the worker is told to stop", func() bool {
		heard, err := c.RecordActivityTaskHeartbeat(t.Context(), &workflowservice.RecordActivityTaskHeartbeatRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
		must(t, err)
		return heard.CancelRequested
	})
	_, err = c.RespondActivityTaskFailed(t.Context(), &workflowservice.RespondActivityTaskFailedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	must(t, err)
	if status, _, losses := s.status(id); status != debusine.Pending || losses != 0 {
		t.Errorf("%s, %d losses", status, losses)
	}
}
