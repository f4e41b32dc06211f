package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/lookup"
)

// Collection gives the collection of that category and name in the workspace of
// the place, else in the first that it inherits from: depth first, in order. A
// workspace that the user may not see is as if it were not there, and so is what
// lies behind it.
func (r reader) Collection(ctx context.Context, place lookup.Place, category, name string) (c debusine.Collection, err error) {
	missing := debusine.Missing{What: fmt.Sprintf("collection %s@%s", name, category)}
	from, err := r.place(ctx, place)
	if err != nil {
		return c, err
	}
	c, err = r.collectionOf(ctx, []int64{from}, category, name)
	if !errors.Is(err, pgx.ErrNoRows) {
		return c, err
	}
	line, err := r.ancestors(ctx, from)
	if err != nil {
		return c, err
	}
	c, err = r.collectionOf(ctx, line, category, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, missing
	}
	return c, err
}

func (r reader) collectionOf(ctx context.Context, workspaces []int64, category, name string) (c debusine.Collection, err error) {
	err = r.q.QueryRow(ctx, `SELECT `+collectionColumns+` FROM collections c JOIN workspaces w ON w.id = c.workspace_id
		 WHERE c.workspace_id = ANY($2) AND c.category = $3 AND c.name = $4 AND `+visible+` ORDER BY array_position($2, c.workspace_id) LIMIT 1`,
		r.user, workspaces, category, name).Scan(&c.ID, &c.WorkspaceID, &c.Category, &c.Name, &c.Data)
	return c, err
}

// place is the workspace that a lookup names; one that the user may not see is
// not found.
func (r reader) place(ctx context.Context, p lookup.Place) (id int64, err error) {
	if p == (lookup.Place{}) {
		return r.workspace, nil
	}
	err = r.q.QueryRow(ctx, `
		SELECT w.id FROM workspaces w JOIN scopes s ON s.id = w.scope_id
		 WHERE w.name = $2 AND CASE WHEN $3 = '' THEN w.scope_id = (SELECT scope_id FROM workspaces WHERE id = $4) ELSE s.name = $3 END AND `+visible,
		r.user, p.Workspace, p.Scope, r.workspace).Scan(&id)
	return id, fault(err, fmt.Sprintf("workspace %q", p.Workspace))
}

// ancestors are the workspaces that one inherits from, depth first, each once.
// The pairs are fetched as a set: chains that cross many times cost no more.
func (r reader) ancestors(ctx context.Context, from int64) (line []int64, err error) {
	rows, err := r.q.Query(ctx, `
		WITH RECURSIVE reached (id) AS (
		    SELECT $2::bigint
		     UNION SELECT p.parent_id FROM reached JOIN workspace_parents p ON p.workspace_id = reached.id)
		SELECT p.workspace_id, p.parent_id FROM reached JOIN workspace_parents p ON p.workspace_id = reached.id
		  JOIN workspaces w ON w.id = p.parent_id WHERE `+visible+` ORDER BY p.workspace_id, p.position`, r.user, from)
	if err != nil {
		return nil, err
	}
	var child, parent int64
	parents := map[int64][]int64{}
	if _, err := pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		parents[child] = append(parents[child], parent)
		return nil
	}); err != nil {
		return nil, err
	}
	seen := map[int64]bool{from: true}
	var walk func(id int64)
	walk = func(id int64) {
		for _, p := range parents[id] {
			if !seen[p] {
				seen[p] = true
				line = append(line, p)
				walk(p)
			}
		}
	}
	walk(from)
	return line, nil
}

// Internal gives the internal collection of the workflow.
func (r reader) Internal(ctx context.Context) (c debusine.Collection, err error) {
	if r.root == 0 {
		return c, debusine.WithHint(debusine.Invalidf("internal@collections has a meaning within a workflow alone"), "name a work request of the workflow")
	}
	err = r.q.QueryRow(ctx, `SELECT `+collectionColumns+` FROM collections c JOIN workspaces w ON w.id = c.workspace_id WHERE c.root_id = $2 AND `+visible, r.user, r.root).
		Scan(&c.ID, &c.WorkspaceID, &c.Category, &c.Name, &c.Data)
	return c, fault(err, fmt.Sprintf("the internal collection of workflow %d", r.root))
}

// within is the reader in the workflow of a work request that the user may see.
func (r reader) within(ctx context.Context, workRequest int64) (reader, error) {
	err := r.q.QueryRow(ctx, `
		SELECT coalesce(q.root_id, CASE WHEN q.task_type = 'Workflow' THEN q.id ELSE 0 END)
		  FROM work_requests q JOIN workspaces w ON w.id = q.workspace_id WHERE q.id = $2 AND `+visible, r.user, workRequest).Scan(&r.root)
	return r, fault(err, fmt.Sprintf("work request %d", workRequest))
}

// ensureInternal makes the internal collection of a workflow's root.
func ensureInternal(ctx context.Context, tx pgx.Tx, root int64) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO collections (workspace_id, category, name, retains_artifacts, root_id)
		SELECT workspace_id, 'debusine:workflow-internal', 'workflow-' || id, 'workflow', id FROM work_requests WHERE id = $1
		ON CONFLICT DO NOTHING`, root)
	return err
}

// Inheritance are the workspaces that one inherits from directly, in order, as
// far as the user (0: anybody) may see them.
func (db *DB) Inheritance(ctx context.Context, user, workspace int64) ([]debusine.Workspace, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT w.id, s.name, s.id, w.name, w.public FROM workspace_parents p JOIN workspaces w ON w.id = p.parent_id JOIN scopes s ON s.id = w.scope_id
		 WHERE p.workspace_id = $2 AND `+visible+` ORDER BY p.position`, user, workspace)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (w debusine.Workspace, err error) {
		return w, row.Scan(&w.ID, &w.Scope, &w.ScopeID, &w.Name, &w.Public)
	})
}

// SetInheritance says what a workspace inherits from, in order, in place of what
// was said before.
func (db *DB) SetInheritance(ctx context.Context, workspace int64, parents []int64) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		// Of two that say it at once, one comes after the other.
		if _, err := tx.Exec(ctx, `SELECT FROM workspaces WHERE id = $1 FOR NO KEY UPDATE`, workspace); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM workspace_parents WHERE workspace_id = $1`, workspace); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO workspace_parents (workspace_id, parent_id, position)
			SELECT $1, p.id, p.position FROM unnest($2::bigint[]) WITH ORDINALITY AS p (id, position)`, workspace, parents)
		return fault(err, "inheritance")
	})
}
