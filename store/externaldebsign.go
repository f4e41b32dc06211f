package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// ProvideSignature ends the wait for a signature: the artifact becomes the output
// of the work request, related to what was to be signed, and what waits goes on. It
// must be the user's own, complete, of the work request's workspace, and nobody's
// output yet. Of two answers the first counts.
func (db *DB) ProvideSignature(ctx context.Context, id, user, unsigned, signed int64, output debusine.OutputData) error {
	raw, err := json.Marshal(output)
	if err != nil {
		return err
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := waitsForSignature(h); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE artifacts a SET created_by_work_request = $1 FROM work_requests r
			 WHERE r.id = $1 AND a.id = $2 AND a.workspace_id = r.workspace_id AND a.complete AND a.created_by = $3
			   AND a.created_by_work_request IS NULL AND a.category = $4`, id, signed, user, debusine.CategoryUpload)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return debusine.WithHint(debusine.Conflictf("artifact %d is not an upload that you have just made in this workspace, or is not complete", signed),
				fmt.Sprintf("debusine work-request sign %d", id))
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO artifact_relations (artifact_id, target_id, type) VALUES ($1, $2, 'relates-to') ON CONFLICT DO NOTHING`, signed, unsigned); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE work_requests SET completed_by = $2 WHERE id = $1`, id, user); err != nil {
			return err
		}
		return end(ctx, tx, h, debusine.Success, raw)
	})
}

func waitsForSignature(h held) error {
	switch {
	case h.taskName != "externaldebsign":
		return debusine.Invalidf("work request %d does not wait for a signature", h.id)
	case h.status.Ended():
		return debusine.Conflictf("work request %d has ended: it waits for no signature any more", h.id)
	}
	return nil
}

// Unsigned gives the upload whose signature a work request waits for.
func Unsigned(w debusine.WorkRequest) (int64, error) {
	var dynamic struct {
		Unsigned int64 `json:"unsigned_id"`
	}
	if w.TaskType != debusine.WaitTask || w.TaskName != "externaldebsign" {
		return 0, debusine.Invalidf("work request %d does not wait for a signature", w.ID)
	}
	if err := json.Unmarshal(w.DynamicData, &dynamic); err != nil || dynamic.Unsigned == 0 {
		return 0, debusine.Invalidf("work request %d does not say what is to be signed", w.ID)
	}
	return dynamic.Unsigned, nil
}

// SameUnlessSigned checks that a signed upload has the files of the unsigned one,
// with the same bytes in all that is not signed.
func SameUnlessSigned(unsigned, signed debusine.Artifact, isSigned func(name string) bool) error {
	for _, f := range unsigned.Files {
		i := slices.IndexFunc(signed.Files, func(g debusine.ArtifactFile) bool { return g.Path == f.Path })
		switch {
		case i < 0:
			return debusine.Invalidf("the signed upload lacks %s", f.Path)
		case !isSigned(f.Path) && (signed.Files[i].SHA256 != f.SHA256 || signed.Files[i].Size != f.Size):
			return debusine.Invalidf("%s was changed, which is not signed", f.Path)
		}
	}
	if len(unsigned.Files) != len(signed.Files) {
		return debusine.Invalidf("the signed upload has other files than the one to be signed")
	}
	return nil
}
