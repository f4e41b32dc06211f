package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/types/known/durationpb"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// identity is what Temporal's history shows for words of ours about workers.
const identity = "debusine-server"

// tellSoon tells Temporal of an abort at once; what fails is left to the sweep.
func (o *Orchestrator) tellSoon(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	if err := o.tell(ctx, id, 0); err != nil {
		o.log.Warn("left to the sweep: could not tell Temporal of an end", "id", id, "error", err)
	}
}

// tell makes ends known to Temporal that it may not know: of one work request
// and those below it, or with id 0 of all that ended longer ago than age.
func (o *Orchestrator) tell(ctx context.Context, id int64, age time.Duration) error {
	untold, err := o.db.Untold(ctx, id, age)
	if err != nil {
		return err
	}
	var requests, attempts []int64
	for _, u := range untold {
		e := o.tellOne(ctx, u)
		if errors.Is(e, errUnasked) {
			continue
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("work request %d: %w", u.ID, e))
			continue
		}
		if u.Status.Ended() {
			requests = append(requests, u.ID)
		}
		if u.Attempt != 0 {
			attempts = append(attempts, u.Attempt)
		}
	}
	return errors.Join(err, o.db.MarkTold(ctx, requests, attempts))
}

func (o *Orchestrator) tellOne(ctx context.Context, u store.Untold) error {
	switch {
	case u.TaskType == debusine.WorkflowTask && u.Status == debusine.Aborted:
		if u.TemporalID == "" { // within another
			return known(o.temporal.CancelWorkflow(ctx, u.RootID, u.RootRunID))
		}
		return known(o.temporal.CancelWorkflow(ctx, u.TemporalID, u.RunID))
	case u.TaskType == debusine.WorkflowTask:
		return nil // the workflow itself recorded its end
	case !u.Status.Ended():
		return o.handBack(ctx, u)
	case u.TaskType == debusine.WaitTask:
		return unlessYet(u, o.temporal.SignalWorkflow(ctx, u.RootID, u.RootRunID, task.EndedSignal, told(u)))
	case u.TemporalID == "":
		return o.completeChild(ctx, u)
	}
	return o.completeAlone(ctx, u)
}

// known takes "no such thing" as done: what Temporal does not have any more, it
// need not be told of.
func known(err error) error {
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

// handBack fails an attempt whose worker is lost or gave it back, so that
// Temporal gives the task out again.
func (o *Orchestrator) handBack(ctx context.Context, u store.Untold) error {
	kind := task.WorkerLost
	if u.Ending == "given-back" {
		kind = task.Draining
	}
	_, err := o.temporal.WorkflowService().RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{
		TaskToken: u.TaskToken, Namespace: o.namespace(), Identity: identity, Failure: retryable(kind, "the worker no longer has it"),
	})
	return known(err)
}

// retryable is a failure after which Temporal gives the task out again at once.
func retryable(kind, message string) *failurepb.Failure {
	return &failurepb.Failure{Message: message, FailureInfo: &failurepb.Failure_ApplicationFailureInfo{
		ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: kind, NextRetryDelay: durationpb.New(50 * time.Millisecond)}}}
}

func outcomeOf(u store.Untold) (*commonpb.Payloads, error) {
	return converter.GetDefaultDataConverter().ToPayloads(told(u))
}

func told(u store.Untold) task.Outcome {
	return task.Outcome{ID: u.ID, Status: u.Status, Result: u.Result, Class: u.Class, Mends: u.Mends}
}

func (o *Orchestrator) completeChild(ctx context.Context, u store.Untold) error {
	result, err := outcomeOf(u)
	if err != nil {
		return err
	}
	_, err = o.temporal.WorkflowService().RespondActivityTaskCompletedById(ctx, &workflowservice.RespondActivityTaskCompletedByIdRequest{
		Namespace: o.namespace(), WorkflowId: u.RootID, RunId: u.RootRunID, ActivityId: task.ActivityID(o.db.Installation(), u.ID),
		Result: result, Identity: identity,
	})
	return unlessYet(u, err)
}

// unlessYet is known, but for a workflow that is under way and may have yet to ask.
func unlessYet(u store.Untold, err error) error {
	if u.RootLives && errors.As(err, new(*serviceerror.NotFound)) {
		return errUnasked
	}
	return known(err)
}

// errUnasked: the workflow, which is under way, may have yet to ask for a child
// that it planned. It would wait for ever for one whose end it was not told.
var errUnasked = errors.New("the workflow has not asked for it")

// completeAlone completes a standalone activity by the token of its newest
// attempt; one that nobody holds is terminated.
func (o *Orchestrator) completeAlone(ctx context.Context, u store.Untold) error {
	if u.TaskToken != nil {
		result, err := outcomeOf(u)
		if err != nil {
			return err
		}
		_, err = o.temporal.WorkflowService().RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{
			TaskToken: u.TaskToken, Namespace: o.namespace(), Identity: identity, Result: result})
		if err == nil {
			return nil
		}
		if known(err) != nil {
			return err
		}
	}
	handle := o.temporal.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: u.TemporalID, RunID: u.RunID})
	err := known(handle.Terminate(ctx, client.TerminateActivityOptions{Reason: strings.TrimSpace(fmt.Sprintf("work request %d: %s %s", u.ID, u.Status, u.Result))}))
	if errors.As(err, new(*serviceerror.FailedPrecondition)) {
		// One that ended otherwise (a signing worker answers Temporal itself) cannot be terminated.
		if closed, _, _, failed := o.activityState(ctx, store.Start{TemporalID: u.TemporalID, RunID: u.RunID}); failed == nil && closed {
			return nil
		}
	}
	return err
}

func (o *Orchestrator) namespace() string { return o.space }
