package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// assetVisible is the condition that an asset a may be seen by user $1: its
// workspace may, or a group of the user has a role on the asset itself. 0 sees all.
const assetVisible = `($1::bigint = 0 OR a.workspace_id IN (SELECT w.id FROM workspaces w WHERE ` + visible + `)
	OR EXISTS (SELECT FROM asset_roles o JOIN group_members m USING (group_id) WHERE o.asset_id = a.id AND m.user_id = $1))`

// assetOwned is the condition that user $1 may manage asset a: it is of a group
// that owns it, or is an administrator. An owner of the workspace need not be one.
const assetOwned = `($1::bigint = 0 OR EXISTS (SELECT FROM users u WHERE u.id = $1 AND (u.is_system OR u.is_superuser))
	OR EXISTS (SELECT FROM asset_roles o JOIN group_members m USING (group_id) WHERE o.asset_id = a.id AND o.role = 'owner' AND m.user_id = $1))`

// AssetGroups gives the groups that have a role on a key itself, by name. A key
// that the user (0: an administrator) may not see is Missing.
func (db *DB) AssetGroups(ctx context.Context, user int64, fingerprint string) ([]debusine.AssetGroup, error) {
	a, _, err := seenAsset(ctx, db.pool, user, fingerprint)
	if err != nil {
		return nil, err
	}
	rows, err := db.pool.Query(ctx, `SELECT g.name, o.role FROM asset_roles o JOIN groups g ON g.id = o.group_id WHERE o.asset_id = $1 ORDER BY 1, 2`, a.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.AssetGroup])
}

// seenAsset finds a key that the user may see, and says whether they own it.
func seenAsset(ctx context.Context, q querier, user int64, fingerprint string) (a debusine.Asset, owned bool, err error) {
	if a, err = asset(ctx, q, fingerprint); err != nil {
		return a, false, err
	}
	var seen bool
	err = q.QueryRow(ctx, `SELECT `+assetVisible+`, `+assetOwned+` FROM assets a WHERE a.id = $2`, user, a.ID).Scan(&seen, &owned)
	if err == nil && !seen {
		err = debusine.WithHint(debusine.Missingf("the asset of key %.80q", fingerprint), "debusine asset list")
	}
	return a, owned, err
}

// SetAssetGroup gives a group of the key's scope a role on the key, or with has
// false takes it away, for an owner of the key or (0) an administrator. What is so
// already stays so.
func (db *DB) SetAssetGroup(ctx context.Context, user int64, fingerprint string, g debusine.AssetGroup, has bool) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		a, owned, err := seenAsset(ctx, tx, user, fingerprint)
		if err != nil {
			return err
		}
		if !owned {
			return debusine.Forbidden{What: "only owners of key " + a.Data.Fingerprint + " and administrators say who else owns or sees it",
				Hint: "debusine asset role list " + a.Data.Fingerprint}
		}
		if g.Role != debusine.AssetOwner && g.Role != debusine.AssetViewer {
			return debusine.Invalid{What: fmt.Sprintf("role must be owner or viewer, not %.80q", g.Role), Per: map[string]string{"role": "unknown"},
				Hint: "who may sign is said by an administrator: debusine admin key grant"}
		}
		var group int64
		err = tx.QueryRow(ctx, `SELECT g.id FROM groups g JOIN scopes s ON s.id = g.scope_id WHERE s.name = $1 AND g.name = $2 AND g.workspace_id IS NULL`, a.Scope, g.Group).Scan(&group)
		if err != nil {
			return fault(err, fmt.Sprintf("group %.80q of the scope %s", g.Group, a.Scope))
		}
		change := `DELETE FROM asset_roles WHERE asset_id = $1 AND group_id = $2 AND role = $3`
		if has {
			change = `INSERT INTO asset_roles (asset_id, group_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
		}
		_, err = tx.Exec(ctx, change, a.ID, group, g.Role)
		return fault(err, "the asset of key "+a.Data.Fingerprint)
	})
}
