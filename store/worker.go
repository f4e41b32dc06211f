package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// maxWaitingWorkers bounds how many machines may wait for an administrator:
// anybody can register one.
const maxWaitingWorkers = 200

const workerSQL = `
	SELECT w.id, w.name, w.worker_type, w.enabled, w.draining, w.concurrency, w.registered_at, w.heard_at, w.dynamic_metadata, w.static_metadata,
	       w.tags_provided, w.tags_required, ARRAY(SELECT a.work_request_id FROM attempts a WHERE a.worker_id = w.id AND a.ended_at IS NULL ORDER BY 1)
	  FROM workers w `

func scanWorker(row pgx.Row) (w debusine.Worker, err error) {
	defer func() { w.Busy = len(w.Running) }()
	return w, row.Scan(&w.ID, &w.Name, &w.Type, &w.Enabled, &w.Draining, &w.Concurrency, &w.RegisteredAt, &w.HeardAt, &w.Dynamic, &w.Static,
		&w.TagsProvided, &w.TagsRequired, &w.Running)
}

// Workers lists all build machines by name.
func (db *DB) Workers(ctx context.Context) ([]debusine.Worker, error) {
	rows, err := db.pool.Query(ctx, workerSQL+`ORDER BY w.name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.Worker, error) { return scanWorker(row) })
}

// HideFrom takes out of what is said of machines whatever would tell the user
// (0: anybody) of work in workspaces that it may not see: the numbers of work
// requests, the demands that name such a workspace or a source package, and what
// administrators wrote.
func (db *DB) HideFrom(ctx context.Context, user int64, workers []debusine.Worker) error {
	var ids []int64
	for _, w := range workers {
		ids = append(ids, w.Running...)
	}
	var (
		seen []int64
		tags []string
		all  bool
	)
	err := db.pool.QueryRow(ctx, `
		SELECT ARRAY(SELECT r.id FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id WHERE r.id = ANY($2) AND `+visible+`),
		       ARRAY(SELECT unnest(ARRAY['task:scope:' || s.name, 'task:workspace:' || s.name || ':' || w.name])
		               FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE `+visible+`),
		       EXISTS (SELECT FROM users WHERE id = $1 AND is_superuser)`, user, ids).Scan(&seen, &tags, &all)
	if err != nil || all {
		return err
	}
	for i := range workers {
		w := &workers[i]
		w.Static = nil
		w.Running = slices.DeleteFunc(w.Running, func(id int64) bool { return !slices.Contains(seen, id) })
		w.TagsRequired = slices.DeleteFunc(w.TagsRequired, func(tag string) bool { return !slices.Contains(tags, tag) })
	}
	return nil
}

// Worker gives a build machine by its number.
func (db *DB) Worker(ctx context.Context, id int64) (debusine.Worker, error) {
	w, err := scanWorker(db.pool.QueryRow(ctx, workerSQL+`WHERE w.id = $1`, id))
	return w, fault(err, fmt.Sprintf("worker %d", id))
}

// WorkerNamed gives a build machine by its name.
func (db *DB) WorkerNamed(ctx context.Context, name string) (debusine.Worker, error) {
	w, err := scanWorker(db.pool.QueryRow(ctx, workerSQL+`WHERE w.name = $1`, name))
	return w, debusine.WithHint(fault(err, fmt.Sprintf("worker %q", name)), "debusine admin worker list")
}

// Registration is what a machine says of itself when it first comes.
type Registration struct {
	Secret      string // of its own making
	Name        string // its FQDN, or what an administrator calls it
	Exact       bool   // the name must be free; else a number is added
	Concurrency int
	Enabled     bool // an administrator vouches for it
	Activation  string
	Signing     bool // it holds keys; an administrator says so
}

// Register makes a worker, not enabled but when an administrator or an
// activation token vouches for it. The same secret gives the same worker again.
func (db *DB) Register(ctx context.Context, r Registration) (w debusine.Worker, err error) {
	hash := debusine.HashSecret(r.Secret)
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		// One at a time: names are counted up, and those who wait are counted.
		if _, err := tx.Exec(ctx, `LOCK TABLE workers IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		w, err = scanWorker(tx.QueryRow(ctx, workerSQL+`JOIN tokens t ON t.worker_id = w.id WHERE t.hash = $1`, hash))
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := mayRegister(ctx, tx, &r); err != nil {
			return err
		}
		name, err := freeName(ctx, tx, r)
		if err != nil {
			return err
		}
		var id int64
		err = tx.QueryRow(ctx, `INSERT INTO workers (name, enabled, concurrency, worker_type) VALUES ($1, $2, $3, CASE WHEN $4 THEN 'signing' ELSE 'external' END) RETURNING id`,
			name, r.Enabled, max(r.Concurrency, 1), r.Signing).Scan(&id)
		if err != nil {
			return fault(err, fmt.Sprintf("worker %q", name))
		}
		if _, err := tx.Exec(ctx, `INSERT INTO tokens (token_type, hash, worker_id) VALUES ('worker', $1, $2)`, hash, id); err != nil {
			return fault(err, "the worker's token")
		}
		w, err = scanWorker(tx.QueryRow(ctx, workerSQL+`WHERE w.id = $1`, id))
		return err
	})
	return w, err
}

