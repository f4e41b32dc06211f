package store

import (
	"context"
	"encoding/json"
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
	Run         *Firing         // of a schedule: made once for it, else Decided
	Dropped     []debusine.DroppedArchitecture

	parent, root   *int64 // of a child; nil for what has an execution of its own
	execution      string // the Temporal workflow of a child
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
		if n.Run != nil {
			if err := decide(ctx, tx, *n.Run); err != nil {
				return err
			}
		}
		p, err := db.prepare(ctx, tx, n)
		if err != nil {
			return err
		}
		if id, err = db.insert(ctx, tx, p); err != nil || n.Run == nil {
			return err
		}
		return record(ctx, tx, *n.Run, debusine.ScheduleRun{Outcome: debusine.RunStarted, WorkRequest: &id})
	})
	if err != nil {
		return 0, fmt.Errorf("creating a work request of task %s: %w", n.TaskName, err)
	}
	return id, nil
}

// insert writes the row, applies its on_creation reactions, and notifies the
// gateways; PostgreSQL joins equal notifications of a transaction.
func (db *DB) insert(ctx context.Context, tx pgx.Tx, p prepared) (id int64, err error) {
	status, result := p.first(), debusine.Result("")
	var output json.RawMessage
	switch {
	case p.failed != nil:
		status, result = debusine.Completed, debusine.Error
		output, err = json.Marshal(p.failed)
	case len(p.Dropped) > 0:
		output, err = json.Marshal(debusine.OutputData{Dropped: p.Dropped})
	}
	if err != nil {
		return 0, err
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
		       pending_at, completed_at, run, execution_id, started_at)
		OVERRIDING SYSTEM VALUE
		SELECT n.id, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
		       CASE WHEN $23 <> '' THEN $23 || n.id || $25 END, $24, now(), CASE WHEN $24 THEN now() END,
		       coalesce((SELECT run FROM work_requests WHERE id = $10), 0), $26, CASE WHEN $21 = 'running' THEN now() END
		  FROM (SELECT nextval(pg_get_serial_sequence('work_requests', 'id')) AS id) n
		RETURNING id`,
		p.WorkspaceID, p.CreatedBy, p.TaskType, p.TaskName, orEmpty(p.Data), p.configured, p.dynamic,
		p.Priority, p.priorityAdjust, p.parent, p.root, p.Template, workflow, reactions, p.Supersedes,
		notNil(p.provided), notNil(p.required), nullIfEmpty(p.step), p.queue, status, result, output, before, p.failed != nil, after,
		nullIfEmpty(p.execution)).Scan(&id)
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
	if err := react(ctx, tx, id, p.Reactions.To(task.OnCreation)); err != nil {
		return 0, err
	}
	return id, p.reactToBirth(ctx, tx, id)
}

// reactToBirth reacts to what follows creation at once: the work request is
// unblocked, or it cannot run and has failed. One that is skipped is over for
// Temporal too, which never hears of it.
func (p prepared) reactToBirth(ctx context.Context, tx pgx.Tx, id int64) error {
	if p.failed != nil {
		return react(ctx, tx, id, p.Reactions.To(task.OnFailure))
	}
	unblocked := p.Reactions.To(task.OnUnblock)
	skipped, err := skip(ctx, tx, id, unblocked)
	if err != nil {
		return err
	}
	if skipped {
		_, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_closed = true WHERE id = $1`, id)
		return err
	}
	return react(ctx, tx, id, unblocked)
}

// first is the status of a work request when it is made. A child that nothing has
// to take up runs at once.
func (p prepared) first() debusine.Status {
	if p.parent != nil && (p.TaskType == debusine.WorkflowTask || p.TaskType == debusine.WaitTask) {
		return debusine.Running
	}
	return debusine.Pending
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
	if n.TaskType == debusine.WaitTask {
		data["needs_input"] = true
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
