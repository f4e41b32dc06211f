package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// retryColumns are, of work_requests r, how its retries stand; for a workflow its
// runtime status, and how many of the steps below it wait for a next try and until
// when. What a root left behind that has ended waits no more.
const retryColumns = `
	(SELECT jsonb_build_object('stands', y.stands, 'number', y.number, 'of', cardinality(y.delays), 'due', y.due, 'reason', y.reason,
	                           'delays', to_jsonb(y.delays), 'retry_on', y.retry_on) FROM retries y
	  WHERE y.parent_id = r.parent_id AND y.step = r.step AND NOT r.superseded
	    AND (y.stands = 'over' OR root.status NOT IN ('completed', 'aborted'))),
	coalesce(flow.standing, ''), coalesce(flow.steps, 0), flow.due`

// retryTables belong to retryColumns. The runtime status is Debusine's word for
// what a workflow is at: what lies below it, the most urgent first.
const retryTables = `
	LEFT JOIN LATERAL (
	    SELECT waits.steps, waits.due,
	           CASE WHEN below.input THEN 'needs-input' WHEN below.running THEN 'running' WHEN waits.steps > 0 THEN 'waiting'
	                WHEN below.pending THEN 'pending' ELSE r.status END AS standing
	      FROM (SELECT count(*) AS steps, min(y.due) AS due FROM retries y JOIN work_requests p ON p.id = y.parent_id
	             WHERE y.stands = 'waiting' AND r.status = 'running' AND (p.id = r.id OR p.root_id = r.id OR p.parent_id = r.id)) waits,
	           (SELECT coalesce(bool_or(c.task_type = 'Wait'), false) AS input, coalesce(bool_or(c.status = 'running' AND c.task_type NOT IN ('Wait', 'Workflow')), false) AS running,
	                   coalesce(bool_or(c.status IN ('pending', 'blocked')), false) AS pending FROM work_requests c
	             WHERE (c.root_id = r.id OR c.parent_id = r.id) AND c.status IN ('pending', 'running', 'blocked')) below
	     WHERE r.task_type = 'Workflow') flow ON true `

// NoteRetry writes down how a step stands that is tried again. A run of the workflow
// that was followed by a retry notes nothing.
func (db *DB) NoteRetry(ctx context.Context, n task.RetryNote) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		p, err := parentOf(ctx, tx, task.PlanRequest{Parent: n.Parent, Execution: n.Execution})
		if isFault(err) {
			return nil // it has ended, or runs anew: nobody wants to know
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO retries (parent_id, step, execution_id, stands, number, delays, retry_on, due, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (parent_id, step) DO UPDATE SET execution_id = $3, stands = $4, number = $5, delays = $6, retry_on = $7, due = $8, reason = $9, noted_at = now()`,
			p.id, n.Step, n.Execution, n.Stands, n.Number, n.Delays, n.RetryOn, n.Due, n.Reason)
		return fault(err, fmt.Sprintf("the retries of step %s", n.Step))
	})
}

// Retrying is a step that is tried again.
type Retrying struct {
	Step, Execution, Stands string
}

// Retrying gives the step that a work request belongs to, or those below a
// workflow that wait for a next try. Only what is under way is given.
func (db *DB) Retrying(ctx context.Context, id int64) ([]Retrying, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT y.step, y.execution_id, y.stands FROM work_requests r, retries y JOIN work_requests p ON p.id = y.parent_id
		 WHERE r.id = $1 AND p.status NOT IN ('completed', 'aborted')
		   AND ((r.task_type <> 'Workflow' AND y.parent_id = r.parent_id AND y.step = r.step AND NOT r.superseded)
		     OR (r.task_type = 'Workflow' AND y.stands = 'waiting' AND (p.id = r.id OR p.root_id = r.id OR p.parent_id = r.id)))
		 ORDER BY y.parent_id, y.step`, id)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Retrying])
	if err == nil && len(all) == 0 {
		return nil, debusine.WithHint(debusine.Conflictf("work request %d is not tried again after delays, and nothing below it waits to be", id),
			fmt.Sprintf("debusine work-request retry %d does it again at once, when it ended without success", id))
	}
	return all, err
}
