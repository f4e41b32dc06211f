package gateway_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	common "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	failures "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/operatorservice/v1"
	taskqueues "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"debusine"
	"debusine/server/gateway"
	"debusine/stack"
)

type handle = client.ActivityHandle

func beat(ctx context.Context) {
	activity.RecordHeartbeat(ctx)
	time.Sleep(20 * time.Millisecond)
}

// poll asks for a task as a bare caller.
func (s *site) poll(c workflowservice.WorkflowServiceClient, name string, wait time.Duration) *workflowservice.PollActivityTaskQueueResponse {
	s.t.Helper()
	got, err := s.tryPoll(c, gateway.WorkerQueue(name), wait)
	must(s.t, err)
	if len(got.GetTaskToken()) == 0 {
		s.t.Fatal("the poll brought nothing")
	}
	return got
}

func (s *site) tryPoll(c workflowservice.WorkflowServiceClient, queue string, wait time.Duration) (*workflowservice.PollActivityTaskQueueResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return c.PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{Namespace: stack.Namespace,
		TaskQueue: &taskqueues.TaskQueue{Name: queue, Kind: enums.TASK_QUEUE_KIND_NORMAL}})
}

func refused(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v, not %s", what, err, want)
	}
}

func TestEveryOtherCallIsRefused(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	conn := s.connect(s.gateway, secret)
	answered := map[string]bool{"GetSystemInfo": true, "DescribeNamespace": true, "PollActivityTaskQueue": true, "RespondActivityTaskCompleted": true,
		"RespondActivityTaskFailed": true, "RespondActivityTaskCanceled": true, "RecordActivityTaskHeartbeat": true, "RecordWorkerHeartbeat": true, "ShutdownWorker": true}
	call := func(method string) error {
		return conn.Invoke(t.Context(), method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	tried := 0
	for _, m := range workflowservice.WorkflowService_ServiceDesc.Methods {
		if !answered[m.MethodName] {
			tried++
			refused(t, m.MethodName, call("/"+workflowservice.WorkflowService_ServiceDesc.ServiceName+"/"+m.MethodName), codes.PermissionDenied)
		}
	}
	if tried < 80 {
		t.Errorf("only %d calls were tried", tried)
	}
	for _, m := range operatorservice.OperatorService_ServiceDesc.Methods {
		refused(t, m.MethodName, call("/"+operatorservice.OperatorService_ServiceDesc.ServiceName+"/"+m.MethodName), codes.PermissionDenied)
	}
	for _, m := range []string{"/" + grpc_health_v1.Health_ServiceDesc.ServiceName + "/Check", "/temporal.server.api.adminservice.v1.AdminService/DescribeMutableState", "/a/b"} {
		refused(t, m, call(m), codes.PermissionDenied)
	}
	if !strings.Contains(s.log.String(), "a call of a worker was refused") || !strings.Contains(s.log.String(), "worker=one") {
		t.Error("it is not logged")
	}
}

func TestOnlyEnabledWorkersWithAValidTokenAreAnswered(t *testing.T) {
	s := newSite(t)
	_, good := s.machine("good", 1, "x")
	for name, spoil := range map[string]string{
		"expired":     `UPDATE tokens SET expire_at = now() - interval '1 minute' WHERE hash = $1`,
		"disabled":    `UPDATE tokens SET enabled = false WHERE hash = $1`,
		"signing":     `UPDATE workers SET worker_type = 'signing' WHERE id = (SELECT worker_id FROM tokens WHERE hash = $1)`,
		"deleted":     `DELETE FROM tokens WHERE hash = $1`,
		"another-use": `UPDATE tokens SET token_type = 'user', worker_id = NULL, user_id = 1 WHERE hash = $1`,
	} {
		_, secret := s.machine(name, 1, "x")
		s.exec(spoil, debusine.HashSecret(secret))
		_, err := s.dial(s.gateway, secret).GetSystemInfo(t.Context(), &workflowservice.GetSystemInfoRequest{})
		refused(t, name, err, codes.Unauthenticated)
	}
	for name, secret := range map[string]string{"none": "", "invented": debusine.NewSecret(), "the hash": debusine.HashSecret(good), "long": strings.Repeat("x", 4000)} {
		_, err := s.dial(s.gateway, secret).GetSystemInfo(t.Context(), &workflowservice.GetSystemInfoRequest{})
		refused(t, name, err, codes.Unauthenticated)
	}
	id, waits := s.machine("waits", 1, "x")
	s.exec(`UPDATE workers SET enabled = false WHERE id = $1`, id)
	_, err := s.dial(s.gateway, waits).GetSystemInfo(t.Context(), &workflowservice.GetSystemInfoRequest{})
	refused(t, "not enabled", err, codes.PermissionDenied)
	_, err = s.dial(s.gateway, good).GetSystemInfo(t.Context(), &workflowservice.GetSystemInfoRequest{})
	must(t, err)
}

func TestAQueueThatIsNotItsOwnIsRefused(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	s.machine("two", 1, "x")
	c := s.dial(s.gateway, secret)
	for _, queue := range []string{"worker/two", "server", "signing", "", "one", "build/amd64", "worker/one/../two", "worker/ONE"} {
		_, err := s.tryPoll(c, queue, time.Second)
		refused(t, queue, err, codes.PermissionDenied)
	}
	_, err := c.PollActivityTaskQueue(t.Context(), &workflowservice.PollActivityTaskQueueRequest{Namespace: "temporal-system",
		TaskQueue: &taskqueues.TaskQueue{Name: "worker/one"}})
	refused(t, "another namespace", err, codes.PermissionDenied)
	_, err = c.DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "temporal-system"})
	refused(t, "another namespace", err, codes.PermissionDenied)
	if !strings.Contains(s.log.String(), "refused") {
		t.Error("it is not logged")
	}
}

