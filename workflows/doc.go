// Package workflows decides what to do next. Each file is one workflow: what it
// checks first (prepare), the story that it tells (run), and the pure decisions
// that it takes, which are tested without Temporal.
//
// A workflow does nothing itself. It asks the server to plan work requests
// (task.Plan), has each done where its kind is done (children.go), and tells the
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
		task.PackageUploadWorkflow:      PackageUpload,
		task.UpdateEnvironmentsWorkflow: UpdateEnvironments,
		task.NoopWorkflow:               Noop,
		task.MakeSignedSourceWorkflow:   MakeSignedSource,
		task.ScheduledStart:             ScheduledStart,
		task.RetryWorkflow:              RetryWithDelays,
	} {
		r.RegisterWorkflowWithOptions(fn, workflow.RegisterOptions{Name: name})
	}
}

// runStory is the frame of every workflow: it runs the story and records how it
// ended. A fault, such as a missing environment, ends the work request with an
// error and its words; cancellation leaves the record to who aborted. The board
// shows in the Web UI how it goes.
func runStory(ctx workflow.Context, start task.WorkflowStart, about string, story func(workflow.Context, *board) (debusine.Result, debusine.OutputData, error)) (task.Outcome, error) {
	b := &board{root: start.ID, about: about, waits: listen(ctx)}
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
