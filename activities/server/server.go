// Package server does what workflows ask of the trusted side: planning work
// requests, telling facts, recording ends. Each activity is one transaction of
// the store, idempotent, so that Temporal may repeat it.
package server

import (
	"context"
	"log/slog"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"debusine"
	"debusine/crash"
	"debusine/store"
	"debusine/task"
)

// Records is what the activities need of the store.
type Records interface {
	Plan(ctx context.Context, req task.PlanRequest) (task.Planned, error)
	SourceFacts(ctx context.Context, q task.SourceQuestion) (task.Source, error)
	FactsForSigning(ctx context.Context, q task.SourceQuestion) (task.SigningFacts, error)
	Outputs(ctx context.Context, q task.OutputQuestion) ([]task.Output, error)
	NoteRetry(ctx context.Context, n task.RetryNote) error
	UploadFacts(ctx context.Context, q task.UploadQuestion) (task.Uploadables, error)
	Conclude(ctx context.Context, c task.Conclusion) (task.Outcome, bool, error)
	OneAtATime(ctx context.Context, id int64, do func(context.Context) error) error
	BeginServerTask(ctx context.Context, id int64) (store.ServerJob, error)
	EndServerTask(ctx context.Context, id int64, result debusine.Result, output debusine.OutputData) (task.Outcome, error)
	Aborted(ctx context.Context, id int64) (bool, error)
}

// Schedules starts what schedules are for (orchestrator.Orchestrator).
type Schedules interface {
	Fire(ctx context.Context, f store.Firing) (debusine.ScheduleRun, error)
}

// Activities are the server's deeds.
type Activities struct {
	Records   Records
	Schedules Schedules
	Log       *slog.Logger
	Doers     map[string]Doer // of the server's own tasks, by name
}

// Register offers all of them to a Temporal worker.
func (a *Activities) Register(r worker.ActivityRegistry) {
	task.Plan.DoneBy(r, a.plan)
	task.SourceFacts.DoneBy(r, a.sourceFacts)
	task.FactsForSigning.DoneBy(r, telling(a.Records.FactsForSigning))
	task.Outputs.DoneBy(r, telling(a.Records.Outputs))
	task.Conclude.DoneBy(r, a.conclude)
	task.FireSchedule.DoneBy(r, a.fireSchedule)
	task.NoteRetry.DoneBy(r, a.noteRetry)
	task.UploadFacts.DoneBy(r, telling(a.Records.UploadFacts))
	for name, do := range a.Doers {
		task.Task[task.WorkRequest, task.Outcome]{Name: name}.DoneBy(r, a.doing(do))
	}
}

func (a *Activities) plan(ctx context.Context, req task.PlanRequest) (task.Planned, error) {
	req.Execution = activity.GetInfo(ctx).WorkflowExecution.ID
	planned, err := a.Records.Plan(ctx, req)
	if err != nil {
		return planned, lasting(err)
	}
	crash.Point(crash.Planned)
	for _, c := range planned.Children {
		a.Log.Info("work request", "to", debusine.Pending, "id", c.ID, "task", c.Task, "parent", req.Parent, "queue", c.Queue, "about", c.Summary)
	}
	return planned, nil
}

func (a *Activities) sourceFacts(ctx context.Context, q task.SourceQuestion) (task.Source, error) {
	s, err := a.Records.SourceFacts(ctx, q)
	return s, lasting(err)
}

// telling answers a question, and tells a fault from an outage.
func telling[In, Out any](ask func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := ask(ctx, in)
		return out, lasting(err)
	}
}

func (a *Activities) noteRetry(ctx context.Context, n task.RetryNote) (struct{}, error) {
	n.Execution = activity.GetInfo(ctx).WorkflowExecution.ID
	err := a.Records.NoteRetry(ctx, n)
	if err == nil {
		crash.Point(crash.Noted)
		a.Log.Info("retries", "parent", n.Parent, "step", n.Step, "stands", n.Stands, "number", n.Number, "of", len(n.Delays), "due", n.Due, "reason", n.Reason, "work_request", n.Failed)
	}
	return struct{}{}, lasting(err)
}

func (a *Activities) conclude(ctx context.Context, c task.Conclusion) (task.Outcome, error) {
	c.Execution = activity.GetInfo(ctx).WorkflowExecution.ID
	o, recorded, err := a.Records.Conclude(ctx, c)
	if recorded {
		a.Log.Info("work request", "to", o.Status, "id", o.ID, "result", o.Result)
	}
	return o, lasting(err)
}

// fireSchedule answers with what came of the moment; that nothing could be started
// is an answer too, and on record.
func (a *Activities) fireSchedule(ctx context.Context, f task.ScheduleFiring) (task.ScheduleOutcome, error) {
	crash.Point(crash.Fired)
	run, err := a.Schedules.Fire(ctx, store.Firing{Schedule: f.Schedule, At: f.At, Told: f.Told})
	return task.ScheduleOutcome{Outcome: run.Outcome, WorkRequest: run.WorkRequest, Message: run.Message}, lasting(err)
}

// lasting marks the faults that no retry mends; all else is an outage and will
// be tried again.
func lasting(err error) error {
	if debusine.IsFault(err) {
		return temporal.NewNonRetryableApplicationError(err.Error(), task.FaultType, nil)
	}
	return err
}
