package signact_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/activities/signing"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/vault"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	if os.Getenv(dieAt) != "" {
		os.Exit(m.Run()) // a process within a test
	}
	storetest.Main(m)
}

// house is a server that holds one upload, and the worker that signs it.
type house struct {
	*testing.T
	doer   *signact.Doer
	dsn    string // of the vault
	signer sign.Signer
	vault  *vault.Vault
	key    vault.Key
	files  map[string][]byte // of the upload, artifact 7
	permit func(*api.SigningPermit) error
	asked  int
	made   map[string][]byte // the artifact that came out, whole
	data   debusine.UploadData
	assets []api.AssetCreate
	log    *strings.Builder
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := emptyHouse(t)
	h.files = source(t)
	var err error
	h.key, err = h.vault.Generate(t.Context(), sign.Wanted{Purpose: sign.OpenPGP, Name: "Archive <archive@example.org>"}, vault.Cause{})
	h.must(err)
	return h
}

// emptyHouse has a vault without keys.
func emptyHouse(t *testing.T) *house {
	t.Helper()
	signer := sign.Signer{ServiceKeys: filepath.Join(t.TempDir(), "service.keys")}
	if err := sign.CreateServiceKeys(signer.ServiceKeys); err != nil {
		t.Fatal(err)
	}
	return houseAt(t, storetest.EmptyDSN(t), signer)
}

func houseAt(t *testing.T, dsn string, signer sign.Signer) *house {
	t.Helper()
	h := &house{T: t, dsn: dsn, signer: signer, log: &strings.Builder{}}
	var err error
	h.vault, err = vault.Open(t.Context(), dsn, signer)
	h.must(err)
	t.Cleanup(h.vault.Close)
	h.doer = &signact.Doer{Vault: h.vault, Log: slog.New(slog.NewTextHandler(h.log, nil)), Dir: t.TempDir()}
	return h
}

// exec changes the vault's database behind its back.
func (h *house) exec(sql string) {
	h.Helper()
	db, err := pgx.Connect(h.Context(), h.dsn)
	h.must(err)
	defer db.Close(h.Context())
	_, err = db.Exec(h.Context(), sql)
	h.must(err)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

var (
	once   sync.Once
	upload map[string][]byte
)

// source gives the files of a source upload, made with dpkg's own tools, once.
func source(t *testing.T) map[string][]byte {
	t.Helper()
	once.Do(func() { upload = buildSource(t) })
	return maps.Clone(upload)
}

func buildSource(t *testing.T) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"control":       "Source: hello\nMaintainer: A <a@example.org>\nSection: misc\nPriority: optional\nStandards-Version: 4.7.0\n\nPackage: hello\nArchitecture: all\nDescription: greets\n a test\n",
		"changelog":     "hello (1.0) unstable; urgency=medium\n\n  * First.\n\n -- A <a@example.org>  Mon, 02 Nov 2026 10:00:00 +0000\n",
		"rules":         "#!/usr/bin/make -f\n%:\n\ttrue\n",
		"source/format": "3.0 (native)\n",
	} {
		path := filepath.Join(dir, "hello-1.0", "debian", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("dpkg-buildpackage", "-S", "-us", "-uc", "-d", "-nc")
	build.Dir = filepath.Join(dir, "hello-1.0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-buildpackage: %v\n%s", err, out)
	}
	files := map[string][]byte{}
	for _, ext := range []string{".dsc", ".tar.xz", "_source.buildinfo", "_source.changes"} {
		raw, err := os.ReadFile(filepath.Join(dir, "hello_1.0"+ext))
		if err != nil {
			t.Fatal(err)
		}
		files["hello_1.0"+ext] = raw
	}
	return files
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (h *house) SignWith(_ context.Context, fingerprint string, artifact int64, _ string) (api.SigningPermit, error) {
	h.asked++
	p := api.SigningPermit{Asset: api.Asset{Data: api.SigningKey{Fingerprint: fingerprint}}, User: "alice", Artifact: artifact, MadeBy: 3, Files: map[string]string{}, Now: time.Now()}
	for name, content := range h.files {
		p.Files[name] = sum(content)
	}
	if h.permit != nil {
		if err := h.permit(&p); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (h *house) CreateAsset(_ context.Context, in api.AssetCreate) (api.Asset, error) {
	h.assets = append(h.assets, in)
	return api.Asset{ID: 12, Data: in.Data}, nil
}

func (h *house) Artifact(_ context.Context, id int64) (api.Artifact, error) {
	built := int64(3)
	a := api.Artifact{ID: id, Category: debusine.CategoryUpload, CreatedByWorkRequest: &built, Files: map[string]api.File{}}
	for name, content := range h.files {
		a.Files[name] = api.File{Size: int64(len(content)), Checksums: map[string]string{"sha256": sum(content)}}
	}
	return a, nil
}

func (h *house) Download(_ context.Context, _ int64, path string, to *os.File) error {
	if filepath.Ext(path) == ".xz" {
		h.Errorf("%s was fetched: only what is signed needs to be", path)
	}
	_, err := to.Write(h.files[path])
	return err
}

func (h *house) CreateFrom(_ context.Context, category string, data any, files map[string]string, same map[string]api.File) (int64, error) {
	h.data, _ = data.(debusine.UploadData)
	h.made = map[string][]byte{}
	for name, path := range files {
		raw, err := os.ReadFile(path)
		h.must(err)
		h.made[name] = raw
	}
	for name, file := range same {
		if file.Checksums["sha256"] != sum(h.files[name]) || category != debusine.CategoryUpload {
			h.Errorf("%s is not the same", name)
		}
		h.made[name] = h.files[name]
	}
	return 8, nil
}

func (h *house) Relate(_ context.Context, artifact, target int64, kind string) error {
	if artifact != 8 || target != 7 || kind != "relates-to" {
		h.Errorf("related %d %s %d", artifact, kind, target)
	}
	return nil
}

// debsign does the task on the upload.
func (h *house) debsign() (signact.Outcome, error) {
	raw, err := json.Marshal(map[string]any{"unsigned": 7, "key": h.key.Fingerprint})
	h.must(err)
	return h.doer.Do(h.Context(), signact.Job{WorkRequest: 9, Task: "debsign", Data: raw, Dynamic: json.RawMessage(`{"input_unsigned_id": 7}`)}, h)
}

// events are the audit's, in order, with what they are about.
func (h *house) events() string {
	h.Helper()
	var all []string
	_, err := h.vault.Verify(h.Context(), nil, func(e vault.Entry) error {
		all = append(all, strings.TrimSpace(e.Event+" "+e.Resource))
		return nil
	})
	h.must(err)
	return strings.Join(all, ", ")
}
