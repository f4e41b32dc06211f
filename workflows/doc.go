// Package workflows decides what to do next. Each file is one workflow: what it
// checks first (prepare), the story that it tells (run), and the pure decisions
// that it takes, which are tested without Temporal.
//
// A workflow does nothing itself. It asks the server to plan work requests
// (task.Plan), asks build machines to do them (task.OnWorker), and tells the
// server how it ended (task.Conclude). A build that fails is a result: the
// workflow then completes, for Temporal, with the result "failure". A cancelled
// one was aborted by a person; only a defect of ours is a failed one.
package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// Register offers all workflows to a Temporal worker, under Debusine's names.
func Register(r worker.WorkflowRegistry) {
	for name, fn := range map[string]any{
		task.SbuildWorkflow:             Sbuild,
		task.UpdateEnvironmentsWorkflow: UpdateEnvironments,
		task.NoopWorkflow:               Noop,
	} {
		r.RegisterWorkflowWithOptions(fn, workflow.RegisterOptions{Name: name})
	}
}

// runStory is the frame of every workflow: it runs the story and records how it
// ended. A fault, such as a missing environment, ends the work request with an
// error and its words; cancellation leaves the record to who aborted. The board
// shows in the Web UI how it goes.
func runStory(ctx workflow.Context, start task.WorkflowStart, about string, story func(workflow.Context, *board) (debusine.Result, debusine.OutputData, error)) (task.Outcome, error) {
	b := &board{root: start.ID, about: about}
	b.show(ctx)
	result, output, err := story(ctx, b)
	if err != nil {
		if temporal.IsCanceledError(err) || ctx.Err() != nil {
			b.finish(ctx, aborted)
			return task.Outcome{}, workflow.ErrCanceled
		}
		message, ours := faultOf(err)
		if ours {
			return task.Outcome{}, err
		}
		result = debusine.Error
		output.Errors = append(output.Errors, debusine.TaskError{Message: message, Code: "orchestrator-failed"})
	}
	b.finish(ctx, verdict(result, output))
	if err := workflow.UpsertTypedSearchAttributes(ctx, task.ResultAttribute(result)); err != nil {
		return task.Outcome{}, err
	}
	return task.Conclude.OnServer(ctx, task.Conclusion{ID: start.ID, Result: result, Output: output})
}

// faultOf gives the words of a fault that no retry mends; ours says that the
// error is a defect instead, which must fail the workflow for all to see.
func faultOf(err error) (message string, ours bool) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.Type() == task.FaultType {
		return app.Message(), false
	}
	return "", true
}

// window is how many children run at once; beyond it they follow one another.
const window = 100

// runChildren does the planned children, at most window at once, and gives
// their outcomes in order. What has ended already is not done again. The board
// shows each as it ends.
func runChildren(ctx workflow.Context, start task.WorkflowStart, b *board, children []task.Child) ([]task.Outcome, error) {
	outcomes := make([]task.Outcome, len(children))
	b.children, b.outcomes = children, outcomes
	selector := workflow.NewSelector(ctx)
	var failed error
	open := 0
	for i, c := range children {
		if c.Ended != nil {
			outcomes[i] = *c.Ended
			continue
		}
		if open == window {
			selector.Select(ctx)
			open--
		}
		selector.AddFuture(task.OnWorker(ctx, start, c).Future, func(f workflow.Future) {
			if err := f.Get(ctx, &outcomes[i]); err != nil && failed == nil {
				failed = err
			}
			b.show(ctx)
		})
		open++
	}
	b.show(ctx)
	for ; open > 0; open-- {
		selector.Select(ctx)
	}
	return outcomes, failed
}

// summarize is the result of a workflow whose children came to this: a success
// only when each succeeded. An aborted child makes it a failure.
func summarize(outcomes []task.Outcome) debusine.Result {
	for _, o := range outcomes {
		if !o.Succeeded() {
			return debusine.Failure
		}
	}
	return debusine.Success
}
