package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
	"debusine/taskconfig"
)

// New describes a work request to be made.
type New struct {
	WorkspaceID int64
	CreatedBy   int64 // a user's id
	TaskType    debusine.TaskType
	TaskName    string
	Data        json.RawMessage
	Priority    int
	Template    *int64
	Reactions   task.Reactions
	Supersedes  *int64
	Dynamic     json.RawMessage // of a workflow: what it is about

	parent, root   *int64 // of a child; nil for what has an execution of its own
	step           string
	display        string
	group          string
	priorityAdjust int

	configured json.RawMessage      // of a workflow: its data after the task configuration
	steps      []taskconfig.Step    // what configured it
	failed     *debusine.OutputData // it cannot run: ends as error at once
}

// Configured are the workflow's data after the task configuration.
func (n New) Configured() json.RawMessage {
	if n.configured != nil {
		return n.configured
	}
	return n.Data
}

// Misconfigured says that the task configuration made the data invalid: what is
// made of n ends with that error at once.
func (n New) Misconfigured() bool { return n.failed != nil }

// prepared is a new work request with all that its row needs.
type prepared struct {
	New
	dynamic                  json.RawMessage
	required, provided, gate []string
	queue                    *string
}

// Create makes a work request that stands alone, or the root of a workflow, and
// commits it: the row is the outbox, to be started in Temporal next (Unstarted,
// MarkStarted). Bad data and lookups that find nothing are faults, and leave no
// trace.
func (db *DB) Create(ctx context.Context, n New) (id int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		p, err := db.prepare(ctx, tx, n)
		if err != nil {
			return err
		}
		id, err = db.insert(ctx, tx, p)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("creating a work request of task %s: %w", n.TaskName, err)
	}
	return id, nil
}

