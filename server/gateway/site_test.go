package gateway_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"debusine"
	"debusine/server/gateway"
	"debusine/stack"
	"debusine/store"
	"debusine/task"
)

var infrastructure *stack.Stack

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // pure tests alone
		os.Exit(m.Run())
	}
	os.Exit(stack.ForTests(m.Run, &infrastructure))
}

var sites atomic.Int64

// site is an installation with a database of its own, on the shared Temporal. The
// classes of its queues carry its name, so that sites do not meet.
type site struct {
	t        testing.TB
	name     string
	db       *store.DB
	temporal client.Client
	gateway  *gateway.Gateway
	log      *log
	stop     func() // the gateway
}

// log keeps what the gateway says.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newSite(t testing.TB) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Temporal")
	}
	ctx := t.Context()
	s := &site{t: t, name: fmt.Sprintf("s%x%d", time.Now().UnixMilli()&0xffffff, sites.Add(1)), log: &log{}}
	dsn, drop, err := infrastructure.NewDatabase(ctx, s.name)
	must(t, err)
	t.Cleanup(func() { drop() })
	s.db, err = store.Open(ctx, dsn, s.name)
	must(t, err)
	t.Cleanup(s.db.Close)
	s.temporal, err = infrastructure.Client(ctx, stack.Namespace)
	must(t, err)
	t.Cleanup(s.temporal.Close)
	s.gateway, s.stop = s.serve(nil)
	t.Cleanup(s.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the gateway said:\n%s", s.log)
		}
	})
	return s
}

// serve starts a gateway of the site, on service when it is not nil.
func (s *site) serve(service workflowservice.WorkflowServiceClient) (*gateway.Gateway, func()) {
	s.t.Helper()
	if service == nil {
		service = s.temporal.WorkflowService()
	}
	g, err := gateway.New(gateway.Options{DB: s.db, Temporal: service, Namespace: stack.Namespace, Installation: s.name,
		Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(s.log, nil))})
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx) }()
	var once sync.Once
	return g, func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("the gateway: %v", err)
			}
		})
	}
}

// class is a class of machines that no other site has.
func (s *site) class(name string) string { return s.name + "-" + name }

// machine registers a worker of amd64 that is enabled, and gives its secret.
func (s *site) machine(name string, concurrency int, classes ...string) (id int64, secret string) {
	s.t.Helper()
	secret = debusine.NewSecret()
	tags := append(task.Implied(), "worker:build-arch:amd64")
	for _, c := range classes {
		tags = append(tags, "worker:class:"+s.class(c))
	}
	ctx := context.Background()
	must(s.t, s.db.Pool().QueryRow(ctx, `INSERT INTO workers (name, enabled, concurrency, tags_provided) VALUES ($1, true, $2, $3) RETURNING id`,
		name, concurrency, tags).Scan(&id))
	s.exec(`INSERT INTO tokens (token_type, hash, worker_id) VALUES ('worker', $1, $2)`, debusine.HashSecret(secret), id)
	return id, secret
}

func (s *site) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.db.Pool().Exec(context.Background(), sql, args...)
	must(s.t, err)
}

// noop makes a work request for machines of the class and starts its activity, as
// the outbox does.
func (s *site) noop(class string) (int64, client.ActivityHandle) {
	s.t.Helper()
	id := s.row(class)
	return id, s.start(id)
}

func (s *site) row(class string) int64 {
	s.t.Helper()
	data, _ := json.Marshal(map[string]string{"class": s.class(class)})
	var workspace, user int64
	ctx := context.Background()
	must(s.t, s.db.Pool().QueryRow(ctx, `SELECT w.id, u.id FROM workspaces w, users u LIMIT 1`).Scan(&workspace, &user))
	id, err := s.db.Create(ctx, store.New{WorkspaceID: workspace, CreatedBy: user, TaskType: debusine.WorkerTask, TaskName: "noop", Data: data})
	must(s.t, err)
	return id
}

