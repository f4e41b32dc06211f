package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/task"
)

func TestAWorkersTokenIsGoodWhileItIsEnabledAndNotExpired(t *testing.T) {
	w := newWorld(t)
	token := func(secret string, worker int) {
		w.exec(`INSERT INTO tokens (token_type, hash, worker_id) VALUES ('worker', $1, $2)`, debusine.HashSecret(secret), w.workers[worker])
	}
	w.exec(`UPDATE workers SET tags_provided = '{a,b}', tags_required = '{c}', concurrency = 3 WHERE id = $1`, w.workers[0])
	w.exec(`UPDATE workers SET enabled = false WHERE id = $1`, w.workers[1])
	for i, secret := range []string{"zero", "one", "two"} {
		token(secret, i)
	}
	token("expired", 0)
	token("off", 0)
	w.exec(`UPDATE tokens SET expire_at = now() - interval '1 second' WHERE hash = $1`, debusine.HashSecret("expired"))
	w.exec(`UPDATE tokens SET enabled = false WHERE hash = $1`, debusine.HashSecret("off"))
	w.exec(`UPDATE workers SET worker_type = 'signing' WHERE id = $1`, w.workers[2])
	w.begin(w.deliver(w.create("noop", `{}`), 0))
	var hashes []string
	for _, secret := range []string{"zero", "one", "two", "expired", "off", "unknown"} {
		hashes = append(hashes, debusine.HashSecret(secret))
	}
	got, err := w.WorkersByToken(t.Context(), hashes)
	w.must(err)
	if len(got) != 2 || got[hashes[1]].Enabled {
		t.Errorf("%+v", got)
	}
	zero := got[hashes[0]]
	if zero.ID != w.workers[0] || !zero.Enabled || zero.Concurrency != 3 || zero.Held != 1 || !slices.Equal(zero.Provided, []string{"a", "b"}) || !slices.Equal(zero.Required, []string{"c"}) {
		t.Errorf("%+v", zero)
	}
	if one := got[hashes[1]]; len(one.Provided)+len(one.Required) != 0 {
		t.Errorf("one worker has another's tags: %+v", one)
	}
}

func TestReadyRowsAreTheBestOfTheQueuesThatAreAskedFor(t *testing.T) {
	w := newWorld(t)
	old := w.create("noop", `{}`)
	young := w.create("noop", `{}`)
	urgent := w.create("noop", `{"class": "big"}`)
	held := w.create("noop", `{}`)
	other := w.create("noop", `{"class": "other"}`)
	later := w.create("noop", `{}`)
	running := w.create("noop", `{}`)
	w.exec(`UPDATE work_requests SET priority_adjustment = 5 WHERE id = $1`, urgent)
	w.exec(`UPDATE work_requests SET due = now() + interval '1 hour' WHERE id = $1`, later)
	w.begin(w.deliver(running, 0))
	queues := []string{"build/amd64/noop", "build/amd64/noop+class:big"}
	rows, err := w.ReadyRows(t.Context(), queues, []int64{held}, nil, 10)
	w.must(err)
	want := []store.ReadyRow{{urgent, queues[1], 1}, {old, queues[0], 1}, {young, queues[0], 1}}
	if !slices.Equal(rows, want) {
		t.Errorf("%v, not %v", rows, want)
	}
	if rows, err = w.ReadyRows(t.Context(), queues, nil, nil, 2); err != nil || !slices.Equal(rows, want[:2]) {
		t.Errorf("of two: %v, %v", rows, err)
	}
	tags, err := w.AllQueues(t.Context())
	w.must(err)
	tags = slices.DeleteFunc(tags, func(q store.QueueTags) bool { return q.Name == task.SigningQueue }) // a migration's
	if len(tags) != 3 || tags[1].Name != queues[1] || !slices.Contains(tags[1].Required, "worker:class:big") {
		t.Errorf("queues %+v (of which one is for %d)", tags, other)
	}
}

