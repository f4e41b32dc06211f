package debian

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

const signature = "-----BEGIN PGP SIGNATURE-----\n\niQEz=\n=abcd\n-----END PGP SIGNATURE-----\n"

func signed(text string) string {
	return "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + text + signature
}

func TestReadClearsigned(t *testing.T) {
	for name, c := range map[string][2]string{
		"text without a signature":           {"A: b\n", "A: b\n"},
		"the signed text alone":              {signed("A: b\n\nC: d\n"), "A: b\n\nC: d\n"},
		"escaped hyphens":                    {signed("- -----BEGIN PGP SIGNATURE-----\n- -\n- - x\n"), "-----BEGIN PGP SIGNATURE-----\n-\n- x\n"},
		"line ends of CR LF":                 {strings.ReplaceAll(signed("A: b\n"), "\n", "\r\n"), "A: b\n"},
		"several Hash headers":               {strings.Replace(signed("A: b\n"), "Hash", "Hash: SHA256\nHash", 1), "A: b\n"},
		"no Hash header":                     {strings.Replace(signed("A: b\n"), "Hash: SHA512\n", "", 1), "A: b\n"},
		"an empty line after the signature":  {signed("A: b\n") + "\n", "A: b\n"},
		"an empty line before the signature": {signed("A: b\n\n"), "A: b\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadClearsigned(strings.NewReader(c[0]), 1000)
			if err != nil || string(got) != c[1] {
				t.Errorf("got %q, %v, want %q", got, err, c[1])
			}
		})
	}
}

func TestReadClearsignedRefuses(t *testing.T) {
	good := signed("A: b\n")
	for name, text := range map[string]string{
		"text before":                     "Evil: yes\n" + good,
		"an empty line before":            "\n" + good,
		"text after":                      good + "Evil: yes\n",
		"a second signed message":         good + good,
		"a hyphen that is not escaped":    signed("-x\n"),
		"a marker with a blank behind it": strings.Replace(good, "-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP SIGNATURE----- ", 1),
		"a field among the headers":       strings.Replace(good, "Hash: SHA512", "Evil: yes", 1),
		"a blank line of spaces":          strings.Replace(good, "SHA512\n\n", "SHA512\n \n", 1),
		"no signature":                    strings.TrimSuffix(good, signature),
		"no end of the signature":         strings.TrimSuffix(good, "-----END PGP SIGNATURE-----\n"),
		"another kind of armour":          "-----BEGIN PGP MESSAGE-----\n\nA: b\n-----END PGP MESSAGE-----\n",
		"a marker inside the signature":   strings.Replace(good, "iQEz=", "-----BEGIN PGP SIGNATURE-----", 1),
		"more than the limit":             strings.Repeat("A", 1001),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ReadClearsigned(strings.NewReader(text), 1000); !isMalformed(err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := ReadClearsigned(iotest.ErrReader(broken), 10); !errors.Is(err, broken) {
		t.Errorf("an error of the disk became %v", err)
	}
}

// TestReadClearsignedReadsWhatGnuPGSigned signs a text with traps and compares.
func TestReadClearsignedReadsWhatGnuPGSigned(t *testing.T) {
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Fatal("this test needs gpg: apt-get install gnupg")
	}
	// A short path: gpg's agent listens on a socket in its home.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	run := func(stdin string, args ...string) []byte {
		t.Helper()
		command := exec.Command(gpg, append([]string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		command.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("gpg %v: %v\n%s", args, err, stderr.Bytes())
		}
		return out
	}
	run("", "--quick-generate-key", "test@example.org", "ed25519", "sign", "never")
	text := "Format: 1.8\n-dash: x\n- dash\nFrom here\nDescription:\n a\n .\n\n"
	got, err := ReadClearsigned(bytes.NewReader(run(text, "--clearsign")), 10000)
	if err != nil || strings.TrimRight(string(got), "\n") != strings.TrimRight(text, "\n") {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(home, "pubring.kbx")); err != nil {
		t.Error(err)
	}
}

func FuzzReadClearsigned(f *testing.F) {
	f.Add([]byte(signed("A: b\n- -x\n")))
	f.Add([]byte("-----BEGIN PGP"))
	f.Add([]byte("A: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := ReadClearsigned(bytes.NewReader(data), 1<<16)
		if err != nil && !isMalformed(err) {
			t.Errorf("an error that is no Malformed: %v", err)
		}
		if len(text) > len(data)+1 {
			t.Errorf("%d bytes became %d", len(data), len(text))
		}
		_, _ = readOne(io.LimitReader(bytes.NewReader(data), 1<<16), 1<<16)
	})
}
