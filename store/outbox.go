package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// Start is what Temporal needs to know of a work request that has an execution
// of its own: a workflow, or a standalone activity.
type Start struct {
	ID         int64
	TaskType   debusine.TaskType
	TaskName   string
	TemporalID string
	RunID      string
	Queue      string
	Scope      string
	Workspace  string
	Priority   int
	Data       json.RawMessage
	Status     debusine.Status
	About      task.Description // zero when nothing is known
}

const startColumns = `r.id, r.task_type, r.task_name, r.temporal_id, coalesce(r.temporal_run_id, ''), coalesce(r.queue, ''), s.name, w.name,
	r.priority_base + r.priority_adjustment, coalesce(r.configured_task_data, r.task_data), r.status, coalesce(r.dynamic_task_data, '{}')`

const startTables = ` FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes s ON s.id = w.scope_id `

func scanStart(row pgx.CollectableRow) (s Start, err error) {
	return s, row.Scan(&s.ID, &s.TaskType, &s.TaskName, &s.TemporalID, &s.RunID, &s.Queue, &s.Scope, &s.Workspace, &s.Priority, &s.Data, &s.Status, &s.About)
}

// Outbox gives what was committed and not yet started in Temporal: the work
// request of that id alone, or with id 0 all that are older than age.
func (db *DB) Outbox(ctx context.Context, id int64, age time.Duration) ([]Start, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+startColumns+startTables+`
		WHERE r.temporal_id IS NOT NULL AND NOT r.temporal_started AND r.status NOT IN ('completed', 'aborted')
		  AND ($1 = 0 OR r.id = $1) AND ($1 <> 0 OR r.created_at < now() - $2::interval) ORDER BY r.id LIMIT 1000`, id, age)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanStart)
}

// MarkStarted notes that Temporal has it. A workflow runs from now on; an
// activity runs when a worker begins it. What was aborted while it was started has
// yet to end in Temporal: whoever told it before heard that there is no such thing.
// A start that belongs to a run before the newest retry marks nothing.
func (db *DB) MarkStarted(ctx context.Context, id int64, temporalID, runID string) error {
	_, err := db.pool.Exec(ctx, `
		UPDATE work_requests SET temporal_started = true, temporal_run_id = $2, temporal_closed = temporal_closed AND status <> 'aborted',
		       started_at = CASE WHEN task_type = 'Workflow' THEN now() ELSE started_at END,
		       status = CASE WHEN task_type = 'Workflow' AND status = 'pending' THEN 'running' ELSE status END
		 WHERE id = $1 AND temporal_id = $3 AND NOT temporal_started`, id, runID, temporalID)
	return err
}

// Untold is the end of a work request, or of an attempt at it, that Temporal
// may not know: whoever should have told it may have died.
type Untold struct {
	ID         int64
	TaskType   debusine.TaskType
	Status     debusine.Status
	Result     debusine.Result
	Class      debusine.FailureClass // of a failed build
	Mends      bool
	TemporalID string // of its own execution; empty for a child
	RunID      string
	Started    bool   // in Temporal
	RootLives  bool   // the workflow of a child has not ended
	RootID     string // Temporal id of the workflow in which a child runs; of a workflow that is a child, its own
	RootRunID  string // empty: the newest
	TaskToken  []byte // of the newest attempt, if there was one
	Attempt    int64
	Ending     string // of that attempt
}

// runsIn is the Temporal workflow in which a child r of root runs, and its run where
// that is known.
const runsIn = `coalesce(r.execution_id, root.temporal_id, ''),
	CASE WHEN r.execution_id IS NULL OR r.execution_id = root.temporal_id THEN coalesce(root.temporal_run_id, '') ELSE '' END`

// Untold gives ends older than age of which Temporal may not know, of the one
// work request or with id 0 of all: those of work requests first, then attempts
// that were lost or given back while the work request goes on.
func (db *DB) Untold(ctx context.Context, id int64, age time.Duration) ([]Untold, error) {
	// The two partial indexes first: what is told is never looked at again.
	rows, err := db.pool.Query(ctx, `
		WITH doubtful AS (
			SELECT id FROM work_requests WHERE status IN ('completed', 'aborted') AND NOT temporal_closed
			UNION SELECT work_request_id FROM attempts WHERE ended_at IS NOT NULL AND NOT told)
		SELECT r.id, r.task_type, r.status, r.result, coalesce(r.temporal_id, ''), coalesce(r.temporal_run_id, ''), r.temporal_started,
		       `+runsIn+`, a.task_token, coalesce(a.id, 0), coalesce(a.ending, ''),
		       coalesce(parent.status NOT IN ('completed', 'aborted'), false), `+failureColumns+`
		  FROM doubtful JOIN work_requests r USING (id) LEFT JOIN work_requests root ON root.id = r.root_id LEFT JOIN work_requests parent ON parent.id = r.parent_id
		  LEFT JOIN LATERAL (SELECT * FROM attempts WHERE work_request_id = r.id ORDER BY number DESC LIMIT 1) a ON true
		 WHERE ($1 = 0 OR r.id = $1)
		   AND ((r.status IN ('completed', 'aborted') AND NOT r.temporal_closed AND r.completed_at < now() - $2::interval
		         AND (a.id IS NULL OR a.ended_at < now() - $2::interval OR (r.status = 'aborted' AND r.task_type = 'Workflow')))
		     OR (r.status NOT IN ('completed', 'aborted') AND a.ending IN ('lost', 'given-back') AND NOT a.told AND a.ended_at < now() - $2::interval))
		 ORDER BY r.id LIMIT 1000`, id, age)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u Untold, err error) {
		return u, row.Scan(&u.ID, &u.TaskType, &u.Status, &u.Result, &u.TemporalID, &u.RunID, &u.Started, &u.RootID, &u.RootRunID, &u.TaskToken, &u.Attempt, &u.Ending, &u.RootLives, &u.Class, &u.Mends)
	})
}

