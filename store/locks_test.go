package store_test

import (
	"testing"
	"time"

	"debusine/task"
)

// A child that ends holds itself and then names its root in the items that it
// writes; an abort holds the root and then waits for the child.
func TestAnAbortAndAChildThatEndsDoNotLockOneAnotherOut(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{"children": 1}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop", Data: []byte(`{}`)}}})
	w.must(err)
	child := planned.Children[0].ID
	ending, err := w.Pool().Begin(t.Context())
	w.must(err)
	defer ending.Rollback(t.Context())
	_, err = ending.Exec(t.Context(), `UPDATE work_requests SET losses = losses WHERE id = $1`, child)
	w.must(err)
	aborted := make(chan error, 1)
	go func() {
		_, err := w.Abort(t.Context(), root, w.user)
		aborted <- err
	}()
	for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
		w.one(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`, &waiting)
	}
	_, err = ending.Exec(t.Context(), `
		INSERT INTO collection_items (collection_id, name, child_type, category, created_by_workflow, data)
		SELECT id, 'x', 'bare', 'debian:package-build-log', $1, '{"work_request_id": 1}' FROM collections WHERE name = '_'`, root)
	w.must(err)
	w.must(ending.Commit(t.Context()))
	w.must(<-aborted)
	w.wants(child, "aborted:")
}
