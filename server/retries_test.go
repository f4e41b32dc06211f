package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/task"
)

func TestRetriesAreShownAndChangedByThoseWhoMayRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var root api.WorkRequest
	w.want(201, w.owner, "POST", "workflow/", api.WorkflowCreate{TaskName: "noop", Workspace: "System"}, &root)
	planned, err := w.db.Plan(t.Context(), task.PlanRequest{Parent: root.ID, Steps: []task.Step{{Name: "noop-0", TaskName: "noop"}}})
	if err != nil {
		t.Fatal(err)
	}
	child := planned.Children[0].ID
	path := fmt.Sprintf("work-request/%d/", child)
	// What is not tried again cannot be changed.
	for _, verb := range []string{"retry-now/", "give-up/"} {
		w.want(409, w.owner, "POST", path+verb, nil, nil)
	}
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE work_requests SET status = 'completed', result = 'failure', completed_at = now() WHERE id = $1`, child); err != nil {
		t.Fatal(err)
	}
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE work_requests SET status = 'running' WHERE id = $1`, root.ID); err != nil {
		t.Fatal(err)
	}
	due := time.Date(2126, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := w.db.NoteRetry(t.Context(), task.RetryNote{Parent: root.ID, Step: "noop-0", Stands: "waiting", Number: 1, Delays: []string{"1h", "1d"}, Due: &due, Reason: "a failure of class network"}); err != nil {
		t.Fatal(err)
	}
	var shown, whole api.WorkRequest
	w.want(200, w.viewer, "GET", path, nil, &shown)
	if r := shown.Retry; r == nil || r.Number != 1 || r.Of != 2 || !r.Due.Equal(due) || shown.WaitingReason != "retry 1 of 2 is due at 2126-01-02 03:04:05 UTC, after a failure of class network" {
		t.Errorf("%+v, %q", r, shown.WaitingReason)
	}
	w.want(200, w.viewer, "GET", fmt.Sprintf("work-request/%d/", root.ID), nil, &whole)
	if whole.RuntimeStatus != "waiting" || whole.StepsToRetry != 1 || whole.WaitingReason != "a step waits to be tried again, the next at 2126-01-02 03:04:05 UTC" {
		t.Errorf("%q, %d, %q", whole.RuntimeStatus, whole.StepsToRetry, whole.WaitingReason)
	}
	for _, verb := range []string{"retry-now/", "give-up/", "retry-delays/"} {
		body := any(nil)
		if verb == "retry-delays/" {
			body = api.RetryDelays{Delays: []string{"5m"}}
		}
		w.want(404, "", "POST", path+verb, body, nil)
		w.want(403, w.viewer, "POST", path+verb, body, nil)
		w.want(404, w.owner, "POST", "work-request/999/"+verb, body, nil)
		w.want(200, w.maker, "POST", path+verb, body, nil)
	}
	w.want(400, w.maker, "POST", path+"retry-delays/", `{}`, nil)
	w.want(400, w.maker, "POST", path+"retry-delays/", `{"delays": "1h"}`, nil)
}

func TestWhatAWorkflowWaitsForIsASentence(t *testing.T) {
	due := time.Date(2126, 1, 2, 3, 4, 5, 0, time.UTC)
	if got := retryReason(debusine.WorkRequest{StepsToRetry: 200, NextRetry: &due}); !strings.HasPrefix(got, "200 steps wait to be tried again, the next at 2126-01-02") {
		t.Error(got)
	}
	if got := retryReason(debusine.WorkRequest{}); got != "" {
		t.Error(got)
	}
}
