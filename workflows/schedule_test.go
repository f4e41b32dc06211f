package workflows_test

import (
	"context"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

func TestAScheduledStartTellsItsMoment(t *testing.T) {
	at := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for name, known := range map[string]bool{"Temporal says which": true, "started by hand, it is now": false} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			env.SetStartTime(at.Add(time.Hour + time.Millisecond))
			if known {
				if err := env.SetTypedSearchAttributesOnStart(temporal.NewSearchAttributes(task.ScheduledAt.ValueSet(at))); err != nil {
					t.Fatal(err)
				}
			}
			var told task.ScheduleFiring
			task.FireSchedule.DoneBy(env, func(_ context.Context, f task.ScheduleFiring) (task.ScheduleOutcome, error) {
				told = f
				return task.ScheduleOutcome{Outcome: debusine.RunStarted}, nil
			})
			workflows.Register(env)
			env.ExecuteWorkflow(task.ScheduledStart, task.ScheduleStart{Schedule: 7})
			var out task.ScheduleOutcome
			if err := env.GetWorkflowResult(&out); err != nil || out.Outcome != debusine.RunStarted {
				t.Fatalf("%+v, %v", out, err)
			}
			want := at
			if !known {
				want = told.Told.Truncate(time.Second)
			}
			if told.Schedule != 7 || !told.At.Equal(want) || told.Told.Before(at) {
				t.Errorf("told %+v", told)
			}
		})
	}
}
