package gateway

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"debusine"
	"debusine/store"
)

var (
	errStopping = status.Error(codes.Unavailable, "this gateway stops; another one, or this one in a moment, will answer")
	errDisabled = status.Error(codes.PermissionDenied, "this worker is not enabled (hint: an administrator enables it with debusine admin worker enable)")
)

// allowed are the calls of a worker that are answered.
func allowed(method string) bool {
	service, name := path.Split(method)
	if service != "/"+workflowservice.WorkflowService_ServiceDesc.ServiceName+"/" {
		return false
	}
	switch name {
	case "GetSystemInfo", "DescribeNamespace", "PollActivityTaskQueue", "RespondActivityTaskCompleted", "RespondActivityTaskFailed",
		"RespondActivityTaskCanceled", "RecordActivityTaskHeartbeat", "RecordWorkerHeartbeat", "ShutdownWorker":
		return true
	}
	return false
}

// whileDisabled are the calls that a worker may still make that an administrator
// has disabled: to hear that it must stop, and to give back.
func whileDisabled(method string) bool {
	switch path.Base(method) {
	case "RecordActivityTaskHeartbeat", "RespondActivityTaskFailed", "RespondActivityTaskCanceled", "ShutdownWorker":
		return true
	}
	return false
}

// caller is the worker of a call.
type caller struct {
	store.GatewayWorker
	hash string // of its token
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard lets a call through when its worker is known and enabled, the call is one
// of those that workers make, and there are not too many at a time.
func (g *Gateway) guard(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	c, err := g.authenticate(ctx, path.Base(info.FullMethod))
	if err != nil {
		g.refused(ctx, "", info.FullMethod, err)
		return nil, err
	}
	switch {
	case !allowed(info.FullMethod):
		err = status.Errorf(codes.PermissionDenied, "a worker may not call %s", path.Base(info.FullMethod))
	case !c.Enabled && !whileDisabled(info.FullMethod):
		err = errDisabled
	case !g.sessions.enter(c.ID, 16+4*c.Concurrency):
		err = status.Error(codes.ResourceExhausted, "this worker has too many calls under way")
	}
	if err != nil {
		g.refused(ctx, c.Name, info.FullMethod, err)
		return nil, err
	}
	defer g.sessions.leave(c.ID)
	defer func() {
		if broken := recover(); broken != nil {
			g.Log.Error("the gateway broke on a call", "worker", c.Name, "call", info.FullMethod, "panic", fmt.Sprint(broken))
			answer, err = nil, status.Error(codes.Internal, "the gateway broke on this call")
		}
	}()
	g.marks.heard(c.ID)
	ctx = context.WithValue(ctx, callerKey{}, c)
	if path.Base(info.FullMethod) != "PollActivityTaskQueue" {
		var cancel context.CancelFunc
		ctx, cancel = detached(ctx)
		defer cancel()
	}
	answer, err = handle(ctx, request)
	if err = asStatus(err); status.Code(err) == codes.PermissionDenied || status.Code(err) == codes.FailedPrecondition {
		g.refused(ctx, c.Name, info.FullMethod, err)
	}
	return answer, err
}

// detached is a context for the database that a caller cannot cancel: a query
// that is cancelled costs PostgreSQL a connection.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
}

func (g *Gateway) refuseStream(_ any, stream grpc.ServerStream, info *grpc.StreamServerInfo, _ grpc.StreamHandler) error {
	err := status.Error(codes.PermissionDenied, "a worker may not call this")
	g.refused(stream.Context(), "", info.FullMethod, err)
	return err
}

func (g *Gateway) refuseUnknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	err := status.Error(codes.PermissionDenied, "a worker may not call this")
	g.refused(stream.Context(), "", method, err)
	return err
}

// refused counts and logs: the same of one worker, or of one address, at most
// once a second.
func (g *Gateway) refused(ctx context.Context, worker, method string, err error) {
	if code := status.Code(err); code == codes.Canceled || code == codes.DeadlineExceeded {
		return // the caller went away
	}
	g.counts.refused.Add(1)
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
	}
	key := worker
	if key == "" {
		key, _, _ = strings.Cut(from, ":")
	}
	g.quietly("refused "+key+err.Error(), "a call of a worker was refused", "worker", worker, "from", from, "call", fmt.Sprintf("%.120q", method), "error", err)
}

