package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// NewArtifact describes an artifact to be made. Its data and paths have been
// checked (debusine.ParseArtifactData).
type NewArtifact struct {
	WorkspaceID int64
	Category    string
	Data        json.RawMessage
	Files       []debusine.ArtifactFile
	ExpireAt    *time.Time
	CreatedBy   int64   // a user; 0 for an attempt
	WorkRequest int64   // that makes it; 0 for none
	Attempt     int64   // that makes it; 0 for none
	Inputs      []int64 // of the attempt: what it may know of
}

// CreateArtifact makes an artifact, which is complete once all its files are.
// A file needs no upload when it is empty, or when its maker can read a file of
// that content already: a user in a complete artifact of the workspace, an
// attempt in its inputs and in what it made itself. Knowing a hash alone
// opens nothing.
func (db *DB) CreateArtifact(ctx context.Context, n NewArtifact) (id int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			INSERT INTO artifacts (category, workspace_id, data, expiration_delay, created_by, created_by_work_request, created_by_attempt)
			VALUES ($1, $2, $3, $4::timestamptz - now(), nullif($5, 0), nullif($6, 0), nullif($7, 0)) RETURNING id`,
			n.Category, n.WorkspaceID, orEmpty(n.Data), n.ExpireAt, n.CreatedBy, n.WorkRequest, n.Attempt).Scan(&id)
		if err != nil {
			return fault(err, "artifact")
		}
		if err := insertFiles(ctx, tx, id, n); err != nil {
			return err
		}
		_, err = completeArtifact(ctx, tx, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("creating an artifact of category %s: %w", n.Category, err)
	}
	return id, nil
}

func insertFiles(ctx context.Context, tx pgx.Tx, id int64, n NewArtifact) error {
	var (
		paths, types []string
		sums         [][]byte
		sizes        []int64
	)
	for _, f := range n.Files {
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil {
			return debusine.Invalidf("%q is not a SHA-256", f.SHA256)
		}
		paths, types, sums, sizes = append(paths, f.Path), append(types, f.ContentType), append(sums, sum), append(sizes, f.Size)
	}
	empty := sha256.Sum256(nil)
	if _, err := tx.Exec(ctx, `INSERT INTO files (sha256, size) VALUES ($1, 0) ON CONFLICT DO NOTHING`, empty[:]); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO artifact_files (artifact_id, path, sha256, size, content_type, file_id)
		SELECT $1, n.path, n.sha256, n.size, n.type, (
		       SELECT f.id FROM files f WHERE f.sha256 = n.sha256 AND f.size = n.size AND (n.size = 0 OR EXISTS (
		              SELECT FROM artifact_files af JOIN artifacts a ON a.id = af.artifact_id LEFT JOIN attempts t ON t.id = a.created_by_attempt
		               WHERE af.file_id = f.id AND a.complete AND a.workspace_id = $2
		                 AND CASE WHEN $3 = 0 THEN t.id IS NULL OR t.ending = 'completed' ELSE t.id = $3 OR a.id = ANY($4) END)))
		  FROM unnest($5::text[], $6::bytea[], $7::bigint[], $8::text[]) AS n (path, sha256, size, type)`,
		id, n.WorkspaceID, n.Attempt, n.Inputs, paths, sums, sizes, types)
	return fault(err, "a file of the artifact")
}

func completeArtifact(ctx context.Context, tx pgx.Tx, id int64) (bool, error) {
	tag, err := tx.Exec(ctx, `
		UPDATE artifacts SET complete = true WHERE id = $1 AND NOT complete
		   AND NOT EXISTS (SELECT FROM artifact_files WHERE artifact_id = $1 AND file_id IS NULL)`, id)
	return tag.RowsAffected() == 1, err
}

