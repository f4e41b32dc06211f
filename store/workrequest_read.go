package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// workRequestSQL reads work requests with everything that belongs to them, from
// work_requests r; artifacts of attempts that did not complete are not theirs.
const workRequestSQL = `
	SELECT r.id, s.name, w.name, r.workspace_id, r.created_at, r.pending_at, r.started_at, r.completed_at, u.username, r.created_by,
	       coalesce((SELECT username FROM users WHERE id = r.aborted_by), ''), coalesce(k.name, ''), k.id, coalesce(a.number, 0),
	       r.status, r.result, r.task_type, r.task_name, r.task_data, r.configured_task_data, r.dynamic_task_data, r.priority_base,
	       r.priority_adjustment, r.output_data, r.parent_id, r.root_id, coalesce(r.step, ''), coalesce(t.name, ''), r.workflow_data,
	       r.event_reactions, r.supersedes_id, (SELECT id FROM work_requests n WHERE n.supersedes_id = r.id),
	       r.scheduler_tags_provided, r.scheduler_tags_required, coalesce(r.queue, ''), r.losses, r.run,
	       coalesce(r.temporal_id, r.execution_id, root.temporal_id, ''),
	       coalesce(r.temporal_run_id, CASE WHEN r.execution_id IS NULL OR r.execution_id = root.temporal_id THEN root.temporal_run_id END, ''),
	       ARRAY(SELECT f.id FROM artifacts f LEFT JOIN attempts fa ON fa.id = f.created_by_attempt
	              WHERE f.created_by_work_request = r.id AND f.complete AND (fa.id IS NULL OR fa.ending = 'completed') ORDER BY f.id),
	       coalesce(r.dynamic_task_data->>'subject', ''), coalesce(r.dynamic_task_data->>'configuration_context', ''), w.scope_id, w.public,
	       EXISTS (SELECT FROM work_request_logs l WHERE l.work_request_id = r.id),
	       (SELECT max(f.id) FROM artifacts f JOIN attempts fa ON fa.id = f.created_by_attempt
	         WHERE f.created_by_work_request = r.id AND f.complete AND fa.ending = 'completed' AND f.category = 'debian:package-build-log'),
	       coalesce(CASE r.task_type WHEN 'Wait' THEN r.id WHEN 'Workflow' THEN (
	         SELECT min(x.id) FROM work_requests x WHERE (x.root_id = r.id OR x.parent_id = r.id) AND x.task_type = 'Wait' AND x.status = 'running') END, 0),` + retryColumns + `
	  FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes s ON s.id = w.scope_id JOIN users u ON u.id = r.created_by
	  LEFT JOIN work_requests root ON root.id = r.root_id LEFT JOIN workflow_templates t ON t.id = r.workflow_template_id
	  LEFT JOIN LATERAL (SELECT number, worker_id FROM attempts WHERE work_request_id = r.id ORDER BY number DESC LIMIT 1) a ON true
	  LEFT JOIN workers k ON k.id = a.worker_id ` + retryTables

func scanWorkRequest(row pgx.Row) (w debusine.WorkRequest, on debusine.Resource, err error) {
	err = row.Scan(&w.ID, &w.Scope, &w.Workspace, &w.WorkspaceID, &w.CreatedAt, &w.PendingAt, &w.StartedAt, &w.CompletedAt, &w.CreatedBy, &w.CreatedByID,
		&w.AbortedBy, &w.Worker, &w.WorkerID, &w.Attempt,
		&w.Status, &w.Result, &w.TaskType, &w.TaskName, &w.TaskData, &w.ConfiguredData, &w.DynamicData, &w.PriorityBase,
		&w.PriorityAdjust, &w.OutputData, &w.Parent, &w.Root, &w.Step, &w.Template, &w.WorkflowData,
		&w.EventReactions, &w.Supersedes, &w.SupersededBy,
		&w.TagsProvided, &w.TagsRequired, &w.Queue, &w.Losses, &w.Run,
		&w.TemporalID, &w.TemporalRunID,
		&w.Artifacts, &w.Subject, &w.ConfigContext, &on.Scope, &on.Public, &w.HasLog, &w.LogArtifact, &w.NeedsInput,
		&w.Retry, &w.RuntimeStatus, &w.StepsToRetry, &w.NextRetry)
	on.What, on.WorkRequest, on.Workspace, on.CreatedBy = fmt.Sprintf("work request %d", w.ID), w.ID, w.WorkspaceID, w.CreatedByID
	return w, on, err
}

