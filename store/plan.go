package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// Plan makes the children of a workflow for the steps, in one transaction. A
// step that has a work request already keeps it; one whose work request ended
// without success, when the workflow was retried since, gets a new one that
// supersedes it, or, if it is a workflow, goes on as itself. Steps that cannot run
// are recorded as ended with an error.
func (db *DB) Plan(ctx context.Context, req task.PlanRequest) (out task.Planned, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		out = task.Planned{}
		parent, err := parentOf(ctx, tx, req)
		if err != nil {
			return err
		}
		if err := noteDropped(ctx, tx, req); err != nil {
			return err
		}
		for _, step := range req.Steps {
			child, err := db.planStep(ctx, tx, parent, step)
			if err != nil {
				return fmt.Errorf("planning step %s of work request %d: %w", step.Name, req.Parent, err)
			}
			out.Children = append(out.Children, child)
		}
		return nil
	})
	return out, err
}

// noteDropped tells of what the workflow leaves out while it runs; its end tells
// again.
func noteDropped(ctx context.Context, tx pgx.Tx, req task.PlanRequest) error {
	if len(req.Dropped) == 0 {
		return nil
	}
	raw, err := json.Marshal(debusine.OutputData{Dropped: req.Dropped})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE work_requests SET output_data = coalesce(output_data, '{}') || $2::jsonb WHERE id = $1`, req.Parent, raw)
	return err
}

// parent is what a child takes from its parent.
type parent struct {
	id, root, workspace, user int64
	priority, adjust          int
	run                       int
	status                    debusine.Status
	execution                 string // the Temporal workflow that asks
}

// parentOf locks the parent, so that two plans of it follow one another. A run of
// its root that was followed by a retry plans no more: what runs within a run has
// an id that begins with that of the run.
func parentOf(ctx context.Context, tx pgx.Tx, req task.PlanRequest) (p parent, err error) {
	var current bool
	err = tx.QueryRow(ctx, `
		SELECT p.id, coalesce(p.root_id, p.id), p.workspace_id, p.created_by, p.priority_base, p.priority_adjustment, p.run, p.status,
		       $2 = '' OR root.temporal_id IS NULL OR root.temporal_id = $2 OR starts_with($2, root.temporal_id || '/')
		  FROM work_requests p JOIN work_requests root ON root.id = coalesce(p.root_id, p.id) WHERE p.id = $1 FOR NO KEY UPDATE OF p`, req.Parent, req.Execution).
		Scan(&p.id, &p.root, &p.workspace, &p.user, &p.priority, &p.adjust, &p.run, &p.status, &current)
	p.execution = req.Execution
	switch {
	case err != nil:
		return p, fault(err, fmt.Sprintf("work request %d", req.Parent))
	case p.status.Ended():
		return p, debusine.Conflictf("work request %d has ended", req.Parent)
	case !current:
		return p, debusine.Conflictf("work request %d was retried: %s is not its run any more", req.Parent, req.Execution)
	}
	return p, nil
}

// executionOf is the Temporal workflow in which a step runs.
func (p parent) executionOf(kind debusine.TaskType, step task.Step) string {
	if kind == debusine.WorkflowTask {
		return task.WithinID(p.execution, step.Name)
	}
	return p.execution
}

func (db *DB) planStep(ctx context.Context, tx pgx.Tx, p parent, step task.Step) (task.Child, error) {
	kind := step.Kind
	if kind == "" {
		kind = task.TypeOf(step.TaskName)
	}
	child, again, err := existing(ctx, tx, p, step)
	switch {
	case err != nil:
		return child, err
	case child.ID != 0 && !again:
		return child, p.adopt(ctx, tx, &child, step)
	case again && kind == debusine.WorkflowTask:
		return child, p.goOn(ctx, tx, &child, step)
	}
	n := New{WorkspaceID: p.workspace, CreatedBy: p.user, TaskType: kind, TaskName: step.TaskName, Data: step.Data,
		Priority: p.priority, Reactions: step.Reactions, parent: &p.id, root: &p.root, step: step.Name, display: step.Display,
		group: step.Group, priorityAdjust: p.adjust, execution: p.executionOf(kind, step)}
	if again {
		if _, err := tx.Exec(ctx, `UPDATE work_requests SET superseded = true WHERE id = $1`, child.ID); err != nil {
			return child, err
		}
		n.Supersedes = &child.ID
	}
	return db.planChild(ctx, tx, n)
}

// planChild makes a child's row. One that cannot run ends at once.
func (db *DB) planChild(ctx context.Context, tx pgx.Tx, n New) (task.Child, error) {
	var ready prepared
	// A savepoint: what PostgreSQL refuses would spoil the whole plan.
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) {
		ready, err = db.prepareChild(ctx, tx, n)
		return err
	})
	if err != nil {
		if !isFault(err) {
			return task.Child{}, err
		}
		n.failed = &debusine.OutputData{Errors: []debusine.TaskError{{Message: err.Error(), Code: "dynamic-data-failed"}}}
		ready = prepared{New: n}
	}
	id, err := db.insert(ctx, tx, ready)
	if err != nil {
		return task.Child{}, err
	}
	child := task.Child{Step: n.step, ID: id, Kind: n.TaskType, Task: ready.TaskName, Summary: n.display}
	switch {
	case ready.queue != nil:
		child.Queue = *ready.queue
	case n.TaskType == debusine.ServerTask:
		child.Queue = task.ServerQueue
	case n.TaskType == debusine.WorkflowTask:
		child.Execution, child.Data = n.execution, ready.Configured()
	}
	o := task.Outcome{ID: id}
	if err := tx.QueryRow(ctx, `SELECT status, result FROM work_requests WHERE id = $1`, id).Scan(&o.Status, &o.Result); err != nil {
		return child, err
	}
	if o.Status.Ended() { // it cannot run, or need not
		child.Ended = &o
	}
	return child, nil
}

// prepareChild configures a workflow before it decides anything, as one that a
// person starts.
func (db *DB) prepareChild(ctx context.Context, tx pgx.Tx, n New) (prepared, error) {
	if n.TaskType != debusine.WorkflowTask {
		return db.prepare(ctx, tx, n)
	}
	about, err := configureWorkflow(ctx, reader{q: tx, workspace: n.WorkspaceID, user: n.CreatedBy, root: *n.root}, &n)
	if err != nil {
		return prepared{New: n}, err
	}
	if n.Dynamic, err = aboutJSON(about); err != nil || n.failed != nil {
		return prepared{New: n, dynamic: n.Dynamic}, err
	}
	return db.prepare(ctx, tx, n)
}

// existing gives the step's newest work request, if it has one. again says that it
// ended without success and is to be tried again: before the workflow's newest
// run, or as the step itself asks.
func existing(ctx context.Context, tx pgx.Tx, p parent, step task.Step) (c task.Child, again bool, err error) {
	var (
		o     task.Outcome
		queue *string
		run   int
	)
	err = tx.QueryRow(ctx, `
		SELECT id, task_type, task_name, queue, status, result, coalesce(workflow_data->>'display_name', ''), run, coalesce(execution_id, ''),
		       CASE WHEN task_type = 'Workflow' THEN coalesce(configured_task_data, task_data) END, `+failureColumns+` FROM work_requests r
		 WHERE parent_id = $1 AND step = $2 AND NOT superseded FOR NO KEY UPDATE`, p.id, step.Name).
		Scan(&c.ID, &c.Kind, &c.Task, &queue, &o.Status, &o.Result, &c.Summary, &run, &c.Execution, &c.Data, &o.Class, &o.Mends)
	if errors.Is(err, pgx.ErrNoRows) {
		return task.Child{}, false, nil
	}
	if err != nil {
		return c, false, err
	}
	c.Step, o.ID = step.Name, c.ID
	if queue != nil {
		c.Queue = *queue
	} else if c.Kind == debusine.ServerTask {
		c.Queue = task.ServerQueue
	}
	if o.Status.Ended() {
		c.Ended = &o
		return c, !o.Succeeded() && (run < p.run || step.Supersedes == c.ID), nil
	}
	return c, false, nil
}

// adopt notes where a child runs that was planned before: the plan may have been
// made for an execution that never came to ask for it.
func (p parent) adopt(ctx context.Context, tx pgx.Tx, c *task.Child, step task.Step) error {
	where := p.executionOf(c.Kind, step)
	if c.Kind != debusine.WorkflowTask {
		defer func() { c.Execution = "" }()
	}
	if c.Ended != nil || p.execution == "" || c.Execution == where {
		return nil
	}
	c.Execution = where
	_, err := tx.Exec(ctx, `UPDATE work_requests SET execution_id = $2 WHERE id = $1`, c.ID, where)
	return err
}

// goOn has a workflow within a workflow run again, as itself, configured anew: it keeps those of its
// children that succeeded.
func (p parent) goOn(ctx context.Context, tx pgx.Tx, c *task.Child, step task.Step) error {
	data, err := reconfigure(ctx, tx, c.ID)
	if err != nil {
		if !isFault(err) {
			return err
		}
		c.Ended = &task.Outcome{ID: c.ID, Status: debusine.Completed, Result: debusine.Error}
		return failToGoOn(ctx, tx, c.ID, err, p.run)
	}
	c.Ended, c.Data, c.Execution = nil, data, p.executionOf(c.Kind, step)
	_, err = tx.Exec(ctx, `
		UPDATE work_requests SET status = 'running', result = '', completed_at = NULL, aborted_by = NULL, output_data = NULL, run = $2, execution_id = $3,
		       started_at = now(), temporal_closed = false WHERE id = $1`, c.ID, p.run, c.Execution)
	return err
}
