package sign_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/sign"
)

func TestKeysMadeHereSignForDebiansTools(t *testing.T) {
	for _, algorithm := range []sign.Algorithm{sign.Ed25519, sign.RSA4096} {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			s := newSigner(t)
			key, err := s.Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP, Algorithm: algorithm, Name: "Test Archive <archive@example.org>"})
			if err != nil {
				t.Fatal(err)
			}
			c, err := sign.ReadCertificate(key.Public)
			if err != nil || c.Fingerprint != key.Fingerprint || c.UserID != "Test Archive <archive@example.org>" {
				t.Errorf("the certificate says %+v, %v", c, err)
			}
			accepted(t, s, key)
		})
	}
}

func TestAKeyOfGnuPGIsImported(t *testing.T) {
	need(t, "gpg", "gpgconf")
	t.Parallel()
	for name, c := range map[string]struct {
		algorithm, passphrase, refused string
	}{
		"Ed25519":                      {algorithm: "ed25519"},
		"RSA of 3072 bits":             {algorithm: "rsa3072"},
		"RSA of 2048 bits":             {algorithm: "rsa2048", refused: "2048 bits"},
		"DSA":                          {algorithm: "dsa2048", refused: "none that apt accepts"},
		"ECDSA over P-256":             {algorithm: "nistp256"},
		"ECDSA over a Brainpool curve": {algorithm: "brainpoolP256r1", refused: "curve"},
		"ECDSA over Bitcoin's curve":   {algorithm: "secp256k1", refused: "curve"},
		"a key with a passphrase":      {algorithm: "ed25519", passphrase: "secret", refused: "passphrase"},
	} {
		t.Run(name, func(t *testing.T) {
			// gpg-agent's socket needs a short path.
			home, err := os.MkdirTemp("/tmp", "g")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(home)
			batch := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", c.passphrase}
			run(t, "gpg", append(batch, "--quick-generate-key", "Old Key <old@example.org>", c.algorithm, "sign", "0")...)
			out := run(t, "gpg", append(batch, "--armor", "--export-secret-keys")...)
			run(t, "gpgconf", "--homedir", home, "--kill", "all")
			s := newSigner(t)
			key, err := s.Import(context.Background(), sign.OpenPGP, write(t, filepath.Join(home, "key.asc"), []byte(out[strings.Index(out, "-----BEGIN"):])))
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%v, not about %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			accepted(t, s, key)
		})
	}
}

func TestAnImportThatCannotBeIsRefused(t *testing.T) {
	s, dir := newSigner(t), t.TempDir()
	made, err := s.Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP})
	if err != nil {
		t.Fatal(err)
	}
	readable := write(t, filepath.Join(dir, "readable"), []byte("x"))
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"a certificate alone":       {write(t, filepath.Join(dir, "cert"), made.Public), "without its private key"},
		"no key":                    {write(t, filepath.Join(dir, "junk"), []byte("secret words")), "not exactly one"},
		"a file that others read":   {readable, "others than its owner"},
		"a file that is not there":  {filepath.Join(dir, "nowhere"), "not found"},
		"two certificates together": {write(t, filepath.Join(dir, "two"), append(bytes.Clone(made.Public), made.Public...)), "not exactly one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Import(context.Background(), sign.OpenPGP, c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, not about %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret words") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

// What apt's policy of 2026 refuses, or will soon, cannot be asked for.
func TestWeakKeysCannotBeAskedFor(t *testing.T) {
	for _, purpose := range []sign.Purpose{sign.OpenPGP, sign.OpenPGPRepository, sign.UEFI} {
		for _, name := range []string{"rsa", "rsa1024", "rsa2048", "rsa3072", "dsa2048", "nistp256", "brainpoolP256r1", "secp256k1", "ed448", "sha1", "rsa4096 "} {
			_, err := sign.ParseAlgorithm(name, purpose)
			if may := purpose == sign.UEFI && name == "rsa2048"; may != (err == nil) {
				t.Errorf("%s for %s: %v", name, purpose, err)
			}
		}
		for _, name := range []string{"", "RSA4096"} {
			if _, err := sign.ParseAlgorithm(name, purpose); err != nil {
				t.Errorf("%q for %s: %v", name, purpose, err)
			}
		}
	}
	if _, err := newSigner(t).Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP, Algorithm: "rsa2048"}); err == nil {
		t.Error("the child made what the parent would refuse")
	}
}

// A certificate that SHA-1 binds to its user id is refused, with what to do.
func TestAKeyBoundWithSHA1IsRefused(t *testing.T) {
	need(t, "gpg", "gpgconf")
	home, err := os.MkdirTemp("/tmp", "g")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	batch := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--cert-digest-algo", "SHA1", "--allow-weak-digest-algos"}
	run(t, "gpg", append(batch, "--quick-generate-key", "Old Key <old@example.org>", "rsa4096", "sign", "0")...)
	out := run(t, "gpg", append(batch, "--armor", "--export-secret-keys")...)
	run(t, "gpgconf", "--homedir", home, "--kill", "all")
	_, err = newSigner(t).Import(context.Background(), sign.OpenPGP, write(t, filepath.Join(home, "key.asc"), []byte(out[strings.Index(out, "-----BEGIN"):])))
	var invalid debusine.Invalid
	if !errors.As(err, &invalid) || !(strings.Contains(invalid.What, "SHA-1") || strings.Contains(invalid.What, "signed")) {
		t.Errorf("%v", err)
	}
}

func TestAnExpiredKeySignsNoMore(t *testing.T) {
	s := newSigner(t)
	key, err := s.Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP, Life: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c, err := sign.ReadCertificate(key.Public)
	if err != nil || c.Expires.IsZero() {
		t.Fatalf("%+v, %v", c, err)
	}
	time.Sleep(time.Until(c.Expires.Add(1100 * time.Millisecond))) // the key's own time is what is waited for
	_, err = s.SignOpenPGP(context.Background(), key, sign.Clear, []byte("x\n"))
	var conflict debusine.Conflict
	if !errors.As(err, &conflict) || !strings.Contains(conflict.What, "expired") || conflict.Hint == "" {
		t.Errorf("an expired key: %v", err)
	}
}
