package endtoend

import (
	"encoding/json"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
)

// A workflow that was aborted is retried in place: its old run is cancelled in
// Temporal, the new one plans what had not succeeded anew and comes to its end.
func TestAnAbortedWorkflowIsRetried(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	w, err := c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "noop", Workspace: "System",
		TaskData: map[string]json.RawMessage{"children": json.RawMessage("2"), "build_architecture": json.RawMessage(`"sh4"`)}})
	if err != nil {
		t.Fatal(err)
	}
	children := func() (open int) {
		for one, err := range c.WorkRequests(t.Context(), client.WorkRequestFilter{Parent: w.ID}) {
			if err == nil && one.Status == "pending" {
				open++
			}
		}
		return open
	}
	until(t, c, w.ID, 20*time.Second, "planned", func(api.WorkRequest) bool { return children() == 2 })
	if _, err := c.Abort(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if again, err := c.Retry(t.Context(), w.ID); err != nil || again.ID != w.ID {
		t.Fatalf("retried as %d: %v", again.ID, err)
	}
	until(t, c, w.ID, patient, "planned anew", func(now api.WorkRequest) bool { return now.Status == "running" && children() == 2 })
	h.join(t, "second-chance", "sh4", 1)
	if now := until(t, c, w.ID, patient, "ended", ended); now.Result != "success" {
		t.Errorf("ended with %q: %s", now.Result, now.OutputData)
	}
}
