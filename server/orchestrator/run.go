package orchestrator

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/worker"

	"debusine/activities/server"
	"debusine/store"
	"debusine/task"
	"debusine/workflows"
)

// Run keeps PostgreSQL and Temporal together until ctx ends: it runs workflows
// and server activities, judges silent workers, and sweeps. An outage of either
// side is waited out.
func (o *Orchestrator) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.runTemporalWorker(ctx)
	}()
	go o.every(ctx, 2*time.Second, "judging silent workers", o.judge)
	go o.every(ctx, 2*time.Second, "telling Temporal of beginnings and ends", func(ctx context.Context) error {
		return errors.Join(o.startOutbox(ctx, 0, inFlight), o.tell(ctx, 0, inFlight), o.applyLate(ctx))
	})
	o.sweepNowAndThen(ctx)
	<-done
}

// sweepNowAndThen sweeps at the start, when whatever lies about was left by a
// crash; soon again, for what was then too young to be doubted; then every minute.
func (o *Orchestrator) sweepNowAndThen(ctx context.Context) {
	age := time.Duration(0)
	for range 3 {
		once, cancel := context.WithTimeout(ctx, longStarted+time.Second)
		o.every(once, time.Minute, "sweeping", func(ctx context.Context) error { return o.Sweep(ctx, age) })
		cancel()
		age = inFlight
	}
	o.every(ctx, sweepEvery, "sweeping", func(ctx context.Context) error { return o.Sweep(ctx, age) })
}

// every does a thing now and then, and sooner again after it failed.
func (o *Orchestrator) every(ctx context.Context, interval time.Duration, what string, do func(context.Context) error) {
	failing := false
	for ctx.Err() == nil {
		pause := interval
		attempt, cancel := context.WithTimeout(ctx, time.Minute)
		err := do(attempt)
		cancel()
		if err != nil {
			pause = min(interval, 2*time.Second)
			if !failing && ctx.Err() == nil {
				o.log.Warn(what+" failed; trying again", "error", err)
			}
		} else if failing {
			o.log.Info(what + " works again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// judge beats for the servers and calls silent workers lost.
func (o *Orchestrator) judge(ctx context.Context) error {
	may, err := o.db.Beat(ctx)
	if err != nil || !may {
		return err
	}
	lost, err := o.db.LoseSilent(ctx)
	for _, l := range lost {
		o.log.Warn("work request", "to", l.Status, "id", l.WorkRequest, "worker", l.Worker, "attempt", l.Number, "reason", "the worker was silent for "+store.Silence.String())
		o.tellSoon(ctx, l.WorkRequest)
	}
	return err
}

// runTemporalWorker runs until ctx ends. The SDK's worker gives up when Temporal
// is away at its start: then another one is made.
func (o *Orchestrator) runTemporalWorker(ctx context.Context) {
	acts := &server.Activities{Records: o.db, Schedules: o, Log: o.log, Doers: o.doers}
	o.every(ctx, time.Second, "running workflows", func(context.Context) error {
		failed := make(chan error, 1)
		w := worker.New(o.temporal, task.ServerQueue, worker.Options{
			MaxConcurrentActivityExecutionSize: 32, MaxConcurrentWorkflowTaskPollers: 4, MaxConcurrentActivityTaskPollers: 4,
			WorkerStopTimeout: 10 * time.Second, OnFatalError: func(err error) { failed <- err },
		})
		workflows.Register(w)
		acts.Register(w)
		if err := w.Start(); err != nil {
			return err
		}
		defer w.Stop()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		}
	})
}
