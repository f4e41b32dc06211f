package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"debusine/api"
	"debusine/client"
	"debusine/crash"
)

// registry is a house that signs: one key was made by a work request, one was
// brought from elsewhere; the first user may sign with both, and so may bob.
type registry struct {
	*house
	user, bob           *client.Client
	generated, imported string   // fingerprints
	known               [][]byte // private bytes of both
	upload              int64
}

func newRegistry(t *testing.T, env ...string) *registry {
	t.Helper()
	h := houseOfOwn(t, true, env...)
	r := &registry{house: h, user: h.user(t)}
	h.admin(t, "user", "create", "bob")
	r.bob = r.user.WithToken(h.admin(t, "token", "create", "--user", "bob"))
	h.signers(t, r.user, "bob")
	r.generated = keyFor(t, r.user, "openpgp")
	r.bring(t)
	for _, key := range []string{r.generated, r.imported} {
		h.admin(t, "key", "grant", key, "Signers", "--workspace", "debusine/System")
	}
	r.known = append(r.known, r.unsealed(t, r.generated))
	r.upload = r.sourceUpload(t)
	return r
}

// signers makes a group of the user and others, which may work in the workspace.
func (h *house) signers(t *testing.T, c *client.Client, others ...string) {
	t.Helper()
	who, err := c.Whoami(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.admin(t, "group", "create", "Signers")
	for _, member := range append(others, who.User) {
		h.admin(t, "group", "members", "Signers", "--add", member)
	}
	h.admin(t, "workspace", "grant-role", "System", "Signers", "contributor")
}

// keyFor has the signing worker make a key, and gives its fingerprint.
func keyFor(t *testing.T, c *client.Client, purpose string) string {
	t.Helper()
	id := ask(t, c, "generatekey", fmt.Sprintf(`{"purpose": %q, "description": "made for a test"}`, purpose))
	if w := until(t, c, id, patient, "ended", ended); w.Result != "success" {
		t.Fatalf("no key was made: %s", w.OutputData)
	}
	made, err := c.Assets(t.Context(), client.AssetFilter{WorkRequest: id})
	if err != nil || len(made) != 1 {
		t.Fatalf("%d assets: %v", len(made), err)
	}
	return made[0].Data.Fingerprint
}

// key runs `debusine admin key` on the signing worker's own database.
func (r *registry) key(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(built.bin, append([]string{"admin", "--state", r.State(), "key"}, args...)...)
	cmd.Env = append(os.Environ(), r.more...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// bring imports a key whose private half the test knows.
func (r *registry) bring(t *testing.T) {
	t.Helper()
	entity, err := openpgp.NewEntity("Brought", "", "brought@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var secret bytes.Buffer
	if err := entity.SerializePrivate(&secret, nil); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(file, secret.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.key(t, "import", file, "--description", "brought"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.imported = fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint)
	r.enroll(t, r.imported)
	r.known = append(r.known, secret.Bytes())
}

// enroll tells the server of a key that was not made through it.
func (r *registry) enroll(t *testing.T, key string) {
	t.Helper()
	certificate, err := r.key(t, "show", key)
	if err != nil {
		t.Fatalf("%v: %s", err, certificate)
	}
	file := filepath.Join(t.TempDir(), "brought.asc")
	if err := os.WriteFile(file, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	r.admin(t, "key", "enroll", file, "--workspace", "debusine/System")
}

// sourceUpload imports a source package with its .changes.
func (r *registry) sourceUpload(t *testing.T) int64 {
	t.Helper()
	dir := t.TempDir()
	tree(t, filepath.Join(dir, "signed-1.0"), "signed", "true")
	build := exec.Command("dpkg-buildpackage", "-S", "-us", "-uc", "-d", "-nc")
	build.Dir = filepath.Join(dir, "signed-1.0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("dpkg-buildpackage: %v\n%s", err, out)
	}
	read, err := client.ReadDebian(t.Context(), filepath.Join(dir, "signed_1.0_source.changes"), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	done, err := r.user.Import(t.Context(), read, "System", nil)
	if err != nil {
		t.Fatal(err)
	}
	return done.Main.ID
}

func (r *registry) debsign(t *testing.T, key string) int64 {
	t.Helper()
	return ask(t, r.user, "debsign", fmt.Sprintf(`{"unsigned": %d, "key": %q}`, r.upload, key))
}

// The signing worker for real, in a whole installation.
func TestSigning(t *testing.T) {
	needs(t)
	token := newToken(t)
	r := newRegistry(t, token.env()...)
	head := r.signs(t)
	r.signsInHardware(t, token)
	r.needsTwo(t)
	r.isRevoked(t)
	head = r.isKilled(t, head)
	r.tellsNobody(t, token)
	r.isToldToTemporal(t)
	r.keepsItsAudit(t, head)
}

// isToldToTemporal: the signing worker answers Temporal itself, and the server
// comes to know that nothing is left to tell.
func (r *registry) isToldToTemporal(t *testing.T) {
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var untold int
		err := r.database(t).QueryRow(t.Context(), `SELECT count(*) FROM work_requests WHERE task_type = 'Signing' AND NOT temporal_closed`).Scan(&untold)
		if err == nil && untold == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("Temporal may not know of %d ends (%v)", untold, err)
			return
		}
	}
}

// signs makes the simplest signature, and gives the audit's head after it.
func (r *registry) signs(t *testing.T) string {
	id := r.debsign(t, r.generated)
	w := until(t, r.user, id, patient, "ended", ended)
	if w.Result != "success" {
		t.Fatalf("not signed: %s", w.OutputData)
	}
	r.verify(t, r.result(t, id), r.generated)
	var out struct {
		Head string `json:"audit_head"`
	}
	if json.Unmarshal(w.OutputData, &out) != nil || out.Head == "" {
		t.Errorf("no head of the audit is reported: %s", w.OutputData)
	}
	return out.Head
}

// result is the one signed upload of a work request.
func (r *registry) result(t *testing.T, id int64) api.Artifact {
	t.Helper()
	var all []api.Artifact
	for a, err := range r.user.Artifacts(t.Context(), client.ArtifactFilter{WorkRequest: id}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if len(all) != 1 || all[0].Category != "debian:upload" {
		t.Fatalf("work request %d has %d results", id, len(all))
	}
	return all[0]
}

// verify looks at what came out with Debian's own tools.
func (r *registry) verify(t *testing.T, a api.Artifact, key string) {
	t.Helper()
	dir := download(t, r.user, a)
	certificate, err := r.key(t, "show", key)
	if err != nil {
		t.Fatalf("%v: %s", err, certificate)
	}
	script := `gpg --homedir . --batch --quiet --dearmor -o key.pgp && for f in *.changes *.dsc *.buildinfo; do gpgv --keyring ./key.pgp "$f"; done && dscverify --keyring ./key.pgp *.changes`
	check := exec.Command("sh", "-ec", script)
	check.Dir, check.Stdin = dir, strings.NewReader(certificate)
	check.Env = append(os.Environ(), "GNUPGHOME="+dir)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("what was signed does not verify: %v\n%s", err, out)
	}
}

// download gets all files of an artifact into a folder.
func download(t *testing.T, c *client.Client, a api.Artifact) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name := range a.Files {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Download(t.Context(), a, name, f, nil), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// needsTwo makes a signature that waits for a second person.
func (r *registry) needsTwo(t *testing.T) {
	r.admin(t, "key", "two-persons", r.imported)
	id := r.debsign(t, r.imported)
	w := until(t, r.user, id, patient, "waiting for a second person", func(w api.WorkRequest) bool { return strings.Contains(w.WaitingReason, "second person") })
	if want := fmt.Sprintf("debusine asset approve %s %d", r.imported, id); !strings.Contains(w.WaitingReason, want) {
		t.Errorf("it waits with %q, without %q", w.WaitingReason, want)
	}
	if err := r.user.ApproveSignature(t.Context(), r.imported, id); err == nil {
		t.Error("who asked for the signature approves it")
	}
	if err := r.bob.ApproveSignature(t.Context(), r.imported, id); err != nil {
		t.Fatal(err)
	}
	if w := until(t, r.user, id, patient, "ended", ended); w.Result != "success" {
		t.Fatalf("not signed: %s", w.OutputData)
	}
	r.verify(t, r.result(t, id), r.imported)
	if said, err := r.key(t, "audit"); err != nil || !strings.Contains(said, fmt.Sprintf("work_request=%d ", id)) {
		t.Errorf("the audit knows nothing of it (%v)", err)
	}
}

// isRevoked takes the right away while a signature waits for the second person.
func (r *registry) isRevoked(t *testing.T) {
	id := r.debsign(t, r.imported)
	until(t, r.user, id, patient, "waiting for a second person", func(w api.WorkRequest) bool { return strings.Contains(w.WaitingReason, "second person") })
	r.admin(t, "key", "revoke", r.imported, "Signers", "--workspace", "debusine/System")
	if w := until(t, r.user, id, patient, "ended", ended); w.Result != "error" || !strings.Contains(string(w.OutputData), "may not sign with key") {
		t.Errorf("after the grant was revoked it ended with %q: %s", w.Result, w.OutputData)
	}
	if said, err := r.key(t, "audit"); err != nil || strings.Contains(said, fmt.Sprintf("work_request=%d ", id)) {
		t.Errorf("something was signed all the same (%v): %s", err, said)
	}
}

// isKilled ends the signing worker between intention and signature, between
// signature and report, and after the report. There is one result each, and the
// audit knows of each signature that may exist.
func (r *registry) isKilled(t *testing.T, before string) (head string) {
	for _, gaps := range [][]string{{crash.Intended, crash.Signed}, {crash.Recorded}} {
		for _, gap := range gaps {
			r.arm(t, gap, 0)
		}
		id := r.debsign(t, r.generated)
		w := until(t, r.user, id, 3*time.Minute, "ended", ended)
		if w.Result != "success" {
			t.Fatalf("killed in %v it ended with %q: %s", gaps, w.Result, w.OutputData)
		}
		for _, gap := range gaps {
			for deadline := time.Now().Add(20 * time.Second); !r.fired(gap); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("the gap %s was never reached", gap)
				}
			}
		}
		r.verify(t, r.result(t, id), r.generated)
		said, err := r.key(t, "audit", "--verify", "--head", before)
		if err != nil {
			t.Fatalf("the audit: %v: %s", err, said)
		}
		if open := strings.Count(said, fmt.Sprintf("for work request %d ", id)); open != len(gaps)-1+min(len(gaps)-1, 1) {
			t.Errorf("killed in %v, %d signatures are on record as not finished: %s", gaps, open, said)
		}
		_, rest, _ := strings.Cut(said, "whole; head ")
		head, _, _ = strings.Cut(rest, "\n")
		if err := r.Await(within(t, time.Minute), "signing"); err != nil {
			t.Error(err)
		}
	}
	return head
}
