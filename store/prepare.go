package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
	"debusine/taskconfig"
)

// prepare checks the data, resolves the lookups and settles on tags and queue.
func (db *DB) prepare(ctx context.Context, tx pgx.Tx, n New) (prepared, error) {
	p, err := db.settle(ctx, tx, n)
	if err != nil || p.failed != nil || n.TaskType == debusine.WorkflowTask {
		return p, err
	}
	switch n.TaskType {
	case debusine.SigningTask:
		queue := task.SigningQueue // made by a migration; no machine is entitled to it
		p.queue = &queue
		return p, nil
	case debusine.ServerTask, debusine.WaitTask:
		return p, nil
	}
	queue, err := ensureQueue(ctx, tx, p.required, p.gate)
	p.queue = &queue
	return p, err
}

// settle is prepare without the queue: it writes nothing.
func (db *DB) settle(ctx context.Context, tx querier, n New) (prepared, error) {
	p := prepared{New: n}
	if n.TaskType == debusine.WorkflowTask {
		return p.workflow()
	}
	definition, err := task.DefinitionOf(n.TaskType, n.TaskName)
	if err != nil {
		return p, err
	}
	p.TaskName = definition.Name
	data, err := definition.Parse(n.Data)
	if err != nil {
		return p, err
	}
	description, err := p.resolve(ctx, tx, data)
	if err != nil {
		return p, err
	}
	p.required = sorted(data.Requires())
	if p.provided, p.gate, err = providedTags(ctx, tx, n.WorkspaceID, description); err != nil {
		return p, err
	}
	data, err = p.configure(ctx, tx, definition, data, description)
	var bad misconfigured
	if errors.As(err, &bad) {
		p.failed = configureFailed(bad)
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if build, signs := data.(*task.SbuildData); signs {
		build.KnownAs(db.fqdn)
	}
	p.configured, err = json.Marshal(data)
	return p, err
}

// workflow is what a workflow's row needs; its configuration has been applied.
func (p prepared) workflow() (prepared, error) {
	p.TaskName = task.Canonical(p.TaskName)
	if _, err := task.ParseWorkflow(p.TaskName, p.Configured()); err != nil {
		return p, err
	}
	var err error
	p.dynamic, err = withSteps(p.Dynamic, p.steps)
	return p, err
}

// configure applies the task configuration and resolves again what it changed.
func (p *prepared) configure(ctx context.Context, tx querier, definition task.Definition, data task.Data, about task.Description) (task.Data, error) {
	target := taskconfig.Target{TaskType: p.TaskType, TaskName: p.TaskName, Subject: about.Subject, Context: about.ConfigurationContext,
		TagsProvided: p.provided, TagsRequired: p.required}
	name, named := data.Configuration()
	c, err := reader{q: tx, workspace: p.WorkspaceID, user: p.CreatedBy}.configure(ctx, name, named, target, p.Data, func(raw json.RawMessage) error {
		_, err := definition.Parse(raw)
		return err
	})
	if err != nil || c.data == nil {
		return data, err
	}
	if data, err = definition.Parse(c.data); err != nil {
		return data, err
	}
	if about, err = p.resolve(ctx, tx, data); err != nil {
		if err = fmt.Errorf("after the task configuration was applied: %w", err); isFault(err) {
			err = misconfigured{err}
		}
		return data, err
	}
	if p.provided, p.gate, err = providedTags(ctx, tx, p.WorkspaceID, about); err != nil {
		return data, err
	}
	p.provided = sorted(append(p.provided, c.provide...))
	if p.gate, err = gatesAmong(ctx, tx, p.provided); err != nil {
		return data, err
	}
	p.required = sorted(append(data.Requires(), c.require...))
	p.dynamic, err = withSteps(p.dynamic, c.steps)
	return data, err
}

// aboutJSON is dynamic data that say what a workflow is about.
func aboutJSON(about task.Description) (json.RawMessage, error) { return json.Marshal(about) }

// withSteps keeps with the dynamic data what configured the task.
func withSteps(dynamic json.RawMessage, steps []taskconfig.Step) (json.RawMessage, error) {
	if len(steps) == 0 {
		return dynamic, nil
	}
	all := map[string]any{}
	if len(dynamic) > 0 {
		if err := json.Unmarshal(dynamic, &all); err != nil {
			return nil, err
		}
	}
	all["configured_by"] = steps
	return json.Marshal(all)
}

// resolve turns the needs into ids of dynamic task data.
func (p *prepared) resolve(ctx context.Context, tx querier, data task.Data) (task.Description, error) {
	description, dynamic, err := readerFor(tx, p.New).describe(ctx, data)
	if err != nil {
		return description, err
	}
	if err := merge(dynamic, description); err != nil {
		return description, err
	}
	if p.dynamic, err = json.Marshal(dynamic); err != nil {
		return description, err
	}
	return description, holdInputs(ctx, tx, inputsOf(p.dynamic))
}

// holdInputs keeps artifacts from being removed until the work request that takes
// them is there, which keeps them from then on (keptSQL).
func holdInputs(ctx context.Context, tx querier, ids []int64) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	rows, err := tx.Query(ctx, `SELECT id FROM artifacts WHERE id = ANY($1) ORDER BY id FOR KEY SHARE`, ids)
	if err != nil {
		return err
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil && len(there) < len(ids) {
		err = debusine.WithHint(debusine.Missingf("one of the artifacts %d", ids), "it was removed meanwhile; ask again")
	}
	return err
}

// described is data that tell what they are about: of a task or of a workflow.
type described interface {
	Needs() []task.Need
	Describe(found map[string][]debusine.Artifact) task.Description
}

// describe resolves the needs and gives their ids by field.
func (r reader) describe(ctx context.Context, data described) (task.Description, map[string]any, error) {
	found := map[string][]debusine.Artifact{}
	dynamic := map[string]any{}
	for _, need := range data.Needs() {
		artifacts, err := r.need(ctx, need)
		if err != nil {
			return task.Description{}, nil, fmt.Errorf("resolving %s: %w", need.Field, err)
		}
		found[need.Field] = artifacts
		ids := make([]int64, len(artifacts))
		for i, a := range artifacts {
			ids[i] = a.ID
		}
		switch {
		case need.Many:
			dynamic[need.Field] = ids
		case len(ids) == 0:
			return task.Description{}, nil, debusine.Missingf("what %s leads to", need.Field)
		default:
			dynamic[need.Field] = ids[0]
		}
	}
	return data.Describe(found), dynamic, nil
}

// providedTags are those of the work: its scope, workspace and source package;
// gates are the ones among them that an administrator declared.
func providedTags(ctx context.Context, tx querier, workspace int64, d task.Description) (provided, gates []string, err error) {
	var scope, name string
	err = tx.QueryRow(ctx, `SELECT s.name, w.name FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE w.id = $1`, workspace).Scan(&scope, &name)
	if err != nil {
		return nil, nil, fault(err, fmt.Sprintf("workspace %d", workspace))
	}
	provided = []string{"task:scope:" + scope, "task:workspace:" + scope + ":" + name}
	if d.Source != "" {
		provided = append(provided, "task:source-package:"+d.Source)
	}
	provided = sorted(provided)
	gates, err = gatesAmong(ctx, tx, provided)
	return provided, gates, err
}

// gatesAmong are the tags that an administrator declared to be gates.
func gatesAmong(ctx context.Context, q querier, provided []string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT tag FROM gates WHERE tag = ANY($1) ORDER BY tag`, provided)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// ensureQueue names the queue of the pair and makes sure that it is known.
func ensureQueue(ctx context.Context, tx pgx.Tx, required, gates []string) (string, error) {
	name := task.QueueName(required, gates)
	if gates == nil {
		gates = []string{}
	}
	var known bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM queues WHERE name = $1)`, name).Scan(&known); err != nil || known {
		return name, err
	}
	_, err := tx.Exec(ctx, `INSERT INTO queues (name, required, provided) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`,
		name, task.QueueRequired(required), gates)
	if err != nil {
		return "", fmt.Errorf("naming queue %s: %w", name, err)
	}
	return name, nil
}
