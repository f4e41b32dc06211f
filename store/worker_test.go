package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
)

func TestWorkersGetNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		names []string
	)
	for range 5 {
		all.Go(func() {
			w, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "M.Example.org"})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			names = append(names, w.Name)
		})
	}
	all.Wait()
	slices.Sort(names)
	if fmt.Sprint(names) != "[m-example-org m-example-org-2 m-example-org-3 m-example-org-4 m-example-org-5]" {
		t.Error(names)
	}
	secret := debusine.NewSecret()
	one, err := db.Register(ctx, store.Registration{Secret: secret, Name: "exact", Exact: true, Concurrency: 4})
	check(t, err)
	again, err := db.Register(ctx, store.Registration{Secret: secret, Name: "another"})
	if err != nil || again.ID != one.ID || one.Concurrency != 4 {
		t.Errorf("%+v %+v %v", one, again, err)
	}
	if _, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "exact", Exact: true}); !isConflict(err) {
		t.Error(err)
	}
	if _, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "..."}); !isInvalid(err) {
		t.Error(err)
	}
	if _, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "x", Activation: "nonsense"}); !isForbidden(err) {
		t.Error(err)
	}
}

func TestStrangersCannotFillTheTableOfWorkers(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	_, err := db.Pool().Exec(ctx, `INSERT INTO workers (name) SELECT 'w' || n FROM generate_series(1, 200) n`)
	check(t, err)
	if _, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "one-more"}); !isConflict(err) {
		t.Error(err)
	}
	if _, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "one-more", Enabled: true}); err != nil {
		t.Error(err)
	}
}

func TestTagsCountByWhoSaysThem(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	w, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: "w", Enabled: true})
	check(t, err)
	list := func(tags ...any) map[string]any { return map[string]any{"provided_tags": tags} }
	w, ignored, err := db.TellMetadata(ctx, w.ID, list("worker:build-arch:amd64", "worker:class:big"))
	if err != nil || fmt.Sprint(w.TagsProvided, ignored) != "[worker:build-arch:amd64] [worker:class:big]" {
		t.Fatal(w.TagsProvided, ignored, err)
	}
	static := list("worker:class:big")
	static["required_tags"] = []any{"task:workspace:debusine:System"}
	w, _, err = db.SetStaticMetadata(ctx, w.ID, static)
	if err != nil || fmt.Sprint(w.TagsProvided, w.TagsRequired) != "[worker:build-arch:amd64 worker:class:big] [task:workspace:debusine:System]" {
		t.Fatal(w.TagsProvided, w.TagsRequired, err)
	}
	// What the machine says later takes nothing of that away.
	w, _, err = db.TellMetadata(ctx, w.ID, list())
	if err != nil || fmt.Sprint(w.TagsProvided) != "[worker:class:big]" {
		t.Error(w.TagsProvided, err)
	}
	if _, _, err := db.TellMetadata(ctx, 999, nil); !isMissing(err) {
		t.Error(err)
	}
}

func TestAdministratorsChangeWorkersAndGates(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	id, worker, _ := attemptOf(t, db, "noop")
	off, drain, many := false, true, 300
	check(t, db.ChangeWorker(ctx, worker, store.WorkerChange{Enabled: &off, Draining: &drain}))
	w, err := db.Worker(ctx, worker)
	if err != nil || w.Enabled || !w.Draining || fmt.Sprint(w.Running) != fmt.Sprint([]int64{id}) {
		t.Errorf("%+v %v", w, err)
	}
	if err := db.ChangeWorker(ctx, worker, store.WorkerChange{Concurrency: &many}); !isInvalid(err) {
		t.Error(err)
	}
	if _, err := db.WorkerNamed(ctx, "none"); !isMissing(err) {
		t.Error(err)
	}
	queues, err := db.QueuesOf(ctx, w)
	if err != nil || len(queues) != 0 {
		t.Error("a worker without tags may have", queues, err)
	}
	check(t, db.SetGate(ctx, "task:workspace:debusine:System", true))
	check(t, db.SetGate(ctx, "task:workspace:debusine:System", true))
	if gates, err := db.Gates(ctx); err != nil || len(gates) != 1 {
		t.Error(gates, err)
	}
	check(t, db.SetGate(ctx, "task:workspace:debusine:System", false))
	if err := db.SetGate(ctx, "worker:class:big", true); !isInvalid(err) {
		t.Error(err)
	}
	s, err := db.Status(ctx)
	if err != nil || s.Running != 1 || s.Busy != 1 || s.Workers != 0 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestWorkRequestsAreListedByWhatTheyAre(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	running, worker, b := attemptOf(t, db, "noop")
	pending, _, _ := attemptOf(t, db, "noop")
	_, err := db.Pool().Exec(ctx, `UPDATE work_requests SET status = 'pending' WHERE id = $1`, pending)
	check(t, err)
	check(t, db.AppendLog(ctx, running, b.AttemptID, 0, []byte("x")))
	w, on, err := db.WorkRequest(ctx, running)
	if err != nil || w.Status != debusine.Running || *w.WorkerID != worker || w.Attempt != 1 || !w.HasLog || on.WorkRequest != running || w.TemporalID == "" {
		t.Errorf("%+v %+v %v", w, on, err)
	}
	cases := []struct {
		name string
		user int64
		f    store.WorkRequestFilter
		want []int64
	}{
		{"all, newest first", 1, store.WorkRequestFilter{}, []int64{pending, running}},
		{"by status", 1, store.WorkRequestFilter{Status: "pending"}, []int64{pending}},
		{"by id", 1, store.WorkRequestFilter{IDs: []int64{running, 999}}, []int64{running}},
		{"by no id", 1, store.WorkRequestFilter{IDs: []int64{}}, nil},
		{"by type", 1, store.WorkRequestFilter{TaskType: "Workflow"}, nil},
		{"roots of a scope", 1, store.WorkRequestFilter{RootOnly: true, Scope: "debusine", Workspace: "System"}, []int64{pending, running}},
		{"of another scope", 1, store.WorkRequestFilter{Scope: "kali"}, nil},
		{"before another", 1, store.WorkRequestFilter{Before: pending}, []int64{running}},
		{"for nobody", 0, store.WorkRequestFilter{}, nil},
	}
	for _, c := range cases {
		list, err := db.WorkRequests(ctx, c.user, c.f, 10)
		var ids []int64
		for _, w := range list {
			ids = append(ids, w.ID)
		}
		if err != nil || !slices.Equal(ids, c.want) {
			t.Errorf("%s: %v, wanted %v (%v)", c.name, ids, c.want, err)
		}
	}
	check(t, db.SetPriorityAdjustment(ctx, pending, -5))
	if w, _, err := db.WorkRequest(ctx, pending); err != nil || w.Priority() != -5 {
		t.Error(w.Priority(), err)
	}
}