// WorkRequest gives a work request, and what rights are to be asked for. Of a
// child, the Temporal ids are those of its workflow.
func (db *DB) WorkRequest(ctx context.Context, id int64) (debusine.WorkRequest, debusine.Resource, error) {
	w, on, err := scanWorkRequest(db.pool.QueryRow(ctx, workRequestSQL+`WHERE r.id = $1`, id))
	return w, on, fault(err, fmt.Sprintf("work request %d", id))
}

// WorkRequestFilter chooses work requests for a list. Zero values choose all.
type WorkRequestFilter struct {
	IDs       []int64
	Scope     string
	Workspace string
	Status    string
	Result    string
	TaskType  string
	TaskName  string
	RootOnly  bool
	Parent    int64
	Root      int64
	Before    int64     // ids below this: the cursor
	Since     time.Time // completed since
}

// WorkRequests lists what the user (0: anybody) may see, newest first.
func (db *DB) WorkRequests(ctx context.Context, user int64, f WorkRequestFilter, limit int) ([]debusine.WorkRequest, error) {
	rows, err := db.pool.Query(ctx, workRequestSQL+`
		WHERE `+visible+` AND ($2::bigint[] IS NULL OR r.id = ANY($2)) AND ($3 = '' OR s.name = $3) AND ($4 = '' OR w.name = $4)
		  AND ($5 = '' OR r.status = $5) AND ($6 = '' OR r.result = $6) AND ($7 = '' OR r.task_type = $7) AND ($8 = '' OR r.task_name = $8)
		  AND (NOT $9 OR r.parent_id IS NULL) AND ($10 = 0 OR r.parent_id = $10) AND ($11 = 0 OR r.root_id = $11)
		  AND ($12 = 0 OR r.id < $12) AND ($13::timestamptz IS NULL OR r.completed_at >= $13)
		ORDER BY r.id DESC LIMIT $14`,
		user, f.IDs, f.Scope, f.Workspace, f.Status, f.Result, f.TaskType, f.TaskName, f.RootOnly, f.Parent, f.Root, f.Before, nullTime(f.Since), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.WorkRequest, error) {
		w, _, err := scanWorkRequest(row)
		return w, err
	})
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// SetPriorityAdjustment changes the order in which a work request is taken.
func (db *DB) SetPriorityAdjustment(ctx context.Context, id int64, adjustment int) error {
	_, err := db.pool.Exec(ctx, `UPDATE work_requests SET priority_adjustment = $2 WHERE id = $1`, id, adjustment)
	return fault(err, fmt.Sprintf("work request %d", id))
}

// Status counts what is under way.
type Status struct {
	Pending          map[string]int // by queue
	Running          int
	Workers, Busy    int // enabled workers; those of them with a work request in hand
	WaitingToBegin   int // workflows and activities that Temporal does not have yet
	DisabledMachines int
}

// Status counts what is under way in the whole installation.
func (db *DB) Status(ctx context.Context) (s Status, err error) {
	s.Pending = map[string]int{}
	rows, err := db.pool.Query(ctx, `SELECT queue, count(*) FROM work_requests WHERE status = 'pending' AND task_type = 'Worker' GROUP BY queue`)
	if err != nil {
		return s, err
	}
	var queue string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&queue, &n}, func() error { s.Pending[queue] = n; return nil }); err != nil {
		return s, err
	}
	err = db.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM work_requests WHERE status = 'running'),
		       (SELECT count(*) FROM workers WHERE enabled), (SELECT count(*) FROM workers WHERE NOT enabled),
		       (SELECT count(DISTINCT worker_id) FROM attempts WHERE ended_at IS NULL),
		       (SELECT count(*) FROM work_requests WHERE temporal_id IS NOT NULL AND NOT temporal_started AND status NOT IN ('completed', 'aborted'))`).
		Scan(&s.Running, &s.Workers, &s.DisabledMachines, &s.Busy, &s.WaitingToBegin)
	return s, err
}