func TestADeliveryIsVoidedOnlyBeforeItBegins(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	late, begun := w.deliver(id, 0), w.deliver(id, 1)
	waiting, err := w.NotBegun(t.Context(), []store.Delivery{late})
	w.must(err)
	if !slices.Equal(waiting, []int64{id}) {
		t.Errorf("not begun: %v", waiting)
	}
	if voided, err := w.VoidDelivery(t.Context(), late); err != nil || !voided {
		t.Errorf("%v, %v", voided, err)
	}
	if b := w.begin(late); b.Verdict != store.No {
		t.Errorf("a voided delivery begins: %+v", b)
	}
	if b := w.begin(begun); b.Verdict != store.RunIt {
		t.Fatalf("%+v", b)
	}
	if voided, err := w.VoidDelivery(t.Context(), begun); err != nil || voided {
		t.Errorf("what has begun is voided: %v, %v", voided, err)
	}
	if waiting, err = w.NotBegun(t.Context(), []store.Delivery{begun}); err != nil || len(waiting) > 0 {
		t.Errorf("not begun: %v, %v", waiting, err)
	}
}

// Of a begin and a voiding at the same moment exactly one wins.
func TestBeginAndVoidNeverBothHappen(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		d := w.deliver(w.create("noop", `{}`), 0)
		voided := make(chan bool)
		go func() {
			v, err := w.VoidDelivery(context.Background(), d)
			voided <- v && err == nil
		}()
		b, err := w.Begin(t.Context(), d)
		w.must(err)
		if v := <-voided; v == (b.Verdict == store.RunIt) {
			t.Fatalf("voided %v, verdict %s", v, b.Verdict)
		}
	}
}

func TestGivingBack(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		ending     store.Ending
		state      string
		attempt    string
		losses     int
		mayBeAgain bool
	}{
		"a draining worker's attempt is no loss": {store.GivenBack, "pending:", "given-back", 0, true},
		"a broken attempt is a loss":             {store.Broken, "pending:", "lost", 1, true},
	} {
		id := w.create("noop", `{}`)
		d := w.deliver(id, 0)
		b := w.begin(d)
		a, err := w.GiveBack(t.Context(), d, c.ending)
		w.must(err)
		var ending string
		var losses int
		w.one(`SELECT ending FROM attempts WHERE id = $1`, &ending, b.AttemptID)
		w.one(`SELECT losses FROM work_requests WHERE id = $1`, &losses, id)
		if a.Ended || a.Attempt != b.AttemptID || w.state(id) != c.state || ending != c.attempt || losses != c.losses {
			t.Errorf("%s: %+v, %s, %s, %d losses", name, a, w.state(id), ending, losses)
		}
		if again, err := w.GiveBack(t.Context(), d, store.Broken); err != nil || again.Ended || w.state(id) != c.state {
			t.Errorf("%s: said again: %+v, %v", name, again, err)
		}
		w.one(`SELECT losses FROM work_requests WHERE id = $1`, &losses, id)
		if losses != c.losses {
			t.Errorf("%s: said again, it is counted again", name)
		}
	}
}

func TestWhatIsNotItsOwnOrHasEndedIsNotGivenBack(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	d := w.deliver(id, 0)
	never := d
	never.TaskToken = []byte("another delivery")
	w.begin(d)
	foreign := d
	foreign.Worker = w.workers[1]
	if a, err := w.GiveBack(t.Context(), foreign, store.Broken); err != nil || a.Attempt != 0 || w.state(id) != "running:" {
		t.Errorf("another worker's: %+v, %v, %s", a, err, w.state(id))
	}
	if _, err := w.GiveBack(t.Context(), never, store.GivenBack); err != nil || w.state(id) != "running:" {
		t.Errorf("one that never began: %v, %s", err, w.state(id))
	}
	if n := 0; true {
		w.one(`SELECT count(*) FROM voided_deliveries WHERE delivery = $1`, &n, never.ID())
		if n != 1 {
			t.Error("a delivery that was given back before it began is not void")
		}
	}
	_, err := w.Abort(t.Context(), id, w.user)
	w.must(err)
	a, err := w.GiveBack(t.Context(), d, store.Broken)
	w.must(err)
	var losses, open int
	w.one(`SELECT losses FROM work_requests WHERE id = $1`, &losses, id)
	w.one(`SELECT count(*) FROM attempts WHERE ended_at IS NULL AND work_request_id = $1`, &open, id)
	if !a.Ended || a.Outcome.Status != debusine.Aborted || losses != 0 || open != 0 {
		t.Errorf("an aborted one: %+v, %d losses, %d open", a, losses, open)
	}
	if recorded, err := w.Recorded(t.Context(), d); err != nil || recorded != a {
		t.Errorf("recorded %+v, %v", recorded, err)
	}
	if _, err := w.GiveBack(t.Context(), store.Delivery{WorkRequest: 999_999}, store.Broken); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("one that does not exist: %v", err)
	}
}

