package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// principalSQL finds out whose secret it is, in one query: a token's, or that
// of an attempt at a work request. Roles come as "ID:ROLE".
const principalSQL = `
	SELECT t.token_type, t.enabled AND coalesce(u.is_active, true) AND (t.expire_at IS NULL OR t.expire_at > now()),
	       coalesce(t.last_seen_at < now() - interval '5 minutes', true), t.id,
	       coalesce(u.id, 0), coalesce(u.username, ''), coalesce(u.is_superuser, false),
	       ARRAY(SELECT r.scope_id || ':' || r.role FROM scope_roles r JOIN group_members m USING (group_id) WHERE m.user_id = u.id),
	       ARRAY(SELECT r.workspace_id || ':' || r.role FROM workspace_roles r JOIN group_members m USING (group_id) WHERE m.user_id = u.id),
	       coalesce(w.id, 0), coalesce(w.name, ''), coalesce(w.enabled, false),
	       0::bigint, 0::bigint, 0::bigint, NULL::jsonb, false, ''
	  FROM tokens t LEFT JOIN users u ON u.id = t.user_id LEFT JOIN workers w ON w.id = t.worker_id WHERE t.hash = $1
	UNION ALL
	SELECT 'work-request', true, false, 0, 0, '', false, '{}', '{}', w.id, w.name, w.enabled,
	       a.id, r.id, r.workspace_id, r.dynamic_task_data, r.status = 'aborted', coalesce(a.ending, '')
	  FROM attempts a JOIN work_requests r ON r.id = a.work_request_id JOIN workers w ON w.id = a.worker_id WHERE a.token_hash = $1`

// Principal finds out who has the secret. A secret that opens nothing is
// Missing, without a word about why.
func (db *DB) Principal(ctx context.Context, secret string) (p debusine.Principal, err error) {
	var (
		valid, stale           bool
		token                  int64
		scopeRoles, spaceRoles []string
		dynamic                json.RawMessage
	)
	err = db.pool.QueryRow(ctx, principalSQL, debusine.HashSecret(secret)).Scan(&p.Kind, &valid, &stale, &token, &p.UserID, &p.User, &p.Superuser,
		&scopeRoles, &spaceRoles, &p.WorkerID, &p.Worker, &p.Enabled, &p.AttemptID, &p.WorkRequest, &p.Workspace, &dynamic, &p.Aborted, &p.Ending)
	if err != nil {
		return debusine.Principal{}, fault(err, "token")
	}
	if !valid {
		return debusine.Principal{}, debusine.Missingf("token")
	}
	p.ScopeRoles, p.WorkspaceRoles = readRoles(scopeRoles), readRoles(spaceRoles)
	if p.Kind == debusine.Attempt {
		p.Inputs = inputsOf(dynamic)
	}
	if stale {
		if _, err := db.pool.Exec(ctx, `UPDATE tokens SET last_seen_at = now() WHERE id = $1`, token); err != nil {
			return p, fmt.Errorf("noting the use of a token: %w", err)
		}
	}
	return p, nil
}

func readRoles(pairs []string) map[int64]debusine.Role {
	roles := map[int64]debusine.Role{}
	words := map[string]debusine.Role{"owner": debusine.Owner, "contributor": debusine.Contributor, "viewer": debusine.Viewer, "observer": debusine.Viewer}
	for _, pair := range pairs {
		id, word, _ := strings.Cut(pair, ":")
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			continue
		}
		roles[n] = max(roles[n], words[word])
	}
	return roles
}

// inputsOf are the artifacts that dynamic task data name: environment_id,
// input_*_id, input_*_ids.
func inputsOf(dynamic json.RawMessage) (ids []int64) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(dynamic, &fields) != nil {
		return nil
	}
	for name, raw := range fields {
		if name != "environment_id" && !strings.HasPrefix(name, "input_") {
			continue
		}
		var one int64
		var many []int64
		switch {
		case strings.HasSuffix(name, "_id") && json.Unmarshal(raw, &one) == nil && one > 0:
			ids = append(ids, one)
		case strings.HasSuffix(name, "_ids") && json.Unmarshal(raw, &many) == nil:
			ids = append(ids, many...)
		}
	}
	return ids
}

