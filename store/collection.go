package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

const collectionSQL = `
	SELECT c.id, s.name, w.name, c.workspace_id, c.category, c.name, c.data,
	       extract(day FROM c.full_history_retention_period)::int, extract(day FROM c.metadata_only_retention_period)::int,
	       (SELECT count(*) FROM collection_items i WHERE i.collection_id = c.id AND i.removed_at IS NULL)
	  FROM collections c JOIN workspaces w ON w.id = c.workspace_id JOIN scopes s ON s.id = w.scope_id `

func scanCollection(row pgx.Row) (c debusine.Collection, err error) {
	return c, row.Scan(&c.ID, &c.Scope, &c.Workspace, &c.WorkspaceID, &c.Category, &c.Name, &c.Data, &c.FullHistoryDays, &c.MetadataOnlyDays, &c.Items)
}

// Collections lists the collections of a workspace but for the internal ones of
// workflows, of which there is one a workflow.
func (db *DB) Collections(ctx context.Context, workspace int64) ([]debusine.Collection, error) {
	rows, err := db.pool.Query(ctx, collectionSQL+`WHERE c.workspace_id = $1 AND c.root_id IS NULL ORDER BY c.category, c.name`, workspace)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.Collection, error) { return scanCollection(row) })
}

// Collection gives a collection of a workspace by category and name.
func (db *DB) Collection(ctx context.Context, workspace int64, category, name string) (debusine.Collection, error) {
	c, err := scanCollection(db.pool.QueryRow(ctx, collectionSQL+`WHERE c.workspace_id = $1 AND c.category = $2 AND c.name = $3`, workspace, category, name))
	return c, fault(err, fmt.Sprintf("collection %s@%s", name, category))
}

// CollectionByID gives a collection of a workspace by its number.
func (db *DB) CollectionByID(ctx context.Context, workspace, id int64) (debusine.Collection, error) {
	c, err := scanCollection(db.pool.QueryRow(ctx, collectionSQL+`WHERE c.workspace_id = $1 AND c.id = $2`, workspace, id))
	return c, fault(err, fmt.Sprintf("collection %d", id))
}

// CreateCollection makes an empty collection.
func (db *DB) CreateCollection(ctx context.Context, c debusine.Collection) error {
	if err := debusine.CheckCollection(c.Category, c.Name); err != nil {
		return err
	}
	_, err := db.pool.Exec(ctx, `
		INSERT INTO collections (workspace_id, category, name, data, full_history_retention_period, metadata_only_retention_period)
		VALUES ($1, $2, $3, $4, make_interval(days => $5), make_interval(days => $6))`,
		c.WorkspaceID, c.Category, c.Name, orEmpty(c.Data), c.FullHistoryDays, c.MetadataOnlyDays)
	return fault(err, fmt.Sprintf("collection %s@%s", c.Name, c.Category))
}

// UpdateCollection changes name and retention of a collection of a workspace,
// as change does; it gives what came of it.
func (db *DB) UpdateCollection(ctx context.Context, workspace, id int64, change func(*debusine.Collection) error) (c debusine.Collection, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		what := fmt.Sprintf("collection %d", id)
		c, err = scanCollection(tx.QueryRow(ctx, collectionSQL+`WHERE c.workspace_id = $1 AND c.id = $2 FOR NO KEY UPDATE OF c`, workspace, id))
		if err != nil {
			return fault(err, what)
		}
		name := c.Name
		if err := change(&c); err != nil {
			return err
		}
		if c.Name != name {
			if err := debusine.CheckCollection(c.Category, c.Name); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `
			UPDATE collections SET name = $2, full_history_retention_period = make_interval(days => $3), metadata_only_retention_period = make_interval(days => $4),
			       data = $5 WHERE id = $1`, id, c.Name, c.FullHistoryDays, c.MetadataOnlyDays, orEmpty(c.Data))
		return fault(err, fmt.Sprintf("collection %s@%s", c.Name, c.Category))
	})
	return c, err
}

// DeleteCollection removes a collection with all that is known of its items;
// artifacts stay.
func (db *DB) DeleteCollection(ctx context.Context, c debusine.Collection) error {
	if c.Category == debusine.CategoryWorkflowInternal {
		return debusine.Forbiddenf("the internal collection of a workflow goes with the workflow alone")
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		// What is added meanwhile waits, and then finds no collection.
		for _, sql := range []string{`SELECT FROM collections WHERE id = $1 FOR UPDATE`, `DELETE FROM collection_items WHERE collection_id = $1`, `DELETE FROM collections WHERE id = $1`} {
			if _, err := tx.Exec(ctx, sql, c.ID); err != nil {
				return fault(err, fmt.Sprintf("collection %s@%s", c.Name, c.Category))
			}
		}
		return nil
	})
}

