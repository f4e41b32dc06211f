package store

import (
	"context"
	"encoding/json"
	"fmt"

	"debusine/task"
)

// UploadFacts tells what a package_upload workflow uploads.
func (db *DB) UploadFacts(ctx context.Context, q task.UploadQuestion) (task.Uploadables, error) {
	var (
		raw json.RawMessage
		r   = reader{q: db.pool}
	)
	err := db.pool.QueryRow(ctx, `SELECT coalesce(configured_task_data, task_data), workspace_id, created_by, coalesce(root_id, id) FROM work_requests WHERE id = $1`, q.ID).
		Scan(&raw, &r.workspace, &r.user, &r.root)
	if err != nil {
		return task.Uploadables{}, fault(err, fmt.Sprintf("work request %d", q.ID))
	}
	return r.uploadFacts(ctx, raw)
}

// UploadFactsFor tells the same of data that are not a work request yet.
func (db *DB) UploadFactsFor(ctx context.Context, workspace, user int64, raw json.RawMessage) (task.Uploadables, error) {
	return reader{q: db.pool, workspace: workspace, user: user}.uploadFacts(ctx, raw)
}

func (r reader) uploadFacts(ctx context.Context, raw json.RawMessage) (u task.Uploadables, err error) {
	var data task.PackageUploadWorkflowData
	if err := task.ReadWorkflow(raw, &data); err != nil {
		return u, err
	}
	for _, need := range data.Needs() {
		found, err := r.need(ctx, need)
		if err != nil {
			return u, fmt.Errorf("looking for what is uploaded: %w", err)
		}
		for _, a := range found {
			one := task.UploadableOf(a)
			if need.Many {
				u.Binaries = append(u.Binaries, one)
			} else {
				u.Source = &one
			}
		}
	}
	return u, nil
}
