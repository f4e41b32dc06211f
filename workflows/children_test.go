package workflows_test

import (
	"encoding/json"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

func TestNoopsRunWhereTheirKindRuns(t *testing.T) {
	h := newHouse(t)
	o := h.run(t, "noop", `{"children": 1, "server_children": 2, "workflows": 1}`)
	if o.Result != debusine.Success || len(h.planned) != 5 || len(h.asked) != 4 {
		t.Fatalf("outcome %+v, planned %+v, asked %v", o, h.planned, h.asked)
	}
	if h.queues["servernoop-1"] != "build/servernoop-1" || h.asked[104] != "wr/test/104" {
		t.Errorf("queues %v, asked %v", h.queues, h.asked)
	}
}

func TestAFailureWithinIsOneOfTheWhole(t *testing.T) {
	h := newHouse(t)
	h.results["noop-0"] = debusine.Failure
	if o := h.run(t, "noop", `{"workflows": 1, "children": 1}`); o.Result != debusine.Failure {
		t.Errorf("outcome %+v", o)
	}
}

// waiter is a workflow with a child that waits for a person.
func waiter(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	return workflows.Story(ctx, start, task.Step{Name: "wait", TaskName: "externaldebsign", Data: json.RawMessage(`{"unsigned": 1}`)})
}

func TestWhatWaitsForAPersonEndsByTheServersWord(t *testing.T) {
	for name, c := range map[string]struct {
		when time.Duration
		says []task.Outcome
		want debusine.Result
	}{
		"it ends while it is waited for":  {time.Hour, []task.Outcome{{ID: 100, Status: debusine.Completed, Result: debusine.Success}}, debusine.Success},
		"the word comes before the wait":  {0, []task.Outcome{{ID: 100, Status: debusine.Completed, Result: debusine.Success}}, debusine.Success},
		"the first word counts":           {time.Hour, []task.Outcome{{ID: 100, Status: debusine.Completed, Result: debusine.Failure}, {ID: 100, Status: debusine.Completed, Result: debusine.Success}}, debusine.Failure},
		"words about others do not count": {time.Hour, []task.Outcome{{ID: 5, Status: debusine.Completed, Result: debusine.Failure}, {ID: 100, Status: debusine.Running}, {ID: 100, Status: debusine.Completed, Result: debusine.Success}}, debusine.Success},
		"a person aborts it":              {time.Hour, []task.Outcome{{ID: 100, Status: debusine.Aborted}}, debusine.Failure},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.RegisterWorkflowWithOptions(waiter, workflow.RegisterOptions{Name: "waiter"})
			h.RegisterDelayedCallback(func() {
				for _, o := range c.says {
					h.SignalWorkflow(task.EndedSignal, o)
				}
			}, c.when)
			if o := h.run(t, "waiter", `{}`); o.Result != c.want {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestAWorkflowThatWaitsCanBeAborted(t *testing.T) {
	h := newHouse(t)
	h.RegisterWorkflowWithOptions(waiter, workflow.RegisterOptions{Name: "waiter"})
	h.RegisterDelayedCallback(h.CancelWorkflow, time.Hour)
	h.ExecuteWorkflow("waiter", task.WorkflowStart{ID: 7, Data: json.RawMessage(`{}`)})
	if err := h.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v", err)
	}
}
