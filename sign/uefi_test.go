package sign_test

import (
	"context"
	"debug/pe"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine/sign"
)

// executable is a PE file that any Go can make.
func executable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := write(t, filepath.Join(dir, "main.go"), []byte("package main\nfunc main() {}\n"))
	out := filepath.Join(dir, "boot.efi")
	t.Setenv("GOOS", "windows")
	t.Setenv("CGO_ENABLED", "0")
	run(t, "go", "build", "-ldflags", "-s -w", "-o", out, source)
	if f, err := pe.Open(out); err != nil {
		t.Fatal(err)
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSecureBootSignaturesVerify(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a PE executable")
	}
	need(t, "sbsign", "sbverify")
	ctx, s, dir := context.Background(), newSigner(t), t.TempDir()
	key, err := s.Generate(ctx, sign.Wanted{Purpose: sign.UEFI, Name: "Test Secure Boot"})
	if err != nil {
		t.Fatal(err)
	}
	if len(key.Fingerprint) != 64 {
		t.Errorf("fingerprint %s", key.Fingerprint)
	}
	cert := write(t, filepath.Join(dir, "cert.pem"), key.Public)
	image, signed, beside := executable(t), filepath.Join(dir, "signed.efi"), filepath.Join(dir, "boot.sig")
	if err := s.SignUEFI(ctx, key, "", image, signed); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", cert, signed)
	if err := s.SignUEFI(ctx, key, sign.Detached, image, beside); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", cert, "--detached", beside, image)
	if err := s.SignUEFI(ctx, key, "", write(t, filepath.Join(dir, "text"), []byte("no PE")), signed); err == nil || !strings.Contains(err.Error(), "PE executable") {
		t.Errorf("a text was signed: %v", err)
	}
}

func TestAKeyOfOpenSSLIsImported(t *testing.T) {
	need(t, "openssl")
	ctx, s, dir := context.Background(), newSigner(t), t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Boot", "-days", "30", "-keyout", key, "-out", cert)
	both := ""
	for _, path := range []string{key, cert} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		both += string(raw)
	}
	if _, err := s.Import(ctx, sign.UEFI, write(t, filepath.Join(dir, "both.pem"), []byte(both))); err != nil {
		t.Error(err)
	}
	if _, err := s.Import(ctx, sign.UEFI, key); err == nil {
		t.Error("a key without its certificate was taken")
	}
}