func (s *site) start(id int64) client.ActivityHandle {
	s.t.Helper()
	var queue string
	must(s.t, s.db.Pool().QueryRow(context.Background(), `SELECT queue FROM work_requests WHERE id = $1`, id).Scan(&queue))
	limit, heartbeat, retry := task.WorkerOptions(queue, "noop")
	handle, err := s.temporal.ExecuteActivity(context.Background(), client.StartActivityOptions{
		ID: task.ActivityID(s.name, id), TaskQueue: queue, StartToCloseTimeout: limit, HeartbeatTimeout: heartbeat, RetryPolicy: retry,
	}, "noop", task.WorkRequest{ID: id})
	must(s.t, err)
	return handle
}

// outcome waits for Temporal's own answer.
func (s *site) outcome(h client.ActivityHandle) (o task.Outcome) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	must(s.t, h.Get(ctx, &o))
	return o
}

func (s *site) status(id int64) (status debusine.Status, result debusine.Result, losses int) {
	s.t.Helper()
	must(s.t, s.db.Pool().QueryRow(context.Background(), `SELECT status, result, losses FROM work_requests WHERE id = $1`, id).Scan(&status, &result, &losses))
	return
}

// count gives the number that the query selects.
func (s *site) count(sql string, args ...any) (n int) {
	s.t.Helper()
	must(s.t, s.db.Pool().QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// dial connects a bare caller with a token, as an attacker would.
func (s *site) dial(g *gateway.Gateway, secret string) workflowservice.WorkflowServiceClient {
	return workflowservice.NewWorkflowServiceClient(s.connect(g, secret))
}

func (s *site) connect(g *gateway.Gateway, secret string) *grpc.ClientConn {
	s.t.Helper()
	conn, err := grpc.NewClient(g.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if secret != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+secret)
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// work runs an SDK worker at the gateway, the way that worker machines do, until
// the test ends or stop is called.
func (s *site) work(g *gateway.Gateway, name, secret string, concurrency int, do func(ctx context.Context, b store.Beginning) (debusine.Result, error)) (stop func()) {
	s.t.Helper()
	c, err := client.Dial(client.Options{HostPort: g.Addr().String(), Namespace: stack.Namespace,
		Credentials: client.NewAPIKeyStaticCredentials(secret), ConnectionOptions: client.ConnectionOptions{TLSDisabled: true},
		Logger: temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	must(s.t, err)
	w := worker.New(c, gateway.WorkerQueue(name), worker.Options{
		MaxConcurrentActivityExecutionSize: concurrency, MaxConcurrentActivityTaskPollers: concurrency, DisableWorkflowWorker: true,
		MaxHeartbeatThrottleInterval: 200 * time.Millisecond, WorkerStopTimeout: 10 * time.Second, Identity: "I am somebody else",
	})
	w.RegisterDynamicActivity(func(ctx context.Context, _ converter.EncodedValues) (task.Outcome, error) {
		d, err := g.Sealer().Open(activity.GetInfo(ctx).TaskToken)
		if err != nil {
			return task.Outcome{}, err
		}
		b, err := s.db.Begin(ctx, d)
		if err != nil || b.Verdict != store.RunIt {
			return task.Outcome{}, err
		}
		result, err := do(ctx, b)
		if err != nil {
			return task.Outcome{}, err
		}
		_, err = s.db.Complete(context.WithoutCancel(ctx), b.AttemptID, result, nil)
		return task.Outcome{ID: 666, Status: "forged"}, err
	}, activity.DynamicRegisterOptions{})
	must(s.t, w.Start())
	var once sync.Once
	stop = func() { once.Do(func() { w.Stop(); c.Close() }) }
	s.t.Cleanup(stop)
	return stop
}

// succeed does what a noop does.
func succeed(context.Context, store.Beginning) (debusine.Result, error) {
	return debusine.Success, nil
}

func drain(context.Context, store.Beginning) (debusine.Result, error) {
	return "", temporal.NewApplicationError("going home", task.Draining)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within waits for something that should become true.
func within(t testing.TB, d time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s, not yet: %s", d, what)
		}
	}
}
