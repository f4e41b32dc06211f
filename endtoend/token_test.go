package endtoend

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine/api"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// token is a key in a token, of software here, with a PIN that nobody but the signing
// worker is to know.
type token struct {
	dir, pinFile string
	right, wrong string // PINs
	officer      string // the security officer's PIN
	key          string // fingerprint, once it is registered
}

// newToken initialises a token and has it make a key inside.
func newToken(t *testing.T) *token {
	t.Helper()
	dir := t.TempDir()
	h := &token{dir: dir, pinFile: filepath.Join(dir, "pin"), right: rand.Text(), wrong: rand.Text(), officer: rand.Text()}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "softhsm2.conf"), []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\nlog.level = DEBUG\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.has(t, h.right)
	h.run(t, "softhsm2-util", "--init-token", "--free", "--label", "vault", "--pin", h.right, "--so-pin", h.officer)
	h.run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "vault", "--login", "--pin", h.right, "--keypairgen", "--key-type", "RSA:3072", "--id", "01", "--label", "archive")
	return h
}

// env is what the signing worker is told of the token.
func (h *token) env() []string {
	return []string{"SOFTHSM2_CONF=" + filepath.Join(h.dir, "softhsm2.conf"), "DEBUSINE_PKCS11_MODULE=" + softHSM, "DEBUSINE_PIN_FILE=" + h.pinFile}
}

func (h *token) run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), h.env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s; hint: make test-deps", program, err, out)
	}
}

// has makes a PIN the one in the file: a new file, as an editor writes one.
func (h *token) has(t *testing.T, pin string) {
	t.Helper()
	fresh := h.pinFile + ".new"
	if err := os.WriteFile(fresh, []byte(pin+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, h.pinFile); err != nil {
		t.Fatal(err)
	}
}

// signsInHardware signs with a key in a token: with the right PIN, with a wrong one,
// which is tried once, and with the right one again. Nobody is told a PIN.
func (r *registry) signsInHardware(t *testing.T, h *token) {
	uri := "pkcs11:token=vault;object=archive"
	if out, err := r.key(t, "register", uri+"?pin-value="+h.wrong); err == nil || strings.Contains(out, h.wrong) {
		t.Errorf("a PIN in the name: %v: %s", err, out)
	}
	out, err := r.key(t, "register", "--name", "In hardware <hardware@example.org>", "--description", "in a token", uri)
	words := strings.Fields(out)
	if err != nil || len(words) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	h.key = words[len(words)-1]
	r.enroll(t, h.key)
	r.admin(t, "key", "grant", h.key, "Signers", "--workspace", "debusine/System")
	signs := func(want, words string) api.WorkRequest {
		t.Helper()
		w := until(t, r.user, r.debsign(t, h.key), patient, "ended", ended)
		if w.Result != want || !strings.Contains(string(w.OutputData), words) {
			t.Errorf("it ended with %q, not %q about %q: %s", w.Result, want, words, w.OutputData)
		}
		return w
	}
	r.verify(t, r.result(t, signs("success", "audit_head").ID), h.key)
	h.has(t, h.wrong)
	for range 2 {
		signs("error", "refused its PIN, and it is not tried again")
	}
	h.has(t, h.right)
	signs("error", "has seen a wrong PIN, so none is tried")
	h.run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "vault", "--login", "--pin", h.right, "--list-objects")
	r.verify(t, r.result(t, signs("success", "audit_head").ID), h.key)
}
