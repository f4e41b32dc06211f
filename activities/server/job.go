package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"debusine"
	"debusine/crash"
	"debusine/store"
	"debusine/task"
)

// Doer does one of the server's own tasks. An error is an outage, after which
// Temporal has it done again, perhaps by another server; a fault is a result, with
// its words. It never runs twice at once for one work request, but it may have
// been begun before and cut off anywhere: it looks at what is there first. When
// ctx ends it stops.
type Doer func(ctx context.Context, job store.ServerJob) (debusine.Result, debusine.OutputData, error)

// Doers are those that need nothing but their data.
func Doers() map[string]Doer { return map[string]Doer{"servernoop": noop} }

func noop(_ context.Context, job store.ServerJob) (debusine.Result, debusine.OutputData, error) {
	var data task.ServerNoopData
	if err := json.Unmarshal(job.Data, &data); err != nil {
		return "", debusine.OutputData{}, err
	}
	switch {
	case data.Exception:
		return "", debusine.OutputData{}, debusine.Invalidf("servernoop was told to break")
	case data.Result != nil && !*data.Result:
		return debusine.Failure, debusine.OutputData{}, nil
	}
	return debusine.Success, debusine.OutputData{}, nil
}

// serverBeat is how often an activity is heard, and asks whether it was aborted.
const serverBeat = 2 * time.Second

var errAborted = errors.New("the work request was aborted")

// doing makes an activity of a doer.
func (a *Activities) doing(do Doer) func(context.Context, task.WorkRequest) (task.Outcome, error) {
	return func(ctx context.Context, in task.WorkRequest) (o task.Outcome, err error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go a.beat(ctx, in.ID, cancel)
		err = a.Records.OneAtATime(ctx, in.ID, func(ctx context.Context) (err error) {
			o, err = a.once(ctx, in.ID, do)
			return err
		})
		if errors.Is(context.Cause(ctx), errAborted) {
			return task.Outcome{ID: in.ID, Status: debusine.Aborted}, nil
		}
		return o, lasting(err)
	}
}

func (a *Activities) once(ctx context.Context, id int64, do Doer) (task.Outcome, error) {
	job, err := a.Records.BeginServerTask(ctx, id)
	if err != nil || job.Ended != nil {
		if job.Ended != nil {
			return *job.Ended, nil
		}
		return task.Outcome{}, err
	}
	a.Log.Info("work request", "to", debusine.Running, "id", id, "task", job.TaskName)
	crash.Point(crash.Begun)
	result, output, err := do(ctx, job)
	if err != nil {
		if ctx.Err() != nil || !debusine.IsFault(err) {
			return task.Outcome{}, err
		}
		result = debusine.Error
		output.Errors = append(output.Errors, debusine.TaskError{Message: err.Error(), Code: "execute-failed"})
	}
	o, err := a.Records.EndServerTask(ctx, id, result, output)
	if err != nil {
		return o, err
	}
	crash.Point(crash.Recorded)
	a.Log.Info("work request", "to", o.Status, "id", id, "task", job.TaskName, "result", o.Result)
	return o, nil
}

// beat has the activity be heard, and ends it when a person aborted the work
// request alone, of which Temporal knows nothing.
func (a *Activities) beat(ctx context.Context, id int64, cancel context.CancelCauseFunc) {
	for {
		activity.RecordHeartbeat(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(serverBeat):
		}
		if aborted, err := a.Records.Aborted(ctx, id); err == nil && aborted {
			cancel(errAborted)
			return
		}
	}
}
