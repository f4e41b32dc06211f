package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// RetryWithDelays does a step, and when that fails of something that time may mend
// it waits and does it again, as a work request of its own each time that
// supersedes the one before. The delays are Temporal's timers: they go on whatever
// dies. People may end the waiting, give up or change the delays, by updates.
func RetryWithDelays(ctx workflow.Context, in task.RetryStart) (task.Outcome, error) {
	r := &retrying{in: in, delays: in.Retries.RetryDelays, noting: workflow.NewMutex(ctx),
		board: &board{root: in.Within.ID, about: "Trying again: " + in.Step.Display, waits: listen(ctx)}}
	if err := r.offerUpdates(ctx); err != nil {
		return task.Outcome{}, err
	}
	o, err := r.run(ctx)
	if err != nil && (temporal.IsCanceledError(err) || ctx.Err() != nil) {
		r.board.finish(ctx, aborted)
		return task.Outcome{}, workflow.ErrCanceled
	}
	if err == nil {
		r.board.finish(ctx, string(o.Result)+r.why())
	}
	r.stands = over
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return task.Outcome{}, err
	}
	return o, err
}

// stands is what a step that is tried again is at.
type stands string

const (
	trying  stands = "trying"
	waiting stands = "waiting"
	over    stands = "over"
)

type retrying struct {
	in      task.RetryStart
	board   *board
	noting  workflow.Mutex
	delays  []string
	stands  stands
	number  int       // of retries that have begun
	since   time.Time // when the last try ended
	last    task.Outcome
	due     time.Time // of the next try, while it waits
	reason  string
	givenUp bool
	changes int // that people made
}

func (r *retrying) run(ctx workflow.Context) (task.Outcome, error) {
	step := r.in.Step
	for {
		r.stands = trying
		outcomes, err := runSteps(ctx, r.in.Within, r.board, step)
		if err != nil {
			return task.Outcome{}, err
		}
		r.last, r.since = outcomes[0], workflow.Now(ctx)
		r.decide()
		if r.last.Succeeded() && r.number == 0 {
			return r.last, nil // most end so, and nobody needs to know more
		}
		if err := r.note(ctx); err != nil {
			return r.last, err
		}
		if err := r.wait(ctx); err != nil || r.stands == over {
			return r.last, err
		}
		step.Supersedes = r.last.ID
	}
}

// decide says whether there is a next try, when and why.
func (r *retrying) decide() {
	delay, more := task.NextDelay(r.delays, r.number)
	r.stands, r.reason = over, ""
	switch {
	case r.last.Succeeded():
	case r.last.Status == debusine.Aborted:
		r.reason = "it was aborted"
	case r.givenUp:
		r.reason = "given up"
	case !r.in.Retries.Again(r.last):
		r.reason = "time does not mend " + r.failedOf()
	case !more:
		r.reason = fmt.Sprintf("%s, and there is no further delay", r.failedOf())
	default:
		r.stands, r.due, r.reason = waiting, r.since.Add(delay), r.failedOf()
	}
}

// failedOf names what the last try failed of.
func (r *retrying) failedOf() string {
	if r.last.Class.Known() && r.last.Class != debusine.FailedUnknown {
		return "a failure of class " + string(r.last.Class)
	}
	return "a " + strings.TrimPrefix(string(r.last.Result), "a ")
}

// why is the reason as the end of a sentence.
func (r *retrying) why() string {
	if r.reason == "" {
		return ""
	}
	return ": " + r.reason
}

// wait waits for the next try, if there is one: until the timer fires or people
// have decided otherwise.
func (r *retrying) wait(ctx workflow.Context) error {
	for r.stands == waiting {
		seen := r.changes
		ended, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{Timeout: r.due.Sub(workflow.Now(ctx)),
			TimerOptions: workflow.TimerOptions{Summary: fmt.Sprintf("retry %d of %d", r.number+1, len(r.delays))}},
			func() bool { return r.changes != seen })
		if err != nil {
			return err
		}
		if !ended && r.stands == waiting {
			r.begin()
			return r.note(ctx)
		}
	}
	return nil
}