func mayRegister(ctx context.Context, tx pgx.Tx, r *Registration) error {
	if r.Activation != "" {
		tag, err := tx.Exec(ctx, `
			DELETE FROM tokens WHERE hash = $1 AND token_type = 'worker-activation' AND enabled AND (expire_at IS NULL OR expire_at > now())`,
			debusine.HashSecret(r.Activation))
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return debusine.Forbiddenf("the activation token is unknown, used or expired")
		}
		r.Enabled = true
	}
	if r.Enabled {
		return nil
	}
	var waiting int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM workers WHERE NOT enabled`).Scan(&waiting); err != nil {
		return err
	}
	if waiting >= maxWaitingWorkers {
		return debusine.WithHint(debusine.Conflictf("%d workers wait for an administrator already", waiting), "debusine admin worker enable NAME, or delete what is not yours")
	}
	return nil
}

// freeName is the slug of the name, with a number when it is taken.
func freeName(ctx context.Context, tx pgx.Tx, r Registration) (string, error) {
	slug := strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '-'
	}, strings.ToLower(r.Name)), "-")
	if slug == "" || len(slug) > 200 {
		return "", debusine.Invalidf("%.80q is no name for a worker", r.Name)
	}
	if r.Exact {
		return slug, nil
	}
	rows, err := tx.Query(ctx, `SELECT name FROM workers WHERE name = $1 OR name LIKE $1 || '-%'`, slug)
	if err != nil {
		return "", err
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	name := slug
	for n := 2; slices.Contains(taken, name); n++ {
		name = fmt.Sprintf("%s-%d", slug, n)
	}
	return name, err
}

// TellMetadata keeps what a machine reports of itself, and counts its tags
// anew. ignored are tags that were said and are not a machine's to say.
func (db *DB) TellMetadata(ctx context.Context, worker int64, dynamic map[string]any) (w debusine.Worker, ignored []string, err error) {
	return db.changeMetadata(ctx, worker, func(w *debusine.Worker) { w.Dynamic = dynamic })
}

// SetStaticMetadata keeps what an administrator says of a machine.
func (db *DB) SetStaticMetadata(ctx context.Context, worker int64, static map[string]any) (w debusine.Worker, ignored []string, err error) {
	return db.changeMetadata(ctx, worker, func(w *debusine.Worker) { w.Static = static })
}

func (db *DB) changeMetadata(ctx context.Context, worker int64, change func(*debusine.Worker)) (w debusine.Worker, ignored []string, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if w, err = scanWorker(tx.QueryRow(ctx, workerSQL+`WHERE w.id = $1 FOR UPDATE OF w`, worker)); err != nil {
			return fault(err, fmt.Sprintf("worker %d", worker))
		}
		change(&w)
		w.TagsProvided, w.TagsRequired, ignored = task.WorkerTags(w.Dynamic, w.Static)
		_, err := tx.Exec(ctx, `UPDATE workers SET dynamic_metadata = $2, static_metadata = $3, tags_provided = $4, tags_required = $5 WHERE id = $1`,
			worker, w.Dynamic, w.Static, w.TagsProvided, w.TagsRequired)
		return fault(err, "metadata")
	})
	return w, ignored, err
}

// WorkerChange is what an administrator changes of a machine; nil leaves it.
type WorkerChange struct {
	Enabled, Draining *bool
	Concurrency       *int
}

// ChangeWorker applies a change.
func (db *DB) ChangeWorker(ctx context.Context, worker int64, c WorkerChange) error {
	_, err := db.pool.Exec(ctx, `
		UPDATE workers SET enabled = coalesce($2, enabled), draining = coalesce($3, draining), concurrency = coalesce($4, concurrency) WHERE id = $1`,
		worker, c.Enabled, c.Draining, c.Concurrency)
	return fault(err, fmt.Sprintf("worker %d", worker))
}

// QueuesOf are the names of the queues that a worker is entitled to.
func (db *DB) QueuesOf(ctx context.Context, w debusine.Worker) (names []string, err error) {
	rows, err := db.pool.Query(ctx, `SELECT name, required, provided FROM queues ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var name string
	var required, provided []string
	_, err = pgx.ForEachRow(rows, []any{&name, &required, &provided}, func() error {
		missing, unmet := task.Entitled(w.TagsProvided, w.TagsRequired, task.QueueRequired(required), provided)
		if len(missing) == 0 && len(unmet) == 0 {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// Gates lists the tags that an administrator has declared to be gates: work
// with such a tag has queues of its own.
func (db *DB) Gates(ctx context.Context) ([]string, error) {
	rows, err := db.pool.Query(ctx, `SELECT tag FROM gates ORDER BY tag`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// SetGate declares a tag to be a gate, or no longer one. It holds for work
// requests that are made from now on.
func (db *DB) SetGate(ctx context.Context, tag string, gate bool) error {
	if !task.AllowedFrom(task.FromSystem, task.TaskProvided, tag) {
		return debusine.WithHint(debusine.Invalidf("tag %q is not one that work provides", tag), "for example task:workspace:debusine:System")
	}
	sql := `DELETE FROM gates WHERE tag = $1`
	if gate {
		sql = `INSERT INTO gates (tag) VALUES ($1) ON CONFLICT DO NOTHING`
	}
	_, err := db.pool.Exec(ctx, sql, tag)
	return fault(err, fmt.Sprintf("gate %q", tag))
}
