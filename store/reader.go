package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
	"debusine/task"
)

// reader finds things for the creator of a work request, in the workspace of
// the work: what that user may not see is not found.
type reader struct {
	q         querier
	workspace int64
	user      int64
	root      int64 // of the workflow that the work belongs to; 0 outside of one
}

// visible is the condition that a workspace w may be seen by user $1: it is
// public, or a group of the user has a role in it or in its scope.
const visible = `(w.public
	OR EXISTS (SELECT FROM users u WHERE u.id = $1 AND (u.is_system OR u.is_superuser))
	OR EXISTS (SELECT FROM workspace_roles r JOIN group_members m USING (group_id) WHERE r.workspace_id = w.id AND m.user_id = $1)
	OR EXISTS (SELECT FROM scope_roles r JOIN group_members m USING (group_id) WHERE r.scope_id = w.scope_id AND m.user_id = $1))`

// Artifact gives a complete artifact that the user may see, without its files.
func (r reader) Artifact(ctx context.Context, id int64) (a debusine.Artifact, err error) {
	err = r.q.QueryRow(ctx, `
		SELECT a.id, a.category, a.workspace_id, a.data, a.created_at, a.complete
		  FROM artifacts a JOIN workspaces w ON w.id = a.workspace_id
		  LEFT JOIN attempts t ON t.id = a.created_by_attempt
		 WHERE a.id = $2 AND a.complete AND (t.id IS NULL OR t.ending = 'completed') AND `+visible, r.user, id).
		Scan(&a.ID, &a.Category, &a.WorkspaceID, &a.Data, &a.CreatedAt, &a.Complete)
	return a, fault(err, fmt.Sprintf("artifact %d", id))
}

const collectionColumns = `c.id, c.workspace_id, c.category, c.name, c.data`

// CollectionByID gives a collection that the user may see.
func (r reader) CollectionByID(ctx context.Context, id int64) (c debusine.Collection, err error) {
	err = r.q.QueryRow(ctx, `SELECT `+collectionColumns+` FROM collections c JOIN workspaces w ON w.id = c.workspace_id WHERE c.id = $2 AND `+visible, r.user, id).
		Scan(&c.ID, &c.WorkspaceID, &c.Category, &c.Name, &c.Data)
	return c, fault(err, fmt.Sprintf("collection %d", id))
}

const itemColumns = `i.id, i.collection_id, i.name, i.child_type, i.category, i.artifact_id, i.child_collection_id, i.data, i.created_at, i.removed_at`

func scanItem(row pgx.Row, what string) (i debusine.CollectionItem, err error) {
	err = row.Scan(&i.ID, &i.CollectionID, &i.Name, &i.Kind, &i.Category, &i.ArtifactID, &i.ChildID, &i.Data, &i.CreatedAt, &i.RemovedAt)
	return i, fault(err, what)
}

// ItemByName gives the active item of that name.
func (r reader) ItemByName(ctx context.Context, collection int64, name string) (debusine.CollectionItem, error) {
	return scanItem(r.q.QueryRow(ctx, `SELECT `+itemColumns+` FROM collection_items i WHERE i.collection_id = $1 AND i.name = $2 AND i.removed_at IS NULL`,
		collection, name), fmt.Sprintf("item %q", name))
}

// ItemByMatch gives the newest active item with the properties. An item that
// names no backend serves every backend; where one is asked for, an item that
// names it is preferred.
func (r reader) ItemByMatch(ctx context.Context, collection int64, match map[string]string) (debusine.CollectionItem, error) {
	conditions := []string{"i.collection_id + 0 = $1", "i.removed_at IS NULL", "i.parent_category = 'debian:environments'"}
	args := []any{collection}
	order := "i.created_at DESC, i.id DESC"
	for _, key := range []string{"codename", "architecture", "variant", "backend"} {
		value, given := match[key]
		if !given {
			continue
		}
		args = append(args, value)
		condition := fmt.Sprintf("coalesce(i.data->>'%s', '') = $%d", key, len(args))
		if key == "backend" && value != "" {
			condition = fmt.Sprintf("coalesce(i.data->>'backend', $%d) = $%d", len(args), len(args))
			order = "i.data ? 'backend' DESC, " + order
		}
		if (key == "codename" || key == "architecture") && value != "" {
			condition = fmt.Sprintf("i.data->>'%s' = $%d", key, len(args)) // as the index has it
		}
		conditions = append(conditions, condition)
	}
	switch match["format"] {
	case "tarball":
		conditions = append(conditions, "i.category = 'debian:system-tarball'")
	case "image":
		conditions = append(conditions, "i.category = 'debian:system-image'")
	}
	return scanItem(r.q.QueryRow(ctx, `SELECT `+itemColumns+` FROM collection_items i WHERE `+strings.Join(conditions, " AND ")+
		` ORDER BY `+order+` LIMIT 1`, args...), "item")
}

// need resolves one need of a task: exactly one artifact, or any number when
// the field holds a list, all of an accepted category.
func (r reader) need(ctx context.Context, n task.Need) ([]debusine.Artifact, error) {
	artifacts := []debusine.Artifact{}
	for _, l := range n.Lookups {
		a, err := r.one(ctx, l, n)
		if err != nil {
			return nil, err
		}
		artifacts = append(artifacts, a)
	}
	for _, f := range n.Follow {
		var err error
		if artifacts, err = r.follow(ctx, artifacts, f); err != nil {
			return nil, err
		}
	}
	return artifacts, nil
}

// follow replaces the artifacts of one category by those that they are related
// to, each once.
func (r reader) follow(ctx context.Context, artifacts []debusine.Artifact, f task.Follow) (all []debusine.Artifact, err error) {
	add := func(a debusine.Artifact) {
		if !slices.ContainsFunc(all, func(b debusine.Artifact) bool { return a.ID == b.ID }) {
			all = append(all, a)
		}
	}
	for _, a := range artifacts {
		if a.Category != f.From {
			add(a)
			continue
		}
		rows, err := r.q.Query(ctx, `SELECT t.id FROM artifact_relations l JOIN artifacts t ON t.id = l.target_id
			 WHERE l.artifact_id = $1 AND l.type = $2 AND t.category = $3 ORDER BY t.id`, a.ID, f.Relation, f.To)
		if err != nil {
			return nil, err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			related, err := r.Artifact(ctx, id)
			if err != nil {
				return nil, fmt.Errorf("what artifact %d %s: %w", a.ID, f.Relation, err)
			}
			add(related)
		}
	}
	return all, nil
}

func (r reader) one(ctx context.Context, l debusine.Lookup, n task.Need) (debusine.Artifact, error) {
	query, err := lookup.Parse(l, lookup.Expect{DefaultCategory: n.DefaultCategory})
	if err != nil {
		return debusine.Artifact{}, err
	}
	result, err := query.Resolve(ctx, r, (*lookup.Environment)(n.Environment))
	if err != nil {
		return debusine.Artifact{}, err
	}
	if result.Artifact == nil {
		return debusine.Artifact{}, debusine.Invalidf("lookup %q does not come to an artifact", l)
	}
	if !slices.Contains(n.Categories, result.Artifact.Category) {
		return debusine.Artifact{}, debusine.Invalidf("lookup %q comes to artifact %d of category %s, wanted is %s",
			l, result.Artifact.ID, result.Artifact.Category, strings.Join(n.Categories, " or "))
	}
	return *result.Artifact, nil
}
