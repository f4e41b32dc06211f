package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/task"
)

// RetryNow ends the waiting for the next try of a step, or of all below a workflow
// that wait; it answers how many.
func (o *Orchestrator) RetryNow(ctx context.Context, id, user int64) (int, error) {
	return o.updateRetries(ctx, id, user, task.RetryNowUpdate)
}

// GiveUpRetries has a step, or all that wait below a workflow, not tried again.
func (o *Orchestrator) GiveUpRetries(ctx context.Context, id, user int64) (int, error) {
	return o.updateRetries(ctx, id, user, task.GiveUpUpdate)
}

// SetRetryDelays gives a step, or all that wait below a workflow, other delays.
func (o *Orchestrator) SetRetryDelays(ctx context.Context, id, user int64, delays []string) (int, error) {
	if err := task.CheckDelays(delays); err != nil {
		return 0, err
	}
	return o.updateRetries(ctx, id, user, task.RetryDelaysUpdate, delays)
}

// updateRetries sends an update to the workflow around each of the steps. What one
// of several refuses, since it waits no more, is not the others' matter.
func (o *Orchestrator) updateRetries(ctx context.Context, id, user int64, update string, args ...any) (done int, err error) {
	all, err := o.db.Retrying(ctx, id)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		err := o.updateRetry(ctx, r.Execution, update, args)
		if err != nil && (len(all) == 1 || !errors.As(err, new(debusine.Conflict))) {
			return done, err
		}
		if err == nil {
			done++
			o.log.Info("retries", "update", update, "work_request", id, "step", r.Step, "user", user, "delays", args)
		}
	}
	if done == 0 {
		return 0, debusine.Conflictf("nothing below work request %d waits for a next try any more", id)
	}
	return done, nil
}

func (o *Orchestrator) updateRetry(ctx context.Context, execution, update string, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, updateWithin)
	defer cancel()
	handle, err := o.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: execution, UpdateName: update, Args: args,
		WaitForStage: client.WorkflowUpdateStageCompleted})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	var (
		refused *temporal.ApplicationError
		gone    *serviceerror.NotFound
	)
	switch {
	case errors.As(err, &refused) && refused.Type() == task.FaultType:
		return debusine.Conflictf("%s", refused.Message())
	case errors.As(err, &gone):
		return debusine.Conflictf("there is no further try already")
	case err != nil && ctx.Err() != nil:
		return debusine.WithHint(debusine.Conflictf("the workflow does not answer yet"), "try again in some seconds; it may have been changed all the same")
	}
	return err
}

// updateWithin is how long a workflow may take to answer: it may have to be read
// anew after a restart, among many.
const updateWithin = 30 * time.Second