// FileStored records that the bytes of a file of an artifact are in the store,
// in the same transaction as the artifact's completion when it was the last.
func (db *DB) FileStored(ctx context.Context, artifact int64, path string) (complete bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		// Of two last files, the second must see the first.
		if _, err := tx.Exec(ctx, `SELECT FROM artifacts WHERE id = $1 FOR UPDATE`, artifact); err != nil {
			return err
		}
		var file int64
		err := tx.QueryRow(ctx, `
			INSERT INTO files (sha256, size) SELECT sha256, size FROM artifact_files WHERE artifact_id = $1 AND path = $2
			ON CONFLICT (sha256, size) DO UPDATE SET size = excluded.size RETURNING id`, artifact, path).Scan(&file)
		if err != nil {
			return fault(err, fmt.Sprintf("file %q of artifact %d", path, artifact))
		}
		if _, err := tx.Exec(ctx, `UPDATE artifact_files SET file_id = $3 WHERE artifact_id = $1 AND path = $2`, artifact, path, file); err != nil {
			return err
		}
		complete, err = completeArtifact(ctx, tx, artifact)
		return err
	})
	return complete, err
}

// artifactSQL reads artifacts with what rights are to be asked for; an artifact
// is hidden until it is complete and its attempt, if it has one, completed.
const artifactSQL = `
	SELECT a.id, a.category, s.name, w.name, a.workspace_id, a.data, a.created_at, coalesce(u.username, ''), a.created_by_work_request,
	       CASE WHEN coalesce(a.expiration_delay, w.default_expiration_delay) > '0' THEN a.created_at + coalesce(a.expiration_delay, w.default_expiration_delay) END,
	       a.complete, w.scope_id, w.public, coalesce(a.created_by, 0), coalesce(a.created_by_work_request, 0), coalesce(a.created_by_attempt, 0),
	       NOT a.complete OR coalesce(t.ending <> 'completed', t.id IS NOT NULL)
	  FROM artifacts a JOIN workspaces w ON w.id = a.workspace_id JOIN scopes s ON s.id = w.scope_id
	  LEFT JOIN users u ON u.id = a.created_by LEFT JOIN attempts t ON t.id = a.created_by_attempt `

func scanArtifact(row pgx.Row) (a debusine.Artifact, on debusine.Resource, err error) {
	err = row.Scan(&a.ID, &a.Category, &a.Scope, &a.Workspace, &a.WorkspaceID, &a.Data, &a.CreatedAt, &a.CreatedBy, &a.CreatedByWorkRequest, &a.ExpireAt,
		&a.Complete, &on.Scope, &on.Public, &on.CreatedBy, &on.WorkRequest, &on.AttemptID, &on.Hidden)
	on.What, on.Artifact, on.Workspace = fmt.Sprintf("artifact %d", a.ID), a.ID, a.WorkspaceID
	return a, on, err
}

// ArtifactHead gives an artifact without its files, and what rights are to be
// asked for.
func (db *DB) ArtifactHead(ctx context.Context, id int64) (debusine.Artifact, debusine.Resource, error) {
	a, on, err := scanArtifact(db.pool.QueryRow(ctx, artifactSQL+`WHERE a.id = $1`, id))
	return a, on, fault(err, fmt.Sprintf("artifact %d", id))
}

// Artifact gives an artifact with its files, and what rights are to be asked for.
func (db *DB) Artifact(ctx context.Context, id int64) (debusine.Artifact, debusine.Resource, error) {
	a, on, err := db.ArtifactHead(ctx, id)
	if err != nil {
		return a, on, err
	}
	files, err := db.filesOf(ctx, []int64{id})
	a.Files = files[id]
	return a, on, err
}

