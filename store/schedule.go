package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

const scheduleSQL = `
	SELECT h.id, h.workspace_id, s.name, w.name, h.name, h.template, h.task_data, coalesce(h.every_seconds, 0), coalesce(h.cron, ''), h.paused,
	       h.created_by, u.username, h.created_at, h.revision, h.applied, h.deleted_at IS NOT NULL, h.refused
	  FROM schedules h JOIN workspaces w ON w.id = h.workspace_id JOIN scopes s ON s.id = w.scope_id JOIN users u ON u.id = h.created_by `

func scanSchedule(row pgx.Row) (s debusine.Schedule, err error) {
	var seconds int64
	err = row.Scan(&s.ID, &s.WorkspaceID, &s.Scope, &s.Workspace, &s.Name, &s.Template, &s.Data, &seconds, &s.Cron, &s.Paused,
		&s.CreatedByID, &s.CreatedBy, &s.CreatedAt, &s.Revision, &s.Applied, &s.Deleted, &s.Refused)
	s.Every = time.Duration(seconds) * time.Second
	return s, err
}

func scanSchedules(row pgx.CollectableRow) (debusine.Schedule, error) { return scanSchedule(row) }

// Schedule gives a schedule of a workspace by its name.
func (db *DB) Schedule(ctx context.Context, workspace int64, name string) (debusine.Schedule, error) {
	s, err := scanSchedule(db.pool.QueryRow(ctx, scheduleSQL+`WHERE h.workspace_id = $1 AND h.name = $2 AND h.deleted_at IS NULL`, workspace, name))
	return s, fault(err, fmt.Sprintf("schedule %.80q", name))
}

// Schedules lists the schedules of a workspace by name.
func (db *DB) Schedules(ctx context.Context, workspace int64) ([]debusine.Schedule, error) {
	rows, err := db.pool.Query(ctx, scheduleSQL+`WHERE h.workspace_id = $1 AND h.deleted_at IS NULL ORDER BY h.name`, workspace)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSchedules)
}

// AllSchedules gives those of all workspaces, with the deleted ones that Temporal
// may still have: for the sweep.
func (db *DB) AllSchedules(ctx context.Context) ([]debusine.Schedule, error) {
	rows, err := db.pool.Query(ctx, scheduleSQL+`ORDER BY h.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSchedules)
}

// ScheduleByID gives a schedule, also one that was deleted.
func (db *DB) ScheduleByID(ctx context.Context, id int64) (debusine.Schedule, error) {
	s, err := scanSchedule(db.pool.QueryRow(ctx, scheduleSQL+`WHERE h.id = $1`, id))
	return s, fault(err, fmt.Sprintf("schedule %d", id))
}

// CreateSchedule makes a schedule: the row is the outbox, to be told to Temporal
// next.
func (db *DB) CreateSchedule(ctx context.Context, s debusine.Schedule) (id int64, err error) {
	err = db.pool.QueryRow(ctx, `
		INSERT INTO schedules (workspace_id, name, template, task_data, every_seconds, cron, paused, created_by)
		VALUES ($1, $2, $3, $4, nullif($5::bigint, 0), nullif($6, ''), $7, $8) RETURNING id`,
		s.WorkspaceID, s.Name, s.Template, s.Data, int64(s.Every/time.Second), s.Cron, s.Paused, s.CreatedByID).Scan(&id)
	return id, fault(err, fmt.Sprintf("schedule %.80q", s.Name))
}

// PauseSchedule stops a schedule, or lets it go on. From then on it starts
// nothing, whether or not Temporal knows yet.
func (db *DB) PauseSchedule(ctx context.Context, id int64, paused bool) error {
	_, err := db.pool.Exec(ctx, `UPDATE schedules SET paused = $2, revision = revision + 1 WHERE id = $1 AND paused <> $2 AND deleted_at IS NULL`, id, paused)
	return err
}

// DeleteSchedule ends a schedule; what it started stays. The row goes when
// Temporal has forgotten it (ForgetSchedule).
func (db *DB) DeleteSchedule(ctx context.Context, id int64) error {
	_, err := db.pool.Exec(ctx, `UPDATE schedules SET deleted_at = now(), revision = revision + 1 WHERE id = $1 AND deleted_at IS NULL`, id)
	return err
}

// ForgetSchedule removes the row of a deleted schedule.
func (db *DB) ForgetSchedule(ctx context.Context, id int64) error {
	_, err := db.pool.Exec(ctx, `DELETE FROM schedules WHERE id = $1 AND deleted_at IS NOT NULL`, id)
	return err
}

// MarkScheduleApplied notes which revision Temporal has, or why it refused it.
func (db *DB) MarkScheduleApplied(ctx context.Context, id, revision int64, refused string) error {
	_, err := db.pool.Exec(ctx, `UPDATE schedules SET applied = $2, refused = $3 WHERE id = $1 AND (applied, refused) IS DISTINCT FROM ($2, $3)`, id, revision, refused)
	return err
}

// ScheduleRuns gives what came of a schedule's last moments, newest first.
func (db *DB) ScheduleRuns(ctx context.Context, schedule int64, limit int) ([]debusine.ScheduleRun, error) {
	rows, err := db.pool.Query(ctx, runSQL+`WHERE n.schedule_id = $1 ORDER BY n.scheduled_at DESC, n.id DESC LIMIT $2`, schedule, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.ScheduleRun, error) { return scanRun(row) })
}

const runSQL = `
	SELECT n.scheduled_at, n.outcome, n.message, n.work_request_id, coalesce(r.status, ''), coalesce(r.result, ''), n.manual
	  FROM schedule_runs n LEFT JOIN work_requests r ON r.id = n.work_request_id `

func scanRun(row pgx.Row) (n debusine.ScheduleRun, err error) {
	return n, row.Scan(&n.At, &n.Outcome, &n.Message, &n.WorkRequest, &n.Status, &n.Result, &n.Manual)
}
