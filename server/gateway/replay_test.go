package gateway_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	taskqueues "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"debusine"
	"debusine/server/gateway"
	"debusine/stack"
)

// A worker says the same end again, later, and by other calls: the first word
// that was recorded stands.
func TestAnEndThatIsReplayedChangesNothing(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 2, "x")
	c := s.dial(s.gateway, secret)
	id, h := s.noop("x")
	got := s.poll(c, "one", 10*time.Second)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	b, err := s.db.Begin(t.Context(), d)
	must(t, err)
	_, err = s.db.Complete(t.Context(), b.AttemptID, debusine.Success, nil)
	must(t, err)
	complete := &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace, Identity: "worker/other"}
	for range 3 {
		_, err = c.RespondActivityTaskCompleted(t.Context(), complete)
		must(t, err)
	}
	_, err = c.RespondActivityTaskFailed(t.Context(), &workflowservice.RespondActivityTaskFailedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	must(t, err)
	_, err = c.RespondActivityTaskCanceled(t.Context(), &workflowservice.RespondActivityTaskCanceledRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	must(t, err)
	if o := s.outcome(h); !o.Succeeded() || o.ID != id {
		t.Errorf("Temporal was told %+v", o)
	}
	if _, err = s.db.Complete(t.Context(), b.AttemptID, debusine.Failure, nil); err != nil {
		t.Errorf("the attempt says again how it ended: %v", err)
	}
	if status, result, losses := s.status(id); status != debusine.Completed || result != debusine.Success || losses != 0 {
		t.Errorf("%s %s, %d losses", status, result, losses)
	}
	if n := s.count(`SELECT count(*) FROM attempts WHERE work_request_id = $1`, id); n != 1 {
		t.Errorf("%d attempts", n)
	}
	described, err := h.Describe(t.Context(), client.DescribeActivityOptions{})
	must(t, err)
	if who := described.RawResponse.GetInfo().GetLastWorkerIdentity(); strings.Contains(who, "other") {
		t.Errorf("Temporal was told by %q", who)
	}
}

// The key of another worker's process ends none of that one's polls, and what a
// worker calls itself goes no further.
func TestAForgedInstanceKeyStopsNobodyElse(t *testing.T) {
	s := newSite(t)
	_, one := s.machine("one", 1, "x")
	_, thief := s.machine("thief", 1)
	const key = "process-of-one"
	waiting := make(chan *workflowservice.PollActivityTaskQueueResponse, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		got, _ := s.dial(s.gateway, one).PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{Namespace: stack.Namespace,
			Identity: "worker/two", WorkerInstanceKey: key, TaskQueue: &taskqueues.TaskQueue{Name: gateway.WorkerQueue("one"), Kind: enums.TASK_QUEUE_KIND_NORMAL}})
		waiting <- got
	}()
	time.Sleep(300 * time.Millisecond)
	_, err := s.dial(s.gateway, thief).ShutdownWorker(t.Context(), &workflowservice.ShutdownWorkerRequest{Namespace: stack.Namespace,
		Identity: "worker/one", WorkerInstanceKey: key, TaskQueue: gateway.WorkerQueue("one")})
	must(t, err)
	_, h := s.noop("x")
	select {
	case got := <-waiting:
		if len(got.GetTaskToken()) == 0 {
			t.Fatal("another worker ended its poll")
		}
		if who := s.identity(h); strings.Contains(who, "two") {
			t.Errorf("Temporal knows the worker as %q", who)
		}
	case <-time.After(40 * time.Second):
		t.Fatal("nothing came")
	}
}

func (s *site) identity(h handle) string {
	described, err := h.Describe(context.Background(), client.DescribeActivityOptions{})
	must(s.t, err)
	return described.RawResponse.GetInfo().GetLastWorkerIdentity()
}

// Strangers and one bad worker poll as fast as they can; a good one gets its work.
func TestAFloodOfPollsKeepsNobodyFromWork(t *testing.T) {
	s := newSite(t)
	_, good := s.machine("good", 1, "x")
	_, bad := s.machine("bad", 1)
	s.work(s.gateway, "good", good, 1, succeed)
	_, h := s.noop("x")
	s.outcome(h)
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for i := range 24 {
		secret := bad
		if i%2 == 0 {
			secret = debusine.NewSecret()
		}
		c := s.dial(s.gateway, secret)
		flood.Go(func() {
			for ctx.Err() == nil {
				_, err := s.tryPoll(c, "worker/bad", 50*time.Millisecond)
				if code := status.Code(err); code == codes.Internal || code == codes.Unknown {
					t.Errorf("the flood breaks something: %v", err)
				}
			}
		})
	}
	began := time.Now()
	for range 5 {
		_, h := s.noop("x")
		if o := s.outcome(h); !o.Succeeded() {
			t.Errorf("%+v", o)
		}
	}
	took := time.Since(began)
	cancel()
	flood.Wait()
	t.Logf("five noops took %s; %d calls were refused", took, s.gateway.Stats().Refused)
	if took > 20*time.Second {
		t.Errorf("five noops took %s", took)
	}
	if lines := strings.Count(s.log.String(), "\n"); lines > 2000 {
		t.Errorf("the log has %d lines", lines)
	}
}