// CollectionCounts counts the items of a collection, active and removed.
func (db *DB) CollectionCounts(ctx context.Context, collection int64) ([]debusine.CollectionCount, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT removed_at IS NULL AS active, category, child_type, count(*) FROM collection_items WHERE collection_id = $1
		 GROUP BY active, category, child_type ORDER BY active DESC, category, child_type`, collection)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.CollectionCount])
}

// ItemFilter chooses items of a collection. Zero values choose all active ones.
type ItemFilter struct {
	Name     string
	Prefix   string // of the name
	Category string
	Removed  bool  // also those that were removed
	Before   int64 // ids below this: the cursor
}

// Items lists items of a collection, newest first, with who made and removed
// them.
func (db *DB) Items(ctx context.Context, collection int64, f ItemFilter, limit int) ([]debusine.CollectionItem, error) {
	// Each form has an index of its own (schema: collection_items_*).
	which := "-i.collection_id = -($1::bigint) AND $2::text = ''"
	if f.Name != "" {
		which = "i.collection_id = $1 AND i.name = $2"
	}
	if !f.Removed {
		which += " AND i.removed_at IS NULL"
	}
	rows, err := db.pool.Query(ctx, `
		SELECT `+itemColumns+`, coalesce(m.username, ''), coalesce(x.username, ''), i.created_by_workflow, i.removed_by_workflow
		  FROM collection_items i LEFT JOIN users m ON m.id = i.created_by LEFT JOIN users x ON x.id = i.removed_by
		 WHERE `+which+` AND ($3 = 0 OR i.id < $3) AND starts_with(i.name, $4) AND ($5 = '' OR i.category = $5) ORDER BY i.id DESC LIMIT $6`,
		collection, f.Name, f.Before, f.Prefix, f.Category, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i debusine.CollectionItem, err error) {
		return i, row.Scan(&i.ID, &i.CollectionID, &i.Name, &i.Kind, &i.Category, &i.ArtifactID, &i.ChildID, &i.Data, &i.CreatedAt, &i.RemovedAt,
			&i.CreatedBy, &i.RemovedBy, &i.CreatedByWorkflow, &i.RemovedByWorkflow)
	})
}

// onlyItsWorkflow keeps people from changing what a workflow works with.
func onlyItsWorkflow(c debusine.Collection) error {
	if c.Category == debusine.CategoryWorkflowInternal {
		return debusine.Forbiddenf("only its workflow changes %s@%s", c.Name, c.Category)
	}
	return nil
}

// AddArtifact puts an artifact into a collection for a user, under the name
// that the collection's category gives it. With replace it takes the place of
// the active item of that name, else such an item is a conflict.
func (db *DB) AddArtifact(ctx context.Context, c debusine.Collection, a debusine.Artifact, variables map[string]any, user int64, replace bool) (item debusine.CollectionItem, err error) {
	if err := onlyItsWorkflow(c); err != nil {
		return item, err
	}
	item = debusine.CollectionItem{CollectionID: c.ID, Kind: "artifact", Category: a.Category, ArtifactID: &a.ID, Data: a.Data}
	if item.Name, item.Data, err = debusine.NewItem(c.Category, item, variables); err != nil {
		return item, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if err := lockName(ctx, tx, c.ID, item.Name); err != nil {
			return err
		}
		if replace {
			if err := removeItem(ctx, tx, c.ID, item.Name, user); err != nil {
				return err
			}
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data, created_by)
			VALUES ($1, $2, 'artifact', $3, $4, $5, $6) RETURNING id, created_at`, c.ID, item.Name, item.Category, a.ID, item.Data, user).
			Scan(&item.ID, &item.CreatedAt)
		return fault(err, fmt.Sprintf("item %q of %s@%s", item.Name, c.Name, c.Category))
	})
	return item, err
}

// lockName: of two that put something there at once, the later must see what the
// earlier put there.
func lockName(ctx context.Context, tx pgx.Tx, collection int64, name string) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($2, $1))`, collection, name)
	return err
}

func removeItem(ctx context.Context, tx pgx.Tx, collection int64, name string, user int64) error {
	_, err := tx.Exec(ctx, `
		UPDATE collection_items SET removed_at = clock_timestamp(), removed_by = $3 WHERE collection_id = $1 AND name = $2 AND removed_at IS NULL`,
		collection, name, user)
	return err
}

// RemoveItem takes the active item of that name out of a collection.
func (db *DB) RemoveItem(ctx context.Context, c debusine.Collection, name string, user int64) error {
	if err := onlyItsWorkflow(c); err != nil {
		return err
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM collection_items WHERE collection_id = $1 AND name = $2 AND removed_at IS NULL)`, c.ID, name).Scan(&there); err != nil {
			return err
		}
		if !there {
			return debusine.Missingf("item %q of %s@%s", name, c.Name, c.Category)
		}
		return removeItem(ctx, tx, c.ID, name, user)
	})
}