func TestTheThirdBreakageEndsTheWorkRequest(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	for n := 1; n <= store.MaxLosses; n++ {
		d := w.deliver(id, 0)
		w.begin(d)
		a, err := w.GiveBack(t.Context(), d, store.Broken)
		w.must(err)
		if a.Ended != (n == store.MaxLosses) {
			t.Fatalf("after %d: %+v", n, a)
		}
	}
	w.wants(id, "completed:error")
}

func TestAHeartbeatKeepsAnAttemptAliveAndHearsOfAnAbort(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	d := w.deliver(id, 0)
	hear := func() (store.Hearing, error) { return w.Heard(t.Context(), d, time.Minute) }
	if h, err := hear(); err != nil || h != (store.Hearing{}) {
		t.Errorf("before it begins: %+v, %v", h, err)
	}
	b := w.begin(d)
	w.silence(b.AttemptID)
	if h, err := hear(); err != nil || h != (store.Hearing{}) {
		t.Errorf("%+v, %v", h, err)
	}
	if lost, err := w.LoseSilent(t.Context()); err != nil || len(lost) > 0 {
		t.Errorf("lost although heard: %v, %v", lost, err)
	}
	w.exec(`UPDATE attempts SET passed_on_at = now() - interval '2 minutes' WHERE id = $1`, b.AttemptID)
	if h, _ := hear(); !h.PassOn {
		t.Error("it is not passed on")
	}
	if h, _ := hear(); h.PassOn {
		t.Error("it is passed on twice")
	}
	w.must(w.NotPassedOn(t.Context(), d))
	if h, _ := hear(); !h.PassOn {
		t.Error("what failed is not passed on again")
	}
	_, err := w.Abort(t.Context(), id, w.user)
	w.must(err)
	if h, err := hear(); err != nil || !h.Aborted {
		t.Errorf("after an abort: %+v, %v", h, err)
	}
	_, err = w.GiveBack(t.Context(), d, store.GivenBack)
	w.must(err)
	if _, err := hear(); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("an attempt that has ended is heard: %v", err)
	}
	foreign := d
	foreign.Worker = w.workers[1]
	if _, err := w.Heard(t.Context(), foreign, time.Minute); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("another worker is heard: %v", err)
	}
}

func TestWorkThatBecomesReadyIsTold(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 10)
	done := make(chan error, 1)
	go func() { done <- w.ListenReady(ctx, func(queue string) { told <- queue }) }()
	next := func() string {
		select {
		case queue := <-told:
			return queue
		case <-time.After(5 * time.Second):
			return "nothing"
		}
	}
	if got := next(); got != "" {
		t.Fatalf("first told %q", got)
	}
	id := w.create("noop", `{}`)
	if got := next(); got != "build/amd64/noop" {
		t.Errorf("a new one: told %q", got)
	}
	d := w.deliver(id, 0)
	w.begin(d)
	_, err := w.GiveBack(t.Context(), d, store.GivenBack)
	w.must(err)
	if got := next(); got != "build/amd64/noop" {
		t.Errorf("one that was given back: told %q", got)
	}
	w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen wr' AND datname = current_database()`)
	if err := <-done; err == nil || ctx.Err() != nil {
		t.Errorf("the connection broke and nobody says so: %v", err)
	}
	cancel()
}
