package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
)

const assetSQL = `
	SELECT a.id, s.name, w.name, a.workspace_id, a.category, a.data, a.two_persons, a.created_at, coalesce(u.username, ''), coalesce(a.created_by_work_request, 0)
	  FROM assets a JOIN workspaces w ON w.id = a.workspace_id JOIN scopes s ON s.id = w.scope_id LEFT JOIN users u ON u.id = a.created_by `

func scanAsset(row pgx.CollectableRow) (a debusine.Asset, err error) {
	err = row.Scan(&a.ID, &a.Scope, &a.Workspace, &a.WorkspaceID, &a.Category, &a.Data, &a.TwoPersons, &a.CreatedAt, &a.CreatedBy, &a.WorkRequest)
	return a, err
}

// PutAsset makes the asset of a key, with a use in its own workspace that nobody
// has a role on yet. The same work request gets the same asset again. An owner of a
// workspace shows no more than a certificate, which is public: what one posted gives
// way to an administrator and to the signing worker that made the key (makeWay).
func (db *DB) PutAsset(ctx context.Context, a debusine.Asset) (made debusine.Asset, err error) {
	a.Data.Fingerprint = strings.ToUpper(a.Data.Fingerprint)
	if err := a.Data.Check(); err != nil {
		return made, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `SELECT id FROM assets WHERE data->>'fingerprint' = $1 AND created_by_work_request = nullif($2, 0)`, a.Data.Fingerprint, a.WorkRequest).Scan(&id)
		if err == nil {
			made, err = assetByID(ctx, tx, id)
			return err
		}
		if a.CreatedBy == "" {
			if err := makeWay(ctx, tx, a.Data.Fingerprint); err != nil {
				return err
			}
		}
		err = tx.QueryRow(ctx, `
			INSERT INTO assets (category, workspace_id, data, two_persons, created_by, created_by_work_request)
			SELECT $1, $2, $3, $4, coalesce((SELECT created_by FROM work_requests WHERE id = $5), (SELECT id FROM users WHERE username = $6)), nullif($5, 0) RETURNING id`,
			debusine.CategorySigningKey, a.WorkspaceID, a.Data, a.TwoPersons, a.WorkRequest, a.CreatedBy).Scan(&id)
		if err != nil {
			return fault(err, "the asset of key "+a.Data.Fingerprint)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO asset_usages (asset_id, workspace_id) VALUES ($1, $2)`, id, a.WorkspaceID); err != nil {
			return err
		}
		made, err = assetByID(ctx, tx, id)
		return err
	})
	return made, err
}

// makeWay removes the asset of a key that an owner of a workspace posted and that
// nobody may sign with. One that groups may sign with is a Conflict.
func makeWay(ctx context.Context, tx pgx.Tx, fingerprint string) error {
	rows, err := tx.Query(ctx, assetSQL+`
		WHERE a.category = $1 AND a.data->>'fingerprint' = $2 AND a.created_by IS NOT NULL AND a.created_by_work_request IS NULL FOR UPDATE OF a`,
		debusine.CategorySigningKey, fingerprint)
	if err != nil {
		return err
	}
	old, err := pgx.CollectExactlyOneRow(rows, scanAsset)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	grants, err := grants(ctx, tx, 0, old.ID) // none is given meanwhile: that needs the row
	if err != nil {
		return err
	}
	if len(grants) > 0 {
		g := grants[0]
		return debusine.Conflict{What: fmt.Sprintf("%s has posted key %s in %s/%s, and the group %s is its %s in %s", old.CreatedBy, fingerprint, old.Scope, old.Workspace, g.Group, g.Role, g.Workspace),
			Hint: fmt.Sprintf("leave it there, or take all such rights back first: debusine admin key revoke %s --workspace %s --role %s %s", fingerprint, g.Workspace, g.Role, g.Group)}
	}
	_, err = tx.Exec(ctx, `DELETE FROM assets WHERE id = $1`, old.ID)
	return err
}

func assetByID(ctx context.Context, q querier, id int64) (debusine.Asset, error) {
	rows, err := q.Query(ctx, assetSQL+`WHERE a.id = $1`, id)
	if err != nil {
		return debusine.Asset{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanAsset)
}

// Asset gives the asset of a key by its fingerprint.
func (db *DB) Asset(ctx context.Context, fingerprint string) (debusine.Asset, error) {
	return asset(ctx, db.pool, fingerprint)
}

func asset(ctx context.Context, q querier, fingerprint string) (a debusine.Asset, err error) {
	rows, err := q.Query(ctx, assetSQL+`WHERE a.category = $1 AND a.data->>'fingerprint' = $2`, debusine.CategorySigningKey, strings.ToUpper(fingerprint))
	if err != nil {
		return a, err
	}
	a, err = pgx.CollectExactlyOneRow(rows, scanAsset)
	return a, debusine.WithHint(fault(err, fmt.Sprintf("the asset of key %.80q", fingerprint)), "debusine asset list")
}

// AssetFilter picks assets; what is empty or 0 is any.
type AssetFilter struct {
	Scope, Workspace string
	ID, WorkRequest  int64 // the asset's own, and that of the work request that made it
	Fingerprint      string
}

// Assets lists the assets that the user may see, or with 0 all of them.
func (db *DB) Assets(ctx context.Context, user int64, f AssetFilter) ([]debusine.Asset, error) {
	rows, err := db.pool.Query(ctx, assetSQL+`
		WHERE ($2 = '' OR s.name = $2) AND ($3 = '' OR w.name = $3) AND ($4::bigint = 0 OR a.id = $4) AND ($5::bigint = 0 OR a.created_by_work_request = $5)
		  AND ($6 = '' OR a.data->>'fingerprint' = $6) AND `+assetVisible+`
		ORDER BY a.id`, user, f.Scope, f.Workspace, f.ID, f.WorkRequest, strings.ToUpper(f.Fingerprint))
	if err != nil {
		return nil, err
	}
	assets, err := pgx.CollectRows(rows, scanAsset)
	for i := range assets {
		if err == nil {
			assets[i].Grants, err = grants(ctx, db.pool, user, assets[i].ID)
		}
	}
	return assets, err
}

// grants are the rights to use an asset in those workspaces that the user may see,
// or with 0 in all.
func grants(ctx context.Context, q querier, user, id int64) ([]debusine.AssetRole, error) {
	rows, err := q.Query(ctx, `
		SELECT s.name || '/' || w.name, g.name, r.role FROM asset_usages u JOIN asset_usage_roles r ON r.usage_id = u.id
		  JOIN groups g ON g.id = r.group_id JOIN workspaces w ON w.id = u.workspace_id JOIN scopes s ON s.id = w.scope_id
		 WHERE u.asset_id = $2 AND ($1::bigint = 0 OR `+visible+`) ORDER BY 1, 2, 3`, user, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.AssetRole])
}

// GrantAsset lets a group use a key in a workspace. Both are of one scope.
func (db *DB) GrantAsset(ctx context.Context, fingerprint, scope, workspace, group, role string) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		a, err := asset(ctx, tx, fingerprint)
		if err != nil {
			return err
		}
		// Of a grant and makeWay one comes after the other.
		if err := tx.QueryRow(ctx, `SELECT id FROM assets WHERE id = $1 FOR KEY SHARE`, a.ID).Scan(&a.ID); err != nil {
			return fault(err, "the asset of key "+a.Data.Fingerprint)
		}
		var usage, groupID int64
		err = tx.QueryRow(ctx, `
			INSERT INTO asset_usages (asset_id, workspace_id) SELECT $1, w.id FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE s.name = $2 AND w.name = $3
			ON CONFLICT (asset_id, workspace_id) DO UPDATE SET asset_id = excluded.asset_id RETURNING id`, a.ID, scope, workspace).Scan(&usage)
		if err != nil {
			return fault(err, fmt.Sprintf("workspace %s/%s", scope, workspace))
		}
		err = tx.QueryRow(ctx, `
			SELECT g.id FROM groups g JOIN scopes s ON s.id = g.scope_id WHERE s.name = $1 AND g.name = $2 AND g.workspace_id IS NULL`, scope, group).Scan(&groupID)
		if err != nil {
			return fault(err, fmt.Sprintf("group %.80q of the scope %s", group, scope))
		}
		_, err = tx.Exec(ctx, `INSERT INTO asset_usage_roles (usage_id, group_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, usage, groupID, role)
		return fault(err, fmt.Sprintf("role %.80q", role))
	})
}

