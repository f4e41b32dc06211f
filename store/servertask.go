package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// ServerJob is a task of the server's own, as it is begun.
type ServerJob struct {
	ID            int64
	Workspace     int64 // its id
	User          int64 // on whose behalf
	TaskName      string
	Data, Dynamic json.RawMessage
	Ended         *task.Outcome // it has ended already; there is nothing to do
}

// lockClass keeps the advisory locks of server tasks apart from others.
const lockClass = 0x5e7e

// OneAtATime runs do while no other process of the installation does the same for
// that work request. When the lock is lost with its connection, the context that
// do has ends.
func (db *DB) OneAtATime(ctx context.Context, id int64, do func(context.Context) error) error {
	return db.alone(ctx, lockClass, int32(id), fmt.Sprintf("work request %d", id), do)
}

// alone runs do while it holds an advisory lock of PostgreSQL.
func (db *DB) alone(ctx context.Context, class, key int32, what string, do func(context.Context) error) error {
	conn, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig.Copy())
	if err != nil {
		return fmt.Errorf("connecting for the lock of %s: %w", what, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for held := false; !held; {
		// Tried again and again, not waited for: a wait would hold up who drops tables.
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, class, key).Scan(&held); err != nil {
			return fmt.Errorf("locking %s: %w", what, err)
		}
		if !held {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
	}
	within, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for within.Err() == nil {
			select {
			case <-within.Done():
			case <-time.After(2 * time.Second):
				if err := conn.Ping(within); err != nil {
					cancel(fmt.Errorf("the lock of %s is lost: %w", what, err))
				}
			}
		}
	}()
	err = do(within)
	cancel(nil)
	<-watched
	return err
}

// BeginServerTask marks a task of the server's own as running, and gives what it
// needs. Begun again after a crash it goes on being the same.
func (db *DB) BeginServerTask(ctx context.Context, id int64) (j ServerJob, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, id)
		if err != nil {
			return err
		}
		j = ServerJob{ID: id, TaskName: h.taskName, Data: h.data, Dynamic: h.dynamic}
		if h.status.Ended() {
			j.Ended = &task.Outcome{ID: id, Status: h.status, Result: h.result}
			return nil
		}
		if h.status == debusine.Pending { // not when it is begun again
			assigned := h.reactions.To(task.OnAssignment)
			skipped, err := skip(ctx, tx, id, assigned)
			if err != nil {
				return err
			}
			if skipped {
				j.Ended = &task.Outcome{ID: id, Status: debusine.Completed, Result: debusine.Skipped}
				_, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_closed = true WHERE id = $1`, id)
				return err
			}
			if err := react(ctx, tx, id, assigned); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, `
			UPDATE work_requests SET status = 'running', started_at = coalesce(started_at, now()) WHERE id = $1 AND task_type = 'Server'
			RETURNING workspace_id, created_by`, id).Scan(&j.Workspace, &j.User)
	})
	return j, fault(err, fmt.Sprintf("server task %d", id))
}

// EndServerTask records how a task of the server's own ended. What had ended
// already stays, and is told.
func (db *DB) EndServerTask(ctx context.Context, id int64, result debusine.Result, output debusine.OutputData) (o task.Outcome, err error) {
	raw, err := json.Marshal(output)
	if err != nil {
		return o, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, id)
		if err != nil {
			return err
		}
		o = task.Outcome{ID: id, Status: h.status, Result: h.result}
		if h.status.Ended() {
			return nil
		}
		// The activity answers Temporal itself, and is repeated until it did.
		tag, err := tx.Exec(ctx, `UPDATE work_requests SET temporal_closed = true WHERE id = $1 AND task_type = 'Server'`, id)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return debusine.Conflictf("work request %d is not a task of the server's own", id)
		}
		o.Status, o.Result = debusine.Completed, result
		return end(ctx, tx, h, result, raw)
	})
	return o, err
}

// Aborted says whether somebody aborted a work request.
func (db *DB) Aborted(ctx context.Context, id int64) (aborted bool, err error) {
	err = db.pool.QueryRow(ctx, `SELECT status = 'aborted' FROM work_requests WHERE id = $1`, id).Scan(&aborted)
	return aborted, fault(err, fmt.Sprintf("work request %d", id))
}
