package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// Abort ends a work request and everything unfinished below it, in one
// transaction, and gives the ids that it ended. Workers learn of it with their
// next heartbeat; Temporal is told by whoever calls, or else by the sweep.
func (db *DB) Abort(ctx context.Context, id, user int64) (ended []int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, id)
		if err != nil {
			return err
		}
		if h.status == debusine.Aborted {
			return nil
		}
		if h.status.Ended() {
			return debusine.WithHint(debusine.Conflictf("work request %d has already ended: %s", id, h.result), "what has ended cannot be aborted")
		}
		rows, err := tx.Query(ctx, `
			WITH RECURSIVE tree AS (
				SELECT id FROM work_requests WHERE id = $1
				UNION SELECT w.id FROM work_requests w JOIN tree t ON w.parent_id = t.id)
			UPDATE work_requests SET status = 'aborted', aborted_by = $2, completed_at = now()
			 WHERE id IN (SELECT id FROM tree) AND status NOT IN ('completed', 'aborted') RETURNING id`, id, user)
		if err != nil {
			return err
		}
		ended, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	return ended, err
}

// Retry gives a work request that ended without success another go, and the id
// to watch. One that stands alone gets a new one that supersedes it. A workflow
// is retried in place: it runs again, keeps what succeeded and plans the rest
// anew. A child makes its whole workflow run again, but of its siblings none.
func (db *DB) Retry(ctx context.Context, id, user int64) (retried int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		root, err := lockRoot(ctx, tx, id)
		if err != nil {
			return err
		}
		old, err := retryable(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case root != id:
			retried, err = id, retryChild(ctx, tx, id, root)
		case old.TaskType == debusine.WorkflowTask:
			retried, err = id, revive(ctx, tx, id)
		default:
			retried, err = db.retryAlone(ctx, tx, id, user, old)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("retrying work request %d: %w", id, err)
	}
	return retried, nil
}

// lockRoot locks the root before the child, as Plan does.
func lockRoot(ctx context.Context, tx pgx.Tx, id int64) (root int64, err error) {
	if err := tx.QueryRow(ctx, `SELECT coalesce(root_id, id) FROM work_requests WHERE id = $1`, id).Scan(&root); err != nil {
		return 0, fault(err, fmt.Sprintf("work request %d", id))
	}
	_, err = tx.Exec(ctx, `SELECT FROM work_requests WHERE id = $1 FOR NO KEY UPDATE`, root)
	return root, err
}

func retryable(ctx context.Context, tx pgx.Tx, id int64) (n New, err error) {
	var (
		status     debusine.Status
		result     debusine.Result
		superseded bool
		unheld     bool
		reactions  json.RawMessage
	)
	err = tx.QueryRow(ctx, `
		SELECT workspace_id, task_type, task_name, task_data, priority_base, workflow_template_id, event_reactions, status, result, superseded,
		       NOT EXISTS (SELECT FROM attempts a WHERE a.work_request_id = w.id AND a.ended_at IS NULL)
		  FROM work_requests w WHERE id = $1 FOR NO KEY UPDATE OF w`, id).
		Scan(&n.WorkspaceID, &n.TaskType, &n.TaskName, &n.Data, &n.Priority, &n.Template, &reactions, &status, &result, &superseded, &unheld)
	switch {
	case err != nil:
		return n, fault(err, fmt.Sprintf("work request %d", id))
	case superseded:
		return n, debusine.Conflictf("work request %d was retried already", id)
	case !status.Ended():
		return n, debusine.Conflictf("work request %d is still %s", id, status)
	case result == debusine.Success || result == debusine.Skipped:
		return n, debusine.Conflictf("work request %d succeeded: there is nothing to retry", id)
	case !unheld:
		return n, debusine.WithHint(debusine.Conflictf("a worker is still stopping work request %d", id), "try again in some seconds")
	}
	return n, json.Unmarshal(reactions, &n.Reactions)
}

func (db *DB) retryAlone(ctx context.Context, tx pgx.Tx, id, user int64, old New) (int64, error) {
	old.CreatedBy, old.Supersedes = user, &id
	old.Priority = min(old.Priority, 0) // what an administrator raised, an administrator raises again
	p, err := db.prepare(ctx, tx, old)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `UPDATE work_requests SET superseded = true WHERE id = $1`, id); err != nil {
		return 0, err
	}
	return db.insert(ctx, tx, p)
}

// retryChild revives the root for one child alone: its ended siblings count as
// being of the new run, so that planning keeps them.
func retryChild(ctx context.Context, tx pgx.Tx, id, root int64) error {
	if err := revive(ctx, tx, root); err != nil {
		return err
	}
	// The workflows around it go on; so does what is within it, when it is one.
	_, err := tx.Exec(ctx, `
		WITH RECURSIVE around AS (
			SELECT id, parent_id FROM work_requests WHERE id = $2
			UNION SELECT w.id, w.parent_id FROM work_requests w JOIN around a ON w.id = a.parent_id),
		within AS (
			SELECT id FROM work_requests WHERE parent_id = $2
			UNION SELECT w.id FROM work_requests w JOIN within i ON w.parent_id = i.id)
		UPDATE work_requests SET run = (SELECT run FROM work_requests WHERE id = $1)
		 WHERE root_id = $1 AND id NOT IN (SELECT id FROM around UNION SELECT id FROM within) AND NOT superseded AND status = 'completed'`, root, id)
	return err
}

// revive puts a workflow back into the outbox, as its next run, configured anew. Its id may end in a
// version, in which "~" means something else: only an earlier run is cut off.
func revive(ctx context.Context, tx pgx.Tx, root int64) error {
	tag, err := tx.Exec(ctx, `
		UPDATE work_requests SET status = 'pending', result = '', completed_at = NULL, aborted_by = NULL, output_data = NULL, run = run + 1,
		       temporal_id = CASE run WHEN 0 THEN temporal_id ELSE regexp_replace(temporal_id, '~[0-9]+$', '') END || '~' || (run + 1), temporal_run_id = NULL,
		       temporal_started = false, temporal_closed = false
		 WHERE id = $1 AND status IN ('completed', 'aborted')`, root)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return debusine.WithHint(debusine.Conflictf("its workflow, work request %d, is still running", root), "wait for its end, or abort it")
	}
	_, err = reconfigure(ctx, tx, root)
	return err
}

// RootOf gives the root of a work request: itself when it stands alone.
func (db *DB) RootOf(ctx context.Context, id int64) (root int64, err error) {
	err = db.pool.QueryRow(ctx, `SELECT coalesce(root_id, id) FROM work_requests WHERE id = $1`, id).Scan(&root)
	return root, fault(err, fmt.Sprintf("work request %d", id))
}