// RevokeAsset takes a group's right back, at once: also from what waits.
func (db *DB) RevokeAsset(ctx context.Context, fingerprint, scope, workspace, group, role string) error {
	a, err := db.Asset(ctx, fingerprint)
	if err != nil {
		return err
	}
	tag, err := db.pool.Exec(ctx, `
		DELETE FROM asset_usage_roles r USING asset_usages u, workspaces w, scopes s, groups g
		 WHERE r.usage_id = u.id AND u.asset_id = $1 AND w.id = u.workspace_id AND s.id = w.scope_id AND s.name = $2 AND w.name = $3
		   AND g.id = r.group_id AND g.name = $4 AND r.role = $5`, a.ID, scope, workspace, group, role)
	if err == nil && tag.RowsAffected() == 0 {
		return debusine.Missingf("the role %.80s of group %.80q on this key in %s/%s", role, group, scope, workspace)
	}
	return err
}

// SetTwoPersons says whether a second person has to approve each signature's
// work request.
func (db *DB) SetTwoPersons(ctx context.Context, fingerprint string, two bool) error {
	a, err := db.Asset(ctx, fingerprint)
	if err != nil {
		return err
	}
	_, err = db.pool.Exec(ctx, `UPDATE assets SET two_persons = $2 WHERE id = $1`, a.ID, two)
	return err
}
