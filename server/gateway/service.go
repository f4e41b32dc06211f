package gateway

import (
	"context"
	"errors"
	"time"

	enums "go.temporal.io/api/enums/v1"
	namespaces "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"debusine"
	"debusine/store"
)

// service answers what workers call. What is not here is refused by the guard
// already, and has no implementation behind it either.
type service struct {
	workflowservice.UnimplementedWorkflowServiceServer
	g *Gateway
}

// GetSystemInfo says what the SDK must know of the server. Temporal is not asked:
// a worker can start while it is away.
func (s *service) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{
		InternalErrorDifferentiation: true, ActivityFailureIncludeHeartbeat: true, EncodedFailureAttributes: true,
	}}, nil
}

// DescribeNamespace knows the one namespace, and of its abilities the one that
// makes a stopping worker wait for the answer to its polls.
func (s *service) DescribeNamespace(_ context.Context, r *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	if err := s.here(r.GetNamespace()); err != nil {
		return nil, err
	}
	return &workflowservice.DescribeNamespaceResponse{
		NamespaceInfo: &namespaces.NamespaceInfo{Name: s.g.Namespace, State: enums.NAMESPACE_STATE_REGISTERED,
			Capabilities: &namespaces.NamespaceInfo_Capabilities{WorkerPollCompleteOnShutdown: true}},
		Config: &namespaces.NamespaceConfig{},
	}, nil
}

// PollActivityTaskQueue waits for a task for the worker, on the queue of its own
// name. Versions, scaling and keys that the worker sends are its own affair and
// go no further.
func (s *service) PollActivityTaskQueue(ctx context.Context, r *workflowservice.PollActivityTaskQueueRequest) (*workflowservice.PollActivityTaskQueueResponse, error) {
	c := callerOf(ctx)
	if err := s.here(r.GetNamespace()); err != nil {
		return nil, err
	}
	if r.GetTaskQueue().GetName() != WorkerQueue(c.Name) || r.GetTaskQueue().GetKind() == enums.TASK_QUEUE_KIND_STICKY {
		return nil, debusine.Forbiddenf("worker %s may poll %s and no other queue", c.Name, WorkerQueue(c.Name))
	}
	if c.Held > c.Concurrency || !s.g.sessions.enterPoll(c.ID, c.Concurrency+1) {
		return nil, status.Errorf(codes.ResourceExhausted, "worker %s has as much in hand as its concurrency allows (%d)", c.Name, c.Concurrency)
	}
	defer s.g.sessions.leavePoll(c.ID)
	h, err := s.g.planner.wait(ctx, &waiter{worker: c.ID, hash: c.hash, instance: clip(r.GetWorkerInstanceKey(), 100)}, c.GatewayWorker)
	if err != nil || h == nil {
		return &workflowservice.PollActivityTaskQueueResponse{}, err
	}
	s.g.Log.Debug("work was given out", "work_request", h.delivery.WorkRequest, "task", h.task.GetActivityType().GetName(), "worker", c.Name, "queue", h.queue)
	return s.g.delivered(h), nil
}

// delivered is Temporal's answer as the worker gets it: what the SDK needs to run
// the activity, with the task token sealed for this worker.
func (g *Gateway) delivered(h *hand) *workflowservice.PollActivityTaskQueueResponse {
	t := h.task
	return &workflowservice.PollActivityTaskQueueResponse{
		TaskToken:                   g.sealer.Seal(h.delivery),
		WorkflowNamespace:           t.GetWorkflowNamespace(),
		WorkflowType:                t.GetWorkflowType(),
		WorkflowExecution:           t.GetWorkflowExecution(),
		ActivityType:                t.GetActivityType(),
		ActivityId:                  t.GetActivityId(),
		ActivityRunId:               t.GetActivityRunId(),
		Input:                       t.GetInput(),
		ScheduledTime:               t.GetScheduledTime(),
		CurrentAttemptScheduledTime: t.GetCurrentAttemptScheduledTime(),
		StartedTime:                 t.GetStartedTime(),
		Attempt:                     t.GetAttempt(),
		ScheduleToCloseTimeout:      t.GetScheduleToCloseTimeout(),
		StartToCloseTimeout:         t.GetStartToCloseTimeout(),
		HeartbeatTimeout:            t.GetHeartbeatTimeout(),
		RetryPolicy:                 t.GetRetryPolicy(),
		Priority:                    t.GetPriority(),
	}
}