// A row of the table of queues cannot make the gateway serve the trusted ones.
func TestTheSigningQueueIsNeverServed(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	for _, queue := range []string{"signing", "server"} {
		s.exec(`INSERT INTO queues (name, required) VALUES ($1, ARRAY['worker:class:' || $1]) ON CONFLICT DO NOTHING`, queue)
		s.exec(`UPDATE queues SET required = '{worker:type:worker,worker:build-arch:amd64}' WHERE name = $1 AND NOT EXISTS (SELECT FROM queues WHERE required = '{worker:type:worker,worker:build-arch:amd64}')`, queue)
	}
	id := s.row("x")
	s.exec(`UPDATE work_requests SET queue = 'signing', due = now() WHERE id = $1`, id)
	s.exec(`SELECT pg_notify('wr', 'signing')`)
	got, err := s.tryPoll(s.dial(s.gateway, secret), "worker/one", 2*time.Second)
	if err == nil || len(got.GetTaskToken()) > 0 || s.gateway.Stats().Polls != 0 {
		t.Errorf("%v, %v, %+v", got, err, s.gateway.Stats())
	}
}

func TestAStolenTaskTokenIsUseless(t *testing.T) {
	s := newSite(t)
	_, owner := s.machine("owner", 1, "x")
	_, thief := s.machine("thief", 1)
	id, h := s.noop("x")
	mine := s.dial(s.gateway, owner)
	got := s.poll(mine, "owner", 10*time.Second)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	b, err := s.db.Begin(t.Context(), d)
	must(t, err)
	elsewhere := newSite(t) // another installation on the same Temporal
	_, stranger := elsewhere.machine("owner", 1, "x")
	for name, c := range map[string]workflowservice.WorkflowServiceClient{
		"the thief's": s.dial(s.gateway, thief), "another installation's": elsewhere.dial(elsewhere.gateway, stranger)} {
		for what, token := range map[string][]byte{"the token": got.TaskToken, "Temporal's own": d.TaskToken, "none": nil} {
			s.tryAll(c, name+" call with "+what, token, codes.PermissionDenied)
		}
	}
	s.tryAll(mine, "its own call with Temporal's token", d.TaskToken, codes.PermissionDenied)
	_, err = s.db.Complete(t.Context(), b.AttemptID, debusine.Failure, nil)
	must(t, err)
	_, err = mine.RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace,
		Identity: "thief", Result: &common.Payloads{Payloads: []*common.Payload{{Data: []byte("lies")}}}})
	must(t, err)
	if o := s.outcome(h); o.ID != id || o.Result != debusine.Failure {
		t.Errorf("Temporal was told %+v", o)
	}
	if !strings.Contains(s.log.String(), "given to another worker") {
		t.Error("the theft is not logged")
	}
}

