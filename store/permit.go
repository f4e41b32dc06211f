package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// Permit is the server's leave to sign the files of one artifact, now.
type Permit struct {
	Asset      debusine.Asset
	User       string // on whose behalf
	UserID     int64
	Workspace  string            // of the work request
	Subject    string            // what the work request is about
	Artifact   int64             // whose files may be signed
	MadeBy     int64             // the work request whose output it is; 0: the user uploaded it
	Files      map[string]string // SHA-256, hexadecimal, by path
	Approvals  []string          // of other people
	Now        time.Time         // by PostgreSQL's clock
	waitReason string
}

// mayUse is a condition: the user $1, or a group of $2, has a role of $3 on asset
// a in workspace $4. Roles are given, never implied: not even by superuser.
const mayUse = `EXISTS (
	SELECT FROM asset_usages u JOIN asset_usage_roles r ON r.usage_id = u.id
	 WHERE u.asset_id = a.id AND u.workspace_id = $4 AND r.role = ANY($3)
	   AND (r.group_id = ANY($2) OR r.group_id IN (SELECT group_id FROM group_members WHERE user_id = $1)))`

// signing is a work request that signs, as the judgement needs it.
type signing struct {
	id, workspace, user int64
	username, place     string // place is the workspace as SCOPE/NAME
	active              bool
	taskType            debusine.TaskType
	status              debusine.Status
	key                 string
	dynamic             json.RawMessage
	groups              []int64 // of the template's extra_groups
}

// readSigning locks the row: whoever aborts it comes before or after.
func readSigning(ctx context.Context, tx pgx.Tx, id int64) (s signing, err error) {
	return signingAs(ctx, tx, id, ` FOR NO KEY UPDATE OF r`)
}

func signingAs(ctx context.Context, q querier, id int64, lock string) (s signing, err error) {
	err = q.QueryRow(ctx, `
		SELECT r.id, r.workspace_id, r.created_by, u.username, u.is_active, r.task_type, r.status, upper(coalesce(r.configured_task_data->>'key', '')),
		       r.dynamic_task_data, coalesce(t.extra_groups, '{}'), c.name || '/' || w.name
		  FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id JOIN scopes c ON c.id = w.scope_id JOIN users u ON u.id = r.created_by LEFT JOIN work_requests root ON root.id = coalesce(r.root_id, r.id)
		  LEFT JOIN workflow_templates t ON t.id = root.workflow_template_id WHERE r.id = $1`+lock, id).
		Scan(&s.id, &s.workspace, &s.user, &s.username, &s.active, &s.taskType, &s.status, &s.key, &s.dynamic, &s.groups, &s.place)
	if err != nil {
		return s, fault(err, fmt.Sprintf("work request %d", id))
	}
	if s.taskType != debusine.SigningTask || s.key == "" {
		return s, debusine.Forbiddenf("work request %d signs nothing", id)
	}
	return s, nil
}

