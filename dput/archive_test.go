package dput_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"debusine/dput"
	"debusine/dput/dputtest"
)

func armouredAs(t *testing.T, kind string, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.EncodeWithChecksumOption(&out, kind, nil, true)
	if err == nil {
		if _, err = w.Write(content); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

// Debian's own archive tool takes what arrives, and says what it has.
func TestAnArchiveTakesWhatArrives(t *testing.T) {
	if _, err := exec.LookPath("reprepro"); err != nil {
		t.Skip("reprepro is not installed; hint: make test-deps")
	}
	p, of := dputtest.SSHD(t), makeSource(t, "1.0-1", "-sa")
	of.sign(t, someoneWithAKey(t, "ana"))
	checked, err := dput.Check(of.files(t), dput.Rules{Signed: true})
	if err != nil {
		t.Fatal(err)
	}
	send(t, p, dput.Parcel{Target: p.Target, Files: checked.Files, Changes: checked.File})

	base := t.TempDir()
	for _, dir := range []string{"conf", "tmp"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dputtest.Write(t, filepath.Join(base, "conf/distributions"), "Codename: unstable\nArchitectures: source amd64\nComponents: main\n")
	dputtest.Write(t, filepath.Join(base, "conf/incoming"), "Name: queue\nIncomingDir: "+p.Dir+"\nTempDir: "+filepath.Join(base, "tmp")+"\nAllow: unstable\nCleanup: on_deny on_error\n")
	dputtest.Run(t, "reprepro", "-b", base, "processincoming", "queue")
	if said := dputtest.Run(t, "reprepro", "-b", base, "list", "unstable"); !strings.Contains(said, "unstable|main|source: tiny 1.0-1") {
		t.Errorf("%s; left in the queue is %v", said, list(t, p.Dir))
	}
}