// tryAll uses a task token in every way that there is.
func (s *site) tryAll(c workflowservice.WorkflowServiceClient, what string, token []byte, want codes.Code) {
	s.t.Helper()
	t, ok := s.t.(*testing.T)
	if !ok {
		return
	}
	ctx := context.Background()
	_, err := c.RespondActivityTaskCompleted(ctx, &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: token, Namespace: stack.Namespace})
	refused(t, what+": completed", err, want)
	_, err = c.RespondActivityTaskFailed(ctx, &workflowservice.RespondActivityTaskFailedRequest{TaskToken: token, Namespace: stack.Namespace})
	refused(t, what+": failed", err, want)
	_, err = c.RespondActivityTaskCanceled(ctx, &workflowservice.RespondActivityTaskCanceledRequest{TaskToken: token, Namespace: stack.Namespace})
	refused(t, what+": canceled", err, want)
	_, err = c.RecordActivityTaskHeartbeat(ctx, &workflowservice.RecordActivityTaskHeartbeatRequest{TaskToken: token, Namespace: stack.Namespace})
	refused(t, what+": heartbeat", err, want)
}

func TestACompletionWithoutARecordedOutcomeIsRefused(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	id, _ := s.noop("x")
	c := s.dial(s.gateway, secret)
	got := s.poll(c, "one", 10*time.Second)
	complete := func() error {
		_, err := c.RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
		return err
	}
	refused(t, "before begin", complete(), codes.FailedPrecondition)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	_, err = s.db.Begin(t.Context(), d)
	must(t, err)
	refused(t, "after begin", complete(), codes.FailedPrecondition)
	if status, _, _ := s.status(id); status != debusine.Running {
		t.Errorf("the work request is %s", status)
	}
	if !strings.Contains(s.log.String(), "no outcome of work request") {
		t.Error("it is not logged")
	}
}

func TestAFailureIsReducedToAFixedListAndAShortText(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	id, h := s.noop("x")
	c := s.dial(s.gateway, secret)
	got := s.poll(c, "one", 10*time.Second)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	_, err = s.db.Begin(t.Context(), d)
	must(t, err)
	_, err = c.RespondActivityTaskFailed(t.Context(), &workflowservice.RespondActivityTaskFailedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace,
		Identity: "root", Failure: &failures.Failure{Message: strings.Repeat("é\x1b", 10_000), StackTrace: "secret stack", Cause: &failures.Failure{Message: "secret cause"},
			FailureInfo: &failures.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failures.ApplicationFailureInfo{Type: "worker-lost", NonRetryable: true}}}})
	must(t, err)
	if status, _, losses := s.status(id); status != debusine.Pending || losses != 1 {
		t.Errorf("%s, %d losses", status, losses)
	}
	var described *client.ActivityExecutionDescription
	within(t, 20*time.Second, "Temporal has the failure", func() bool {
		described, err = h.Describe(t.Context(), client.DescribeActivityOptions{IncludeLastFailure: true})
		must(t, err)
		return described.RawResponse.GetInfo().GetLastFailure() != nil
	})
	f, who := described.RawResponse.GetInfo().GetLastFailure(), described.RawResponse.GetInfo().GetLastWorkerIdentity()
	if f.GetApplicationFailureInfo().GetType() != "worker-error" || f.GetApplicationFailureInfo().GetNonRetryable() || len(f.GetMessage()) > 1024 ||
		f.GetStackTrace() != "" || f.GetCause() != nil || strings.Contains(f.GetMessage(), "\x1b") {
		t.Errorf("Temporal has %v", f)
	}
	if who == "root" {
		t.Errorf("the identity %q was passed on", who)
	}
}

func TestAWorkerThatIsDisabledInTheMiddle(t *testing.T) {
	s := newSite(t)
	worker, secret := s.machine("one", 2, "x")
	s.noop("x")
	c := s.dial(s.gateway, secret)
	got := s.poll(c, "one", 10*time.Second)
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	b, err := s.db.Begin(t.Context(), d)
	must(t, err)
	waiting := make(chan error, 1)
	go func() {
		_, err := s.tryPoll(c, "worker/one", 20*time.Second)
		waiting <- err
	}()
	time.Sleep(200 * time.Millisecond)
	s.exec(`UPDATE workers SET enabled = false WHERE id = $1`, worker)
	_, err = s.tryPoll(c, "worker/one", time.Second)
	refused(t, "a new poll", err, codes.PermissionDenied)
	select {
	case err := <-waiting:
		refused(t, "the poll that waits", err, codes.PermissionDenied)
	case <-time.After(10 * time.Second):
		t.Error("the poll that waits goes on")
	}
	_, err = s.db.Complete(t.Context(), b.AttemptID, debusine.Success, nil)
	must(t, err)
	_, err = c.RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	refused(t, "a completion", err, codes.PermissionDenied)
	heard, err := c.RecordActivityTaskHeartbeat(t.Context(), &workflowservice.RecordActivityTaskHeartbeatRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	must(t, err)
	if !heard.CancelRequested {
		t.Error("the heartbeat is not answered with the wish to cancel")
	}
}

func TestFloodsAndGiantsAreTurnedAway(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 2)
	c := s.dial(s.gateway, secret)
	big := make([]byte, 100<<10)
	rand.Read(big)
	_, err := c.RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: []byte("x"), Namespace: stack.Namespace,
		Result: &common.Payloads{Payloads: []*common.Payload{{Data: big}}}})
	refused(t, "100 kB", err, codes.ResourceExhausted)
	var polls sync.WaitGroup
	results := make(chan codes.Code, 20)
	for range 20 {
		polls.Go(func() {
			_, err := s.tryPoll(c, "worker/one", 5*time.Second)
			results <- status.Code(err)
		})
	}
	polls.Wait()
	close(results)
	turned := 0
	for code := range results {
		if code == codes.ResourceExhausted {
			turned++
		}
	}
	if turned != 17 {
		t.Errorf("%d of 20 polls were turned away, not 17", turned)
	}
	// They leave nothing behind.
	within(t, 20*time.Second, "a poll is taken again", func() bool {
		_, err := s.tryPoll(c, "worker/one", 100*time.Millisecond)
		return status.Code(err) == codes.DeadlineExceeded
	})
}