func (db *DB) filesOf(ctx context.Context, artifacts []int64) (map[int64][]debusine.ArtifactFile, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT artifact_id, path, size, sha256, content_type, file_id IS NOT NULL FROM artifact_files WHERE artifact_id = ANY($1) ORDER BY artifact_id, path`, artifacts)
	if err != nil {
		return nil, err
	}
	var (
		id    int64
		sum   []byte
		f     debusine.ArtifactFile
		files = map[int64][]debusine.ArtifactFile{}
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &f.Path, &f.Size, &sum, &f.ContentType, &f.Complete}, func() error {
		f.SHA256 = hex.EncodeToString(sum)
		files[id] = append(files[id], f)
		return nil
	})
	return files, err
}

// ArtifactFile gives one file of an artifact, and what rights are to be asked for.
func (db *DB) ArtifactFile(ctx context.Context, id int64, path string) (f debusine.ArtifactFile, on debusine.Resource, err error) {
	var sum []byte
	err = db.pool.QueryRow(ctx, `
		SELECT f.path, f.size, f.sha256, f.content_type, f.file_id IS NOT NULL, w.id, w.scope_id, w.public,
		       coalesce(a.created_by, 0), coalesce(a.created_by_work_request, 0), coalesce(a.created_by_attempt, 0),
		       NOT a.complete OR coalesce(t.ending <> 'completed', t.id IS NOT NULL)
		  FROM artifact_files f JOIN artifacts a ON a.id = f.artifact_id JOIN workspaces w ON w.id = a.workspace_id
		  LEFT JOIN attempts t ON t.id = a.created_by_attempt WHERE f.artifact_id = $1 AND f.path = $2`, id, path).
		Scan(&f.Path, &f.Size, &sum, &f.ContentType, &f.Complete, &on.Workspace, &on.Scope, &on.Public,
			&on.CreatedBy, &on.WorkRequest, &on.AttemptID, &on.Hidden)
	f.SHA256, on.Artifact, on.What = hex.EncodeToString(sum), id, fmt.Sprintf("file %q of artifact %d", path, id)
	return f, on, fault(err, on.What)
}

// ArtifactFilter chooses artifacts for a list. Zero values choose all.
type ArtifactFilter struct {
	Scope, Workspace string
	Category         string
	WorkRequest      int64
	Before           int64 // ids below this: the cursor
}

// Artifacts lists complete artifacts that the user (0: anybody) may see, newest
// first, with their files.
func (db *DB) Artifacts(ctx context.Context, user int64, f ArtifactFilter, limit int) ([]debusine.Artifact, error) {
	rows, err := db.pool.Query(ctx, artifactSQL+`
		WHERE `+visible+` AND a.complete AND (t.id IS NULL OR t.ending = 'completed')
		  AND ($2 = '' OR s.name = $2) AND ($3 = '' OR w.name = $3) AND ($4 = '' OR a.category = $4)
		  AND ($5 = 0 OR a.created_by_work_request = $5) AND ($6 = 0 OR a.id < $6) ORDER BY a.id DESC LIMIT $7`,
		user, f.Scope, f.Workspace, f.Category, f.WorkRequest, f.Before, limit)
	if err != nil {
		return nil, err
	}
	var ids []int64
	artifacts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.Artifact, error) {
		a, _, err := scanArtifact(row)
		ids = append(ids, a.ID)
		return a, err
	})
	if err != nil {
		return nil, err
	}
	files, err := db.filesOf(ctx, ids)
	for i := range artifacts {
		artifacts[i].Files = files[artifacts[i].ID]
	}
	return artifacts, err
}

// PutRelation joins two complete artifacts; made is false when they were joined
// in this way already.
func (db *DB) PutRelation(ctx context.Context, r debusine.Relation) (id int64, made bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if err := mayRelate(ctx, tx, r); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			INSERT INTO artifact_relations (artifact_id, target_id, type) VALUES ($1, $2, $3)
			ON CONFLICT (artifact_id, target_id, type) DO UPDATE SET type = excluded.type RETURNING id, xmax = 0`,
			r.Artifact, r.Target, r.Type).Scan(&id, &made)
		return fault(err, "relation")
	})
	return id, made, err
}

