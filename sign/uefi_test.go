package sign_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine/sign"
	"debusine/sign/signtest"
)

func TestSecureBootSignaturesVerify(t *testing.T) {
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
	image, signed, beside := write(t, filepath.Join(dir, "boot.efi"), signtest.Executable("boots")), filepath.Join(dir, "signed.efi"), filepath.Join(dir, "boot.sig")
	if err := s.SignFile(ctx, key, sign.Attached, image, signed); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", cert, signed)
	if err := s.SignFile(ctx, key, sign.Detached, image, beside); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", cert, "--detached", beside, image)
	// Signed twice, it bears both signatures.
	twice := filepath.Join(dir, "twice.efi")
	if err := s.SignFile(ctx, key, sign.Attached, signed, twice); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", cert, twice)
	if err := s.SignFile(ctx, key, sign.Clear, image, signed); err == nil {
		t.Error("an executable was clear-signed")
	}
	if err := s.SignFile(ctx, key, sign.Attached, write(t, filepath.Join(dir, "text"), []byte("no PE")), signed); err == nil || !strings.Contains(err.Error(), "PE executable") {
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

// sbsign holds an executable in memory: that it may have what the largest takes,
// and not more, is a matter of our bounds.
func TestALargeExecutableFitsIntoTheBounds(t *testing.T) {
	need(t, "sbsign", "sbverify")
	ctx, s, dir := context.Background(), newSigner(t), t.TempDir()
	key, err := s.Generate(ctx, sign.Wanted{Purpose: sign.UEFI})
	if err != nil {
		t.Fatal(err)
	}
	image, signature := write(t, filepath.Join(dir, "big.efi"), signtest.Executable("big")), filepath.Join(dir, "big.sig")
	if err := os.Truncate(image, 100<<20); err != nil {
		t.Fatal(err)
	}
	if err := s.SignFile(ctx, key, sign.Detached, image, signature); err != nil {
		t.Fatal(err)
	}
	run(t, "sbverify", "--cert", write(t, filepath.Join(dir, "cert.pem"), key.Public), "--detached", signature, image)
}

func TestAFileIsSignedBesideIt(t *testing.T) {
	need(t, "gpgv", "sqv")
	ctx, s, dir := context.Background(), newSigner(t), t.TempDir()
	key, err := s.Generate(ctx, sign.Wanted{Purpose: sign.OpenPGP})
	if err != nil {
		t.Fatal(err)
	}
	cert, file, signature := write(t, filepath.Join(dir, "cert.gpg"), key.Public), write(t, filepath.Join(dir, "file"), []byte("any\x00bytes")), filepath.Join(dir, "file.sig")
	if err := s.SignFile(ctx, key, sign.Detached, file, signature); err != nil {
		t.Fatal(err)
	}
	run(t, "gpgv", "--keyring", cert, signature, file)
	run(t, "sqv", "--keyring", cert, signature, file)
	if err := s.SignFile(ctx, key, sign.Attached, file, signature); err == nil {
		t.Error("a file has an OpenPGP signature within it")
	}
}