// begin says that the waiting is over and the next try begins.
func (r *retrying) begin() {
	r.stands, r.number, r.reason = trying, r.number+1, ""
}

// note tells PostgreSQL and the board how it stands. Notes follow one another, and
// each is of the moment when it is written.
func (r *retrying) note(ctx workflow.Context) error {
	if err := r.noting.Lock(ctx); err != nil {
		return err
	}
	defer r.noting.Unlock()
	n := task.RetryNote{Parent: r.in.Within.ID, Step: r.in.Step.Name, Number: r.number, Delays: r.delays, RetryOn: r.in.Retries.RetryOn,
		Reason: r.reason, Failed: r.last.ID, GivenUp: r.givenUp, Stands: string(r.stands)}
	r.board.next = ""
	if r.stands == waiting {
		n.Number++
		n.Due = &r.due
		r.board.next = fmt.Sprintf("Waiting: retry %d of %d is due at %s, after %s", n.Number, len(r.delays), r.due.UTC().Format("2006-01-02 15:04:05 MST"), r.reason)
	}
	r.board.show(ctx)
	_, err := task.NoteRetry.OnServer(ctx, n)
	return err
}

// offerUpdates takes what people want while it goes on.
func (r *retrying) offerUpdates(ctx workflow.Context) error {
	offer := func(name string, handler, validator any) error {
		return workflow.SetUpdateHandlerWithOptions(ctx, name, handler, workflow.UpdateHandlerOptions{Validator: validator})
	}
	changed := func(ctx workflow.Context) error {
		r.changes++
		return r.note(ctx)
	}
	err := offer(task.RetryNowUpdate, func(ctx workflow.Context) error {
		r.begin()
		return changed(ctx)
	}, func() error {
		if r.stands != waiting {
			return refusal("it does not wait for a next try: it is %s", r.stands)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = offer(task.GiveUpUpdate, func(ctx workflow.Context) error {
		r.givenUp = true
		if r.stands == waiting {
			r.decide()
		}
		return changed(ctx)
	}, func() error {
		if r.stands == over || r.givenUp {
			return refusal("there is no further try already")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return offer(task.RetryDelaysUpdate, func(ctx workflow.Context, delays []string) error {
		r.delays, r.givenUp = delays, false
		if r.stands == waiting {
			r.decide()
		}
		return changed(ctx)
	}, func(delays []string) error {
		if err := task.CheckDelays(delays); err != nil {
			return refusal("%s", err)
		}
		if r.stands == over {
			return refusal("there is no further try already")
		}
		return nil
	})
}

// refusal is what a validator answers: a fault, in words for people.
func refusal(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), task.FaultType, nil)
}

// runRetried does the steps like runSteps, each within a workflow that tries it
// again, when there are delays.
func runRetried(ctx workflow.Context, start task.WorkflowStart, b *board, r task.Retries, steps ...task.Step) ([]task.Outcome, error) {
	if len(r.RetryDelays) == 0 {
		return runSteps(ctx, start, b, steps...)
	}
	outcomes := make([]task.Outcome, len(steps))
	children := make([]task.Child, len(steps))
	for i, step := range steps {
		children[i] = task.Child{Step: step.Name, Summary: step.Display, Task: task.RetryWorkflow}
	}
	first := b.add(children, outcomes)
	selector := workflow.NewSelector(ctx)
	var failed error
	for i, step := range steps {
		selector.AddFuture(task.WithRetries(ctx, start, step, r).Future, func(f workflow.Future) {
			// One that was cancelled while this workflow goes on was aborted by a person.
			err := outcomeOf(ctx, f, task.Child{Kind: debusine.WorkflowTask}, &outcomes[i])
			if err != nil && failed == nil {
				failed = err
			}
			b.children[first+i].ID, b.outcomes[first+i] = outcomes[i].ID, outcomes[i]
			b.show(ctx)
		})
	}
	b.show(ctx)
	for range steps {
		selector.Select(ctx)
	}
	return outcomes, failed
}