// MarkTold notes that Temporal knows of these ends.
func (db *DB) MarkTold(ctx context.Context, workRequests, attempts []int64) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if len(workRequests) > 0 {
			if _, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_closed = true WHERE id = ANY($1) AND status IN ('completed', 'aborted')`, workRequests); err != nil {
				return err
			}
		}
		if len(attempts) == 0 {
			return nil
		}
		_, err := tx.Exec(ctx, `UPDATE attempts SET told = true WHERE id = ANY($1)`, attempts)
		return err
	})
}

// UnderWay gives what Temporal should still be working on, started longer ago
// than age, after the given id: for the sweep to compare with Temporal's word.
func (db *DB) UnderWay(ctx context.Context, after int64, age time.Duration, limit int) ([]Start, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+startColumns+startTables+`
		WHERE r.temporal_started AND r.status NOT IN ('completed', 'aborted') AND r.id > $1 AND r.created_at < now() - $2::interval
		ORDER BY r.id LIMIT $3`, after, age, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanStart)
}

// EndByDecree closes what Temporal says is over although it never ended here:
// as aborted when it was cancelled or terminated there, else as an error. Its
// unfinished descendants go with it.
// A run that was meanwhile followed by a retry ends nothing.
func (db *DB) EndByDecree(ctx context.Context, id int64, temporalID string, aborted bool, reason string) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, id)
		if err != nil || h.status.Ended() {
			return err
		}
		var current bool
		if err := tx.QueryRow(ctx, `SELECT temporal_id = $2 FROM work_requests WHERE id = $1`, id, temporalID).Scan(&current); err != nil || !current {
			return err
		}
		if err := noteError(ctx, tx, id, debusine.TaskError{Message: reason, Code: "closed-by-engine"}); err != nil {
			return err
		}
		if aborted {
			_, err = tx.Exec(ctx, `UPDATE work_requests SET status = 'aborted', completed_at = now() WHERE id = $1`, id)
		} else {
			err = end(ctx, tx, h, debusine.Error, nil)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_closed = true WHERE id = $1`, id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE work_requests SET status = 'aborted', completed_at = now()
			 WHERE root_id = $1 AND status NOT IN ('completed', 'aborted')`, id)
		return err
	})
}

// PendingUnheld gives pending tasks of machines that were due longer ago than age:
// Temporal may have given them out to nobody. With the id of the workflow that
// asked, empty for one that stands alone.
func (db *DB) PendingUnheld(ctx context.Context, age time.Duration, limit int) ([]Untold, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT r.id, r.task_type, coalesce(r.temporal_id, ''), coalesce(r.temporal_run_id, ''), `+runsIn+`
		  FROM work_requests r LEFT JOIN work_requests root ON root.id = r.root_id
		 WHERE r.status = 'pending' AND r.task_type IN ('Worker', 'Signing') AND r.due < now() - $1::interval
		   AND (r.root_id IS NOT NULL OR r.temporal_started) ORDER BY r.due LIMIT $2`, age, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u Untold, err error) {
		return u, row.Scan(&u.ID, &u.TaskType, &u.TemporalID, &u.RunID, &u.RootID, &u.RootRunID)
	})
}

// MakeDue tells the gateways that a task is to be fetched again.
func (db *DB) MakeDue(ctx context.Context, id int64) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		var queue string
		err := tx.QueryRow(ctx, `UPDATE work_requests SET due = now() WHERE id = $1 AND queue IS NOT NULL RETURNING queue`, id).Scan(&queue)
		if err != nil {
			return fault(err, "work request")
		}
		return notify(ctx, tx, queue)
	})
}

// Unmark puts a work request back into the outbox: Temporal does not know it.
// Its count of deliveries begins anew, there and so here.
func (db *DB) Unmark(ctx context.Context, id int64) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_started = false, temporal_run_id = NULL WHERE id = $1 AND status NOT IN ('completed', 'aborted')`, id)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE attempts SET temporal_attempt = 0 WHERE work_request_id IN (SELECT id FROM work_requests WHERE id = $1 OR root_id = $1)`, id)
		return err
	})
}

// Tidy deletes what nobody will ask for again: voided deliveries, the logs of
// attempts whose log is an artifact or that are void, and mails that went out
// long ago. Mails that no server took for days are given up.
func (db *DB) Tidy(ctx context.Context) error {
	for _, sql := range []string{
		`DELETE FROM voided_deliveries WHERE voided_at < now() - interval '2 days'`,
		`UPDATE mails SET ended_at = now(), failed = true, problem = CASE problem WHEN '' THEN 'no mail server took it' ELSE problem END
		  WHERE ended_at IS NULL AND created_at < now() - interval '5 days' AND due < now()`,
		`DELETE FROM mails WHERE ended_at < now() - interval '30 days'`,
		`DELETE FROM work_request_logs l USING attempts a WHERE a.id = l.attempt_id AND a.ended_at < now() - interval '1 day'`,
	} {
		if _, err := db.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
