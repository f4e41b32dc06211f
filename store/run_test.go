package store_test

import (
	"testing"

	"debusine"
	"debusine/task"
)

// A workflow was retried while a server still worked for its run before.
func TestARunThatWasFollowedByARetryChangesNothing(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	var old, now string
	w.one(`SELECT temporal_id FROM work_requests WHERE id = $1`, &old, root)
	_, err := w.Abort(t.Context(), root, w.user)
	w.must(err)
	w.must(w.MarkTold(t.Context(), []int64{root}, nil))
	_, err = w.Retry(t.Context(), root, w.user)
	w.must(err)
	w.one(`SELECT temporal_id FROM work_requests WHERE id = $1`, &now, root)
	w.must(w.MarkStarted(t.Context(), root, old, "late"))
	starts, err := w.Outbox(t.Context(), root, 0)
	w.must(err)
	if len(starts) != 1 || starts[0].TemporalID != now {
		t.Fatalf("the new run is not in the outbox any more: %+v", starts)
	}
	steps := []task.Step{{Name: "one", TaskName: "noop"}}
	if _, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: steps, Execution: old}); !isConflict(err) {
		t.Errorf("the old run plans: %v", err)
	}
	var children int
	w.one(`SELECT count(*) FROM work_requests WHERE parent_id = $1`, &children, root)
	if children != 0 {
		t.Errorf("%d children are left of it", children)
	}
	w.must(w.MarkStarted(t.Context(), root, now, "new"))
	w.wants(root, string(debusine.Running)+":")
	if _, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: steps, Execution: now}); err != nil {
		t.Errorf("the new run: %v", err)
	}
}
