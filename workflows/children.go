package workflows

import (
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// window is how many children run at once; beyond it they follow one another.
const window = 100

// runSteps plans the steps and does them, and gives their outcomes in order.
func runSteps(ctx workflow.Context, start task.WorkflowStart, b *board, steps ...task.Step) ([]task.Outcome, error) {
	planned, err := task.Plan.OnServer(ctx, task.PlanRequest{Parent: start.ID, Steps: steps, Dropped: b.left})
	if err != nil {
		return nil, err
	}
	return runChildren(ctx, start, b, planned.Children)
}

// runChildren does the planned children, at most window at once, and gives
// their outcomes in order. What has ended already is not done again. The board
// shows each as it ends.
func runChildren(ctx workflow.Context, start task.WorkflowStart, b *board, children []task.Child) ([]task.Outcome, error) {
	outcomes := make([]task.Outcome, len(children))
	first := b.add(children, outcomes)
	selector := workflow.NewSelector(ctx)
	var failed error
	open := 0
	for i, c := range children {
		if c.Ended != nil {
			outcomes[i] = *c.Ended
			b.outcomes[first+i] = outcomes[i]
			continue
		}
		if open == window {
			selector.Select(ctx)
			open--
		}
		selector.AddFuture(begin(ctx, start, b, c), func(f workflow.Future) {
			if err := outcomeOf(ctx, f, c, &outcomes[i]); err != nil && failed == nil {
				failed = err
			}
			b.outcomes[first+i] = outcomes[i]
			b.show(ctx)
		})
		open++
	}
	b.show(ctx)
	for ; open > 0; open-- {
		selector.Select(ctx)
	}
	return outcomes, failed
}

// begin has a child done where its kind is done.
func begin(ctx workflow.Context, start task.WorkflowStart, b *board, c task.Child) workflow.Future {
	switch c.Kind {
	case debusine.ServerTask:
		return task.ByServer(ctx, start, c).Future
	case debusine.WaitTask:
		return b.waits.until(ctx, c.ID)
	case debusine.WorkflowTask:
		return task.AsWorkflow(ctx, start, c).Future
	}
	return task.OnWorker(ctx, start, c).Future
}

// outcomeOf reads how a child ended. A workflow that was cancelled while this one
// goes on was aborted by a person.
func outcomeOf(ctx workflow.Context, f workflow.Future, c task.Child, o *task.Outcome) error {
	err := f.Get(ctx, o)
	if err != nil && c.Kind == debusine.WorkflowTask && ctx.Err() == nil && temporal.IsCanceledError(err) {
		*o = task.Outcome{ID: c.ID, Status: debusine.Aborted}
		return nil
	}
	return err
}

// summarize is the result of a workflow whose children came to this: a success
// only when each succeeded. An aborted child makes it a failure.
func summarize(outcomes []task.Outcome) debusine.Result {
	for _, o := range outcomes {
		if !o.Succeeded() {
			return debusine.Failure
		}
	}
	return debusine.Success
}

// waits are the children that nothing in Temporal stands for: they end when the
// server says so, by signal (task.EndedSignal).
type waits struct {
	ended map[int64]task.Outcome
	open  map[int64]workflow.Settable
}

// listen takes the signals of a workflow from its first moment on: one may come
// before its child is waited for, and more than once.
func listen(ctx workflow.Context) *waits {
	w := &waits{ended: map[int64]task.Outcome{}, open: map[int64]workflow.Settable{}}
	workflow.Go(ctx, func(ctx workflow.Context) {
		signals := workflow.GetSignalChannel(ctx, task.EndedSignal)
		for {
			var o task.Outcome
			if !signals.Receive(ctx, &o) {
				return
			}
			w.end(o)
		}
	})
	return w
}

func (w *waits) end(o task.Outcome) {
	if _, known := w.ended[o.ID]; known || !o.Status.Ended() {
		return
	}
	w.ended[o.ID] = o
	if settable := w.open[o.ID]; settable != nil {
		settable.Set(o, nil)
	}
}

// until is the end of one of them; the future fails when the workflow is cancelled.
func (w *waits) until(ctx workflow.Context, id int64) workflow.Future {
	future, settable := workflow.NewFuture(ctx)
	if o, known := w.ended[id]; known {
		settable.Set(o, nil)
		return future
	}
	w.open[id] = settable
	workflow.Go(ctx, func(ctx workflow.Context) {
		if err := workflow.Await(ctx, func() bool { return future.IsReady() }); err != nil {
			delete(w.open, id)
			settable.SetError(err)
		}
	})
	return future
}
