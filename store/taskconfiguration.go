package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
	"debusine/taskconfig"
)

// TaskConfiguration gives the entries of a task configuration of the workspace, in
// no order, and the collection that holds them.
func (db *DB) TaskConfiguration(ctx context.Context, workspace int64, name string) (c debusine.Collection, entries []taskconfig.Entry, err error) {
	c, err = db.Collection(ctx, workspace, debusine.CategoryTaskConfiguration, name)
	if err != nil {
		return c, nil, debusine.WithHint(err, "debusine task-config push makes it")
	}
	rows, err := db.pool.Query(ctx, `SELECT id, data FROM collection_items WHERE collection_id = $1 AND removed_at IS NULL ORDER BY id`, c.ID)
	if err != nil {
		return c, nil, err
	}
	entries, err = pgx.CollectRows(rows, scanEntry)
	return c, entries, err
}

func scanEntry(row pgx.CollectableRow) (e taskconfig.Entry, err error) {
	var raw json.RawMessage
	if err := row.Scan(&e.ID, &raw); err != nil {
		return e, err
	}
	id := e.ID
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("reading entry %d of a task configuration: %w", id, err)
	}
	e.ID = id
	return e, nil
}

// Replacement is a whole task configuration that takes the place of what there is.
type Replacement struct {
	Workspace, User int64
	Name            string
	Data            json.RawMessage // of the collection: git_commit
	Entries         []taskconfig.Entry
	DryRun          bool // count, and change nothing
}

// Replaced counts what became of the entries.
type Replaced struct{ Added, Updated, Removed, Unchanged int }

var errDryRun = errors.New("only to see what would be")

