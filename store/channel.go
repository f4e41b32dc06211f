package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// NotificationChannels lists all channels by name.
func (db *DB) NotificationChannels(ctx context.Context) ([]debusine.NotificationChannel, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT c.name, c.method, c.data, coalesce(s.name, ''), coalesce(w.name, ''), c.fixed,
		       (SELECT count(*) FROM mails m WHERE m.channel = c.name AND m.ended_at IS NULL), (SELECT count(*) FROM mails m WHERE m.channel = c.name AND m.failed)
		  FROM notification_channels c LEFT JOIN scopes s ON s.id = c.scope_id LEFT JOIN workspaces w ON w.id = c.workspace_id ORDER BY c.name`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c debusine.NotificationChannel, err error) {
		return c, row.Scan(&c.Name, &c.Method, &c.Message, &c.Scope, &c.Workspace, &c.Fixed, &c.Waiting, &c.Failed)
	})
}

// CreateNotificationChannel makes a channel.
func (db *DB) CreateNotificationChannel(ctx context.Context, c debusine.NotificationChannel) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		scope, workspace, data, err := checkChannel(ctx, tx, c)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO notification_channels (name, method, data, scope_id, workspace_id, fixed) VALUES ($1, $2, $3, $4, $5, $6)`,
			c.Name, c.Method, data, scope, workspace, c.Fixed)
		return fault(err, fmt.Sprintf("notification channel %.80q", c.Name))
	})
}

// EditNotificationChannel changes a channel as change does. Mails that wait
// already go out as they were.
func (db *DB) EditNotificationChannel(ctx context.Context, name string, change func(*debusine.NotificationChannel) error) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		what := fmt.Sprintf("notification channel %.80q", name)
		var c debusine.NotificationChannel
		err := tx.QueryRow(ctx, `
			SELECT c.name, c.method, c.data, coalesce(s.name, ''), coalesce(w.name, ''), c.fixed
			  FROM notification_channels c LEFT JOIN scopes s ON s.id = c.scope_id LEFT JOIN workspaces w ON w.id = c.workspace_id
			 WHERE c.name = $1 FOR UPDATE OF c`, name).Scan(&c.Name, &c.Method, &c.Message, &c.Scope, &c.Workspace, &c.Fixed)
		if err != nil {
			return debusine.WithHint(fault(err, what), "debusine admin notification-channel list")
		}
		if err := change(&c); err != nil {
			return err
		}
		scope, workspace, data, err := checkChannel(ctx, tx, c)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE notification_channels SET name = $2, data = $3, scope_id = $4, workspace_id = $5, fixed = $6 WHERE name = $1`,
			name, c.Name, data, scope, workspace, c.Fixed)
		return fault(err, fmt.Sprintf("notification channel %.80q", c.Name))
	})
}

// DeleteNotificationChannel removes a channel. Work requests that name it keep
// their results, and a note that it is gone.
func (db *DB) DeleteNotificationChannel(ctx context.Context, name string) error {
	tag, err := db.pool.Exec(ctx, `DELETE FROM notification_channels WHERE name = $1`, name)
	if err == nil && tag.RowsAffected() == 0 {
		err = debusine.WithHint(debusine.Missingf("notification channel %.80q", name), "debusine admin notification-channel list")
	}
	return err
}

func checkChannel(ctx context.Context, tx pgx.Tx, c debusine.NotificationChannel) (scope, workspace *int64, data json.RawMessage, err error) {
	if c.Method != "email" {
		return nil, nil, nil, debusine.Invalidf("a notification channel's method is email, not %.80q", c.Method)
	}
	if c.From == "" || len(c.To) == 0 {
		return nil, nil, nil, debusine.Invalidf("a notification channel needs from and to")
	}
	if err := c.Check(); err != nil {
		return nil, nil, nil, err
	}
	if c.Scope != "" {
		if err := tx.QueryRow(ctx, `SELECT id FROM scopes WHERE name = $1`, c.Scope).Scan(&scope); err != nil {
			return nil, nil, nil, fault(err, fmt.Sprintf("scope %.80q", c.Scope))
		}
	}
	if c.Workspace != "" {
		if err := tx.QueryRow(ctx, `SELECT id FROM workspaces WHERE name = $1 AND scope_id = $2`, c.Workspace, scope).Scan(&workspace); err != nil {
			return nil, nil, nil, fault(err, fmt.Sprintf("workspace %.80q of scope %.80q", c.Workspace, c.Scope))
		}
	}
	data, err = json.Marshal(c.Message)
	return scope, workspace, data, err
}
