package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// FactsForSigning tells what the workflow make_signed_source decides upon: its
// packages and templates, and the architectures that have an environment.
func (db *DB) FactsForSigning(ctx context.Context, q task.SourceQuestion) (facts task.SigningFacts, err error) {
	var (
		raw json.RawMessage
		r   = reader{q: db.pool}
	)
	err = db.pool.QueryRow(ctx, `SELECT coalesce(configured_task_data, task_data), workspace_id, created_by, coalesce(root_id, id) FROM work_requests WHERE id = $1`, q.ID).
		Scan(&raw, &r.workspace, &r.user, &r.root)
	if err != nil {
		return facts, fault(err, fmt.Sprintf("work request %d", q.ID))
	}
	return r.signingFacts(ctx, raw)
}

// FactsForSigningOf tells the same of data that are not a work request yet.
func (db *DB) FactsForSigningOf(ctx context.Context, workspace, user int64, raw json.RawMessage) (task.SigningFacts, error) {
	return reader{q: db.pool, workspace: workspace, user: user}.signingFacts(ctx, raw)
}

func (r reader) signingFacts(ctx context.Context, raw json.RawMessage) (facts task.SigningFacts, err error) {
	var data task.MakeSignedSourceData
	if err := task.ReadWorkflow(raw, &data); err != nil {
		return facts, err
	}
	found := map[string][]debusine.Artifact{}
	for _, need := range data.Needs() {
		if found[need.Field], err = r.need(ctx, need); err != nil {
			return facts, fmt.Errorf("resolving %s: %w", need.Field, err)
		}
	}
	facts = data.Facts(found)
	var target task.Source
	err = r.environments(ctx, task.SbuildWorkflowData{TargetDistribution: data.TargetDistribution(), Backend: data.SbuildBackend}, &target)
	facts.Environments = target.Environments
	return facts, err
}

// Outputs tells what a work request made, of one category, in the order in which
// it was made.
func (db *DB) Outputs(ctx context.Context, q task.OutputQuestion) ([]task.Output, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT a.id, coalesce(a.data->>'binary_package_name', '') FROM artifacts a LEFT JOIN attempts t ON t.id = a.created_by_attempt
		 WHERE a.created_by_work_request = $1 AND a.complete AND coalesce(t.ending = 'completed', t.id IS NULL) AND a.category = $2 ORDER BY a.id`, q.ID, q.Category)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o task.Output, err error) {
		return o, row.Scan(&o.Artifact, &o.Package)
	})
}
