package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine/store/storetest"
)

func TestAdministratorsKeepKeysFromTheCommandLine(t *testing.T) {
	dsn, service := storetest.EmptyDSN(t), filepath.Join(t.TempDir(), "service.keys")
	key := func(args ...string) (string, error) {
		return admin("", append([]string{"key", "--signing-database", dsn, "--service-keys", service}, args...)...)
	}
	for _, s := range []step{
		{"service-key " + service, "keep a copy offline"},
		{"service-key " + service, "!exists already"},
		{"generate --purpose openpgp --name Test --description uploads", "made the openpgp key "},
		{"generate --purpose uefi --name Boot", "made the uefi key "},
		{"generate --purpose weapons", "!purpose must be"},
		{"generate --algorithm dsa", "!is not for openpgp keys"},
		{"list", "uploads"},
		{"rotate", "2 keys are encrypted"},
		{"audit --verify", "4 entries, whole; head 4:"},
		{"audit", "rotate uefi"},
		{"audit --verify --head 9:" + strings.Repeat("0", 64), "!entry 9 was reported once"},
		{"show 00", "!not found"},
	} {
		out, err := key(strings.Fields(s.args)...)
		fault, wanted := strings.CutPrefix(s.want, "!")
		if wanted != (err != nil) || (wanted && !strings.Contains(err.Error(), fault)) || (!wanted && !strings.Contains(out, s.want)) {
			t.Errorf("%s: %q, %v", s.args, out, err)
		}
	}
	revoke(t, key, showAndRetire(t, key))
	state := t.TempDir()
	if err := os.Mkdir(filepath.Join(state, "signing"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := admin("", "--state", state, "key", "list"); err == nil || !strings.Contains(err.Error(), "has started a signing worker") {
		t.Errorf("%v", err)
	}
	for name, text := range map[string]string{"dsn": dsn, "service.keys": ""} {
		if err := os.WriteFile(filepath.Join(state, "signing", name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := admin("", "--state", state, "key", "list"); err != nil || !strings.Contains(out, "uefi") {
		t.Errorf("of a stack: %s %v", out, err)
	}
	if _, err := admin("", "--state", state, "key", "generate"); err == nil || !strings.Contains(err.Error(), "service key") {
		t.Errorf("with the service keys of a stack that has none: %v", err)
	}
}

func showAndRetire(t *testing.T, key func(...string) (string, error)) (fingerprint string) {
	t.Helper()
	list, err := key("list")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(list, "\nopenpgp")
	fingerprint = strings.Fields(rest)[0]
	shown, err := key("show", fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cert.asc")
	if err := os.WriteFile(file, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gpg", "--homedir", t.TempDir(), "--show-keys", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fingerprint) {
		t.Errorf("gpg does not know what show printed: %s, %v", out, err)
	}
	if out, err := key("retire", fingerprint, "--reason", "lost"); err != nil || !strings.Contains(out, "signs no more") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := key("retire", fingerprint, "--reason", "lost"); err == nil {
		t.Error("retired twice")
	}
	return fingerprint
}

// GnuPG believes the revocation of a key, also of one that is retired.
func revoke(t *testing.T, key func(...string) (string, error), fingerprint string) {
	t.Helper()
	if _, err := key("revocation", fingerprint); err == nil || !strings.Contains(err.Error(), "why?") {
		t.Errorf("without a reason: %v", err)
	}
	revoked, err := key("revocation", fingerprint, "--compromised", "--reason", "the machine fell")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	file := filepath.Join(home, "revoked.asc")
	if err := os.WriteFile(file, []byte(revoked), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gpg", "--homedir", home, "--batch", "--with-colons", "--with-sig-check", "--import-options", "show-only", "--import", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\npub:r:") && !strings.HasPrefix(string(out), "pub:r:") {
		t.Errorf("gpg does not take it for revoked: %s, %v", out, err)
	}
	if out, err := key("audit"); err != nil || !strings.Contains(out, " revoke openpgp "+fingerprint) {
		t.Errorf("the audit does not know: %s %v", out, err)
	}
	list, err := key("list")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(list, "\nuefi")
	if _, err := key("revocation", strings.Fields(rest)[0], "--reason", "x"); err == nil || !strings.Contains(err.Error(), "dbx") {
		t.Errorf("of a certificate for Secure Boot: %v", err)
	}
}