// quietly warns, of one matter at most once a second.
func (g *Gateway) quietly(matter, text string, args ...any) {
	if g.quiet.may(matter) {
		g.Log.Warn(text, args...)
	}
}

type quiet struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (q *quiet) may(matter string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if now.Sub(q.last[matter]) < time.Second {
		return false
	}
	if q.last == nil || len(q.last) > 1000 {
		q.last = map[string]time.Time{}
	}
	q.last[matter] = now
	return true
}

// sessions holds, for each worker, its calls under way and who its token says it
// is.
type sessions struct {
	mu      sync.Mutex
	calls   map[int64]int
	polls   map[int64]int
	callers map[string]seen
	looking int
}

type seen struct {
	worker store.GatewayWorker
	at     time.Time
}

const (
	believeFor  = time.Second // so long a token stays valid that is not any more
	mostLooking = 8           // tokens looked up at a time
)

// enter takes one of at most places for a call of the worker.
func (s *sessions) enter(worker int64, places int) bool { return s.take(&s.calls, worker, places) }

func (s *sessions) leave(worker int64) { s.put(s.calls, worker) }

func (s *sessions) enterPoll(worker int64, places int) bool { return s.take(&s.polls, worker, places) }

func (s *sessions) leavePoll(worker int64) { s.put(s.polls, worker) }

func (s *sessions) take(of *map[int64]int, worker int64, places int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *of == nil {
		*of = map[int64]int{}
	}
	if (*of)[worker] >= places {
		return false
	}
	(*of)[worker]++
	return true
}

func (s *sessions) put(of map[int64]int, worker int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of[worker]--; of[worker] == 0 {
		delete(of, worker)
	}
}

// recall gives what was known of the token last, and whether that is fresh.
func (s *sessions) recall(hash string) (w store.GatewayWorker, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.callers[hash]
	return known.worker, ok && time.Since(known.at) < believeFor
}

func (s *sessions) remember(hash string, w store.GatewayWorker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callers == nil || len(s.callers) > 4096 {
		s.callers = map[string]seen{}
	}
	s.callers[hash] = seen{w, time.Now()}
}

func (s *sessions) look(by int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if by > 0 && s.looking >= mostLooking {
		return false
	}
	s.looking += by
	return true
}

// authenticate finds the worker of the token in the call's metadata: for a poll
// afresh; for other calls what is known of it may be a second old, and for a
// heartbeat older while PostgreSQL is away.
func (g *Gateway) authenticate(ctx context.Context, call string) (caller, error) {
	unknown := status.Error(codes.Unauthenticated, "the token is not a worker's")
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 || len(values[0]) > 512 {
		return caller{}, unknown
	}
	secret, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok || secret == "" {
		return caller{}, unknown
	}
	hash := debusine.HashSecret(secret)
	known, fresh := g.sessions.recall(hash)
	if fresh && call != "PollActivityTaskQueue" {
		return caller{known, hash}, nil
	}
	if known.ID == 0 { // strangers must not keep workers away
		if !g.sessions.look(1) {
			return caller{}, status.Error(codes.ResourceExhausted, "too many tokens are being looked up")
		}
		defer g.sessions.look(-1)
	}
	if err := ctx.Err(); err != nil {
		return caller{}, asStatus(err)
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	workers, err := g.DB.WorkersByToken(ctx, []string{hash})
	if err != nil && known.ID != 0 && call == "RecordActivityTaskHeartbeat" {
		return caller{known, hash}, nil
	}
	if err != nil {
		return caller{}, asStatus(err)
	}
	w, ok := workers[hash]
	if !ok {
		return caller{}, unknown
	}
	g.sessions.remember(hash, w)
	return caller{w, hash}, nil
}

// asStatus turns our faults and Temporal's errors into those of gRPC. What else
// there is means that the database does not answer; its words stay here.
func asStatus(err error) error {
	if err == nil {
		return nil
	}
	var (
		missing   debusine.Missing
		forbidden debusine.Forbidden
		temporal  serviceerror.ServiceError
	)
	switch {
	case errors.As(err, &missing):
		return status.Error(codes.NotFound, missing.Error())
	case errors.As(err, &forbidden):
		return status.Error(codes.PermissionDenied, forbidden.Error())
	case errors.As(err, &temporal):
		return temporal.Status().Err()
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the time of the call is over")
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unavailable, "the server cannot answer at the moment")
}
