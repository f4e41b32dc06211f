package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/activities/worker"
	"debusine/api"
	"debusine/crash"
	"debusine/task"
)

// beat is how often an attempt is heard.
const beat = 2 * time.Second

// What ends a job early, beside an abort (context.Canceled: its log is kept).
var (
	errDraining = errors.New("the worker stops")
	errVoid     = errors.New("the work was given to another worker")
)

// heart is where an attempt is heard: the gateway, through the SDK's client.
type heart interface {
	RecordActivityHeartbeat(ctx context.Context, taskToken []byte, details ...any) error
}

// jobs does what the gateway hands out.
type jobs struct {
	home     Home
	heart    heart
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
	answer, err := j.begin(ctx, in.ID, info.TaskToken)
	if errors.Is(err, errDraining) {
		return task.Outcome{}, failure(task.Draining, err)
	}
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

// begin asks whether to run it, until the worker stops: a server that is away is
// asked for hours, and the SDK would wait for that.
func (j *jobs) begin(ctx context.Context, id int64, token []byte) (api.BeginAnswer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(j.stopping, func() { cancel(errDraining) })()
	answer, err := j.home.Begin(ctx, id, token)
	if err != nil && errors.Is(context.Cause(ctx), errDraining) {
		return answer, errDraining
	}
	return answer, err
}

// attempt runs one attempt and records how it ended. It does not run in the
// activity's own context: the SDK ends that when the gateway is away for two
// seconds, and a build of twelve hours must outlive an upgrade of the server.
func (j *jobs) attempt(ctx context.Context, log *slog.Logger, id int64, b api.BeginAnswer) error {
	token := activity.GetInfo(ctx).TaskToken
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(j.stopping, func() { cancel(errDraining) })()
	go j.beHeard(ctx, token, cancel)

	home := j.home.Attempt(id, b.Token)
	outcome, err := j.doer.Do(ctx, workeract.Job{WorkRequest: id, Task: b.TaskName, Data: b.TaskData, Dynamic: b.DynamicData,
		Workspace: b.Workspace, Limit: time.Duration(b.LimitSeconds) * time.Second}, home)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errDraining):
		log.Info("gives the attempt back: the worker stops")
		return failure(task.Draining, errDraining)
	case errors.Is(cause, errVoid):
		log.Warn("stopped: the work was given to another worker")
		return failure(task.WorkerError, errVoid)
	case cause != nil:
		return j.aborted(context.WithoutCancel(ctx), log, home, outcome.OutputData)
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
	log.Info("ends", "result", outcome.Result, "failure", outcome.OutputData.Failure.String())
	return nil
}

// aborted closes an attempt whose work request was aborted: the log is there
// already, what the attempt took is told, and what is said of the result is
// ignored.
func (j *jobs) aborted(ctx context.Context, log *slog.Logger, home Attempt, data debusine.OutputData) error {
	log.Info("stopped: aborted")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	output, err := json.Marshal(data)
	if err != nil {
		return failure(task.WorkerError, err)
	}
	if err := home.Complete(ctx, string(debusine.Failure), output); err != nil {
		log.Warn("the end of an aborted attempt was not recorded", "error", err)
		return failure(task.WorkerError, err)
	}
	return nil
}

// beHeard beats until the job is over. Only the gateway's own word ends a job:
// that it was aborted, or that this attempt is void. A gateway that is away says
// neither.
func (j *jobs) beHeard(ctx context.Context, token []byte, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		call, done := context.WithTimeout(ctx, 10*time.Second)
		err := j.heart.RecordActivityHeartbeat(call, token)
		done()
		var void *serviceerror.NotFound
		switch {
		case ctx.Err() != nil:
			return
		case temporal.IsCanceledError(err):
			cancel(nil)
			return
		case errors.As(err, &void):
			cancel(errVoid)
			return
		}
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
