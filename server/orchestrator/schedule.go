package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"debusine"
	"debusine/crash"
	"debusine/store"
)

// CreateSchedule makes a schedule on behalf of who asks, after all that a start
// now would ask for. Temporal is told next; when it is away the sweep will do it.
func (o *Orchestrator) CreateSchedule(ctx context.Context, s debusine.Schedule, who debusine.Principal, on debusine.Resource) (id int64, err error) {
	n, err := o.db.FromTemplate(ctx, who, on, s.Template, s.Data)
	if err != nil {
		return 0, err
	}
	if err := o.validate(ctx, &n); err != nil {
		return 0, fmt.Errorf("starting %s now: %w", s.Template, err)
	}
	s.WorkspaceID, s.CreatedByID = on.Workspace, who.UserID
	if id, err = o.db.CreateSchedule(ctx, s); err != nil {
		return 0, err
	}
	o.applySoon(ctx, id)
	return id, nil
}

// PauseSchedule stops a schedule, or lets it go on.
func (o *Orchestrator) PauseSchedule(ctx context.Context, id int64, paused bool) error {
	if err := o.db.PauseSchedule(ctx, id, paused); err != nil {
		return err
	}
	o.applySoon(ctx, id)
	return nil
}

// DeleteSchedule ends a schedule; what it started stays.
func (o *Orchestrator) DeleteSchedule(ctx context.Context, id int64) error {
	if err := o.db.DeleteSchedule(ctx, id); err != nil {
		return err
	}
	o.applySoon(ctx, id)
	return nil
}

// RunSchedule starts what a schedule is for now, besides its moments.
func (o *Orchestrator) RunSchedule(ctx context.Context, id int64) (debusine.ScheduleRun, error) {
	now := time.Now().UTC().Truncate(time.Microsecond) // as PostgreSQL keeps it
	return o.Fire(ctx, store.Firing{Schedule: id, At: now, Told: now, Manual: true})
}

// Fire starts what a schedule is for, once for each moment however often it is
// told, with the rights that the schedule's maker has now. That it cannot be
// started is recorded and no error, except to a person who asks for it.
func (o *Orchestrator) Fire(ctx context.Context, f store.Firing) (run debusine.ScheduleRun, err error) {
	s, id, err := o.fire(ctx, f)
	var decided store.Decided
	switch {
	case err == nil:
		run = debusine.ScheduleRun{At: f.At, Outcome: debusine.RunStarted, WorkRequest: &id, Manual: f.Manual, Status: debusine.Pending}
	case errors.As(err, &decided):
		run, err = decided.Run, nil
	case debusine.IsFault(err) && s.ID != 0:
		recorded, failed := o.db.FailRun(ctx, f, err.Error())
		if failed != nil {
			return run, failed
		}
		if run = recorded; !f.Manual {
			err = nil
		}
	default:
		return run, err
	}
	o.log.Info("schedule", "to", run.Outcome, "id", f.Schedule, "name", s.Name, "at", f.At, "work_request", id, "reason", run.Message)
	return run, err
}

// fire gives the schedule, once it is known that something is to be started.
func (o *Orchestrator) fire(ctx context.Context, f store.Firing) (s debusine.Schedule, id int64, err error) {
	if err := o.db.Decide(ctx, f); err != nil {
		return s, 0, err
	}
	if s, err = o.db.ScheduleByID(ctx, f.Schedule); err != nil {
		return s, 0, err
	}
	who, err := o.db.PrincipalOf(ctx, s.CreatedByID)
	if err != nil {
		return s, 0, err
	}
	w, err := o.db.WorkspaceByID(ctx, s.WorkspaceID)
	if err != nil {
		return s, 0, err
	}
	n, err := o.db.FromTemplate(ctx, who, w.Resource(), s.Template, s.Data)
	if err != nil {
		return s, 0, fmt.Errorf("on behalf of %s: %w", s.CreatedBy, err)
	}
	n.Run = &f
	id, err = o.StartWorkflow(ctx, n)
	return s, id, err
}

// applySoon tells Temporal of a change that was just committed.
func (o *Orchestrator) applySoon(ctx context.Context, id int64) {
	crash.Point(crash.Scheduled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.patience)
	defer cancel()
	s, err := o.db.ScheduleByID(ctx, id)
	if err == nil {
		err = o.apply(ctx, s)
	}
	if err != nil {
		o.log.Warn("left to the sweep: could not tell Temporal of a schedule", "id", id, "error", err)
	}
}

// applyLate tells Temporal of the changes that it does not have yet.
func (o *Orchestrator) applyLate(ctx context.Context) error {
	all, err := o.db.AllSchedules(ctx)
	for _, s := range all {
		if s.Applied != s.Revision || s.Deleted {
			err = errors.Join(err, o.apply(ctx, s))
		}
	}
	return err
}