// Workspace gives a workspace by the names of its scope and its own.
func (db *DB) Workspace(ctx context.Context, scope, name string) (w debusine.Workspace, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT w.id, s.name, s.id, w.name, w.public, w.default_expiration_delay
		  FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE s.name = $1 AND w.name = $2`, scope, name).
		Scan(&w.ID, &w.Scope, &w.ScopeID, &w.Name, &w.Public, &w.DefaultExpirationDelay)
	return w, fault(err, fmt.Sprintf("workspace %s/%s", scope, name))
}

// Workspaces lists all workspaces.
func (db *DB) Workspaces(ctx context.Context) ([]debusine.Workspace, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT w.id, s.name, s.id, w.name, w.public, w.default_expiration_delay
		  FROM workspaces w JOIN scopes s ON s.id = w.scope_id ORDER BY s.name, w.name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (w debusine.Workspace, err error) {
		return w, row.Scan(&w.ID, &w.Scope, &w.ScopeID, &w.Name, &w.Public, &w.DefaultExpirationDelay)
	})
}

// CreateScope makes a scope with its groups Members, which holds everybody of
// the scope, and Owners, which has the role owner.
func (db *DB) CreateScope(ctx context.Context, name, label string) error {
	if label == "" {
		label = strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		var id int64
		if err := tx.QueryRow(ctx, `INSERT INTO scopes (name, label) VALUES ($1, $2) RETURNING id`, name, label).Scan(&id); err != nil {
			return fault(err, fmt.Sprintf("scope %q", name))
		}
		if _, err := tx.Exec(ctx, `INSERT INTO groups (name, scope_id, system) VALUES ('Members', $1, true), ('Owners', $1, false)`, id); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO scope_roles (scope_id, group_id, role) SELECT scope_id, id, 'owner' FROM groups WHERE scope_id = $1 AND name = 'Owners'`, id)
		return err
	})
}

// Scopes lists all scopes.
func (db *DB) Scopes(ctx context.Context) ([]debusine.Scope, error) {
	rows, err := db.pool.Query(ctx, `SELECT id, name, label, public FROM scopes ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.Scope])
}

// CheckScope is a fault when there is no scope of that name.
func (db *DB) CheckScope(ctx context.Context, name string) error {
	var id int64
	err := db.pool.QueryRow(ctx, `SELECT id FROM scopes WHERE name = $1`, name).Scan(&id)
	return debusine.WithHint(fault(err, fmt.Sprintf("scope %.80q", name)), "the client's configuration, or --scope, names it")
}

// CreateWorkspace makes a workspace with its singleton collections.
func (db *DB) CreateWorkspace(ctx context.Context, scope, name string, public bool) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		var scopeID, id int64
		if err := tx.QueryRow(ctx, `SELECT id FROM scopes WHERE name = $1`, scope).Scan(&scopeID); err != nil {
			return fault(err, fmt.Sprintf("scope %q", scope))
		}
		err := tx.QueryRow(ctx, `INSERT INTO workspaces (scope_id, name, public) VALUES ($1, $2, $3) RETURNING id`, scopeID, name, public).Scan(&id)
		if err != nil {
			return fault(err, fmt.Sprintf("workspace %q", name))
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO collections (workspace_id, category, name, full_history_retention_period, metadata_only_retention_period)
			VALUES ($1, 'debian:package-build-logs', '_', NULL, NULL), ($1, 'debusine:task-history', '_', interval '0 days', interval '30 days')`, id)
		return err
	})
}

// CreateUser makes a user. The first person of an installation, and whoever
// owner says so of, becomes an owner of the scope debusine.
func (db *DB) CreateUser(ctx context.Context, username, email string, owner bool) (isOwner bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var first bool
		if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM users WHERE NOT is_system)`).Scan(&first); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO users (username, email) VALUES ($1, $2)`, username, email); err != nil {
			return fault(err, fmt.Sprintf("user %q", username))
		}
		if isOwner = owner || first; !isOwner {
			return nil
		}
		return addMember(ctx, tx, "debusine", "Owners", username)
	})
	return isOwner, err
}

// Users lists all people and programs, but not the system's own user.
func (db *DB) Users(ctx context.Context) ([]debusine.User, error) {
	rows, err := db.pool.Query(ctx, `SELECT id, username, email, is_superuser, is_active FROM users WHERE NOT is_system ORDER BY username`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.User])
}

