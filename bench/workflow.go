package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/task"
)

const (
	children       = 8
	workflowRounds = 10
	// nobodys is an architecture that no worker of the bench has: what is
	// visible is then the workflow's doing, and no build disturbs.
	nobodys = "s390x"
)

// workflowChildren is how soon a workflow shows what it is going to do.
func workflowChildren(ctx context.Context, h *house) ([]Row, error) {
	var took []float64
	for round := range 2 + workflowRounds {
		d, err := h.fanOut(ctx)
		if err != nil {
			return nil, err
		}
		if round >= 2 {
			took = append(took, milliseconds(d))
		}
	}
	return []Row{newRow("workflow-8-children", median(took), "ms", atMost(150), 0)}, nil
}

// fanOut starts a workflow, waits until all of its children can be listed, and
// aborts it.
func (h *house) fanOut(ctx context.Context) (time.Duration, error) {
	data := map[string]json.RawMessage{"children": json.RawMessage(fmt.Sprint(children)), "build_architecture": json.RawMessage(`"` + nobodys + `"`)}
	began := time.Now()
	w, err := h.StartWorkflow(ctx, api.WorkflowCreate{TaskName: task.NoopWorkflow, Workspace: workspace, TaskData: data})
	if err != nil {
		return 0, err
	}
	for {
		seen, err := client.Collect(h.WorkRequests(ctx, client.WorkRequestFilter{Parent: w.ID}), 0)
		if err != nil {
			return 0, err
		}
		if len(seen) == children {
			break
		}
		if time.Since(began) > 30*time.Second {
			return 0, fmt.Errorf("workflow %d shows %d children of %d after 30 s", w.ID, len(seen), children)
		}
		if err := pause(ctx, pollPace); err != nil {
			return 0, err
		}
	}
	took := time.Since(began)
	_, err = h.Abort(ctx, w.ID)
	return took, err
}
