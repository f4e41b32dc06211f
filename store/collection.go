package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

const collectionSQL = `
	SELECT c.id, s.name, w.name, c.workspace_id, c.category, c.name, c.data,
	       (SELECT count(*) FROM collection_items i WHERE i.collection_id = c.id AND i.removed_at IS NULL)
	  FROM collections c JOIN workspaces w ON w.id = c.workspace_id JOIN scopes s ON s.id = w.scope_id `

func scanCollection(row pgx.Row) (c debusine.Collection, err error) {
	return c, row.Scan(&c.ID, &c.Scope, &c.Workspace, &c.WorkspaceID, &c.Category, &c.Name, &c.Data, &c.Items)
}

// Collections lists the collections of a workspace.
func (db *DB) Collections(ctx context.Context, workspace int64) ([]debusine.Collection, error) {
	rows, err := db.pool.Query(ctx, collectionSQL+`WHERE c.workspace_id = $1 ORDER BY c.category, c.name`, workspace)
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
func (db *DB) CreateCollection(ctx context.Context, workspace int64, category, name string, data json.RawMessage) error {
	if err := debusine.CheckCollection(category, name); err != nil {
		return err
	}
	_, err := db.pool.Exec(ctx, `INSERT INTO collections (workspace_id, category, name, data) VALUES ($1, $2, $3, $4)`, workspace, category, name, orEmpty(data))
	return fault(err, fmt.Sprintf("collection %s@%s", name, category))
}

// ItemFilter chooses items of a collection. Zero values choose all active ones.
type ItemFilter struct {
	Name     string
	Prefix   string // of the name
	Category string
	Before   int64 // ids below this: the cursor
}

// Items lists the active items of a collection, newest first.
func (db *DB) Items(ctx context.Context, collection int64, f ItemFilter, limit int) ([]debusine.CollectionItem, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+itemColumns+` FROM collection_items i
		 WHERE i.collection_id = $1 AND i.removed_at IS NULL AND ($2 = '' OR i.name = $2) AND ($3 = 0 OR i.id < $3)
		   AND starts_with(i.name, $4) AND ($5 = '' OR i.category = $5) ORDER BY i.id DESC LIMIT $6`,
		collection, f.Name, f.Before, f.Prefix, f.Category, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.CollectionItem, error) { return scanItem(row, "item") })
}

// AddArtifact puts an artifact into a collection for a user, under the name
// that the collection's category gives it. With replace it takes the place of
// the active item of that name, else such an item is a conflict.
func (db *DB) AddArtifact(ctx context.Context, c debusine.Collection, a debusine.Artifact, variables map[string]any, user int64, replace bool) (item debusine.CollectionItem, err error) {
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
