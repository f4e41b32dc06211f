package workflows

import (
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// Story runs some steps as a workflow does, for tests of the frame itself.
func Story(ctx workflow.Context, start task.WorkflowStart, steps ...task.Step) (task.Outcome, error) {
	return runStory(ctx, start, "Waiting", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		outcomes, err := runSteps(ctx, start, b, steps...)
		return summarize(outcomes), debusine.OutputData{}, err
	})
}

// Retried runs some steps that are tried again after delays.
func Retried(ctx workflow.Context, start task.WorkflowStart, r task.Retries, steps ...task.Step) (task.Outcome, error) {
	return runStory(ctx, start, "Trying", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		outcomes, err := runRetried(ctx, start, b, r, steps...)
		return summarize(outcomes), debusine.OutputData{}, err
	})
}
