package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// token is a SoftHSM token with an RSA key, made before the installation whose
// signing worker has it.
type token struct {
	dir, pinFile      string
	right, wrong, any string // PINs; any is the security officer's
}

func newToken(t *testing.T) *token {
	t.Helper()
	needs(t)
	k := &token{dir: t.TempDir(), right: debusine.NewSecret()[:24], wrong: debusine.NewSecret()[:24], any: debusine.NewSecret()[:24]}
	k.pinFile = filepath.Join(k.dir, "pin")
	if err := os.Mkdir(filepath.Join(k.dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := "directories.tokendir = " + k.dir + "/tokens\nobjectstore.backend = file\nlog.level = DEBUG\n"
	if err := os.WriteFile(filepath.Join(k.dir, "softhsm2.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	k.says(t, k.right)
	for _, words := range [][]string{
		{"softhsm2-util", "--init-token", "--free", "--label", "debusine", "--pin", k.right, "--so-pin", k.any},
		{"pkcs11-tool", "--module", softHSM, "--token-label", "debusine", "--login", "--pin", k.right, "--keypairgen", "--key-type", "RSA:3072", "--id", "01", "--label", "archive"},
	} {
		c := exec.Command(words[0], words[1:]...)
		c.Env = append(os.Environ(), k.env()...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s (apt install softhsm2 opensc): %v\n%s", words[0], err, out)
		}
	}
	return k
}

// says writes a PIN to the file that the signing worker reads.
func (k *token) says(t *testing.T, pin string) {
	t.Helper()
	if err := os.WriteFile(k.pinFile, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// env is what the programs that reach the token have in their environment.
func (k *token) env() []string {
	return []string{"SOFTHSM2_CONF=" + filepath.Join(k.dir, "softhsm2.conf"), "DEBUSINE_PKCS11_MODULE=" + softHSM, "DEBUSINE_PIN_FILE=" + k.pinFile}
}

// signsInHardware has the token sign an upload, and then tries a wrong PIN, once.
func (r *registry) signsInHardware(t *testing.T, k *token) {
	command := exec.Command(built.bin, "admin", "--state", r.State(), "key", "register", "--name", "In hardware", "pkcs11:token=debusine;object=archive")
	command.Env = append(os.Environ(), k.env()...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	list, err := r.key(t, "list")
	if err != nil {
		t.Fatal(err)
	}
	var fingerprint string
	for line := range strings.Lines(list) {
		if words := strings.Fields(line); len(words) > 1 && len(words[1]) == 40 && words[1] != r.generated && words[1] != r.imported {
			fingerprint = words[1]
		}
	}
	certificate, err := r.key(t, "show", fingerprint)
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, certificate, list)
	}
	file := filepath.Join(t.TempDir(), "token.asc")
	if err := os.WriteFile(file, []byte(certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	r.admin(t, "key", "enroll", file, "--workspace", "debusine/System")
	r.admin(t, "key", "grant", fingerprint, "Signers", "--workspace", "debusine/System")
	id := r.debsign(t, fingerprint)
	if w := until(t, r.user, id, patient, "ended", ended); w.Result != "success" {
		t.Fatalf("the token did not sign: %s", w.OutputData)
	}
	r.verify(t, r.result(t, id), fingerprint)
	k.says(t, k.wrong)
	for range 2 {
		w := until(t, r.user, r.debsign(t, fingerprint), patient, "ended", ended)
		if w.Result != "error" || !strings.Contains(string(w.OutputData), "PIN") || strings.Contains(fmt.Sprint(string(w.OutputData)), k.wrong) {
			t.Errorf("with a wrong PIN it ended with %q: %s", w.Result, w.OutputData)
		}
	}
}
