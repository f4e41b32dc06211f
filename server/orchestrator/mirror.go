package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/task"
)

// apply makes Temporal's schedule what the row says. Doing it twice is harmless.
func (o *Orchestrator) apply(ctx context.Context, s debusine.Schedule) error {
	handle := o.temporal.ScheduleClient().GetHandle(ctx, task.ScheduleID(o.db.Installation(), s.ID, s.Name))
	if s.Deleted {
		if err := known(handle.Delete(ctx)); err != nil {
			return fmt.Errorf("deleting schedule %d: %w", s.ID, err)
		}
		return o.db.ForgetSchedule(ctx, s.ID)
	}
	options := o.mirrorOf(s)
	err := handle.Update(ctx, client.ScheduleUpdateOptions{DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		if mirrors(in.Description.Schedule, options) {
			return nil, temporal.ErrSkipScheduleUpdate
		}
		return &client.ScheduleUpdate{Schedule: &client.Schedule{Action: options.Action, Spec: &options.Spec, State: &client.ScheduleState{Paused: options.Paused},
			Policy: &client.SchedulePolicies{Overlap: options.Overlap, CatchupWindow: options.CatchupWindow}}}, nil
	}})
	if errors.As(err, new(*serviceerror.NotFound)) {
		_, err = o.temporal.ScheduleClient().Create(ctx, options)
	}
	var refused *serviceerror.InvalidArgument
	if errors.As(err, &refused) {
		o.log.Warn("Temporal refuses a schedule", "id", s.ID, "name", s.Name, "error", err)
		return o.db.MarkScheduleApplied(ctx, s.ID, s.Revision, refused.Message)
	}
	if err != nil {
		return fmt.Errorf("telling Temporal of schedule %d: %w", s.ID, err)
	}
	return o.db.MarkScheduleApplied(ctx, s.ID, s.Revision, "")
}

// mirrorOf is the schedule that Temporal is to have.
func (o *Orchestrator) mirrorOf(s debusine.Schedule) client.ScheduleOptions {
	options := client.ScheduleOptions{
		ID: task.ScheduleID(o.db.Installation(), s.ID, s.Name), Paused: s.Paused, CatchupWindow: s.CatchUp(),
		Overlap: enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		Action: &client.ScheduleWorkflowAction{ID: task.ScheduledStartID(o.db.Installation(), s.ID, s.Name), Workflow: task.ScheduledStart,
			TaskQueue: task.ServerQueue, Args: []any{task.ScheduleStart{Schedule: s.ID}},
			StaticSummary: task.Plain(fmt.Sprintf("Schedule %s of %s/%s: start %s", s.Name, s.Scope, s.Workspace, s.Template))},
	}
	if s.Every > 0 {
		options.Spec.Intervals = []client.ScheduleIntervalSpec{{Every: s.Every, Offset: s.Offset()}}
	} else {
		options.Spec.CronExpressions = []string{s.Cron}
	}
	return options
}

// mirrors says whether what Temporal has is what it is to have. It keeps a cron
// expression as the sets of its fields.
func mirrors(have client.Schedule, want client.ScheduleOptions) bool {
	if have.Spec == nil || have.State == nil || have.Policy == nil || have.State.Paused != want.Paused || have.State.LimitedActions ||
		have.Policy.Overlap != want.Overlap || have.Policy.CatchupWindow != want.CatchupWindow {
		return false
	}
	if len(have.Spec.Skip) > 0 || !slices.Equal(have.Spec.Intervals, want.Spec.Intervals) || len(have.Spec.Calendars) != len(want.Spec.CronExpressions) {
		return false
	}
	for i, text := range want.Spec.CronExpressions {
		cron, err := debusine.ParseCron(text)
		if c := have.Spec.Calendars[i]; err != nil || cron != (debusine.Cron{bits(c.Minute), bits(c.Hour), bits(c.DayOfMonth), bits(c.Month), bits(c.DayOfWeek)}) ||
			len(c.Year) > 0 || bits(c.Second) != 1 {
			return false
		}
	}
	return sameAction(have.Action, want.Action)
}

func sameAction(have, want client.ScheduleAction) bool {
	h, ok := have.(*client.ScheduleWorkflowAction)
	w, _ := want.(*client.ScheduleWorkflowAction)
	if !ok || h.ID != w.ID || h.Workflow != w.Workflow || h.TaskQueue != w.TaskQueue || len(h.Args) != 1 {
		return false
	}
	payload, ok := h.Args[0].(*commonpb.Payload)
	var start task.ScheduleStart
	return ok && converter.GetDefaultDataConverter().FromPayload(payload, &start) == nil && start == w.Args[0]
}

func bits(ranges []client.ScheduleRange) (set uint64) {
	for _, r := range ranges {
		for v := r.Start; v <= max(r.End, r.Start) && v < 64; v += max(r.Step, 1) {
			set |= 1 << v
		}
	}
	return set
}

// compareSchedules makes Temporal's schedules those of the rows: missing ones are
// made, changed ones mended, and those of which there is no row removed.
func (o *Orchestrator) compareSchedules(ctx context.Context) error {
	// Theirs first: what is made meanwhile then has a row for sure.
	theirs, err := o.theirSchedules(ctx)
	if err != nil {
		return err
	}
	rows, err := o.db.AllSchedules(ctx)
	if err != nil {
		return err
	}
	for _, s := range rows {
		delete(theirs, task.ScheduleID(o.db.Installation(), s.ID, s.Name))
		err = errors.Join(err, o.apply(ctx, s))
	}
	for id := range theirs {
		o.log.Warn("Temporal has a schedule that nobody made; it is removed", "temporal", id)
		err = errors.Join(err, known(o.temporal.ScheduleClient().GetHandle(ctx, id).Delete(ctx)))
	}
	return err
}

// theirSchedules are the ids of Temporal's schedules of this installation.
func (o *Orchestrator) theirSchedules(ctx context.Context) (map[string]bool, error) {
	list, err := o.temporal.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 500})
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for list.HasNext() {
		one, err := list.Next()
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(one.ID, task.SchedulePrefix(o.db.Installation())) {
			ids[one.ID] = true
		}
	}
	return ids, nil
}

// NextRuns are the next moments of a schedule, as Temporal counts them.
func (o *Orchestrator) NextRuns(ctx context.Context, s debusine.Schedule) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	d, err := o.temporal.ScheduleClient().GetHandle(ctx, task.ScheduleID(o.db.Installation(), s.ID, s.Name)).Describe(ctx)
	if err != nil {
		return nil, known(err)
	}
	return d.Info.NextActionTimes, nil
}
