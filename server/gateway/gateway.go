// Package gateway lets build machines, which nobody trusts, take part in
// Temporal without holding its address.
//
// A worker is one ordinary SDK activity worker, with its token as API key and a
// queue of its own name (WorkerQueue). What it calls ends here: of Temporal's
// service nine calls are answered, every other one is refused and logged.
//
// # What a worker can do, and what not
//
//   - It can only be given work of queues to which its tags entitle it
//     (task.Entitled), never of the queues of the trusted network.
//   - The task token that it gets is sealed for it (Sealer): no other worker can
//     answer with it, and no gateway of another installation opens it.
//   - What it says about an end is not believed. A completion tells Temporal the
//     outcome that the database holds, and is refused when there is none; of a
//     failure only a type from a fixed list and 1 kB of text pass.
//   - Its heartbeats are answered from the database, so an outage of Temporal does
//     not disturb it, and while the database is away without it; one in five
//     minutes is passed on to Temporal, without details.
//   - A worker that an administrator disables gets no more work, and what it
//     completes from then on is refused. Its heartbeats are answered with the wish
//     to cancel and no longer keep its attempts alive. It may still give back.
//   - It has one poll more than its concurrency, a bounded number of calls at a
//     time, and 64 kB a message; what is beyond that is ResourceExhausted.
//
// # How work is fetched
//
// A worker's poll waits here. One goroutine (planner) looks at the polls that
// wait, at the work requests that wait (in PostgreSQL) and at its own polls of
// real queues, and decides in a pure function (decide). A poll of Temporal is
// never cancelled: a task that is on its way to a cancelled poll is lost until it
// times out. A hint may be wrong, so nothing depends on it but speed.
//
// A task that nobody can take is handed back after 200 ms. One that was given
// and not begun in 5 s has its delivery voided, so that a late begin is refused,
// and is handed back: its worker's connection died under the answer.
//
// Several gateways share the queues. What one holds in memory are only tasks on
// their way; when it dies, the sweep hands them back.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"debusine/store"
)

// Options are what a gateway needs. All but TLS and Log are required.
type Options struct {
	DB           *store.DB
	Temporal     workflowservice.WorkflowServiceClient
	Namespace    string
	Installation string      // as activity ids carry it
	Listen       string      // HOST:PORT; port 0 takes a free one
	TLS          *tls.Config // nil: plain text, on loopback alone
	Log          *slog.Logger
}

// Gateway is the worker gateway of one server process.
type Gateway struct {
	Options
	sealer   *Sealer
	listener net.Listener
	planner  *planner
	marks    *marks
	sessions sessions
	quiet    quiet
	counts   counts
	telling  sync.WaitGroup // ends on their way to Temporal
	tell     chan struct{}  // a place for each of them
}

// Stats count since the start. HandedBack per Given should stay below 0.05.
type Stats struct {
	Polls      int64 // of real queues, started
	Empty      int64 // of those, the ones that brought nothing
	Given      int64 // tasks given to workers
	HandedBack int64 // tasks given back to Temporal: nobody free, or never begun
	Refused    int64 // calls of workers and others that were refused
}

type counts struct{ polls, empty, given, handedBack, refused atomic.Int64 }

// Bounds of what workers may send.
const (
	longestMessage = 64 << 10 // bytes
	longestText    = 1 << 10  // of a failure, bytes
	longestPoll    = 50 * time.Second
	stopWithin     = 12 * time.Second // two more than an upstream poll takes
)

// New opens the gateway's address. Nobody is answered before Serve.
func New(o Options) (*Gateway, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	sealer, err := NewSealer(o.DB.SealKey(), o.Installation)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("opening the worker gateway: %w", err)
	}
	if address := listener.Addr().(*net.TCPAddr); o.TLS == nil && !address.IP.IsLoopback() {
		listener.Close()
		return nil, fmt.Errorf("the worker gateway would listen on %s without TLS; hint: give it a certificate, or a loopback address", address)
	}
	g := &Gateway{Options: o, sealer: sealer, listener: listener, tell: make(chan struct{}, 64)}
	g.planner, g.marks = newPlanner(g), newMarks(g)
	return g, nil
}

// Addr is where the gateway listens.
func (g *Gateway) Addr() net.Addr { return g.listener.Addr() }

// Sealer opens the task tokens that workers show when they begin.
func (g *Gateway) Sealer() *Sealer { return g.sealer }

// Stats gives the counts so far.
func (g *Gateway) Stats() Stats {
	c := &g.counts
	return Stats{c.polls.Load(), c.empty.Load(), c.given.Load(), c.handedBack.Load(), c.refused.Load()}
}

// WorkerQueue is the name of the queue that a worker polls, and that exists
// nowhere but here.
func WorkerQueue(worker string) string { return "worker/" + worker }

// Serve answers workers until ctx ends. Then polls are refused, so that workers
// turn to another gateway; the polls of ours that are under way are awaited and
// what they bring is handed back; and answers of workers are still taken, all for
// at most 12 seconds.
func (g *Gateway) Serve(ctx context.Context) error {
	server := g.server()
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	planning, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	parts.Go(func() { g.listen(background) })
	parts.Go(func() { g.marks.run(background) })
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(g.listener) }()
	planned := make(chan struct{})
	go func() {
		g.planner.run(planning)
		close(planned)
	}()
	var err error
	select {
	case <-planned: // ctx has ended, and so has everything of the planner's
	case err = <-failed:
		err = fmt.Errorf("serving workers: %w", err)
		stop()
		<-planned
	}
	hurry := time.AfterFunc(2*time.Second, server.Stop)
	server.GracefulStop()
	hurry.Stop()
	g.telling.Wait()
	cancel()
	parts.Wait()
	return err
}

func (g *Gateway) server() *grpc.Server {
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(g.guard),
		grpc.StreamInterceptor(g.refuseStream),
		grpc.UnknownServiceHandler(g.refuseUnknown),
		grpc.WaitForHandlers(true),
		grpc.MaxRecvMsgSize(longestMessage),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxConcurrentStreams(1024),
		grpc.ConnectionTimeout(10 * time.Second),
		// A machine that lost its power is noticed, and its poll given up.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 15 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if g.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(g.TLS)))
	}
	server := grpc.NewServer(options...)
	workflowservice.RegisterWorkflowServiceServer(server, &service{g: g})
	return server
}

// listen keeps a connection on which PostgreSQL tells of work. Each time that it
// comes back, what happened meanwhile is read.
func (g *Gateway) listen(ctx context.Context) {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := g.DB.ListenReady(ctx, func(queue string) {
			pause = 100 * time.Millisecond
			g.planner.tell(func() { g.planner.announced(queue) })
		})
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, context.Canceled) {
			g.Log.Warn("the gateway reads every second until PostgreSQL tells of work again", "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}
