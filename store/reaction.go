package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
)

// react applies the reactions to an event of a work request, within the
// transaction of the event. An action that fails is recorded in the work
// request's output and changes neither its result nor the other actions; only
// an outage undoes the event.
func (db *DB) react(ctx context.Context, tx pgx.Tx, id int64, reactions []task.Reaction) error {
	for _, r := range reactions {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return act(ctx, tx, id, r) })
		if err == nil {
			continue
		}
		if !isFault(err) {
			return fmt.Errorf("reacting to work request %d with %s: %w", id, r.Action, err)
		}
		if err := noteError(ctx, tx, id, debusine.TaskError{Message: r.Action + ": " + err.Error(), Code: "reaction-failed"}); err != nil {
			return err
		}
	}
	return nil
}

func noteError(ctx context.Context, tx pgx.Tx, id int64, e debusine.TaskError) error {
	raw, err := json.Marshal([]debusine.TaskError{e})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE work_requests SET output_data = coalesce(output_data, '{}') ||
		       jsonb_build_object('errors', coalesce(output_data->'errors', '[]') || $2::jsonb) WHERE id = $1`, id, raw)
	return err
}

// actor is the work request on whose behalf an action changes a collection.
type actor struct {
	id, user, workspace int64
	workflow            *int64
}

func act(ctx context.Context, tx pgx.Tx, id int64, r task.Reaction) error {
	a := actor{id: id}
	if err := tx.QueryRow(ctx, `SELECT created_by, workspace_id, root_id FROM work_requests WHERE id = $1`, id).Scan(&a.user, &a.workspace, &a.workflow); err != nil {
		return err
	}
	c, err := a.collection(ctx, tx, r.Collection)
	if err != nil {
		return err
	}
	switch r.Action {
	case task.UpdateCollectionWithData:
		data := map[string]any{}
		maps.Copy(data, r.Data)
		data["work_request_id"] = id
		return a.put(ctx, tx, c, debusine.CollectionItem{Name: r.NameTemplate, Kind: "bare", Category: r.Category}, data)
	case task.UpdateCollectionWithArtifacts:
		return a.putArtifacts(ctx, tx, c, r)
	}
	return debusine.Invalidf("action %s is unknown", r.Action)
}

// collection finds where to put things, which must be in the work's own workspace.
func (a actor) collection(ctx context.Context, tx pgx.Tx, name string) (debusine.Collection, error) {
	query, err := lookup.Parse(debusine.LookupOf(name), lookup.Expect{Type: lookup.Collection})
	if err != nil {
		return debusine.Collection{}, err
	}
	r := reader{q: tx, workspace: a.workspace, user: a.user}
	if a.workflow != nil {
		r.root = *a.workflow
		if strings.HasPrefix(name, "internal@") {
			// A root that an older server made has none yet.
			if err := ensureInternal(ctx, tx, r.root); err != nil {
				return debusine.Collection{}, err
			}
		}
	}
	result, err := query.Resolve(ctx, r, nil)
	if err != nil {
		return debusine.Collection{}, err
	}
	if result.Collection == nil || result.Collection.WorkspaceID != a.workspace {
		return debusine.Collection{}, debusine.Forbiddenf("lookup %q is not a collection of the work's own workspace", name)
	}
	return *result.Collection, nil
}

// putArtifacts adds each artifact of the category that the work request made.
func (a actor) putArtifacts(ctx context.Context, tx pgx.Tx, c debusine.Collection, r task.Reaction) error {
	category, _ := r.Filters["category"].(string)
	rows, err := tx.Query(ctx, `
		SELECT a.id, a.category, a.data FROM artifacts a JOIN attempts t ON t.id = a.created_by_attempt
		 WHERE a.created_by_work_request = $1 AND a.complete AND t.ending = 'completed' AND ($2 = '' OR a.category = $2) ORDER BY a.id`, a.id, category)
	if err != nil {
		return err
	}
	artifacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (x debusine.Artifact, err error) {
		return x, row.Scan(&x.ID, &x.Category, &x.Data)
	})
	if err != nil {
		return err
	}
	for _, x := range artifacts {
		variables := map[string]any{}
		maps.Copy(variables, r.Variables)
		if x.Category == "debian:package-build-log" {
			variables["work_request_id"] = a.id
		}
		item := debusine.CollectionItem{Name: r.NameTemplate, Kind: "artifact", Category: x.Category, ArtifactID: &x.ID, Data: x.Data}
		if err := a.put(ctx, tx, c, item, variables); err != nil {
			return err
		}
	}
	return nil
}

// put names the item by the category's rule and adds it, in place of the active
// item of that name.
func (a actor) put(ctx context.Context, tx pgx.Tx, c debusine.Collection, item debusine.CollectionItem, variables map[string]any) error {
	name, data, err := debusine.NewItem(c.Category, item, variables)
	if err != nil {
		return err
	}
	item.Name, item.Data, item.CollectionID = name, data, c.ID
	if err := lockName(ctx, tx, c.ID, name); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		UPDATE collection_items SET removed_at = clock_timestamp(), removed_by = $3, removed_by_workflow = $4
		 WHERE collection_id = $1 AND name = $2 AND removed_at IS NULL`, c.ID, name, a.user, a.workflow)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data, created_by, created_by_workflow)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, c.ID, name, item.Kind, item.Category, item.ArtifactID, data, a.user, a.workflow)
	return fault(err, fmt.Sprintf("item %q of %s@%s", name, c.Name, c.Category))
}
