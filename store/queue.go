package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/forecast"
	"debusine/task"
)

// Waiting is a work request that waits for a machine.
type Waiting struct {
	ID               int64
	Scope, Workspace string
	Queue            string
	Priority         int
	TaskType         debusine.TaskType
	TaskName         string
	About            string // hello_2.10-3
	Since            time.Time
	Kind             forecast.Kind // Kind.Workspace is the workspace's id
}

// InHand is a work request that a machine works on.
type InHand struct {
	Worker int64
	Since  time.Time
	Kind   forecast.Kind
}

// Queued is what waits and what is in hand, in the whole installation, with what
// is known of earlier runs.
type Queued struct {
	Now     time.Time
	Waiting []Waiting // the first mostForeseen, in the order of priority and id
	More    int       // that wait beyond those
	InHand  []InHand
	Queues  []QueueTags
	History forecast.History
}

// mostForeseen is for how many work requests a forecast is made.
const mostForeseen = 20_000

const kindColumns = `r.workspace_id, r.task_type || ':' || r.task_name, coalesce(r.dynamic_task_data->>'subject', ''),
	coalesce(r.dynamic_task_data->>'runtime_context', ''), coalesce(r.dynamic_task_data->>'architecture', '')`

func kindInto(k *forecast.Kind) []any {
	return []any{&k.Workspace, &k.Task, &k.Subject, &k.Context, &k.Architecture}
}

// Queued reads what waits for machines. It is for the whole installation: what a
// user may see of it is for the caller to choose (VisibleWorkspaces).
func (db *DB) Queued(ctx context.Context) (q Queued, err error) {
	err = db.read(ctx, func(tx pgx.Tx) error {
		q = Queued{}
		if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&q.Now); err != nil {
			return err
		}
		for _, part := range []func(context.Context, pgx.Tx) error{q.waiting, q.inHand, q.queues, q.sameKind, q.sameTask} {
			if err := part(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return q, fmt.Errorf("reading what waits for machines: %w", err)
	}
	return q, nil
}

func (q *Queued) waiting(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT r.id, s.name, w.name, r.queue, r.priority_base + r.priority_adjustment, r.task_type, r.task_name,
		       coalesce(r.dynamic_task_data->>'parameter_summary', ''), coalesce(r.pending_at, r.created_at), `+kindColumns+`
		  FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes s ON s.id = w.scope_id
		 WHERE r.status = 'pending' AND r.queue IS NOT NULL ORDER BY r.priority_base + r.priority_adjustment DESC, r.id LIMIT $1`, mostForeseen)
	if err != nil {
		return err
	}
	q.Waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Waiting, err error) {
		return w, row.Scan(append([]any{&w.ID, &w.Scope, &w.Workspace, &w.Queue, &w.Priority, &w.TaskType, &w.TaskName, &w.About, &w.Since}, kindInto(&w.Kind)...)...)
	})
	if err != nil || len(q.Waiting) < mostForeseen {
		return err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM work_requests WHERE status = 'pending' AND queue IS NOT NULL`).Scan(&q.More)
	q.More -= mostForeseen
	return err
}

func (q *Queued) inHand(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT a.worker_id, a.begun_at, `+kindColumns+` FROM attempts a JOIN work_requests r ON r.id = a.work_request_id WHERE a.ended_at IS NULL`)
	if err != nil {
		return err
	}
	q.InHand, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h InHand, err error) {
		return h, row.Scan(append([]any{&h.Worker, &h.Since}, kindInto(&h.Kind)...)...)
	})
	return err
}

func (q *Queued) queues(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT name, required, provided FROM queues ORDER BY name`)
	if err != nil {
		return err
	}
	q.Queues, err = pgx.CollectRows(rows, pgx.RowToStructByPos[QueueTags])
	return err
}

const runColumns = `c.workspace_id, (i.data->>'task_type') || ':' || (i.data->>'task_name'), coalesce(i.data->>'subject', ''), coalesce(i.data->>'context', ''),
	coalesce(r.dynamic_task_data->>'architecture', ''), coalesce((i.data->'runtime_statistics'->>'duration')::bigint, 0), i.data->>'result' = 'success'`

// What one question to the history may bring at most, for each thing asked for.
const (
	mostOfSeries    = 100
	mostOfWorkspace = 300
)

