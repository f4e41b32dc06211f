package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
)

// SourceFacts tells what the sbuild workflow decides upon: the source package,
// the architectures that have an environment for the target distribution, those
// that its suite accepts, and those that no worker can build for. An upload
// stands for the source package that it extends.
func (db *DB) SourceFacts(ctx context.Context, q task.SourceQuestion) (s task.Source, err error) {
	n, asked := New{TaskType: debusine.WorkflowTask, TaskName: task.SbuildWorkflow}, time.Time{}
	err = db.pool.QueryRow(ctx, `
		SELECT coalesce(configured_task_data, task_data), workspace_id, created_by, coalesce(root_id, id), created_at FROM work_requests WHERE id = $1`, q.ID).
		Scan(&n.Data, &n.WorkspaceID, &n.CreatedBy, &n.root, &asked)
	if err != nil {
		return s, fault(err, fmt.Sprintf("work request %d", q.ID))
	}
	s, err = db.SourceFactsFor(ctx, n)
	s.Asked = asked.UTC().Truncate(time.Second)
	return s, err
}

// SourceFactsFor tells the same of a workflow that may not be a work request yet.
func (db *DB) SourceFactsFor(ctx context.Context, n New) (s task.Source, err error) {
	s, data, err := db.sourceFor(ctx, n)
	if err != nil {
		return s, err
	}
	r := readerFor(db.pool, n)
	if err = r.environments(ctx, data, &s); err != nil {
		return s, err
	}
	s.NoWorker, err = db.noWorkers(ctx, n, data, s)
	return s, err
}

func (db *DB) sourceFor(ctx context.Context, n New) (s task.Source, data task.SbuildWorkflowData, err error) {
	if err := task.ReadWorkflow(n.Configured(), &data); err != nil {
		return s, data, err
	}
	r := readerFor(db.pool, n)
	a, err := r.one(ctx, data.Input.SourceArtifact, task.Need{Categories: []string{debusine.CategorySourcePackage, debusine.CategoryUpload}})
	if err != nil {
		return s, data, fmt.Errorf("input.source_artifact: %w", err)
	}
	if a.Category == debusine.CategoryUpload {
		if a, err = r.sourceOf(ctx, a.ID); err != nil {
			return s, data, err
		}
	}
	var source struct {
		Name, Version string
		Fields        map[string]any `json:"dsc_fields"`
	}
	if err := json.Unmarshal(a.Data, &source); err != nil {
		return s, data, fmt.Errorf("reading artifact %d: %w", a.ID, err)
	}
	s = task.Source{Artifact: a.ID, Name: source.Name, Version: source.Version}
	s.Architectures, _ = source.Fields["Architecture"].(string)
	s.PackageList, _ = source.Fields["Package-List"].(string)
	for _, field := range []string{"Build-Indep-Architecture", "XS-Build-Indep-Architecture"} { // dpkg-source takes XS- away, other tools may not
		if on, _ := source.Fields[field].(string); s.AllOn == "" {
			s.AllOn = strings.TrimSpace(on)
		}
	}
	return s, data, nil
}

// readerFor reads for a work request that is to be.
func readerFor(q querier, n New) reader {
	r := reader{q: q, workspace: n.WorkspaceID, user: n.CreatedBy}
	if n.root != nil {
		r.root = *n.root
	}
	return r
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

// environments tells which architectures have an environment for the target, and
// what the newest of those that say so tell of mirror and suite.
func (r reader) environments(ctx context.Context, data task.SbuildWorkflowData, s *task.Source) error {
	c, err := r.Collection(ctx, lookup.Place{}, debusine.CategoryEnvironments, data.Vendor())
	if err != nil {
		return debusine.WithHint(err, "environments of "+data.Vendor()+" are kept in the collection "+data.Vendor()+"@debian:environments")
	}
	rows, err := r.q.Query(ctx, `SELECT DISTINCT data->>'architecture' FROM collection_items
		 WHERE collection_id = $1 AND removed_at IS NULL AND data->>'codename' = $2 ORDER BY 1`, c.ID, data.EnvironmentCodename())
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var found []debusine.Artifact
	for _, arch := range all {
		// The task will look again with just these filters: ask as it does.
		a, missing := r.environment(ctx, data, arch)
		if missing != nil && !isFault(missing) {
			return missing
		}
		if missing != nil {
			continue
		}
		s.Environments, found = append(s.Environments, arch), append(found, a)
	}
	slices.SortStableFunc(found, func(a, b debusine.Artifact) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for _, a := range found {
		if err := tellMirror(a, s); err != nil {
			return err
		}
	}
	return nil
}

// environment is that of a build on the architecture.
func (r reader) environment(ctx context.Context, data task.SbuildWorkflowData, arch string) (debusine.Artifact, error) {
	build := task.SbuildData{BuildArchitecture: arch, Environment: data.Environment(), Backend: data.Backend}
	return r.one(ctx, data.Environment(), build.EnvironmentNeed())
}

// tellMirror tells of the mirror that an environment was made from. Those that are
// older than the field say nothing of the suite.
func tellMirror(environment debusine.Artifact, s *task.Source) error {
	var about debusine.SystemTarballData
	if err := json.Unmarshal(environment.Data, &about); err != nil {
		return fmt.Errorf("reading environment %d: %w", environment.ID, err)
	}
	s.Mirror, s.Components = about.Mirror, about.Components
	if about.SuiteArchitectures != nil {
		s.Suite = about.SuiteArchitectures
	}
	return nil
}

// noWorkers tells of the requested architectures for which no enabled worker may
// have the build, as the build will be configured.
func (db *DB) noWorkers(ctx context.Context, n New, data task.SbuildWorkflowData, s task.Source) (map[string]string, error) {
	none := map[string]string{}
	workers, err := db.enabledWorkers(ctx)
	if err != nil {
		return nil, err
	}
	for _, arch := range data.Architectures {
		if !slices.Contains(s.Environments, data.BuildsOn(arch, s)) {
			continue
		}
		raw, err := json.Marshal(data.Build(arch, s))
		if err != nil {
			return nil, err
		}
		p, err := db.settle(ctx, db.pool, New{WorkspaceID: n.WorkspaceID, CreatedBy: n.CreatedBy, TaskType: debusine.WorkerTask, TaskName: "sbuild", Data: raw, root: n.root})
		if err != nil && !isFault(err) {
			return nil, err
		}
		if err != nil || p.failed != nil {
			continue // which its own work request will tell
		}
		if why := task.NobodyFor(workers, p.required, p.gate); why != "" {
			none[arch] = why
		}
	}
	return none, nil
}

// enabledWorkers are the tags of the machines that may have work.
func (db *DB) enabledWorkers(ctx context.Context) ([]task.Machine, error) {
	rows, err := db.pool.Query(ctx, `SELECT tags_provided, tags_required FROM workers WHERE enabled AND worker_type = 'external'`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[task.Machine])
}
