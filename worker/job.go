package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/activities/worker"
	"debusine/api"
	"debusine/crash"
	"debusine/task"
)

// beat is how often an attempt is heard; the SDK sends one every two seconds.
const beat = time.Second

// errDraining ends a job because this process stops.
var errDraining = errors.New("the worker stops")

// jobs does what the gateway hands out.
type jobs struct {
	home     Home
	doer     *workeract.Doer
	log      *slog.Logger
	stopping context.Context // ends when work in hand is to be given back
}

// do is the one dynamic activity of a worker: any task of the catalogue.
func (j *jobs) do(ctx context.Context, args converter.EncodedValues) (task.Outcome, error) {
	info := activity.GetInfo(ctx)
	var in task.WorkRequest
	if err := args.Get(&in); err != nil {
		return task.Outcome{}, failure(task.Cannot, err)
	}
	log := j.log.With("id", in.ID, "task", info.ActivityType.Name)
	answer, err := j.home.Begin(ctx, in.ID, info.TaskToken)
	if err != nil {
		log.Warn("could not begin", "error", err)
		return task.Outcome{}, failure(task.Cannot, err)
	}
	if answer.Decision != api.Run {
		log.Info("nothing to run", "decision", answer.Decision, "reason", answer.Reason)
		if answer.Decision == api.AlreadyEnded {
			return task.Outcome{ID: in.ID}, nil
		}
		return task.Outcome{}, failure(task.Cannot, errors.New(answer.Reason))
	}
	crash.Point(crash.Begun)
	log.Info("begins", "attempt", answer.Attempt)
	return task.Outcome{ID: in.ID}, j.attempt(ctx, log, in.ID, answer)
}

// attempt runs one attempt and records how it ended.
func (j *jobs) attempt(ctx context.Context, log *slog.Logger, id int64, b api.BeginAnswer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(j.stopping, func() { cancel(errDraining) })
	defer stop()
	go heartbeat(ctx)

	home := j.home.Attempt(id, b.Token)
	outcome, err := j.doer.Do(ctx, workeract.Job{WorkRequest: id, Task: b.TaskName, Data: b.TaskData, Dynamic: b.DynamicData,
		Workspace: b.Workspace, Limit: time.Duration(b.LimitSeconds) * time.Second}, home)
	switch {
	case errors.Is(context.Cause(ctx), errDraining):
		log.Info("gives the attempt back: the worker stops")
		return failure(task.Draining, errDraining)
	case ctx.Err() != nil:
		return j.aborted(context.WithoutCancel(ctx), log, home, context.Cause(ctx))
	case errors.As(err, new(workeract.UnknownTask)):
		return failure(task.Cannot, err)
	case err != nil:
		log.Error("the attempt broke", "error", err)
		return failure(task.WorkerError, err)
	}
	return j.complete(ctx, log, home, outcome)
}

func (j *jobs) complete(ctx context.Context, log *slog.Logger, home Attempt, outcome workeract.Outcome) error {
	output, err := json.Marshal(outcome.OutputData)
	if err != nil {
		return failure(task.WorkerError, err)
	}
	if err := home.Complete(ctx, string(outcome.Result), output); err != nil {
		log.Warn("the outcome was not recorded", "result", outcome.Result, "error", err)
		return failure(task.WorkerError, err)
	}
	crash.Point(crash.Recorded)
	log.Info("ends", "result", outcome.Result)
	return nil
}

// aborted closes an attempt that the server cancelled: by abort, or because it
// gave the work to another. Then nothing of ours is recorded.
func (j *jobs) aborted(ctx context.Context, log *slog.Logger, home Attempt, cause error) error {
	log.Info("stopped: aborted, or given to another worker", "cause", cause)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	output, _ := json.Marshal(debusine.OutputData{})
	err := home.Complete(ctx, string(debusine.Failure), output)
	if err != nil && !errors.As(err, new(debusine.Conflict)) {
		log.Warn("the end of an aborted attempt was not recorded", "error", err)
	}
	return context.Canceled
}

// heartbeat is heard by the gateway until the attempt is over; its answer
// carries cancellation.
func heartbeat(ctx context.Context) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		activity.RecordHeartbeat(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// failure is the one kind of error that the gateway understands.
func failure(kind string, err error) error {
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%.900s", err), kind, temporal.ApplicationErrorOptions{})
}
