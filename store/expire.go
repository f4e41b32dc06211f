package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// keptSQL are the artifacts that must stay: those whose time has not come, those
// that extend one of these; what a collection holds or a removed item still
// keeps (the internal collection of a workflow while it is under way); what work
// under way takes or has made, or any work of a workflow that is under way; originals of copies; and whatever one of all
// these has a relation to.
const keptSQL = `
	WITH RECURSIVE fresh (id) AS (
	    SELECT a.id FROM artifacts a JOIN workspaces w ON w.id = a.workspace_id
	     WHERE coalesce(a.expiration_delay, w.default_expiration_delay) <= '0'
	        OR a.created_at + coalesce(a.expiration_delay, w.default_expiration_delay) > now()),
	kept (id) AS (
	    (SELECT id FROM fresh
	     UNION ALL SELECT l.artifact_id FROM artifact_relations l JOIN fresh f ON f.id = l.target_id WHERE l.type = 'extends'
	     UNION ALL SELECT i.artifact_id FROM collection_items i JOIN collections c ON c.id = i.collection_id LEFT JOIN work_requests r ON r.id = c.root_id
	         WHERE i.artifact_id IS NOT NULL AND (c.retains_artifacts = 'always'
	            OR (c.retains_artifacts = 'workflow' AND r.status NOT IN ('completed', 'aborted')))
	     UNION ALL SELECT a.id FROM artifacts a JOIN work_requests r ON r.id = a.created_by_work_request JOIN work_requests o ON o.id = coalesce(r.root_id, r.id)
	         WHERE r.status NOT IN ('completed', 'aborted') OR o.status NOT IN ('completed', 'aborted')
	     UNION ALL SELECT substring(v #>> '{}' FROM '^([0-9]{1,18})(?:@artifacts)?$')::bigint
	          FROM work_requests r JOIN work_requests o ON o.id = coalesce(r.root_id, r.id),
	               jsonb_path_query(jsonb_build_array(r.task_data, r.dynamic_task_data), '$.**') v
	         WHERE (r.status NOT IN ('completed', 'aborted') OR o.status NOT IN ('completed', 'aborted')) AND jsonb_typeof(v) IN ('number', 'string')
	     UNION ALL SELECT original_artifact FROM artifacts WHERE original_artifact IS NOT NULL)
	  UNION SELECT l.target_id FROM kept JOIN artifact_relations l ON l.artifact_id = kept.id)
`

// mostExpired is how many artifacts one transaction removes at most.
const mostExpired = 1000

// ExpireArtifacts removes artifacts whose time has come and that nothing keeps.
// Items of collections that do not retain them become tombstones.
func (db *DB) ExpireArtifacts(ctx context.Context) (removed int64, err error) {
	for {
		var some int64
		err := db.inTx(ctx, func(tx pgx.Tx) error {
			some, err = expire(ctx, tx)
			return err
		})
		if err != nil {
			return removed, fmt.Errorf("expiring artifacts: %w", err)
		}
		if removed += some; some < mostExpired {
			return removed, nil
		}
	}
}

// expire locks what may go and then looks again: what was put into a collection
// or related to meanwhile waits for the lock, or is seen.
func expire(ctx context.Context, tx pgx.Tx) (int64, error) {
	rows, err := tx.Query(ctx, keptSQL+`
		SELECT a.id FROM artifacts a WHERE NOT EXISTS (SELECT FROM kept WHERE kept.id = a.id) ORDER BY a.id LIMIT $1 FOR UPDATE OF a SKIP LOCKED`, mostExpired)
	if err != nil {
		return 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	rows, err = tx.Query(ctx, keptSQL+`SELECT n FROM unnest($1::bigint[]) n WHERE NOT EXISTS (SELECT FROM kept WHERE kept.id = n)`, ids)
	if err != nil {
		return 0, err
	}
	if ids, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `UPDATE collection_items SET removed_at = coalesce(removed_at, clock_timestamp()), artifact_id = NULL WHERE artifact_id = ANY($1)`, ids); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `DELETE FROM artifacts WHERE id = ANY($1)`, ids)
	return tag.RowsAffected(), err
}

// ForgetItems takes artifacts from removed items whose full history is over, and
// removes those items of which not even the metadata are to be kept.
func (db *DB) ForgetItems(ctx context.Context) (changed int64, err error) {
	for _, sql := range []string{
		`DELETE FROM collection_items i USING collections c WHERE c.id = i.collection_id
		    AND i.removed_at + c.full_history_retention_period + c.metadata_only_retention_period < now()`,
		`UPDATE collection_items i SET artifact_id = NULL FROM collections c WHERE c.id = i.collection_id
		    AND i.removed_at + c.full_history_retention_period < now() AND i.artifact_id IS NOT NULL`,
	} {
		tag, err := db.pool.Exec(ctx, sql)
		if err != nil {
			return changed, fmt.Errorf("forgetting removed items: %w", err)
		}
		changed += tag.RowsAffected()
	}
	return changed, nil
}

// DropFiles forgets files that no artifact holds and that were first stored
// longer than age ago. Their bytes are for files.Disk.Collect. The row of the
// empty file stays, which every artifact may take without an upload.
func (db *DB) DropFiles(ctx context.Context, age time.Duration) (removed int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		// Locked first, looked at again in the second statement: an artifact that
		// takes one of them meanwhile waits, or is seen.
		rows, err := tx.Query(ctx, `
			SELECT f.id FROM files f WHERE f.size > 0 AND f.created_at < now() - $1::interval
			   AND NOT EXISTS (SELECT FROM artifact_files a WHERE a.file_id = f.id) FOR UPDATE OF f SKIP LOCKED`, age)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(ids) == 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM files f WHERE f.id = ANY($1) AND NOT EXISTS (SELECT FROM artifact_files a WHERE a.file_id = f.id)`, ids)
		removed = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forgetting files that no artifact holds: %w", err)
	}
	return removed, nil
}

// Wanted says which contents, by their SHA-256 in hexadecimal, are files of this
// installation.
func (db *DB) Wanted(ctx context.Context, sums []string) (map[string]bool, error) {
	raw := make([][]byte, len(sums))
	for i, sum := range sums {
		var err error
		if raw[i], err = hex.DecodeString(sum); err != nil {
			return nil, fmt.Errorf("reading the SHA-256 %.80q: %w", sum, err)
		}
	}
	rows, err := db.pool.Query(ctx, `SELECT encode(sha256, 'hex') FROM files WHERE sha256 = ANY($1)`, raw)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	wanted := make(map[string]bool, len(found))
	for _, sum := range found {
		wanted[sum] = true
	}
	return wanted, err
}
