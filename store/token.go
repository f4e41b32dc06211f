package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// CreateUserToken makes a token for a user and gives its secret, which is kept
// nowhere. expire nil means never.
func (db *DB) CreateUserToken(ctx context.Context, username, comment string, expire *time.Time) (secret string, err error) {
	secret = debusine.NewSecret()
	tag, err := db.pool.Exec(ctx, `
		INSERT INTO tokens (token_type, hash, user_id, comment, expire_at) SELECT 'user', $2, id, $3, $4 FROM users WHERE username = $1 AND NOT is_system`,
		username, debusine.HashSecret(secret), comment, expire)
	if err != nil {
		return "", fmt.Errorf("creating a token: %w", fault(err, "token"))
	}
	if tag.RowsAffected() == 0 {
		return "", debusine.WithHint(debusine.Missingf("user %q", username), "debusine admin user create "+username)
	}
	return secret, nil
}

// CreateActivationToken makes a token with which one new worker enables itself.
func (db *DB) CreateActivationToken(ctx context.Context, comment string, expire *time.Time) (secret string, err error) {
	secret = debusine.NewSecret()
	_, err = db.pool.Exec(ctx, `INSERT INTO tokens (token_type, hash, comment, expire_at) VALUES ('worker-activation', $1, $2, $3)`,
		debusine.HashSecret(secret), comment, expire)
	return secret, fault(err, "activation token")
}

// Tokens lists the tokens of a user, or with "" of everybody.
func (db *DB) Tokens(ctx context.Context, username string) ([]debusine.Token, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT t.id, t.token_type, coalesce(u.username, ''), coalesce(w.name, ''), t.comment, t.enabled, t.expire_at
		  FROM tokens t LEFT JOIN users u ON u.id = t.user_id LEFT JOIN workers w ON w.id = t.worker_id
		 WHERE $1 = '' OR u.username = $1 ORDER BY t.id`, username)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.Token])
}

// DeleteToken makes a token void for ever.
func (db *DB) DeleteToken(ctx context.Context, id int64) error {
	tag, err := db.pool.Exec(ctx, `DELETE FROM tokens WHERE id = $1`, id)
	if err == nil && tag.RowsAffected() == 0 {
		return debusine.Missingf("token %d", id)
	}
	return fault(err, fmt.Sprintf("token %d", id))
}
