package sign_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine/sign"
)

// TestMain lets the test binary be its own signing child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// newSigner has a service key of its own.
func newSigner(t *testing.T) sign.Signer {
	t.Helper()
	s := sign.Signer{ServiceKeys: filepath.Join(t.TempDir(), "service.keys")}
	if err := sign.CreateServiceKeys(s.ServiceKeys); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a tool and gives what it said.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tool(name, args...)
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

func tool(name string, args ...string) (string, error) {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.CombinedOutput()
	return string(out), err
}

// need skips where a tool is missing: make test-deps brings them.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, name := range tools {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is missing; hint: make test-deps", name)
		}
	}
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// accepted has Debian's own verifiers judge signatures by a key.
func accepted(t *testing.T, s sign.Signer, key sign.Key) {
	t.Helper()
	need(t, "gpgv", "sq", "sqv")
	dir := t.TempDir()
	cert := write(t, filepath.Join(dir, "cert.gpg"), key.Public)
	text := []byte("Origin: Debusine\n- dashed\nFrom here\ntrailing space \nArchitecture: amd64\n")
	plain := write(t, filepath.Join(dir, "Release"), text)
	clear, err := s.SignOpenPGP(context.Background(), key, sign.Clear, text)
	if err != nil {
		t.Fatal(err)
	}
	inline := write(t, filepath.Join(dir, "InRelease"), clear)
	run(t, "gpgv", "--keyring", cert, inline)
	run(t, "sq", "verify", "--signer-cert", cert, inline)
	beside, err := s.SignOpenPGP(context.Background(), key, sign.Detached, text)
	if err != nil {
		t.Fatal(err)
	}
	detached := write(t, filepath.Join(dir, "Release.gpg"), beside)
	run(t, "gpgv", "--keyring", cert, detached, plain)
	out := run(t, "sqv", "--keyring", cert, detached, plain)
	if !strings.Contains(strings.ToUpper(out), key.Fingerprint) {
		t.Errorf("sqv names %s, not %s", out, key.Fingerprint)
	}
	if out := run(t, "gpg", "--homedir", dir, "--list-packets", detached); !strings.Contains(out, "digest algo 10") {
		t.Errorf("the digest is not SHA-512:\n%s", out)
	}
	write(t, plain, append(text, '!'))
	if out, err := tool("sqv", "--keyring", cert, detached, plain); err == nil {
		t.Errorf("sqv accepts another text:\n%s", out)
	}
}