// RecordActivityTaskHeartbeat notes that an attempt lives, and says whether it is
// to stop. Details are not kept. While PostgreSQL is away it is answered all the
// same: the SDK would cancel the activity after two seconds without an answer.
// Nothing is risked, since only the database makes a token good for anything.
func (s *service) RecordActivityTaskHeartbeat(ctx context.Context, r *workflowservice.RecordActivityTaskHeartbeatRequest) (*workflowservice.RecordActivityTaskHeartbeatResponse, error) {
	c := callerOf(ctx)
	d, err := s.opened(c, r.GetNamespace(), r.GetTaskToken())
	if err != nil {
		return nil, err
	}
	if !c.Enabled {
		return &workflowservice.RecordActivityTaskHeartbeatResponse{CancelRequested: true}, nil
	}
	heard, err := s.g.DB.Heard(ctx, d, passOnEvery)
	if err != nil && !errors.As(err, new(debusine.Missing)) && ctx.Err() == nil {
		s.g.quietly("heard", "a heartbeat is answered without PostgreSQL", "error", err)
		return &workflowservice.RecordActivityTaskHeartbeatResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	if heard.PassOn {
		s.g.passOn(c.Name, d)
	}
	return &workflowservice.RecordActivityTaskHeartbeatResponse{CancelRequested: heard.Aborted}, nil
}

// passOnEvery is a small part of the heartbeat time-out (task.HeartbeatGrace).
const passOnEvery = 5 * time.Minute

// passOn tells Temporal of a heartbeat, beside the call that brought it.
func (g *Gateway) passOn(worker string, d store.Delivery) {
	g.aside(func() {
		ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
		defer cancel()
		_, err := g.Temporal.RecordActivityTaskHeartbeat(ctx, &workflowservice.RecordActivityTaskHeartbeatRequest{
			TaskToken: d.TaskToken, Namespace: g.Namespace, Identity: WorkerQueue(worker)})
		if !unreachable(err) {
			return
		}
		if err := g.DB.NotPassedOn(ctx, d); err != nil {
			g.quietly("passed", "a heartbeat was not passed on", "error", err)
		}
	})
}

// aside runs f beside the call, or in it when there is too much already.
func (g *Gateway) aside(f func()) {
	select {
	case g.tell <- struct{}{}:
		g.telling.Go(func() {
			defer func() { <-g.tell }()
			f()
		})
	default:
		f()
	}
}

// RecordWorkerHeartbeat is answered and goes no further: Temporal's view of
// workers would show what they claim.
func (s *service) RecordWorkerHeartbeat(_ context.Context, r *workflowservice.RecordWorkerHeartbeatRequest) (*workflowservice.RecordWorkerHeartbeatResponse, error) {
	return &workflowservice.RecordWorkerHeartbeatResponse{}, s.here(r.GetNamespace())
}

// ShutdownWorker ends the polls of a process of the worker's that stops, so that
// no task is on its way to it when it is gone.
func (s *service) ShutdownWorker(ctx context.Context, r *workflowservice.ShutdownWorkerRequest) (*workflowservice.ShutdownWorkerResponse, error) {
	if err := s.here(r.GetNamespace()); err != nil {
		return nil, err
	}
	worker, key := callerOf(ctx).ID, clip(r.GetWorkerInstanceKey(), 100)
	s.g.planner.tell(func() { s.g.planner.shutdown(worker, key) })
	return &workflowservice.ShutdownWorkerResponse{}, nil
}

// here refuses any other namespace.
func (s *service) here(namespace string) error {
	if namespace != s.g.Namespace {
		return debusine.Forbiddenf("the namespace is %s and no other", s.g.Namespace)
	}
	return nil
}

// opened gives the delivery of a sealed token that is the caller's own.
func (s *service) opened(c caller, namespace string, token []byte) (store.Delivery, error) {
	if err := s.here(namespace); err != nil {
		return store.Delivery{}, err
	}
	d, err := s.g.sealer.Open(token)
	if err != nil {
		return d, err
	}
	if d.Worker != c.ID {
		return d, debusine.Forbiddenf("the task token was given to another worker")
	}
	return d, nil
}

func clip(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}