// SetUser changes what an administrator may change of a user; nil leaves it.
func (db *DB) SetUser(ctx context.Context, username string, active, superuser *bool) error {
	tag, err := db.pool.Exec(ctx, `
		UPDATE users SET is_active = coalesce($2, is_active), is_superuser = coalesce($3, is_superuser) WHERE username = $1 AND NOT is_system`,
		username, active, superuser)
	if err == nil && tag.RowsAffected() == 0 {
		return debusine.Missingf("user %q", username)
	}
	return fault(err, fmt.Sprintf("user %q", username))
}

// CreateGroup makes a group of a scope.
func (db *DB) CreateGroup(ctx context.Context, scope, name string) error {
	tag, err := db.pool.Exec(ctx, `INSERT INTO groups (name, scope_id) SELECT $2, id FROM scopes WHERE name = $1`, scope, name)
	if err == nil && tag.RowsAffected() == 0 {
		return debusine.Missingf("scope %q", scope)
	}
	return fault(err, fmt.Sprintf("group %s/%s", scope, name))
}

// ChangeMembers adds users to a group of a scope and removes others, and gives
// the members that it has then.
func (db *DB) ChangeMembers(ctx context.Context, scope, group string, add, remove []string) (members []string, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		id, err := groupID(ctx, tx, scope, group)
		if err != nil {
			return err
		}
		for _, user := range add {
			if err := addMember(ctx, tx, scope, group, user); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM group_members WHERE group_id = $1 AND user_id IN (SELECT id FROM users WHERE username = ANY($2))`, id, remove); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT u.username FROM group_members m JOIN users u ON u.id = m.user_id WHERE m.group_id = $1 ORDER BY 1`, id)
		if err != nil {
			return err
		}
		members, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return members, err
}

func groupID(ctx context.Context, q querier, scope, group string) (id int64, err error) {
	err = q.QueryRow(ctx, `SELECT g.id FROM groups g JOIN scopes s ON s.id = g.scope_id WHERE s.name = $1 AND g.name = $2 AND g.workspace_id IS NULL`, scope, group).Scan(&id)
	return id, fault(err, fmt.Sprintf("group %s/%s", scope, group))
}

// addMember also puts the user among the scope's Members.
func addMember(ctx context.Context, tx pgx.Tx, scope, group, username string) error {
	var user int64
	if err := tx.QueryRow(ctx, `SELECT id FROM users WHERE username = $1`, username).Scan(&user); err != nil {
		return fault(err, fmt.Sprintf("user %q", username))
	}
	for _, name := range []string{group, "Members"} {
		id, err := groupID(ctx, tx, scope, name)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO group_members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, user); err != nil {
			return err
		}
	}
	return nil
}

// Grant gives a group of the scope a role: in the workspace (owner,
// contributor, viewer), or with workspace "" in the scope (owner, observer).
func (db *DB) Grant(ctx context.Context, scope, workspace, group, role string) error {
	id, err := groupID(ctx, db.pool, scope, group)
	if err != nil {
		return err
	}
	if workspace == "" {
		_, err := db.pool.Exec(ctx, `INSERT INTO scope_roles (scope_id, group_id, role) SELECT id, $2, $3 FROM scopes WHERE name = $1 ON CONFLICT DO NOTHING`, scope, id, role)
		return grantFault(fault(err, fmt.Sprintf("role %q", role)), role, "owner, observer")
	}
	w, err := db.Workspace(ctx, scope, workspace)
	if err != nil {
		return err
	}
	_, err = db.pool.Exec(ctx, `INSERT INTO workspace_roles (workspace_id, group_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, w.ID, id, role)
	return grantFault(fault(err, fmt.Sprintf("role %q", role)), role, "owner, contributor, viewer")
}

// grantFault says which roles there are, in place of the database's own words
// about its constraint.
func grantFault(err error, role, roles string) error {
	var i debusine.Invalid
	if errors.As(err, &i) {
		return debusine.WithHint(debusine.Invalidf("role %.80q is unknown", role), "the roles are "+roles)
	}
	return err
}

// WorkspaceByID gives a workspace by its number.
func (db *DB) WorkspaceByID(ctx context.Context, id int64) (w debusine.Workspace, err error) {
	err = db.pool.QueryRow(ctx, `
		SELECT w.id, s.name, s.id, w.name, w.public, w.default_expiration_delay FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE w.id = $1`, id).
		Scan(&w.ID, &w.Scope, &w.ScopeID, &w.Name, &w.Public, &w.DefaultExpirationDelay)
	return w, fault(err, fmt.Sprintf("workspace %d", id))
}
