package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// Firing is a moment at which a schedule is to start its workflow: one that
// Temporal tells, as often as it likes, or a person's.
type Firing struct {
	Schedule int64
	At       time.Time // the moment, which names the firing
	Told     time.Time // when Temporal came to tell it, by its clock
	Manual   bool
}

// Decided is the error of a firing that needs no more doing: what came of it.
type Decided struct{ Run debusine.ScheduleRun }

// Error says what came of it.
func (d Decided) Error() string { return "the run was " + string(d.Run.Outcome) + ": " + d.Run.Message }

// Decide says whether a firing is to start something: nil. Else it is Decided,
// now or before, and a skip is recorded.
func (db *DB) Decide(ctx context.Context, f Firing) error {
	var decided error
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		err := decide(ctx, tx, f)
		if errors.As(err, &Decided{}) {
			decided = err
			return nil
		}
		return err
	})
	return errors.Join(err, decided)
}

// decide holds the schedule until the transaction's end, so that of two firings
// the second sees what became of the first.
func decide(ctx context.Context, tx pgx.Tx, f Firing) error {
	var (
		paused   bool
		caughtUp *time.Time
	)
	err := tx.QueryRow(ctx, `
		SELECT paused, caught_up_to FROM schedules WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`, f.Schedule).Scan(&paused, &caughtUp)
	if err != nil {
		return fault(err, fmt.Sprintf("schedule %d", f.Schedule))
	}
	run, err := scanRun(tx.QueryRow(ctx, runSQL+`WHERE n.schedule_id = $1 AND n.scheduled_at = $2 AND n.manual = $3`, f.Schedule, f.At, f.Manual))
	switch {
	case err == nil:
		return Decided{run}
	case !errors.Is(err, pgx.ErrNoRows):
		return err
	case f.Manual:
	case paused:
		return Decided{debusine.ScheduleRun{At: f.At, Outcome: debusine.RunSkipped, Message: "the schedule is paused"}}
	case caughtUp != nil && !f.At.After(*caughtUp):
		// One of many that were missed while Temporal was away, and not the first.
		return Decided{debusine.ScheduleRun{At: f.At, Outcome: debusine.RunSkipped, Message: "a later run took its place"}}
	}
	var open int64
	err = tx.QueryRow(ctx, `
		SELECT coalesce(max(r.id), 0) FROM schedule_runs n JOIN work_requests r ON r.id = n.work_request_id
		 WHERE n.schedule_id = $1 AND r.status NOT IN ('completed', 'aborted')`, f.Schedule).Scan(&open)
	if err != nil || open == 0 {
		return err
	}
	run = debusine.ScheduleRun{At: f.At, Outcome: debusine.RunSkipped, Manual: f.Manual, Message: fmt.Sprintf("workflow %d of the run before is under way", open)}
	if f.Manual {
		return debusine.Conflictf("%s", run.Message)
	}
	if err := record(ctx, tx, f, run); err != nil {
		return err
	}
	return Decided{run}
}

// FailRun records that nothing could be started, and why.
func (db *DB) FailRun(ctx context.Context, f Firing, why string) (run debusine.ScheduleRun, err error) {
	run = debusine.ScheduleRun{At: f.At, Outcome: debusine.RunFailed, Message: why, Manual: f.Manual}
	return run, db.inTx(ctx, func(tx pgx.Tx) error {
		if err := decide(ctx, tx, f); err != nil {
			if decided := (Decided{}); errors.As(err, &decided) {
				run = decided.Run
				return nil
			}
			return err
		}
		return record(ctx, tx, f, run)
	})
}

// record writes down what came of a firing, and forgets the oldest runs. What is
// older than caught_up_to is never asked again (decide).
func record(ctx context.Context, tx pgx.Tx, f Firing, run debusine.ScheduleRun) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO schedule_runs (schedule_id, scheduled_at, manual, outcome, message, work_request_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		f.Schedule, f.At, f.Manual, run.Outcome, run.Message, run.WorkRequest)
	if err != nil {
		return fault(err, "run")
	}
	if !f.Manual {
		if _, err = tx.Exec(ctx, `UPDATE schedules SET caught_up_to = greatest(caught_up_to, $2, $3) WHERE id = $1`, f.Schedule, f.At, f.Told); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `
		DELETE FROM schedule_runs n WHERE schedule_id = $1
		   AND id NOT IN (SELECT id FROM schedule_runs WHERE schedule_id = $1 ORDER BY scheduled_at DESC, id DESC LIMIT $2)
		   AND NOT EXISTS (SELECT FROM work_requests r WHERE r.id = n.work_request_id AND r.status NOT IN ('completed', 'aborted'))`, f.Schedule, debusine.MostRuns)
	return err
}

// PrincipalOf is who a user is now, without a token: what runs on behalf of
// somebody has the rights that this person still has.
func (db *DB) PrincipalOf(ctx context.Context, user int64) (debusine.Principal, error) {
	p := debusine.Principal{Kind: debusine.Person, UserID: user}
	var (
		active           bool
		inScope, inSpace []string
	)
	err := db.pool.QueryRow(ctx, `
		SELECT u.username, u.is_superuser, u.is_active,
		       ARRAY(SELECT r.scope_id || ':' || r.role FROM scope_roles r JOIN group_members m USING (group_id) WHERE m.user_id = u.id),
		       ARRAY(SELECT r.workspace_id || ':' || r.role FROM workspace_roles r JOIN group_members m USING (group_id) WHERE m.user_id = u.id)
		  FROM users u WHERE u.id = $1`, user).Scan(&p.User, &p.Superuser, &active, &inScope, &inSpace)
	if err != nil {
		return p, fault(err, fmt.Sprintf("user %d", user))
	}
	if !active {
		return p, debusine.Forbiddenf("user %s is not active any more", p.User)
	}
	p.ScopeRoles, p.WorkspaceRoles = readRoles(inScope), readRoles(inSpace)
	return p, nil
}
