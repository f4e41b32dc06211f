package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"debusine"
	"debusine/debian"
	"debusine/files"
	"debusine/store"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// inhabitants are a user and the workspace that is there.
func inhabitants(t *testing.T, db *store.DB) (user, workspace int64) {
	t.Helper()
	if err := db.Pool().QueryRow(t.Context(), `INSERT INTO users (username) VALUES ('alice') RETURNING id`).Scan(&user); err != nil {
		t.Fatal(err)
	}
	if err := db.Pool().QueryRow(t.Context(), `SELECT id FROM workspaces WHERE name = 'System'`).Scan(&workspace); err != nil {
		t.Fatal(err)
	}
	return user, workspace
}

// artifact makes one of files in a folder.
func (o *office) artifact(t *testing.T, data json.RawMessage, dir string, list ...debian.File) int64 {
	t.Helper()
	n := store.NewArtifact{WorkspaceID: o.workspace, Category: debusine.CategoryUpload, Data: data, CreatedBy: o.user}
	for _, f := range list {
		raw, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		n.Files = append(n.Files, debusine.ArtifactFile{Path: f.Name, Size: int64(len(raw)), SHA256: hex.EncodeToString(sum[:]), ContentType: "text/plain"})
	}
	id, err := o.db.CreateArtifact(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range n.Files {
		from, err := os.Open(filepath.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		if _, err := o.Files.Append(t.Context(), f.SHA256, 0, from, files.Announced{Size: f.Size, SHA256: f.SHA256}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.db.FileStored(t.Context(), id, f.Path); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// workRequest is one of the workspace.
func (o *office) workRequest(t *testing.T) int64 {
	t.Helper()
	id, err := o.db.Create(t.Context(), store.New{WorkspaceID: o.workspace, CreatedBy: o.user, TaskType: debusine.WorkflowTask, TaskName: "noop"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// forget takes back that the queue has acknowledged anything.
func (o *office) forget(t *testing.T) {
	t.Helper()
	tag, err := o.db.Pool().Exec(t.Context(), `UPDATE uploads SET done_at = NULL`)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v rows, %v", tag.RowsAffected(), err)
	}
}

// begun says whether a .changes was noted as one that may have been sent.
func (o *office) begun(t *testing.T) (begun *time.Time) {
	t.Helper()
	if err := o.db.Pool().QueryRow(t.Context(), `SELECT max(begun_at) FROM uploads`).Scan(&begun); err != nil {
		t.Fatal(err)
	}
	return begun
}
