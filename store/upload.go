package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/files"
)

// UploadFile is one file of an upload's artifact.
type UploadFile struct {
	Name string
	files.Announced
}

// Place is SCOPE/WORKSPACE of a workspace.
func (db *DB) Place(ctx context.Context, workspace int64) (place string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT s.name || '/' || w.name FROM workspaces w JOIN scopes s ON s.id = w.scope_id WHERE w.id = $1`, workspace).Scan(&place)
	return place, fault(err, fmt.Sprintf("workspace %d", workspace))
}

// UploadFiles are the files of an upload, and the place of the work request that
// uploads it.
func (db *DB) UploadFiles(ctx context.Context, workRequest, artifact int64) (list []UploadFile, place string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT s.name || '/' || w.name FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes s ON s.id = w.scope_id
		 WHERE r.id = $1`, workRequest).Scan(&place)
	if err != nil {
		return nil, "", fault(err, fmt.Sprintf("work request %d", workRequest))
	}
	rows, err := db.pool.Query(ctx, `
		SELECT f.path, f.size, encode(f.sha256, 'hex') FROM artifact_files f JOIN artifacts a ON a.id = f.artifact_id
		 WHERE a.id = $1 AND a.complete AND a.category = $2 ORDER BY f.path`, artifact, debusine.CategoryUpload)
	if err != nil {
		return nil, "", err
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (f UploadFile, err error) {
		return f, row.Scan(&f.Name, &f.Size, &f.SHA256)
	})
	if err == nil && len(list) == 0 {
		err = debusine.Missingf("upload %d", artifact)
	}
	return list, place, err
}

// Upload is what is known of an upload to a queue.
type Upload struct {
	Target      string // URL of the folder
	Content     string // SHA-256, hexadecimal, of what it is but for its signatures
	Changes     string // name of the .changes
	ChangesSHA  string
	WorkRequest int64
	Files       map[string]string // SHA-256, hexadecimal, by name
	Begun       time.Time         // when the .changes may have been sent; zero: it was not
	Blind       bool
	Done        time.Time // when it was acknowledged; zero: it was not
}

// uploadClass keeps the advisory locks of uploads apart from others.
const uploadClass = 0x5e7f

// OneUpload runs do with what is known of an upload of that name to that target,
// while no other work request brings one there.
func (db *DB) OneUpload(ctx context.Context, u Upload, do func(context.Context, Upload) error) error {
	var key int32
	if err := db.pool.QueryRow(ctx, `SELECT hashtext($1)`, u.Target+" "+u.Changes).Scan(&key); err != nil {
		return fmt.Errorf("locking an upload: %w", err)
	}
	return db.alone(ctx, uploadClass, key, "the upload of "+u.Changes, func(ctx context.Context) error {
		known, err := db.uploadKnown(ctx, u)
		if err != nil {
			return err
		}
		return do(ctx, known)
	})
}

// uploadKnown adds what the row says. An attempt with another signature is still
// of the same upload.
func (db *DB) uploadKnown(ctx context.Context, u Upload) (Upload, error) {
	var begun, done *time.Time
	err := db.pool.QueryRow(ctx, `SELECT work_request_id, encode(changes_sha256, 'hex'), begun_at, blind, done_at FROM uploads WHERE target = $1 AND content = decode($2, 'hex')`, u.Target, u.Content).
		Scan(&u.WorkRequest, &u.ChangesSHA, &begun, &u.Blind, &done)
	if errors.Is(err, pgx.ErrNoRows) {
		return u, nil
	}
	if begun != nil {
		u.Begun = *begun
	}
	if done != nil {
		u.Done = *done
	}
	return u, err
}

// BeginUpload records that the .changes is about to be sent.
func (db *DB) BeginUpload(ctx context.Context, u Upload) error {
	raw, err := json.Marshal(u.Files)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(u.ChangesSHA)
	if err != nil {
		return err
	}
	_, err = db.pool.Exec(ctx, `
		INSERT INTO uploads (target, content, changes, changes_sha256, work_request_id, begun_at, blind, files) VALUES ($1, decode($2, 'hex'), $3, $4, $5, now(), $6, $7)
		ON CONFLICT (target, content) DO UPDATE SET changes = excluded.changes, changes_sha256 = excluded.changes_sha256, work_request_id = excluded.work_request_id,
		       begun_at = excluded.begun_at, blind = excluded.blind, files = excluded.files, done_at = NULL`,
		u.Target, u.Content, u.Changes, sum, u.WorkRequest, u.Blind, raw)
	return err
}

// EndUpload records that the queue has it all, also of one that lay there before
// anybody here began.
func (db *DB) EndUpload(ctx context.Context, u Upload) error {
	raw, err := json.Marshal(u.Files)
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(u.ChangesSHA)
	if err != nil {
		return err
	}
	_, err = db.pool.Exec(ctx, `
		INSERT INTO uploads (target, content, changes, changes_sha256, work_request_id, begun_at, done_at, files) VALUES ($1, decode($2, 'hex'), $3, $4, $5, now(), now(), $6)
		ON CONFLICT (target, content) DO UPDATE SET done_at = now(), work_request_id = excluded.work_request_id`,
		u.Target, u.Content, u.Changes, sum, u.WorkRequest, raw)
	return err
}

// UploadHasFile says whether a queue has acknowledged an upload with that very file.
func (db *DB) UploadHasFile(ctx context.Context, target, name, sum string) (has bool, err error) {
	err = db.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM uploads WHERE target = $1 AND done_at IS NOT NULL AND files->>$2 = $3)`, target, name, sum).Scan(&has)
	return has, err
}
