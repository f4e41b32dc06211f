// Package task is the only door between deciding and doing: the catalogue of
// all pieces of work, each with its name, input, result and limits, and the
// rules that say which machine may do it (tags, queues).
//
// Workflows ask for work through Task.Do; activities offer it through
// Task.DoneBy. Both sides are typed, so the compiler checks the contract that
// otherwise only a string would hold together. Names are Debusine's own and
// never those of Go functions; ids and queue names are pure functions, found in
// ids.go and queue.go.
package task

import (
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Task is the contract of one piece of work.
type Task[In, Out any] struct {
	Name    string        // Debusine's name: the activity type
	Limit   time.Duration // how long one attempt may take; the doer enforces it
	Silence time.Duration // heartbeat time-out; zero for short server work
}

// Do asks for the work on a queue and gives the future of its result.
func (t Task[In, Out]) Do(ctx workflow.Context, options workflow.ActivityOptions, in In) Future[Out] {
	return Future[Out]{workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, options), t.Name, in)}
}

// DoneBy registers fn as the doer of the task.
func (t Task[In, Out]) DoneBy(r worker.ActivityRegistry, fn any) {
	r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: t.Name})
}

// Future is the typed result of work that was asked for.
type Future[Out any] struct{ workflow.Future }

// Wait blocks until the result is there.
func (f Future[Out]) Wait(ctx workflow.Context) (out Out, err error) {
	err = f.Get(ctx, &out)
	return out, err
}

// onServer are the options of a server activity: quick, local, retried until it
// works, except for a fault that no retry mends.
func onServer(limit time.Duration) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           ServerQueue,
		StartToCloseTimeout: limit,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second,
			NonRetryableErrorTypes: []string{FaultType},
		},
	}
}

// FaultType is the application error type of a fault that no retry mends:
// invalid input, a missing thing, a right that is lacking.
const FaultType = "fault"

// The queues of the trusted network; the gateway never serves them.
const (
	ServerQueue    = "server"  // workflows and server activities
	SigningQueue   = "signing" // keys and signatures
	HeartbeatGrace = time.Hour // Temporal's own net below our judgement of silence
)

// Types of activity failure that hand a task back to be given out again. A
// worker may say the first three through the gateway; the others are ours.
const (
	Draining    = "draining"     // the worker stops gracefully
	Cannot      = "cannot"       // the worker does not know the task
	WorkerError = "worker-error" // its attempt broke without an end
	WorkerBusy  = "worker-busy"  // nobody was free to take it
	NeverBegun  = "never-begun"  // given out and not begun
	WorkerLost  = "worker-lost"  // silent for too long
)
