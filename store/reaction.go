package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
)

// react does the actions on an event of a work request in their order, within
// the transaction of the event. An action that fails is recorded in the work
// request's output and changes neither its result nor the other actions; only
// an outage undoes the event.
func react(ctx context.Context, tx pgx.Tx, id int64, actions []task.Reaction) error {
	for _, r := range actions {
		if r.Action == task.SkipIfLookupResultChanged {
			continue // was asked before all others (skip)
		}
		if err := try(ctx, tx, id, r, func(tx pgx.Tx, a actor) error { return a.act(ctx, tx, r) }); err != nil {
			return err
		}
	}
	return nil
}

// try does one action under a savepoint, and notes the fault of one that fails.
func try(ctx context.Context, tx pgx.Tx, id int64, r task.Reaction, do func(pgx.Tx, actor) error) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		a, err := actorOf(ctx, tx, id)
		if err != nil {
			return err
		}
		return do(tx, a)
	})
	if err == nil {
		return nil
	}
	if !isFault(err) {
		return fmt.Errorf("reacting to work request %d with %s: %w", id, r.Action, err)
	}
	return noteError(ctx, tx, id, debusine.TaskError{Message: r.Action + ": " + err.Error(), Code: "reaction-failed"})
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

// skip asks the actions that may end a work request before it begins. One that
// does ends it as skipped; the reactions to that end are done at once.
func skip(ctx context.Context, tx pgx.Tx, id int64, actions []task.Reaction) (skipped bool, err error) {
	for _, r := range actions {
		if r.Action != task.SkipIfLookupResultChanged {
			continue
		}
		var reason string
		err := try(ctx, tx, id, r, func(tx pgx.Tx, a actor) (err error) {
			reason, err = a.changed(ctx, tx, r)
			return err
		})
		if err != nil {
			return false, err
		}
		if reason == "" {
			continue
		}
		h, err := hold(ctx, tx, id)
		if err != nil {
			return false, err
		}
		output, err := json.Marshal(debusine.OutputData{SkipReason: reason})
		if err != nil {
			return false, err
		}
		return true, end(ctx, tx, h, debusine.Skipped, output)
	}
	return false, nil
}

// actor is the work request on whose behalf an action is done.
type actor struct {
	id, user, workspace int64
	workflow            *int64
}

func actorOf(ctx context.Context, tx pgx.Tx, id int64) (actor, error) {
	a := actor{id: id}
	err := tx.QueryRow(ctx, `SELECT created_by, workspace_id, root_id FROM work_requests WHERE id = $1`, id).Scan(&a.user, &a.workspace, &a.workflow)
	return a, err
}

func (a actor) reader(tx pgx.Tx) reader {
	r := reader{q: tx, workspace: a.workspace, user: a.user}
	if a.workflow != nil {
		r.root = *a.workflow
	}
	return r
}

func (a actor) act(ctx context.Context, tx pgx.Tx, r task.Reaction) error {
	switch r.Action {
	case task.SendNotification:
		return a.notify(ctx, tx, r)
	case task.RecordInTaskHistory:
		return a.record(ctx, tx, r)
	case task.UpdateCollectionWithData, task.UpdateCollectionWithArtifacts:
	default:
		return debusine.Invalidf("action %s is unknown", r.Action)
	}
	c, err := a.collection(ctx, tx, r.Collection)
	if err != nil {
		return err
	}
	if r.Action == task.UpdateCollectionWithArtifacts {
		return a.putArtifacts(ctx, tx, c, r)
	}
	data := map[string]any{}
	maps.Copy(data, r.Data)
	data["work_request_id"] = a.id
	name, err := task.ExpandName(r.NameTemplate, data)
	if err != nil {
		return err
	}
	return a.put(ctx, tx, c, debusine.CollectionItem{Name: name, Kind: "bare", Category: r.Category}, data, r)
}

// collection finds where to put things, which must be in the work's own workspace.
func (a actor) collection(ctx context.Context, tx pgx.Tx, name string) (debusine.Collection, error) {
	query, err := lookup.Parse(debusine.LookupOf(name), lookup.Expect{Type: lookup.Collection})
	if err != nil {
		return debusine.Collection{}, err
	}
	if a.workflow != nil && strings.HasPrefix(name, "internal@") {
		// A root that an older server made has none yet.
		if err := ensureInternal(ctx, tx, *a.workflow); err != nil {
			return debusine.Collection{}, err
		}
	}
	result, err := query.Resolve(ctx, a.reader(tx), nil)
	if err != nil {
		return debusine.Collection{}, err
	}
	if result.Collection == nil || result.Collection.WorkspaceID != a.workspace {
		return debusine.Collection{}, debusine.Forbiddenf("lookup %q is not a collection of the work's own workspace", name)
	}
	return *result.Collection, nil
}

