package server

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestAPersonSignsWithSequoia has Debian's own sq sign, and everybody who reads
// signed uploads take what came of it.
func TestAPersonSignsWithSequoia(t *testing.T) {
	if _, err := exec.LookPath("sq"); err != nil {
		t.Fatalf("%v (apt install sq)", err)
	}
	s := newSignature(t)
	if help := s.sh("sq sign --help"); !strings.Contains(help, "--signer-key") {
		t.Skip("this sq keeps keys in a store; Debian 12's takes them of files")
	}
	s.sh(`sq key generate --userid 'Mike <mike@example.org>' --export mike.key; sq key extract-cert mike.key >mike.cert
		sq key generate --userid 'Other <other@example.org>' --export other.key; gpg --dearmor <mike.cert >sq.gpg; rm signers/mike.gpg`)
	sign := func(args ...string) error {
		_, err := s.try(append([]string{"work-request", "sign", fmt.Sprint(s.id), "--with", "sq"}, args...)...)
		return err
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no key":                      {nil, "sq wants to know the key"},
		"a key that is not there":     {[]string{"--key", "none.key"}, "sq: exit status"},
		"a certificate is no key":     {[]string{"--key", "mike.cert"}, "sq: exit status"},
		"a fingerprint, of sq before": {[]string{"--key", strings.Repeat("A", 40)}, "sq: exit status"},
	} {
		if err := sign(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := sign("--key", "other.key"); err == nil || s.status().Status != "running" {
		t.Errorf("a stranger's signature was taken: %v", err)
	}
	s.sh("cp mike.cert signers/mike.asc; rm -r desk") // what the stranger signed
	if err := sign("--key", "mike.key"); err != nil {
		t.Fatal(err)
	}
	w := s.status()
	if w.Result != "success" || !strings.Contains(string(w.OutputData), "signed_by") || len(w.Artifacts) != 1 {
		t.Fatalf("%s, artifacts %v, output %s", w.Result, w.Artifacts, w.OutputData)
	}
	s.cli("artifact", "download", fmt.Sprint(w.Artifacts[0]), "--target-directory", "signed")
	for _, name := range []string{"tiny_1.0.dsc", "tiny_1.0_source.buildinfo", s.changes} {
		s.sh("gpgv --keyring ./sq.gpg signed/" + name + "; sq verify --signer-cert mike.cert signed/" + name)
	}
	if said := s.sh("dscverify --no-default-keyrings --keyring $PWD/sq.gpg signed/" + s.changes); !strings.Contains(said, "All files validated successfully") {
		t.Errorf("dscverify says %s", said)
	}
}
