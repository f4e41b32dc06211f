package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// What the judgement of silence is made of. They are the promise to users: a
// machine that dies is noticed in half a minute, and an outage of ours is not
// held against machines.
const (
	Silence = 30 * time.Second // after which a worker is lost
	Outage  = 15 * time.Second // a gap between beats of ours that counts as one
	Grace   = 60 * time.Second // after an outage, for workers to come back
)

// Beat says that the servers are up, and reports whether workers may be judged:
// not within the grace after an outage of ours. The clock is PostgreSQL's.
func (db *DB) Beat(ctx context.Context) (judge bool, err error) {
	err = db.pool.QueryRow(ctx, `
		UPDATE presence SET grace_until = CASE WHEN beat_at < now() - $1::interval THEN now() + $2::interval ELSE grace_until END, beat_at = now()
		RETURNING grace_until <= now()`, Outage, Grace).Scan(&judge)
	return judge, err
}

// Lost is an attempt whose worker went silent.
type Lost struct {
	WorkRequest int64
	Attempt     int64
	Worker      string
	Number      int
	Status      debusine.Status // of the work request now
}

// LoseSilent ends the open attempts whose worker has not been heard for the
// time of Silence, counts the losses, and makes their work pending again: or
// ended with an error, when too many machines were lost with it.
func (db *DB) LoseSilent(ctx context.Context) ([]Lost, error) {
	rows, err := db.pool.Query(ctx, `SELECT id FROM attempts WHERE ended_at IS NULL AND heard_at < now() - $1::interval ORDER BY heard_at LIMIT 200`, Silence)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	var lost []Lost
	for _, id := range ids {
		l, err := db.loseOne(ctx, id)
		if err != nil {
			return lost, err
		}
		if l.Attempt != 0 {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

func (db *DB) loseOne(ctx context.Context, attempt int64) (l Lost, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		l = Lost{}
		h, ending, err := holdAttempt(ctx, tx, attempt)
		if err != nil || ending != nil {
			return err
		}
		var (
			silent bool
			worker int64
		)
		err = tx.QueryRow(ctx, `
			SELECT a.heard_at < now() - $2::interval, a.worker_id, w.name, a.number FROM attempts a JOIN workers w ON w.id = a.worker_id WHERE a.id = $1`,
			attempt, Silence).Scan(&silent, &worker, &l.Worker, &l.Number)
		if err != nil || !silent {
			return err
		}
		l.WorkRequest, l.Attempt = h.id, attempt
		if err := lose(ctx, tx, &h, attempt, worker); err != nil {
			return err
		}
		l.Status, err = afterLoss(ctx, tx, h)
		return err
	})
	return l, err
}

// afterLoss decides what becomes of a work request whose attempt is gone.
func afterLoss(ctx context.Context, tx pgx.Tx, h held) (debusine.Status, error) {
	if h.status.Ended() {
		return h.status, nil
	}
	if reason := givenUp(h); reason != "" {
		return debusine.Completed, endWithError(ctx, tx, h, reason)
	}
	_, err := tx.Exec(ctx, `UPDATE work_requests SET status = 'pending', started_at = NULL, due = now() WHERE id = $1`, h.id)
	if err != nil || h.queue == nil {
		return debusine.Pending, err
	}
	return debusine.Pending, notify(ctx, tx, *h.queue)
}
