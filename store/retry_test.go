package store_test

import (
	"testing"
	"time"

	"debusine"
	"debusine/task"
)

func (w *world) retry(id int64) debusine.WorkRequest {
	w.Helper()
	shown, _, err := w.WorkRequest(w.Context(), id)
	w.must(err)
	return shown
}

func TestHowAStepIsTriedAgainIsShown(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	execution := w.execution(root)
	step := task.Step{Name: "build", TaskName: "noop"}
	first := w.plan(root, execution+"/build", step)[0].ID
	w.endAs(first, "failure")
	w.exec(`UPDATE work_requests SET status = 'running' WHERE id = $1`, root)
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	note := task.RetryNote{Parent: root, Step: "build", Execution: execution + "/build", Stands: "waiting", Number: 1, Delays: []string{"1h", "1d"}, Due: &due, Reason: "a failure of class network"}
	w.must(w.NoteRetry(t.Context(), note))
	w.must(w.NoteRetry(t.Context(), note)) // as after a crash
	if r := w.retry(first).Retry; !r.Waits() || r.Number != 1 || r.Of != 2 || !r.Due.Equal(due) || r.Reason != note.Reason || len(r.Delays) != 2 {
		t.Errorf("%+v", r)
	}
	if r := w.retry(root); r.RuntimeStatus != "waiting" || r.StepsToRetry != 1 || r.NextRetry == nil || !r.NextRetry.Equal(due) || r.Retry != nil {
		t.Errorf("the workflow: %q, %d, %v", r.RuntimeStatus, r.StepsToRetry, r.NextRetry)
	}
	for _, id := range []int64{first, root} {
		if all, err := w.Retrying(t.Context(), id); err != nil || len(all) != 1 || all[0].Execution != execution+"/build" || all[0].Stands != "waiting" {
			t.Errorf("of %d: %+v, %v", id, all, err)
		}
	}
	// The next try takes the place of the first.
	note.Stands, note.Due = "trying", nil
	w.must(w.NoteRetry(t.Context(), note))
	step.Supersedes = first
	second := w.plan(root, execution+"/build", step)[0].ID
	if w.retry(first).Retry != nil || w.retry(second).Retry.String() != "this is retry 1 of 2" {
		t.Errorf("first %v, second %v", w.retry(first).Retry, w.retry(second).Retry)
	}
	if s := w.retry(root); s.RuntimeStatus != "pending" || s.StepsToRetry != 0 {
		t.Errorf("the workflow is %s", s.RuntimeStatus)
	}
	w.exec(`UPDATE work_requests SET status = 'running' WHERE id = $1`, second)
	if s := w.retry(root).RuntimeStatus; s != "running" {
		t.Errorf("the workflow is %s", s)
	}
	note.Stands, note.Reason = "over", "time does not mend a failure of class compile"
	w.must(w.NoteRetry(t.Context(), note))
	w.endAs(second, "failure")
	w.endAs(root, "failure")
	if s := w.retry(second).Retry.String(); s != "no further retry after 1 of 2: "+note.Reason {
		t.Error(s)
	}
	if s := w.retry(root).RuntimeStatus; s != "completed" {
		t.Errorf("the workflow is %s", s)
	}
}

func TestNobodyIsToldOfRetriesThatAreNot(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	old := w.execution(root) + "/build"
	id := w.plan(root, old, task.Step{Name: "build", TaskName: "noop"})[0].ID
	w.endAs(id, "failure")
	due := time.Now().Add(time.Hour)
	note := task.RetryNote{Parent: root, Step: "build", Execution: old, Stands: "waiting", Number: 1, Delays: []string{"1h"}, Due: &due}
	w.must(w.NoteRetry(t.Context(), note))
	if _, err := w.Abort(t.Context(), root, w.user); err != nil {
		t.Fatal(err)
	}
	if r := w.retry(id).Retry; r != nil {
		t.Errorf("of what was aborted: %v", r)
	}
	if all, err := w.Retrying(t.Context(), id); err == nil {
		t.Errorf("of what was aborted: %+v", all)
	}
	w.exec(`UPDATE work_requests SET temporal_closed = true WHERE id = $1`, root)
	if _, err := w.Retry(t.Context(), root, w.user); err != nil {
		t.Fatal(err)
	}
	// The run before notes nothing any more, and its notes are no news.
	w.must(w.NoteRetry(t.Context(), task.RetryNote{Parent: root, Step: "build", Execution: old, Stands: "over", Delays: []string{}, Reason: "late"}))
	var stands string
	w.one(`SELECT stands FROM retries WHERE parent_id = $1`, &stands, root)
	if stands != "waiting" {
		t.Errorf("the run before has noted %q", stands)
	}
	w.must(w.NoteRetry(t.Context(), task.RetryNote{Parent: 999_999, Step: "build", Execution: old, Stands: "over", Delays: []string{}}))
}

func TestTheClassOfAFailureTravelsWithItsOutcome(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	step := task.Step{Name: "build", TaskName: "noop"}
	id := w.plan(root, w.execution(root), step)[0].ID
	w.endAs(id, "failure")
	w.exec(`UPDATE work_requests SET output_data = '{"failure": {"class": "network", "mends_with_time": true}}' WHERE id = $1`, id)
	if o := w.plan(root, w.execution(root), step)[0].Ended; o == nil || o.Class != debusine.FailedNetwork || !o.Mends {
		t.Errorf("planned again: %+v", o)
	}
	untold, err := w.Untold(t.Context(), id, 0)
	if err != nil || len(untold) != 1 || untold[0].Class != debusine.FailedNetwork || !untold[0].Mends {
		t.Errorf("untold: %+v, %v", untold, err)
	}
	w.exec(`UPDATE work_requests SET output_data = '{"failure": {"class": 7, "mends_with_time": "yes"}}' WHERE id = $1`, id)
	if o := w.plan(root, w.execution(root), step)[0].Ended; o == nil || o.Mends {
		t.Errorf("of nonsense: %+v", o)
	}
}
