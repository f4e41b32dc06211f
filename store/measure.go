package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Measure is one figure about what exists, split by labels.
type Measure struct {
	Name, Help string
	Labels     []string
	Samples    []Sample
}

// Sample is a figure for one set of label values, in the order of the labels.
type Sample struct {
	Labels []string
	Value  float64
}

// mostSamples bounds each measure: whoever watches pays for each combination, for
// years. The largest are kept.
const mostSamples = 500

// measure is a query whose columns are the labels, as text, and the value.
type measure struct {
	name, help string
	labels     []string
	sql        string
}

// measures are named as Debusine names them, where it has them (open-metrics);
// ours alone begin with debusine_. What users write freely is no label:
// architectures come from tags, which are checked.
func measures() []measure {
	const architecture = `coalesce((SELECT min(substr(t, 19)) FROM unnest(w.scheduler_tags_required) t WHERE t LIKE 'worker:build-arch:%'), '')`
	const backend = `coalesce((SELECT min(substr(t, 17)) FROM unnest(w.scheduler_tags_required) t WHERE t LIKE 'worker:executor:%'), '')`
	return []measure{
		{"work_requests", "Number of work requests", []string{"task_type", "task_name", "scope", "status", "result", "build_architecture", "backend"}, `
			SELECT w.task_type, w.task_name, s.name, w.status, w.result, ` + architecture + `, ` + backend + `, count(*)
			  FROM work_requests w JOIN workspaces p ON p.id = w.workspace_id JOIN scopes s ON s.id = p.scope_id
			 GROUP BY 1, 2, 3, 4, 5, 6, 7`},
		{"work_request_pending_age", "Seconds that the oldest pending work request of a queue has waited", []string{"queue"}, `
			SELECT queue, extract(epoch FROM now() - min(coalesce(pending_at, created_at)))
			  FROM work_requests WHERE status = 'pending' AND task_type = 'Worker' GROUP BY queue`},
		{"debusine_queue_pending", "Number of work requests that wait in a queue", []string{"queue"}, `
			SELECT queue, count(*) FROM work_requests WHERE status = 'pending' AND task_type = 'Worker' GROUP BY queue`},
		{"workers", "Number of workers", []string{"worker_type", "enabled", "connected", "busy", "architecture", "class"}, `
			SELECT m.worker_type, m.enabled::text, coalesce(m.heard_at > now() - interval '30 seconds', false)::text,
			       EXISTS (SELECT FROM attempts a WHERE a.worker_id = m.id AND a.ended_at IS NULL)::text,
			       coalesce((SELECT string_agg(substr(t, 19), '+' ORDER BY t) FROM unnest(m.tags_provided) t WHERE t LIKE 'worker:build-arch:%'), ''),
			       coalesce((SELECT string_agg(substr(t, 14), '+' ORDER BY t) FROM unnest(m.tags_provided) t WHERE t LIKE 'worker:class:%'), ''), count(*)
			  FROM workers m GROUP BY 1, 2, 3, 4, 5, 6`},
		{"debusine_outbox", "Number of work requests that Temporal does not know of yet (starting), or does not know to have ended (ending)", []string{"what"}, `
			SELECT 'starting', count(*) FROM work_requests WHERE temporal_id IS NOT NULL AND NOT temporal_started AND status NOT IN ('completed', 'aborted')
			 UNION ALL SELECT 'ending', count(*) FROM work_requests WHERE status IN ('completed', 'aborted') AND NOT temporal_closed`},
		{"artifacts", "Number of artifacts", []string{"category", "scope"}, `
			SELECT a.category, s.name, count(*) FROM artifacts a JOIN workspaces p ON p.id = a.workspace_id JOIN scopes s ON s.id = p.scope_id GROUP BY 1, 2`},
		{"collections", "Number of collections", []string{"category", "scope"}, `
			SELECT c.category, s.name, count(*) FROM collections c JOIN workspaces p ON p.id = c.workspace_id JOIN scopes s ON s.id = p.scope_id GROUP BY 1, 2`},
		{"file_store_size", "Bytes of the files that are kept, each content once", nil, `SELECT coalesce(sum(size), 0) FROM files`},
		{"workflow_templates", "Number of workflow templates", []string{"task_name", "scope"}, `
			SELECT t.task_name, s.name, count(*) FROM workflow_templates t JOIN workspaces p ON p.id = t.workspace_id JOIN scopes s ON s.id = p.scope_id GROUP BY 1, 2`},
		{"workspaces", "Number of workspaces", []string{"scope"}, `SELECT s.name, count(*) FROM workspaces p JOIN scopes s ON s.id = p.scope_id GROUP BY 1`},
		{"groups", "Number of groups", []string{"scope"}, `SELECT s.name, count(*) FROM groups g JOIN scopes s ON s.id = g.scope_id GROUP BY 1`},
		{"users", "Number of users", []string{"active"}, `SELECT is_active::text, count(*) FROM users WHERE NOT is_system GROUP BY 1`},
	}
}

// Measures counts what exists in the whole installation, for its operators. It
// reads whole tables: ask rarely.
func (db *DB) Measures(ctx context.Context) ([]Measure, error) {
	var all []Measure
	err := db.read(ctx, func(tx pgx.Tx) error {
		for _, m := range measures() {
			one := Measure{Name: m.name, Help: m.help, Labels: m.labels}
			values := make([]string, len(m.labels))
			var value float64
			into := make([]any, 0, len(values)+1)
			for i := range values {
				into = append(into, &values[i])
			}
			rows, err := tx.Query(ctx, fmt.Sprintf("SELECT * FROM (%s) AS m ORDER BY %d DESC LIMIT %d", m.sql, len(values)+1, mostSamples))
			if err != nil {
				return fmt.Errorf("measuring %s: %w", m.name, err)
			}
			_, err = pgx.ForEachRow(rows, append(into, &value), func() error {
				one.Samples = append(one.Samples, Sample{append([]string(nil), values...), value})
				return nil
			})
			if err != nil {
				return fmt.Errorf("measuring %s: %w", m.name, err)
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// read runs do in one transaction that writes nothing and sees one moment.
func (db *DB) read(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}
