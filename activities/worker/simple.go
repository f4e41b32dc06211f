package workeract

import (
	"context"
	"time"

	"debusine"
	"debusine/task"
)

// noop ends as it was told.
func noop(data *task.NoopData) (Outcome, error) {
	if data.Exception {
		return Outcome{}, Broken{}
	}
	if data.Result != nil && !*data.Result {
		return Outcome{Result: debusine.Failure}, nil
	}
	return Outcome{Result: debusine.Success}, nil
}

// sleep waits; a limit that comes first makes it a failure, as with builds.
func sleep(ctx context.Context, job Job, data *task.SleepData) (Outcome, error) {
	wanted := time.Duration(data.Seconds * float64(time.Second))
	timer := time.NewTimer(min(wanted, job.Limit))
	defer timer.Stop()
	start := time.Now()
	select {
	case <-ctx.Done():
		return Outcome{}, context.Cause(ctx)
	case <-timer.C:
	}
	seconds := whole(time.Since(start))
	outcome := Outcome{Result: debusine.Success, OutputData: debusine.OutputData{
		RuntimeStatistics: &debusine.RuntimeStatistics{Duration: seconds, DurationRun: seconds},
	}}
	if wanted > job.Limit {
		outcome.Result = debusine.Failure
		outcome.OutputData.Errors = []debusine.TaskError{overLimit(job.Limit)}
	}
	return outcome, nil
}