// putArtifacts adds each artifact that the work request made and the filters
// let pass.
func (a actor) putArtifacts(ctx context.Context, tx pgx.Tx, c debusine.Collection, r task.Reaction) error {
	filters, err := lookup.ParseFilters(r.Filters)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT a.id, a.category, a.data FROM artifacts a LEFT JOIN attempts t ON t.id = a.created_by_attempt
		 WHERE a.created_by_work_request = $1 AND a.complete AND (t.id IS NULL OR t.ending = 'completed') ORDER BY a.id`, a.id)
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
		if !filters.Hold(x.Category, x.Data) {
			continue
		}
		variables, err := r.VariablesFor(x.Data)
		if err != nil {
			return fmt.Errorf("artifact %d: %w", x.ID, err)
		}
		name, err := task.ExpandName(r.NameTemplate, variables)
		if err != nil {
			return err
		}
		if x.Category == "debian:package-build-log" {
			variables["work_request_id"] = a.id
		}
		item := debusine.CollectionItem{Name: name, Kind: "artifact", Category: x.Category, ArtifactID: &x.ID, Data: x.Data}
		if err := a.put(ctx, tx, c, item, variables, r); err != nil {
			return err
		}
	}
	return nil
}

// put names the item by the category's rule and adds it, in place of the active
// item of that name.
func (a actor) put(ctx context.Context, tx pgx.Tx, c debusine.Collection, item debusine.CollectionItem, variables map[string]any, r task.Reaction) error {
	name, data, err := debusine.NewItem(c.Category, item, variables)
	if err != nil {
		return err
	}
	item.Name, item.Data, item.CollectionID = name, data, c.ID
	if err := lockName(ctx, tx, c.ID, name); err != nil {
		return err
	}
	if c.Category == debusine.CategoryEnvironments {
		if same, err := unchanged(ctx, tx, item); err != nil || same {
			return err
		}
	}
	_, err = tx.Exec(ctx, `
		UPDATE collection_items SET removed_at = clock_timestamp(), removed_by = $3, removed_by_workflow = $4
		 WHERE collection_id = $1 AND name = $2 AND removed_at IS NULL`, c.ID, name, a.user, a.workflow)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data, created_by, created_by_workflow, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, coalesce($9, clock_timestamp()))`,
		c.ID, name, item.Kind, item.Category, item.ArtifactID, data, a.user, a.workflow, r.CreatedAt)
	return fault(err, fmt.Sprintf("item %q of %s@%s", name, c.Name, c.Category))
}

// changed says why a work request need not be done any more: its lookup comes to
// another item than the one that it was made for. The promise that it was to keep
// is then kept by what the lookup found.
func (a actor) changed(ctx context.Context, tx pgx.Tx, r task.Reaction) (reason string, err error) {
	query, err := lookup.Parse(r.Lookup, lookup.Expect{})
	if err != nil {
		return "", err
	}
	result, err := query.Resolve(ctx, a.reader(tx), nil)
	var missing debusine.Missing
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return "", err
	case result.Item == nil:
		return "", debusine.Invalidf("lookup %q must be within a collection", r.Lookup)
	}
	found, was := int64(0), int64(0)
	if result.Item != nil {
		found = result.Item.ID
	}
	if r.Item != nil {
		was = *r.Item
	}
	if found == was {
		return "", nil
	}
	if r.PromiseName != "" && result.Artifact != nil {
		if err := a.keepPromise(ctx, tx, r, *result.Artifact); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("the result of lookup %q changed: it was %s and is %s", r.Lookup, itemWords(was), itemWords(found)), nil
}

func itemWords(id int64) string {
	if id == 0 {
		return "nothing"
	}
	return fmt.Sprintf("item %d", id)
}

// keepPromise puts an artifact in the place of a promise in the workflow's
// internal collection, with the promise's own data.
func (a actor) keepPromise(ctx context.Context, tx pgx.Tx, r task.Reaction, artifact debusine.Artifact) error {
	c, err := a.collection(ctx, tx, "internal@collections")
	if err != nil {
		return err
	}
	promise, err := a.reader(tx).ItemByName(ctx, c.ID, r.PromiseName)
	if err != nil {
		return fmt.Errorf("promise %q: %w", r.PromiseName, err)
	}
	variables := map[string]any{}
	if err := json.Unmarshal(promise.Data, &variables); err != nil {
		return err
	}
	maps.DeleteFunc(variables, func(key string, _ any) bool { return strings.HasPrefix(key, "promise_") })
	item := debusine.CollectionItem{Name: r.PromiseName, Kind: "artifact", Category: artifact.Category, ArtifactID: &artifact.ID, Data: artifact.Data}
	return a.put(ctx, tx, c, item, variables, r)
}

// onlyCollections leaves out what is not done when an aborted attempt leaves its
// artifacts.
func onlyCollections(actions []task.Reaction) []task.Reaction {
	return slices.DeleteFunc(actions, func(r task.Reaction) bool {
		return r.Action != task.UpdateCollectionWithArtifacts && r.Action != task.UpdateCollectionWithData
	})
}