// mayRelate holds a relation to the rules of its ends' categories.
func mayRelate(ctx context.Context, tx pgx.Tx, r debusine.Relation) error {
	if r.Artifact == r.Target {
		return debusine.Invalidf("an artifact has no relation to itself")
	}
	rows, err := tx.Query(ctx, `SELECT id, category FROM artifacts WHERE id IN ($1, $2) AND complete`, r.Artifact, r.Target)
	if err != nil {
		return err
	}
	var (
		id         int64
		category   string
		categories = map[int64]string{}
	)
	if _, err := pgx.ForEachRow(rows, []any{&id, &category}, func() error { categories[id] = category; return nil }); err != nil {
		return err
	}
	if len(categories) < 2 {
		return debusine.WithHint(debusine.Conflictf("artifacts %d and %d are not both complete", r.Artifact, r.Target), "upload their files first")
	}
	single, err := debusine.CheckRelation(r.Type, categories[r.Artifact], categories[r.Target])
	if err != nil || !single {
		return err
	}
	// Of two relations of which it may have one, the second must see the first.
	if _, err := tx.Exec(ctx, `SELECT FROM artifacts WHERE id = $1 FOR NO KEY UPDATE`, r.Artifact); err != nil {
		return err
	}
	var other int64
	err = tx.QueryRow(ctx, `
		SELECT coalesce(max(a.id), 0) FROM artifact_relations l JOIN artifacts a ON a.id = l.target_id
		 WHERE l.artifact_id = $1 AND l.type = $2 AND a.category = $3 AND a.id <> $4`, r.Artifact, r.Type, categories[r.Target], r.Target).Scan(&other)
	if err == nil && other != 0 {
		err = debusine.Conflictf("artifact %d has such a relation to artifact %d already, and may have only one", r.Artifact, other)
	}
	return err
}

// Relations gives the relations from artifact, or those to target when that is
// not zero, as far as the user (0: anybody) may see the other end.
func (db *DB) Relations(ctx context.Context, user, artifact, target int64) ([]debusine.Relation, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT r.id, r.artifact_id, r.target_id, r.type FROM artifact_relations r
		  JOIN artifacts a ON a.id = CASE WHEN $2 <> 0 THEN r.target_id ELSE r.artifact_id END JOIN workspaces w ON w.id = a.workspace_id
		  LEFT JOIN attempts t ON t.id = a.created_by_attempt
		 WHERE (($2 <> 0 AND r.artifact_id = $2) OR ($2 = 0 AND r.target_id = $3)) AND (t.id IS NULL OR t.ending = 'completed') AND `+visible+`
		 ORDER BY r.id LIMIT 10000`, user, artifact, target)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[debusine.Relation])
}

// Relation gives one relation by its number.
func (db *DB) Relation(ctx context.Context, id int64) (r debusine.Relation, err error) {
	err = db.pool.QueryRow(ctx, `SELECT id, artifact_id, target_id, type FROM artifact_relations WHERE id = $1`, id).Scan(&r.ID, &r.Artifact, &r.Target, &r.Type)
	return r, fault(err, fmt.Sprintf("relation %d", id))
}

// DeleteRelation takes a relation away.
func (db *DB) DeleteRelation(ctx context.Context, id int64) error {
	_, err := db.pool.Exec(ctx, `DELETE FROM artifact_relations WHERE id = $1`, id)
	return err
}

// SweepArtifacts removes artifacts that nobody will ever see: incomplete ones
// older than age, and those of attempts that ended without completing. Nothing
// that a collection holds is touched.
func (db *DB) SweepArtifacts(ctx context.Context, age time.Duration) (removed int64, err error) {
	tag, err := db.pool.Exec(ctx, `
		DELETE FROM artifacts a WHERE a.created_at < now() - $1::interval
		   AND (NOT a.complete OR EXISTS (SELECT FROM attempts t WHERE t.id = a.created_by_attempt AND t.ending IS NOT NULL AND t.ending <> 'completed'))
		   AND NOT EXISTS (SELECT FROM attempts t WHERE t.id = a.created_by_attempt AND t.ending IS NULL)
		   AND NOT EXISTS (SELECT FROM collection_items i WHERE i.artifact_id = a.id)
		   AND NOT EXISTS (SELECT FROM artifacts o WHERE o.original_artifact = a.id)`, age)
	return tag.RowsAffected(), err
}