// SignWith judges whether an attempt may sign the files of an artifact with a
// key, at this moment: the work request runs, names that key and that artifact,
// its user still has the right, and the artifact is what a work request of this
// workspace, or the user, made. The attempt counts as heard. The permit is for all
// files, or for those at the given paths.
func (db *DB) SignWith(ctx context.Context, attempt, workRequest int64, fingerprint string, artifact int64, paths ...string) (p Permit, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		s, err := readSigning(ctx, tx, workRequest)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE attempts SET heard_at = now() WHERE id = $1 AND work_request_id = $2 AND ended_at IS NULL`, attempt, workRequest)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 || s.status != debusine.Running {
			return debusine.Conflictf("work request %d is not running any more", workRequest)
		}
		if s.key != strings.ToUpper(fingerprint) || !slices.Contains(inputsOf(s.dynamic), artifact) {
			return debusine.Forbiddenf("work request %d may not sign artifact %d with key %.80s: it names others", workRequest, artifact, fingerprint)
		}
		if p, err = s.permit(ctx, tx); err != nil {
			return err
		}
		if p.waitReason != "" {
			return debusine.Conflict{What: p.waitReason}
		}
		return s.output(ctx, tx, artifact, paths, &p)
	})
	return p, err
}

// permit finds the key, the user's right to it, and other people's approval.
func (s signing) permit(ctx context.Context, tx querier) (p Permit, err error) {
	p = Permit{User: s.username, UserID: s.user, Workspace: s.place, Now: time.Now()}
	if p.Asset, err = asset(ctx, tx, s.key); err != nil {
		return p, err
	}
	roles := []string{debusine.Signer}
	if p.Asset.Data.Purpose == "openpgp-repository" {
		roles = append(roles, debusine.RepositorySigner)
	}
	var may bool
	err = tx.QueryRow(ctx, `SELECT `+mayUse+`, now() FROM assets a WHERE a.id = $5`, s.user, s.groups, roles, s.workspace, p.Asset.ID).Scan(&may, &p.Now)
	if err != nil {
		return p, fmt.Errorf("asking for the right to a key: %w", err)
	}
	if !may || !s.active {
		return p, debusine.Forbidden{What: fmt.Sprintf("%s may not sign with key %s in this workspace", s.username, s.key),
			Hint: "an administrator lets a group: debusine admin key grant " + s.key + " --workspace SCOPE/NAME GROUP"}
	}
	if !p.Asset.TwoPersons {
		return p, nil
	}
	rows, err := tx.Query(ctx, `
		SELECT x.username FROM asset_approvals v JOIN users x ON x.id = v.user_id JOIN assets a ON a.id = v.asset_id
		 WHERE v.asset_id = $5 AND v.work_request_id = $6 AND v.user_id <> $1 AND x.is_active AND `+strings.ReplaceAll(mayUse, "$1", "v.user_id")+` ORDER BY 1`,
		s.user, []int64{}, roles, s.workspace, p.Asset.ID, s.id)
	if err != nil {
		return p, fmt.Errorf("looking for approvals: %w", err)
	}
	p.Approvals, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if len(p.Approvals) == 0 {
		p.waitReason = fmt.Sprintf("waits until a second person approves: debusine asset approve %s %d", s.key, s.id)
	}
	return p, err
}

// output makes sure that the artifact is what it is said to be: whole, of this
// workspace, and the output of a work request that succeeded, or uploaded by the
// very user who signs.
func (s signing) output(ctx context.Context, tx pgx.Tx, artifact int64, paths []string, p *Permit) error {
	var good bool
	err := tx.QueryRow(ctx, `
		SELECT a.workspace_id = $2 AND a.complete AND CASE WHEN r.id IS NULL THEN a.created_by = $3
		       ELSE r.status = 'completed' AND r.result = 'success' AND coalesce(t.ending = 'completed', t.id IS NULL) END, coalesce(a.created_by_work_request, 0)
		  FROM artifacts a LEFT JOIN work_requests r ON r.id = a.created_by_work_request LEFT JOIN attempts t ON t.id = a.created_by_attempt WHERE a.id = $1`,
		artifact, s.workspace, s.user).Scan(&good, &p.MadeBy)
	if err != nil {
		return fault(err, fmt.Sprintf("artifact %d", artifact))
	}
	if !good {
		return debusine.Forbiddenf("artifact %d is neither the output of a work request of this workspace that succeeded nor an upload of %s", artifact, s.username)
	}
	p.Artifact, p.Files = artifact, map[string]string{}
	rows, err := tx.Query(ctx, `SELECT path, encode(sha256, 'hex') FROM artifact_files WHERE artifact_id = $1 AND ($2::text[] IS NULL OR path = ANY($2))`, artifact, paths)
	if err != nil {
		return err
	}
	var path, sum string
	_, err = pgx.ForEachRow(rows, []any{&path, &sum}, func() error {
		p.Files[path] = sum
		return nil
	})
	if err == nil && len(paths) > 0 && len(p.Files) != len(paths) {
		return debusine.Missingf("a file of artifact %d", artifact)
	}
	return err
}

// SigningWaits says why a signing work request must wait before it is begun;
// nothing when it need not, or cannot be: then SignWith says so.
func (db *DB) SigningWaits(ctx context.Context, workRequest int64) (reason string, err error) {
	s, err := signingAs(ctx, db.pool, workRequest, "")
	if err == nil && !s.status.Ended() {
		var p Permit
		p, err = s.permit(ctx, db.pool)
		reason = p.waitReason
	}
	if isFault(err) {
		return "", nil
	}
	return reason, err
}

// ApproveSigning notes that a person agrees that a work request signs with a key.
// It must be one who may sign with it, and not who made the work request.
func (db *DB) ApproveSigning(ctx context.Context, user int64, fingerprint string, workRequest int64) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		s, err := readSigning(ctx, tx, workRequest)
		if err != nil {
			return err
		}
		a, err := asset(ctx, tx, fingerprint)
		if err != nil {
			return err
		}
		var may bool
		err = tx.QueryRow(ctx, `SELECT `+mayUse+` FROM assets a WHERE a.id = $5`, user, []int64{},
			[]string{debusine.Signer, debusine.RepositorySigner}, s.workspace, a.ID).Scan(&may)
		switch {
		case err != nil:
			return err
		case !may:
			return debusine.Forbiddenf("only who may sign with this key may approve")
		case user == s.user:
			return debusine.Forbiddenf("the second person must be another than the one who asked for the signature")
		case s.key != a.Data.Fingerprint:
			return debusine.Invalidf("work request %d does not sign with key %s", workRequest, a.Data.Fingerprint)
		case s.status.Ended():
			return debusine.Conflictf("work request %d has ended", workRequest)
		}
		_, err = tx.Exec(ctx, `INSERT INTO asset_approvals (asset_id, work_request_id, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, a.ID, workRequest, user)
		return err
	})
}

// HeardAttempt notes a heartbeat of an open attempt that came through the API,
// and says whether its work request was aborted. A void attempt is Missing.
func (db *DB) HeardAttempt(ctx context.Context, attempt int64) (aborted bool, err error) {
	err = db.pool.QueryRow(ctx, `
		UPDATE attempts a SET heard_at = now() FROM work_requests r WHERE r.id = a.work_request_id AND a.id = $1 AND a.ended_at IS NULL
		RETURNING r.status = 'aborted'`, attempt).Scan(&aborted)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, debusine.Missingf("this attempt")
	}
	return aborted, err
}
