package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"debusine/task"
)

// ScheduledStart tells the server of a moment of a schedule. All decisions, and
// the work request, are the server's: this may be lost or told twice.
func ScheduledStart(ctx workflow.Context, start task.ScheduleStart) (task.ScheduleOutcome, error) {
	told := workflow.GetInfo(ctx).WorkflowStartTime
	at, known := workflow.GetTypedSearchAttributes(ctx).GetTime(task.ScheduledAt)
	if !known { // started by hand, as an operator may
		at = told.Truncate(time.Second)
	}
	return task.FireSchedule.OnServer(ctx, task.ScheduleFiring{Schedule: start.Schedule, At: at.UTC(), Told: told.UTC()})
}