func TestAWorkerCannotHoardWork(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	c := s.dial(s.gateway, secret)
	for range 2 {
		s.noop("x")
		d, err := s.gateway.Sealer().Open(s.poll(c, "one", 10*time.Second).TaskToken)
		must(t, err)
		_, err = s.db.Begin(t.Context(), d)
		must(t, err)
	}
	_, err := s.tryPoll(c, "worker/one", time.Second)
	refused(t, "a third task of a worker for one", err, codes.ResourceExhausted)
}

func TestAVoidAttemptHearsThatItIsOver(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 2, "x")
	s.noop("x")
	c := s.dial(s.gateway, secret)
	got := s.poll(c, "one", 10*time.Second)
	beat := func() error {
		_, err := c.RecordActivityTaskHeartbeat(t.Context(), &workflowservice.RecordActivityTaskHeartbeatRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
		return err
	}
	must(t, beat()) // not begun yet: it may still
	d, err := s.gateway.Sealer().Open(got.TaskToken)
	must(t, err)
	b, err := s.db.Begin(t.Context(), d)
	must(t, err)
	must(t, beat())
	s.exec(`UPDATE attempts SET heard_at = now() - interval '1 hour' WHERE id = $1`, b.AttemptID)
	lost, err := s.db.LoseSilent(t.Context())
	must(t, err)
	if len(lost) != 1 {
		t.Fatalf("lost %v", lost)
	}
	refused(t, "a heartbeat of a lost attempt", beat(), codes.NotFound)
	if _, err := s.db.Complete(t.Context(), b.AttemptID, debusine.Success, nil); err == nil {
		t.Error("a lost attempt completes")
	}
	_, err = c.RespondActivityTaskCompleted(t.Context(), &workflowservice.RespondActivityTaskCompletedRequest{TaskToken: got.TaskToken, Namespace: stack.Namespace})
	refused(t, "a completion of a lost attempt", err, codes.FailedPrecondition)
}

func TestAnotherInstallationsTaskIsHandedBack(t *testing.T) {
	s := newSite(t)
	_, secret := s.machine("one", 1, "x")
	id := s.row("x")
	var queue string
	must(t, s.db.Pool().QueryRow(t.Context(), `SELECT queue FROM work_requests WHERE id = $1`, id).Scan(&queue))
	h, err := s.temporal.ExecuteActivity(t.Context(), client.StartActivityOptions{ID: "wr/elsewhere/" + s.name, TaskQueue: queue, StartToCloseTimeout: time.Hour}, "noop")
	must(t, err)
	defer h.Terminate(context.Background(), client.TerminateActivityOptions{})
	if got, err := s.tryPoll(s.dial(s.gateway, secret), "worker/one", 2*time.Second); err == nil && len(got.GetTaskToken()) > 0 {
		t.Errorf("it was given out: %v", got)
	}
	within(t, 20*time.Second, "it is logged", func() bool { return strings.Contains(s.log.String(), "is not ours") })
}

func TestPlainTextStaysOnLoopback(t *testing.T) {
	s := newSite(t)
	g, err := gateway.New(gateway.Options{DB: s.db, Temporal: s.temporal.WorkflowService(), Namespace: stack.Namespace, Installation: s.name, Listen: "0.0.0.0:0"})
	if err == nil || !strings.Contains(err.Error(), "hint") {
		t.Errorf("%v, %v", g, err)
	}
}