// ReplaceTaskConfiguration puts the entries in place of those that are there, in
// one transaction: work sees the old configuration or the new one. The collection
// is made when there is none. Entries that contradict one another are a fault, and
// nothing changes.
func (db *DB) ReplaceTaskConfiguration(ctx context.Context, r Replacement) (counts Replaced, err error) {
	if err := debusine.CheckCollection(debusine.CategoryTaskConfiguration, r.Name); err != nil {
		return counts, err
	}
	for _, e := range r.Entries {
		if err := e.Check(); err != nil {
			return counts, err
		}
	}
	if err := taskconfig.CheckAll(r.Entries); err != nil {
		return counts, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if counts, err = r.replace(ctx, tx); err == nil && r.DryRun {
			return errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return counts, err
}

func (r Replacement) replace(ctx context.Context, tx pgx.Tx) (counts Replaced, err error) {
	var collection int64
	// Of two that push at once the later replaces what the earlier brought.
	err = tx.QueryRow(ctx, `
		INSERT INTO collections (workspace_id, category, name, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (workspace_id, category, name) DO UPDATE SET data = excluded.data RETURNING id`,
		r.Workspace, debusine.CategoryTaskConfiguration, r.Name, orEmpty(r.Data)).Scan(&collection)
	if err != nil {
		return counts, fault(err, "task configuration "+r.Name)
	}
	there, err := entriesByName(ctx, tx, collection)
	if err != nil {
		return counts, err
	}
	var gone []string
	changes := &pgx.Batch{}
	for _, e := range r.Entries {
		name := e.Name()
		raw, err := json.Marshal(e)
		if err != nil {
			return counts, err
		}
		old, known := there[name]
		delete(there, name)
		switch {
		case known && bytes.Equal(old, raw):
			counts.Unchanged++
			continue
		case known:
			counts.Updated++
			gone = append(gone, name)
		default:
			counts.Added++
		}
		changes.Queue(`INSERT INTO collection_items (collection_id, name, child_type, category, data, created_by) VALUES ($1, $2, 'bare', $3, $4, $5)`,
			collection, name, debusine.CategoryTaskConfiguration, raw, r.User)
	}
	for name := range there {
		counts.Removed++
		gone = append(gone, name)
	}
	if _, err := tx.Exec(ctx, `UPDATE collection_items SET removed_at = clock_timestamp(), removed_by = $3
		 WHERE collection_id = $1 AND removed_at IS NULL AND name = ANY($2)`, collection, gone, r.User); err != nil {
		return counts, err
	}
	return counts, tx.SendBatch(ctx, changes).Close()
}

// entriesByName are the entries that are there, as we write them.
func entriesByName(ctx context.Context, tx pgx.Tx, collection int64) (map[string][]byte, error) {
	rows, err := tx.Query(ctx, `SELECT id, data FROM collection_items WHERE collection_id = $1 AND removed_at IS NULL FOR UPDATE`, collection)
	if err != nil {
		return nil, err
	}
	entries, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, err
	}
	there := make(map[string][]byte, len(entries))
	for _, e := range entries {
		if there[e.Name()], err = json.Marshal(e); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// configuredBy is what a task configuration makes of the data of a task.
type configuredBy struct {
	data    json.RawMessage // nil when nothing applies
	steps   []taskconfig.Step
	provide []string
	require []string
}

// configure applies the task configuration of the workspace. check says what is
// wrong with data; when the configuration makes it wrong, the fault names the
// entry (misconfigured).
func (r reader) configure(ctx context.Context, name string, named bool, t taskconfig.Target, raw json.RawMessage, check func(json.RawMessage) error) (c configuredBy, err error) {
	entries, err := r.entries(ctx, name, named, t)
	if err != nil || len(entries) == 0 {
		return c, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(orEmpty(raw), &given); err != nil {
		return c, debusine.Invalidf("the data must be an object")
	}
	configured, err := taskconfig.Apply(entries, t, given)
	if err != nil {
		return c, misconfigured{err}
	}
	if len(configured.Steps) == 0 {
		return c, nil
	}
	c = configuredBy{steps: configured.Steps, provide: configured.ProvideTags, require: configured.RequireTags}
	if c.data, err = json.Marshal(configured.Data); err != nil {
		return c, err
	}
	if wrong := check(c.data); wrong != nil {
		entry := taskconfig.Culprit(entries, t, given, func(data map[string]json.RawMessage) error {
			raw, err := json.Marshal(data)
			if err != nil {
				return err
			}
			return check(raw)
		})
		return c, misconfigured{debusine.WithHint(fmt.Errorf("entry %s of the task configuration makes the parameters invalid: %w", entry, wrong),
			"an administrator of the workspace mends it with debusine task-config push")}
	}
	return c, nil
}

// misconfigured is a fault of the task configuration, not of who asked for work.
type misconfigured struct{ error }

func (m misconfigured) Unwrap() error { return m.error }

// entries are those that may matter for the target, and all templates.
func (r reader) entries(ctx context.Context, name string, named bool, t taskconfig.Target) ([]taskconfig.Entry, error) {
	c, err := r.Collection(ctx, lookup.Place{}, debusine.CategoryTaskConfiguration, name)
	if errors.As(err, new(debusine.Missing)) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := r.q.Query(ctx, `
		SELECT id, data FROM collection_items
		 WHERE collection_id = $1 AND removed_at IS NULL AND (data ? 'template' OR (data->>'task_type' = $2 AND data->>'task_name' = $3
		   AND coalesce(data->>'subject', '') IN ('', $4) AND coalesce(data->>'context', '') IN ('', $5)))`,
		c.ID, t.TaskType, t.TaskName, t.Subject, t.Context)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEntry)
}

// ExplainTaskConfiguration tells what the task configuration would make of data:
// which entries apply, in order, and what each changes.
func (db *DB) ExplainTaskConfiguration(ctx context.Context, workspace int64, name string, t taskconfig.Target, data map[string]json.RawMessage) (taskconfig.Configured, error) {
	_, entries, err := db.TaskConfiguration(ctx, workspace, name)
	if err != nil {
		return taskconfig.Configured{}, err
	}
	return taskconfig.Apply(entries, t, data)
}

// ConfigureWorkflow looks up what a workflow is about and applies the task
// configuration to its data before it decides anything. The data of n are those
// that the user gave, and stay.
func (db *DB) ConfigureWorkflow(ctx context.Context, n *New) (about task.Description, err error) {
	return configureWorkflow(ctx, reader{q: db.pool, workspace: n.WorkspaceID, user: n.CreatedBy}, n)
}

func configureWorkflow(ctx context.Context, r reader, n *New) (about task.Description, err error) {
	name := task.Canonical(n.TaskName)
	data, err := task.ParseWorkflow(name, n.Data)
	if err != nil {
		return about, fmt.Errorf("workflow %s: %w", name, err)
	}
	if about, _, err = r.describe(ctx, data); err != nil {
		return about, err
	}
	provided, _, err := providedTags(ctx, r.q, n.WorkspaceID, about)
	if err != nil {
		return about, err
	}
	target := taskconfig.Target{TaskType: debusine.WorkflowTask, TaskName: name, Subject: about.Subject, Context: about.ConfigurationContext, TagsProvided: provided}
	configuration, named := data.Configuration()
	c, err := r.configure(ctx, configuration, named, target, n.Data, func(raw json.RawMessage) error {
		_, err := task.ParseWorkflow(name, raw)
		return err
	})
	var bad misconfigured
	if errors.As(err, &bad) {
		n.failed = configureFailed(bad)
		return about, nil
	}
	n.configured, n.steps = c.data, c.steps
	return about, err
}

func configureFailed(err error) *debusine.OutputData {
	return &debusine.OutputData{Errors: []debusine.TaskError{{Message: err.Error(), Code: "configure-failed"}}}
}
