package signing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"debusine"
	"debusine/activities/signing"
	"debusine/api"
	"debusine/client"
	"debusine/crash"
	"debusine/task"
)

const (
	patience = time.Minute // with a server that is away, for one question
	askAgain = 3 * time.Second
	pace     = 30 * time.Second // between reports
	beat     = 5 * time.Second  // between heartbeats of an attempt
	atOnce   = 4                // signatures are short; a token makes one at a time
	// waitAgain is how long what waits for a second person lies before it is
	// looked at again.
	waitAgain = 10 * time.Second
)

// serve takes work until ctx ends; what is in hand is then cut short, and begun
// anew elsewhere.
func (s *station) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		hello, err := s.hello(ctx)
		if err == nil {
			err = s.take(ctx, hello)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("cannot take work; trying again", "error", err)
			pause(ctx, askAgain)
		}
	}
	return nil
}

// hello waits until an administrator has enabled this worker.
func (s *station) hello(ctx context.Context) (hello api.WorkerHello, err error) {
	told := false
	for {
		hello, err = s.home.PutDynamicMetadata(ctx, api.WorkerMetadata{})
		if err == nil && hello.Enabled {
			s.log.Info("joined", "name", hello.Name, "queue", task.SigningQueue)
			return hello, nil
		}
		if ctx.Err() != nil {
			return hello, ctx.Err()
		}
		if !told {
			s.log.Info("not taken in yet", "error", err, "hint", "debusine admin worker enable NAME")
			told = true
		}
		pause(ctx, askAgain)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take polls until ctx ends or the worker is worth no more.
func (s *station) take(ctx context.Context, hello api.WorkerHello) error {
	options := sdk.Options{HostPort: s.temporal, Namespace: hello.Namespace, Identity: hello.Name, Logger: temporallog.NewStructuredLogger(s.log)}
	options.ConnectionOptions.TLS = s.tls
	c, err := sdk.DialContext(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close()
	fatal := make(chan error, 1)
	w := worker.New(c, task.SigningQueue, worker.Options{MaxConcurrentActivityExecutionSize: atOnce, MaxConcurrentActivityTaskPollers: 1,
		DisableWorkflowWorker: true, DisableRegistrationAliasing: true, Identity: hello.Name, WorkerStopTimeout: 20 * time.Second,
		OnFatalError: func(err error) { fatal <- err }})
	w.RegisterDynamicActivity(s.do, activity.DynamicRegisterOptions{})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-fatal:
			return err
		case <-time.After(pace):
		}
		if again, err := s.home.PutDynamicMetadata(ctx, api.WorkerMetadata{}); err == nil && !again.Enabled {
			return errors.New("an administrator has disabled this worker")
		}
	}
}

// do is the one dynamic activity: any signing task.
func (s *station) do(ctx context.Context, args converter.EncodedValues) (task.Outcome, error) {
	info := activity.GetInfo(ctx)
	var in task.WorkRequest
	if err := args.Get(&in); err != nil {
		return task.Outcome{}, again(task.Cannot, err, time.Minute)
	}
	log := s.log.With("id", in.ID, "task", info.ActivityType.Name)
	b, err := s.home.BeginSigning(ctx, in.ID, info.TaskToken, info.Attempt)
	switch {
	case err != nil:
		log.Warn("could not begin", "error", err)
		return task.Outcome{}, again(task.Cannot, err, askAgain)
	case b.Decision == api.Wait:
		log.Info("not begun", "reason", b.Reason)
		return task.Outcome{}, again("waiting", errors.New(b.Reason), waitAgain)
	case b.Decision != api.Run:
		log.Info("nothing to run", "decision", b.Decision, "reason", b.Reason)
		return task.Outcome{}, again(task.Cannot, errors.New(b.Reason), askAgain)
	}
	crash.Point(crash.Begun)
	log.Info("begins", "attempt", b.Attempt)
	return s.attempt(ctx, log, in.ID, b)
}

// attempt does the work and records how it ended. An attempt that breaks is left
// open: it falls silent, and the server counts the loss and gives it out again.
func (s *station) attempt(ctx context.Context, log *slog.Logger, id int64, b api.BeginAnswer) (task.Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	home := s.home.Attempt(id, b.Token)
	go s.beHeard(ctx, home, cancel)
	out, err := s.doer.Do(ctx, signact.Job{WorkRequest: id, Task: b.TaskName, Data: b.TaskData, Dynamic: b.DynamicData}, home)
	if errors.Is(context.Cause(ctx), errAborted) {
		log.Info("stopped: aborted")
		out, err = signact.Outcome{Result: debusine.Failure}, nil
	}
	if err != nil {
		log.Error("the attempt broke", "error", err)
		return task.Outcome{}, again(task.WorkerError, errors.New("the signing worker's log says why"), askAgain)
	}
	raw, err := json.Marshal(out.OutputData)
	if err != nil {
		return task.Outcome{}, err
	}
	if err := home.Complete(context.WithoutCancel(ctx), string(out.Result), raw); err != nil {
		log.Warn("the outcome was not recorded", "result", out.Result, "error", err)
		return task.Outcome{}, again(task.WorkerError, errors.New("the outcome was not recorded"), askAgain)
	}
	crash.Point(crash.Recorded)
	log.Info("ends", "result", out.Result, "audit_head", out.OutputData.AuditHead)
	return task.Outcome{ID: id, Status: debusine.Completed, Result: out.Result}, nil
}

var errAborted = errors.New("the work request was aborted")

// beHeard beats until ctx ends. What is aborted, or was given to another, stops.
func (s *station) beHeard(ctx context.Context, home *client.Attempt, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		pause(ctx, beat)
		call, done := context.WithTimeout(ctx, beat)
		aborted, err := home.Heard(call)
		done()
		switch {
		case ctx.Err() != nil:
		case aborted:
			cancel(errAborted)
		case errors.As(err, new(debusine.Missing)):
			cancel(errors.New("the work was given to another worker"))
		}
	}
}

// again is a failure after which Temporal gives the task out once more.
func again(kind string, err error, after time.Duration) error {
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%.900s", err), kind, temporal.ApplicationErrorOptions{NextRetryDelay: after})
}
