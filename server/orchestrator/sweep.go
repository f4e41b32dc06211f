package orchestrator

import (
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// How old a thing must be before the sweep doubts it: younger ones are still in
// somebody's hands.
const (
	sweepEvery  = time.Minute
	inFlight    = 10 * time.Second // between commit and start, end and answer
	longUnheld  = 30 * time.Second // due, and no worker began it
	longStarted = 15 * time.Second // given out by Temporal, and no worker began it
	longRunning = 2 * time.Minute  // before Temporal is asked whether it knows
	sweepBatch  = 500
)

// Sweep mends what a crash or an operator left: it starts what was committed
// and never started, tells Temporal of ends it missed, ends what Temporal says
// is over, hands back what was given out and nobody began, and makes Temporal's
// schedules what ours say.
func (o *Orchestrator) Sweep(ctx context.Context, age time.Duration) error {
	return errors.Join(
		o.startOutbox(ctx, 0, age),
		o.tell(ctx, 0, age),
		o.compare(ctx),
		o.unheld(ctx, age),
		o.compareSchedules(ctx),
		o.db.Tidy(ctx),
	)
}

// compare asks Temporal about everything that should be under way there.
func (o *Orchestrator) compare(ctx context.Context) error {
	var after int64
	for {
		starts, err := o.db.UnderWay(ctx, after, longRunning, sweepBatch)
		if err != nil || len(starts) == 0 {
			return err
		}
		for _, s := range starts {
			if err := o.compareOne(ctx, s); err != nil {
				return err
			}
			after = s.ID
		}
	}
}

func (o *Orchestrator) compareOne(ctx context.Context, s store.Start) error {
	var (
		closed, aborted bool
		word            string
		err             error
	)
	if s.TaskType == debusine.WorkflowTask {
		closed, aborted, word, err = o.workflowState(ctx, s)
	} else {
		closed, aborted, word, err = o.activityState(ctx, s)
	}
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		o.log.Warn("Temporal does not know a work request; it is started again", "id", s.ID, "temporal", s.TemporalID)
		return o.db.Unmark(ctx, s.ID)
	}
	if err != nil || !closed {
		return err
	}
	o.log.Warn("ended by Temporal's word", "id", s.ID, "temporal", s.TemporalID, "word", word)
	return o.db.EndByDecree(ctx, s.ID, s.TemporalID, aborted, "Temporal says that "+s.TemporalID+" is "+word+", and it was never ended here")
}

func (o *Orchestrator) workflowState(ctx context.Context, s store.Start) (closed, aborted bool, word string, err error) {
	d, err := o.temporal.DescribeWorkflowExecution(ctx, s.TemporalID, s.RunID)
	if err != nil {
		return false, false, "", err
	}
	status := d.WorkflowExecutionInfo.Status
	switch status {
	case enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_PAUSED, enumspb.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return false, false, "", nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		aborted = true
	}
	return true, aborted, status.String(), nil
}

func (o *Orchestrator) activityState(ctx context.Context, s store.Start) (closed, aborted bool, word string, err error) {
	d, err := o.temporal.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: s.TemporalID, RunID: s.RunID}).Describe(ctx, client.DescribeActivityOptions{})
	if err != nil {
		return false, false, "", err
	}
	switch d.Status {
	case enumspb.ACTIVITY_EXECUTION_STATUS_RUNNING, enumspb.ACTIVITY_EXECUTION_STATUS_UNSPECIFIED, enumspb.ACTIVITY_EXECUTION_STATUS_PAUSED:
		return false, false, "", nil
	case enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED, enumspb.ACTIVITY_EXECUTION_STATUS_TERMINATED:
		aborted = true
	}
	return true, aborted, d.Status.String(), nil
}

// unheld hands back what Temporal gave out and nobody began: the gateway that
// gave it died under the answer.
func (o *Orchestrator) unheld(ctx context.Context, age time.Duration) error {
	pending, err := o.db.PendingUnheld(ctx, max(age, min(longUnheld, age*3)), sweepBatch)
	if err != nil {
		return err
	}
	roots := map[string]map[string]time.Time{}
	for _, u := range pending {
		id := task.ActivityID(o.db.Installation(), u.ID)
		given, err := o.givenOut(ctx, u, id, roots)
		if err != nil {
			return err
		}
		if given.IsZero() || time.Since(given) < longStarted {
			continue
		}
		o.log.Warn("hands back what was given out and never begun", "id", u.ID, "given", given)
		_, err = o.temporal.WorkflowService().RespondActivityTaskFailedById(ctx, &workflowservice.RespondActivityTaskFailedByIdRequest{
			Namespace: o.namespace(), WorkflowId: u.RootID, RunId: runOf(u), ActivityId: id, Identity: identity,
			Failure: retryable(task.NeverBegun, "given out and never begun")})
		if err := known(err); err != nil {
			return err
		}
		if err := o.db.MakeDue(ctx, u.ID); err != nil {
			return err
		}
	}
	return nil
}

func runOf(u store.Untold) string {
	if u.RootID != "" {
		return u.RootRunID
	}
	return u.RunID
}

// givenOut says since when Temporal has the task given out; zero: it has not.
func (o *Orchestrator) givenOut(ctx context.Context, u store.Untold, id string, roots map[string]map[string]time.Time) (time.Time, error) {
	if u.RootID == "" {
		d, err := o.temporal.GetActivityHandle(client.GetActivityHandleOptions{ActivityID: u.TemporalID, RunID: u.RunID}).Describe(ctx, client.DescribeActivityOptions{})
		if known(err) != nil {
			return time.Time{}, err
		}
		if err != nil || d.RunState != enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return time.Time{}, nil
		}
		return d.LastStartedTime, nil
	}
	if roots[u.RootID] == nil {
		d, err := o.temporal.DescribeWorkflowExecution(ctx, u.RootID, u.RootRunID)
		if known(err) != nil {
			return time.Time{}, err
		}
		roots[u.RootID] = map[string]time.Time{}
		for _, a := range d.GetPendingActivities() {
			if a.State == enumspb.PENDING_ACTIVITY_STATE_STARTED {
				roots[u.RootID][a.ActivityId] = a.LastStartedTime.AsTime()
			}
		}
	}
	return roots[u.RootID][id], nil
}