// Plan makes the children of a workflow for the steps, in one transaction. A
// step that has a work request already keeps it; one whose work request ended
// without success, when the workflow was retried since, gets a new one that
// supersedes it. Steps that cannot run are recorded as ended with an error.
func (db *DB) Plan(ctx context.Context, req task.PlanRequest) (out task.Planned, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		out = task.Planned{}
		parent, err := parentOf(ctx, tx, req)
		if err != nil {
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

// parent is what a child takes from its parent.
type parent struct {
	id, root, workspace, user int64
	priority, adjust          int
	run                       int
	status                    debusine.Status
}

// parentOf locks the parent, so that two plans of it follow one another. A run of
// it that was followed by a retry plans no more.
func parentOf(ctx context.Context, tx pgx.Tx, req task.PlanRequest) (p parent, err error) {
	var current bool
	err = tx.QueryRow(ctx, `
		SELECT id, coalesce(root_id, id), workspace_id, created_by, priority_base, priority_adjustment, run, status,
		       $2 = '' OR temporal_id IS NULL OR temporal_id = $2
		  FROM work_requests WHERE id = $1 FOR NO KEY UPDATE`, req.Parent, req.Execution).
		Scan(&p.id, &p.root, &p.workspace, &p.user, &p.priority, &p.adjust, &p.run, &p.status, &current)
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

func (db *DB) planStep(ctx context.Context, tx pgx.Tx, p parent, step task.Step) (task.Child, error) {
	child, again, err := existing(ctx, tx, p, step.Name)
	if err != nil || (child.ID != 0 && !again) {
		return child, err
	}
	n := New{WorkspaceID: p.workspace, CreatedBy: p.user, TaskType: task.TypeOf(step.TaskName), TaskName: step.TaskName, Data: step.Data,
		Priority: p.priority, Reactions: step.Reactions, parent: &p.id, root: &p.root, step: step.Name, display: step.Display,
		group: step.Group, priorityAdjust: p.adjust}
	if again {
		if _, err := tx.Exec(ctx, `UPDATE work_requests SET superseded = true WHERE id = $1`, child.ID); err != nil {
			return child, err
		}
		n.Supersedes = &child.ID
	}
	var ready prepared
	// A savepoint: what PostgreSQL refuses would spoil the whole plan.
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) (err error) {
		ready, err = db.prepare(ctx, tx, n)
		return err
	})
	if err != nil {
		if !isFault(err) {
			return child, err
		}
		n.failed = &debusine.OutputData{Errors: []debusine.TaskError{{Message: err.Error(), Code: "dynamic-data-failed"}}}
		ready = prepared{New: n}
	}
	id, err := db.insert(ctx, tx, ready)
	if err != nil {
		return child, err
	}
	child = task.Child{Step: step.Name, ID: id, Task: step.TaskName, Summary: step.Display}
	if ready.queue != nil {
		child.Queue = *ready.queue
	}
	if ready.failed != nil {
		child.Ended = &task.Outcome{ID: id, Status: debusine.Completed, Result: debusine.Error}
	}
	return child, nil
}

// existing gives the step's newest work request, if it has one. again says that
// it ended without success before the workflow's newest run.
func existing(ctx context.Context, tx pgx.Tx, p parent, step string) (c task.Child, again bool, err error) {
	var (
		o     task.Outcome
		queue *string
		run   int
	)
	err = tx.QueryRow(ctx, `
		SELECT id, task_name, queue, status, result, coalesce(workflow_data->>'display_name', ''), run FROM work_requests
		 WHERE parent_id = $1 AND step = $2 AND NOT superseded FOR NO KEY UPDATE`, p.id, step).
		Scan(&c.ID, &c.Task, &queue, &o.Status, &o.Result, &c.Summary, &run)
	if errors.Is(err, pgx.ErrNoRows) {
		return task.Child{}, false, nil
	}
	if err != nil {
		return c, false, err
	}
	c.Step, o.ID = step, c.ID
	if queue != nil {
		c.Queue = *queue
	}
	if o.Status.Ended() {
		c.Ended = &o
		return c, run < p.run && !o.Succeeded(), nil
	}
	return c, false, nil
}

// insert writes the row, applies its on_creation reactions, and notifies the
// gateways; PostgreSQL joins equal notifications of a transaction.
func (db *DB) insert(ctx context.Context, tx pgx.Tx, p prepared) (id int64, err error) {
	status, result := debusine.Pending, debusine.Result("")
	var output json.RawMessage
	if p.failed != nil {
		status, result = debusine.Completed, debusine.Error
		if output, err = json.Marshal(p.failed); err != nil {
			return 0, err
		}
	}
	reactions, err := json.Marshal(p.Reactions)
	if err != nil {
		return 0, err
	}
	workflow, err := json.Marshal(workflowData(p.New))
	if err != nil {
		return 0, err
	}
	before, after, err := p.aroundTemporalID(db.name)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO work_requests (id, workspace_id, created_by, task_type, task_name, task_data, configured_task_data, dynamic_task_data,
		       priority_base, priority_adjustment, parent_id, root_id, workflow_template_id, workflow_data, event_reactions, supersedes_id,
		       scheduler_tags_provided, scheduler_tags_required, step, queue, status, result, output_data, temporal_id, temporal_closed,
		       pending_at, completed_at, run)
		OVERRIDING SYSTEM VALUE
		SELECT n.id, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
		       CASE WHEN $23 <> '' THEN $23 || n.id || $25 END, $24, now(), CASE WHEN $24 THEN now() END,
		       coalesce((SELECT run FROM work_requests WHERE id = $10), 0)
		  FROM (SELECT nextval(pg_get_serial_sequence('work_requests', 'id')) AS id) n
		RETURNING id`,
		p.WorkspaceID, p.CreatedBy, p.TaskType, p.TaskName, orEmpty(p.Data), p.configured, p.dynamic,
		p.Priority, p.priorityAdjust, p.parent, p.root, p.Template, workflow, reactions, p.Supersedes,
		notNil(p.provided), notNil(p.required), nullIfEmpty(p.step), p.queue, status, result, output, before, p.failed != nil, after).Scan(&id)
	if err != nil {
		return 0, fault(err, "work request")
	}
	if p.parent == nil && p.TaskType == debusine.WorkflowTask {
		if err := ensureInternal(ctx, tx, id); err != nil {
			return 0, err
		}
	}
	if p.failed == nil && p.queue != nil {
		if err := notify(ctx, tx, *p.queue); err != nil {
			return 0, err
		}
	}
	return id, db.react(ctx, tx, id, p.Reactions.OnCreation)
}

// aroundTemporalID is what stands around the number in the id of the execution
// in Temporal; nothing when the work request has none of its own.
func (p prepared) aroundTemporalID(installation string) (before, after string, err error) {
	if p.parent != nil {
		return "", "", nil
	}
	if p.TaskType != debusine.WorkflowTask {
		return task.ActivityPrefix(installation), "", nil
	}
	var about task.Description
	if len(p.dynamic) > 0 {
		if err := json.Unmarshal(p.dynamic, &about); err != nil {
			return "", "", fmt.Errorf("reading what the workflow is about: %w", err)
		}
	}
	before, after = task.AroundWorkflowID(installation, p.TaskName, about)
	return before, after, nil
}

func workflowData(n New) map[string]any {
	data := map[string]any{}
	if n.display != "" {
		data["display_name"] = n.display
	}
	if n.step != "" {
		data["step"] = n.step
	}
	if n.group != "" {
		data["group"] = n.group
	}
	return data
}

// notify tells the gateways that a queue has work.
func notify(ctx context.Context, tx pgx.Tx, queue string) error {
	_, err := tx.Exec(ctx, `SELECT pg_notify('wr', $1)`, queue)
	return err
}

func sorted(tags []string) []string {
	tags = slices.Clone(tags)
	slices.Sort(tags)
	return slices.Compact(tags)
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func nullIfEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// merge adds the JSON fields of a struct to a map.
func merge(into map[string]any, from any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, &into)
}
