package task

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"debusine"
)

// EndedSignal tells a workflow that a child ended which no activity or workflow of
// Temporal stands for: one that waited for a person. It carries an Outcome, and
// may come more than once.
const EndedSignal = "ended"

// serverSilence is after how long without a heartbeat the server's own task is
// given to another server.
const serverSilence = time.Minute

// WorkerOptions are the Temporal options of a worker task's activity, the same
// for a child of a workflow and for one that stands alone. Temporal's own
// attempts count nothing: it cannot tell a hand-back from a lost machine, we can.
func WorkerOptions(queue, name string) (limit, heartbeat time.Duration, retry *temporal.RetryPolicy) {
	limit = 12 * time.Hour
	if d, err := DefinitionOf(TypeOf(name), name); err == nil {
		limit = d.Limit
	}
	return limit + HeartbeatGrace, HeartbeatGrace, &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1}
}

// OnWorker asks a build machine, or a signing worker, for a planned child's work.
func OnWorker(ctx workflow.Context, start WorkflowStart, c Child) Future[Outcome] {
	limit, heartbeat, retry := WorkerOptions(c.Queue, c.Task)
	return onQueue(ctx, start, c, workflow.ActivityOptions{StartToCloseTimeout: limit, HeartbeatTimeout: heartbeat, RetryPolicy: retry})
}

// ByServer asks the server for a planned child's work.
func ByServer(ctx workflow.Context, start WorkflowStart, c Child) Future[Outcome] {
	limit := time.Hour
	if d, err := DefinitionOf(debusine.ServerTask, c.Task); err == nil {
		limit = d.Limit
	}
	return onQueue(ctx, start, c, workflow.ActivityOptions{StartToCloseTimeout: limit, HeartbeatTimeout: serverSilence,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}})
}

func onQueue(ctx workflow.Context, start WorkflowStart, c Child, o workflow.ActivityOptions) Future[Outcome] {
	o.TaskQueue, o.ActivityID, o.WaitForCancellation = c.Queue, ActivityID(start.Installation, c.ID), true
	o.Summary, o.Priority = fmt.Sprintf("%s (work request %d)", Plain(c.Summary), c.ID), priority(start)
	return Task[WorkRequest, Outcome]{Name: c.Task}.Do(ctx, o, WorkRequest{c.ID})
}

func priority(start WorkflowStart) temporal.Priority {
	return temporal.Priority{PriorityKey: PriorityKey(start.Priority), FairnessKey: FairnessKey(start.Scope, start.Workspace)}
}

// AsWorkflow runs a planned child that is a workflow, within the one that asks.
func AsWorkflow(ctx workflow.Context, start WorkflowStart, c Child) Future[Outcome] {
	within := start
	within.ID, within.Data = c.ID, c.Data
	return ChildWorkflow[WorkflowStart, Outcome](ctx, within, c.Task, c.Execution, fmt.Sprintf("%s (work request %d)", Plain(c.Summary), c.ID), within)
}

// ChildWorkflow runs a workflow of the name within the one that asks: it is
// cancelled with it, and an id that was used is not used again. start says what the
// Web UI finds it by, and its priority.
func ChildWorkflow[In, Out any](ctx workflow.Context, start WorkflowStart, name, id, summary string, in In) Future[Out] {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: id, WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, WaitForCancellation: true,
		ParentClosePolicy: enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL, Priority: priority(start), StaticSummary: summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(PlaceAttributes(start.Scope, start.Workspace, start.ID)...),
	})
	return Future[Out]{workflow.ExecuteChildWorkflow(ctx, name, in)}
}

// WithinID is the Temporal id of a workflow within another: of the step of that
// name, or of what surrounds it.
func WithinID(execution, step string) string { return execution + "/" + idWord(step) }