// sameKind reads the runs that are about the same things, in any context.
func (q *Queued) sameKind(ctx context.Context, tx pgx.Tx) error {
	type series struct {
		workspace int64
		prefix    string
	}
	asked := map[series]bool{}
	var workspaces []int64
	var prefixes []string
	ask := func(k forecast.Kind) {
		s := series{k.Workspace, k.Task + ":" + debusine.EscapeWord(k.Subject) + ":"}
		if k.Subject != "" && !asked[s] {
			asked[s] = true
			workspaces, prefixes = append(workspaces, s.workspace), append(prefixes, s.prefix)
		}
	}
	for _, w := range q.Waiting {
		ask(w.Kind)
	}
	for _, h := range q.InHand {
		ask(h.Kind)
	}
	rows, err := tx.Query(ctx, `
		SELECT `+runColumns+`
		  FROM unnest($1::bigint[], $2::text[]) AS q (workspace, prefix)
		  JOIN collections c ON c.workspace_id = q.workspace AND c.category = 'debusine:task-history' AND c.name = '_'
		 CROSS JOIN LATERAL (SELECT data FROM collection_items WHERE collection_id = c.id AND name >= q.prefix AND name < q.prefix || E'\U0010FFFF'
		        AND removed_at IS NULL ORDER BY name LIMIT $3) i
		  LEFT JOIN work_requests r ON r.id = (i.data->>'work_request_id')::bigint`, workspaces, prefixes, mostOfSeries)
	if err != nil {
		return err
	}
	return q.remember(rows)
}

// sameTask reads the newest runs of the workspaces, about other things.
func (q *Queued) sameTask(ctx context.Context, tx pgx.Tx) error {
	var workspaces []int64
	for _, w := range q.Waiting {
		if !slices.Contains(workspaces, w.Kind.Workspace) {
			workspaces = append(workspaces, w.Kind.Workspace)
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT `+runColumns+`
		  FROM collections c CROSS JOIN LATERAL (SELECT data FROM collection_items WHERE -collection_id = -c.id AND removed_at IS NULL ORDER BY id DESC LIMIT $2) i
		  LEFT JOIN work_requests r ON r.id = (i.data->>'work_request_id')::bigint
		 WHERE c.category = 'debusine:task-history' AND c.workspace_id = ANY($1)`, workspaces, mostOfWorkspace)
	if err != nil {
		return err
	}
	return q.remember(rows)
}

// remember adds runs to the history. One that both questions bring counts twice,
// which moves no median far.
func (q *Queued) remember(rows pgx.Rows) error {
	var (
		run     forecast.Run
		seconds int64
	)
	_, err := pgx.ForEachRow(rows, append(kindInto(&run.Kind), &seconds, &run.Success), func() error {
		if seconds > 0 && seconds < int64(time.Duration(1<<62)/time.Second) {
			run.Took = time.Duration(seconds) * time.Second
			q.History.Add(run)
		}
		return nil
	})
	return err
}

// VisibleWorkspaces are the ids of the workspaces that a user (0: anybody) may
// see.
func (db *DB) VisibleWorkspaces(ctx context.Context, user int64) (map[int64]bool, error) {
	rows, err := db.pool.Query(ctx, `SELECT w.id FROM workspaces w WHERE `+visible, user)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	seen := make(map[int64]bool, len(ids))
	for _, id := range ids {
		seen[id] = true
	}
	return seen, err
}

// Takes are the queues of these whose work a machine may be given.
func Takes(w debusine.Worker, queues []QueueTags) (names []string) {
	for _, q := range queues {
		if len(lacksOf(w, q)) == 0 {
			names = append(names, q.Name)
		}
	}
	return names
}

// Lacks says what keeps work of a queue from every enabled machine: the tags that
// the nearest one lacks, and those that it demands of work and this work does not
// provide. able counts the enabled machines that nothing keeps, enabled all.
func Lacks(workers []debusine.Worker, q QueueTags) (missing, unmet []string, able, enabled int) {
	nearest := -1
	for _, w := range workers {
		if !w.Enabled || (w.Type == "signing") != (q.Name == task.SigningQueue) {
			continue
		}
		enabled++
		if len(lacksOf(w, q)) == 0 {
			able++
		}
		lacks, demands := task.Entitled(w.TagsProvided, w.TagsRequired, task.QueueRequired(q.Required), q.Provided)
		if n := len(lacks) + len(demands); nearest < 0 || n < nearest {
			nearest, missing, unmet = n, lacks, demands
		}
	}
	switch {
	case able > 0:
		return nil, nil, able, enabled
	case enabled == 0 && q.Name != task.SigningQueue:
		missing = task.QueueRequired(q.Required)
	}
	return missing, unmet, able, enabled
}

// lacksOf is what keeps work of a queue from one machine.
func lacksOf(w debusine.Worker, q QueueTags) []string {
	signing := q.Name == task.SigningQueue
	switch {
	case signing && w.Type == "signing":
		return nil // it polls the queue itself
	case signing || w.Type == "signing":
		return []string{"system:signing"}
	}
	missing, unmet := task.Entitled(w.TagsProvided, w.TagsRequired, task.QueueRequired(q.Required), q.Provided)
	return append(missing, unmet...)
}
