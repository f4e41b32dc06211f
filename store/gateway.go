package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine/task"
)

// GatewayWorker is a build machine as the gateway needs it.
type GatewayWorker struct {
	ID                 int64
	Name               string
	Enabled, Draining  bool
	Concurrency        int
	Provided, Required []string // tags
	Held               int      // attempts that it has open
}

// WorkersByToken gives the build machines to which these hashes of token
// secrets belong, by hash. Tokens that are unknown, disabled or expired, and
// those of signing workers, are left out.
func (db *DB) WorkersByToken(ctx context.Context, hashes []string) (map[string]GatewayWorker, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT t.hash, w.id, w.name, w.enabled, w.draining, w.concurrency, w.tags_provided, w.tags_required,
		       (SELECT count(*) FROM attempts a WHERE a.worker_id = w.id AND a.ended_at IS NULL)
		  FROM tokens t JOIN workers w ON w.id = t.worker_id
		 WHERE t.hash = ANY($1) AND t.token_type = 'worker' AND t.enabled AND (t.expire_at IS NULL OR t.expire_at > now())
		   AND w.worker_type = 'external'`, hashes)
	if err != nil {
		return nil, fmt.Errorf("looking up the tokens of workers: %w", err)
	}
	workers := map[string]GatewayWorker{}
	var (
		hash string
		w    GatewayWorker
	)
	_, err = pgx.ForEachRow(rows, []any{&hash, &w.ID, &w.Name, &w.Enabled, &w.Draining, &w.Concurrency, &w.Provided, &w.Required, &w.Held}, func() error {
		workers[hash] = w
		w.Provided, w.Required = nil, nil // the next row must not write into them
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up the tokens of workers: %w", err)
	}
	return workers, nil
}

// QueueTags is a queue and the pair that it stands for.
type QueueTags struct {
	Name               string
	Required, Provided []string
}

// AllQueues gives the table of queues.
func (db *DB) AllQueues(ctx context.Context) ([]QueueTags, error) {
	rows, err := db.pool.Query(ctx, `SELECT name, required, provided FROM queues ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("reading the table of queues: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[QueueTags])
}

// ReadyRow is a work request that waits for a machine.
type ReadyRow struct {
	ID        int64
	Queue     string
	Workspace int64
}

// ReadyRows gives the best work requests of these queues that are due and not
// among except, at most limit. Higher priorities come first. Among equal ones
// the workspaces share the machines, whatever queues their work is on: first
// comes who would have the fewest machines with it, then who was served longest
// ago (served names those that were, the last one last), then the oldest.
func (db *DB) ReadyRows(ctx context.Context, queues []string, except, served []int64, limit int) ([]ReadyRow, error) {
	if except == nil {
		except = []int64{} // NULL would except all
	}
	// The pairs of queue and workspace are found by jumps through the index
	// work_requests_hint, so that a workspace with thousands of rows costs no
	// more than one with a few.
	rows, err := db.pool.Query(ctx, `
		WITH RECURSIVE pair (queue, workspace) AS (
			SELECT q.name, (SELECT min(workspace_id) FROM work_requests WHERE queue = q.name AND status = 'pending' AND task_type = 'Worker')
			  FROM unnest($1::text[]) AS q (name)
			UNION ALL
			SELECT queue, (SELECT min(workspace_id) FROM work_requests r
			                WHERE r.queue = p.queue AND workspace_id > p.workspace AND status = 'pending' AND task_type = 'Worker')
			  FROM pair p WHERE workspace IS NOT NULL),
		held AS (
			SELECT workspace_id AS workspace, count(*) AS machines FROM attempts a JOIN work_requests r ON r.id = a.work_request_id
			 WHERE a.ended_at IS NULL GROUP BY 1),
		best AS (
			SELECT r.id, p.queue, p.workspace, r.priority, row_number() OVER (PARTITION BY p.workspace, r.priority ORDER BY r.id) AS turn
			  FROM pair p CROSS JOIN LATERAL (
				SELECT id, priority_base + priority_adjustment AS priority FROM work_requests
				 WHERE queue = p.queue AND workspace_id = p.workspace AND status = 'pending' AND task_type = 'Worker'
				   AND due <= now() AND id <> ALL($2::bigint[])
				 ORDER BY (-(priority_base + priority_adjustment)), id LIMIT $4) r
			 WHERE p.workspace IS NOT NULL)
		SELECT id, queue, workspace FROM best LEFT JOIN held USING (workspace)
		 ORDER BY priority DESC, turn + coalesce(machines, 0), coalesce(array_position($3::bigint[], workspace), 0), id LIMIT $4`,
		queues, except, served, limit)
	if err != nil {
		return nil, fmt.Errorf("reading what waits for a machine: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ReadyRow])
}

// NotBegun gives the ids of those deliveries that no worker has begun, although
// their work requests wait for it.
func (db *DB) NotBegun(ctx context.Context, deliveries []Delivery) ([]int64, error) {
	ids, tokens := make([]int64, len(deliveries)), make([][]byte, len(deliveries))
	for i, d := range deliveries {
		ids[i], tokens[i] = d.WorkRequest, d.TaskToken
	}
	rows, err := db.pool.Query(ctx, `
		SELECT r.id FROM unnest($1::bigint[], $2::bytea[]) AS d (id, token) JOIN work_requests r ON r.id = d.id
		 WHERE r.status = 'pending' AND NOT EXISTS (SELECT FROM attempts a WHERE a.work_request_id = r.id AND a.task_token = d.token)`, ids, tokens)
	if err != nil {
		return nil, fmt.Errorf("looking for what was given and not begun: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// VoidDelivery makes a delivery void, unless it has begun or its work request
// has ended: a begin that comes after this is refused. It holds the row as Begin
// does, so one of the two comes first.
func (db *DB) VoidDelivery(ctx context.Context, d Delivery) (voided bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		voided = false
		h, err := hold(ctx, tx, d.WorkRequest)
		if err != nil || h.status.Ended() {
			return err
		}
		var begun bool
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM attempts WHERE work_request_id = $1 AND task_token = $2)`, h.id, d.TaskToken).Scan(&begun)
		if err != nil || begun {
			return err
		}
		voided = true
		return voidUnlessEnded(ctx, tx, h, d)
	})
	if err != nil {
		return false, fmt.Errorf("voiding a delivery of work request %d: %w", d.WorkRequest, err)
	}
	return voided, nil
}

func voidUnlessEnded(ctx context.Context, tx pgx.Tx, h held, d Delivery) error {
	if h.status.Ended() {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO voided_deliveries (delivery, work_request_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, d.ID(), h.id)
	return err
}

// Answer is what Temporal may be told of a delivery.
type Answer struct {
	Ended   bool         // the work request has ended, with Outcome
	Outcome task.Outcome // also before the end: where it stands
	Attempt int64        // of this delivery; 0 when it was never begun
}

// Recorded gives what is recorded of a delivery's work request.
func (db *DB) Recorded(ctx context.Context, d Delivery) (a Answer, err error) {
	a.Outcome.ID = d.WorkRequest
	err = db.pool.QueryRow(ctx, `
		SELECT r.status, r.result, coalesce(a.id, 0) FROM work_requests r
		  LEFT JOIN attempts a ON a.work_request_id = r.id AND a.worker_id = $2 AND a.task_token = $3 WHERE r.id = $1`,
		d.WorkRequest, d.Worker, d.TaskToken).Scan(&a.Outcome.Status, &a.Outcome.Result, &a.Attempt)
	a.Ended = a.Outcome.Status.Ended()
	return a, fault(err, fmt.Sprintf("work request %d", d.WorkRequest))
}

// Ending is how an attempt ends without an outcome.
type Ending string

// The two ways. Only Broken is a loss.
const (
	GivenBack Ending = "given-back" // the worker drains, or cannot do it
	Broken    Ending = "lost"       // the attempt broke in the worker
)

// GiveBack ends the attempt of a delivery that has no outcome, and makes its work
// request pending again: or ended with an error when too many were lost. An
// attempt that is not open, or another worker's, is left alone; a delivery that
// never began is void from now on. What comes back says whether the work request
// has ended meanwhile.
func (db *DB) GiveBack(ctx context.Context, d Delivery, ending Ending) (a Answer, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, d.WorkRequest)
		if err != nil {
			return err
		}
		a = Answer{Outcome: h.outcome()}
		var open bool
		err = tx.QueryRow(ctx, `SELECT id, ended_at IS NULL FROM attempts WHERE work_request_id = $1 AND worker_id = $2 AND task_token = $3`,
			h.id, d.Worker, d.TaskToken).Scan(&a.Attempt, &open)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			err = voidUnlessEnded(ctx, tx, h, d)
		case err == nil && open:
			err = endWithoutOutcome(ctx, tx, h, d, a.Attempt, ending)
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT status, result FROM work_requests WHERE id = $1`, h.id).Scan(&a.Outcome.Status, &a.Outcome.Result)
		a.Ended = a.Outcome.Status.Ended()
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("giving work request %d back: %w", d.WorkRequest, err)
	}
	return a, nil
}

// manyGivenBack is how often a worker may begin a work request and give it back:
// one that does nothing else holds the work up, and is as bad as a lost one.
const manyGivenBack = 5

func endWithoutOutcome(ctx context.Context, tx pgx.Tx, h held, d Delivery, attempt int64, ending Ending) error {
	if ending == GivenBack {
		var before int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM attempts WHERE work_request_id = $1 AND worker_id = $2 AND ending = 'given-back'`, h.id, d.Worker).Scan(&before)
		if err != nil {
			return err
		}
		if before >= manyGivenBack {
			ending = Broken
		}
	}
	if ending == Broken && !h.status.Ended() {
		if err := lose(ctx, tx, &h, attempt, d.Worker); err != nil {
			return err
		}
	} else if _, err := tx.Exec(ctx, `UPDATE attempts SET ended_at = now(), ending = 'given-back' WHERE id = $1`, attempt); err != nil {
		return err
	}
	_, err := afterLoss(ctx, tx, h)
	return err
}

// Hearing is what a heartbeat of a worker comes to.
type Hearing struct {
	Aborted bool // the worker is to stop
	PassOn  bool // Temporal has not heard for long, and is to be told by the caller
}

// Heard notes the heartbeat of a delivery's open attempt. A delivery that waits
// to be begun is heard without a trace; one that is void is Missing. PassOn is
// true once in each interval.
func (db *DB) Heard(ctx context.Context, d Delivery, interval time.Duration) (h Hearing, err error) {
	err = db.pool.QueryRow(ctx, `
		UPDATE attempts a SET heard_at = now(), passed_on_at = CASE WHEN passed_on_at < now() - $4::interval THEN now() ELSE passed_on_at END
		  FROM work_requests r
		 WHERE r.id = a.work_request_id AND r.id = $1 AND a.worker_id = $2 AND a.task_token = $3 AND a.ended_at IS NULL
		RETURNING r.status = 'aborted', a.passed_on_at = now()`, d.WorkRequest, d.Worker, d.TaskToken, interval).Scan(&h.Aborted, &h.PassOn)
	if !errors.Is(err, pgx.ErrNoRows) {
		return h, err
	}
	err = db.pool.QueryRow(ctx, `
		SELECT status = 'aborted' FROM work_requests WHERE id = $1 AND status IN ('pending', 'running', 'aborted')
		   AND NOT EXISTS (SELECT FROM attempts WHERE work_request_id = $1 AND task_token = $2)
		   AND NOT EXISTS (SELECT FROM voided_deliveries WHERE delivery = $3)`, d.WorkRequest, d.TaskToken, d.ID()).Scan(&h.Aborted)
	return h, fault(err, fmt.Sprintf("this attempt at work request %d", d.WorkRequest))
}

// NotPassedOn says that Temporal could not be told of a heartbeat, so that the
// next heartbeat is passed on.
func (db *DB) NotPassedOn(ctx context.Context, d Delivery) error {
	_, err := db.pool.Exec(ctx, `UPDATE attempts SET passed_on_at = '-infinity' WHERE work_request_id = $1 AND task_token = $2`, d.WorkRequest, d.TaskToken)
	return err
}

// WorkersHeard notes that these workers are connected.
func (db *DB) WorkersHeard(ctx context.Context, ids []int64) error {
	_, err := db.pool.Exec(ctx, `UPDATE workers SET heard_at = now() WHERE id = ANY($1)`, ids)
	return err
}

// ListenReady calls ready with the name of each queue that gets work, on a
// connection of its own, until the connection breaks or ctx ends. The first call,
// with no name, says that notifications come from now on: what happened before
// must be read.
func (db *DB) ListenReady(ctx context.Context, ready func(queue string)) error {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig.Copy())
	if err != nil {
		return fmt.Errorf("connecting to listen: %w", err)
	}
	defer func() {
		// A PostgreSQL that is frozen must not hold up the server's stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, `LISTEN wr`); err != nil {
		return fmt.Errorf("listening for work: %w", err)
	}
	ready("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("listening for work: %w", err)
		}
		ready(n.Payload)
	}
}
