package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	failures "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// RespondActivityTaskCompleted tells Temporal the outcome that is recorded for
// the work request; what the worker says is not looked at. Without a recorded
// outcome it is refused. The worker is answered before Temporal is told: the
// record is what counts, and whoever finds Temporal untold tells it again.
func (s *service) RespondActivityTaskCompleted(ctx context.Context, r *workflowservice.RespondActivityTaskCompletedRequest) (*workflowservice.RespondActivityTaskCompletedResponse, error) {
	c := callerOf(ctx)
	d, err := s.opened(c, r.GetNamespace(), r.GetTaskToken())
	if err != nil {
		return nil, err
	}
	recorded, err := s.g.DB.Recorded(ctx, d)
	if err != nil {
		return nil, err
	}
	if !recorded.Ended {
		return nil, status.Errorf(codes.FailedPrecondition, "no outcome of work request %d is recorded (hint: PUT work-request/%d/completed/ comes first)", d.WorkRequest, d.WorkRequest)
	}
	if recorded.Outcome.Status == debusine.Aborted {
		// The attempt may be open still: its worker has stopped, so it is over.
		if recorded, err = s.g.DB.GiveBack(ctx, d, store.GivenBack); err != nil {
			return nil, err
		}
	}
	s.g.ended(c, d, recorded)
	return &workflowservice.RespondActivityTaskCompletedResponse{}, nil
}

// RespondActivityTaskFailed ends an attempt that came to no outcome and has
// Temporal give the task out again.
func (s *service) RespondActivityTaskFailed(ctx context.Context, r *workflowservice.RespondActivityTaskFailedRequest) (*workflowservice.RespondActivityTaskFailedResponse, error) {
	c := callerOf(ctx)
	d, err := s.opened(c, r.GetNamespace(), r.GetTaskToken())
	if err != nil {
		return nil, err
	}
	why, text := reason(r.GetFailure())
	if !c.Enabled {
		why = task.Draining // we told it to stop, and refused its outcome: no loss
	}
	if err := s.g.unfinished(ctx, c, d, why, text); err != nil {
		return nil, err
	}
	return &workflowservice.RespondActivityTaskFailedResponse{}, nil
}

// RespondActivityTaskCanceled is how a worker answers that was told to stop. If
// the work request goes on nevertheless, its attempt broke.
func (s *service) RespondActivityTaskCanceled(ctx context.Context, r *workflowservice.RespondActivityTaskCanceledRequest) (*workflowservice.RespondActivityTaskCanceledResponse, error) {
	c := callerOf(ctx)
	d, err := s.opened(c, r.GetNamespace(), r.GetTaskToken())
	if err != nil {
		return nil, err
	}
	why := task.WorkerError
	if !c.Enabled {
		why = task.Draining // we told it to stop
	}
	if err := s.g.unfinished(ctx, c, d, why, "the worker stopped"); err != nil {
		return nil, err
	}
	return &workflowservice.RespondActivityTaskCanceledResponse{}, nil
}

// unfinished records that an attempt ended without outcome and tells Temporal: to
// give the task out again, or the outcome when there is one meanwhile.
func (g *Gateway) unfinished(ctx context.Context, c caller, d store.Delivery, why, text string) error {
	ending := store.Broken
	if why == task.Draining || why == task.Cannot {
		ending = store.GivenBack
	}
	recorded, err := g.DB.GiveBack(ctx, d, ending)
	if err != nil {
		return err
	}
	if recorded.Ended {
		g.ended(c, d, recorded)
		return nil
	}
	g.Log.Info("work was given back", "work_request", d.WorkRequest, "worker", c.Name, "why", why, "text", text)
	g.planner.tell(func() {
		g.planner.dirty = true
		if g.planner.begun(d); why != task.Draining {
			g.planner.answered(d)
		}
	})
	// A draining worker's task goes to the next at once; what is broken must not
	// go round too fast, so Temporal's own interval holds.
	delay := time.Duration(0)
	if why == task.Draining {
		delay = quickReturn
	}
	g.aside(func() {
		err := g.failUpstream(WorkerQueue(c.Name), d, why, text, delay)
		g.told(d, err, nil, recorded.Attempt)
	})
	return nil
}

// ended tells Temporal the outcome, beside the call.
func (g *Gateway) ended(c caller, d store.Delivery, recorded store.Answer) {
	g.planner.tell(func() { g.planner.answered(d) })
	g.aside(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
		defer cancel()
		result, err := converter.GetDefaultDataConverter().ToPayloads(recorded.Outcome)
		if err == nil {
			_, err = g.Temporal.RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{
				TaskToken: d.TaskToken, Result: result, Namespace: g.Namespace, Identity: WorkerQueue(c.Name)})
		}
		g.told(d, err, &d.WorkRequest, recorded.Attempt)
	})
}

// told marks an end as known to Temporal. When it could not be told, the mark
// stays away and the settling of untold ends does it.
func (g *Gateway) told(d store.Delivery, err error, workRequest *int64, attempt int64) {
	switch {
	case err == nil:
		g.marks.told(workRequest, attempt)
	case errors.As(err, new(*serviceerror.NotFound)): // told already, or given to another since
	default:
		g.quietly("told", "Temporal could not be told of an end; it will be", "work_request", d.WorkRequest, "error", err)
	}
}

// reason reduces a failure to a type from the fixed list and a short text.
func reason(f *failures.Failure) (why, text string) {
	why = task.WorkerError
	switch kind := f.GetApplicationFailureInfo().GetType(); kind {
	case task.Draining, task.Cannot:
		why = kind
	}
	text = strings.ToValidUTF8(clip(f.GetMessage(), longestText), "")
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if text == "" {
		text = fmt.Sprintf("the worker gave no reason (%s)", why)
	}
	return why, text
}
