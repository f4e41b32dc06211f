package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
)

// SourceFacts tells what the sbuild workflow decides upon: the source package
// and the architectures that have an environment for the target distribution.
// An upload stands for the source package that it extends.
func (db *DB) SourceFacts(ctx context.Context, q task.SourceQuestion) (task.Source, error) {
	var (
		raw json.RawMessage
		r   = reader{q: db.pool}
	)
	err := db.pool.QueryRow(ctx, `SELECT coalesce(configured_task_data, task_data), workspace_id, created_by, coalesce(root_id, id) FROM work_requests WHERE id = $1`, q.ID).
		Scan(&raw, &r.workspace, &r.user, &r.root)
	if err != nil {
		return task.Source{}, fault(err, fmt.Sprintf("work request %d", q.ID))
	}
	return r.sourceFacts(ctx, raw)
}

// SourceFactsFor tells the same of data that are not a work request yet.
func (db *DB) SourceFactsFor(ctx context.Context, workspace, user int64, raw json.RawMessage) (task.Source, error) {
	return reader{q: db.pool, workspace: workspace, user: user}.sourceFacts(ctx, raw)
}

func (r reader) sourceFacts(ctx context.Context, raw json.RawMessage) (s task.Source, err error) {
	var data task.SbuildWorkflowData
	if err := task.ReadWorkflow(raw, &data); err != nil {
		return s, err
	}
	a, err := r.one(ctx, data.Input.SourceArtifact, task.Need{Categories: []string{"debian:source-package", "debian:upload"}})
	if err != nil {
		return s, fmt.Errorf("input.source_artifact: %w", err)
	}
	if a.Category == "debian:upload" {
		if a, err = r.sourceOf(ctx, a.ID); err != nil {
			return s, err
		}
	}
	var source struct {
		Name, Version string
		Fields        map[string]any `json:"dsc_fields"`
	}
	if err := json.Unmarshal(a.Data, &source); err != nil {
		return s, fmt.Errorf("reading artifact %d: %w", a.ID, err)
	}
	s = task.Source{Artifact: a.ID, Name: source.Name, Version: source.Version}
	s.Architectures, _ = source.Fields["Architecture"].(string)
	s.PackageList, _ = source.Fields["Package-List"].(string)
	s.AllOn, _ = source.Fields["Build-Indep-Architecture"].(string)
	s.Environments, err = r.environments(ctx, data)
	return s, err
}

// sourceOf gives the source package that an upload extends.
func (r reader) sourceOf(ctx context.Context, upload int64) (debusine.Artifact, error) {
	var id int64
	err := r.q.QueryRow(ctx, `
		SELECT a.id FROM artifact_relations l JOIN artifacts a ON a.id = l.target_id
		 WHERE l.artifact_id = $1 AND l.type = 'extends' AND a.category = 'debian:source-package' ORDER BY a.id LIMIT 1`, upload).Scan(&id)
	if err != nil {
		return debusine.Artifact{}, fault(err, fmt.Sprintf("a source package that upload %d extends", upload))
	}
	return r.Artifact(ctx, id)
}

// environments are the architectures that have an environment for the target.
func (r reader) environments(ctx context.Context, data task.SbuildWorkflowData) ([]string, error) {
	c, err := r.Collection(ctx, lookup.Place{}, "debian:environments", data.Vendor())
	if err != nil {
		return nil, debusine.WithHint(err, "environments of "+data.Vendor()+" are kept in the collection "+data.Vendor()+"@debian:environments")
	}
	rows, err := r.q.Query(ctx, `
		SELECT DISTINCT data->>'architecture' FROM collection_items
		 WHERE collection_id = $1 AND removed_at IS NULL AND category = 'debian:system-tarball' AND data->>'codename' = $2
		   AND coalesce(data->>'backend', 'unshare') = 'unshare' ORDER BY 1`, c.ID, data.Codename())
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var able []string
	query, err := lookup.Parse(data.Environment(), lookup.Expect{DefaultCategory: "debian:environments"})
	for _, arch := range all {
		if err != nil {
			break
		}
		// The task will look again with just these filters: ask as it does.
		if _, missing := query.Resolve(ctx, r, &lookup.Environment{Architecture: arch, Format: "tarball", Backend: "unshare", Task: "sbuild"}); missing == nil {
			able = append(able, arch)
		} else if !isFault(missing) {
			return nil, missing
		}
	}
	return able, err
}
