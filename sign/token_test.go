//go:build cgo

package sign_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/sign"
)

const (
	softHSM  = "/usr/lib/softhsm/libsofthsm2.so"
	tokenURI = "pkcs11:token=debusine;object=archive"
)

// newToken is a SoftHSM token with an RSA key that was made in it.
func newToken(t *testing.T, kind string) sign.Signer {
	t.Helper()
	need(t, "softhsm2-util", "pkcs11-tool")
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := write(t, filepath.Join(dir, "softhsm2.conf"), []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"))
	t.Setenv("SOFTHSM2_CONF", conf)
	run(t, "softhsm2-util", "--init-token", "--free", "--label", "debusine", "--pin", "4711", "--so-pin", "081508")
	run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "debusine", "--login", "--pin", "4711",
		"--keypairgen", "--key-type", kind, "--id", "01", "--label", "archive")
	s := newSigner(t)
	s.Module, s.PINFile = softHSM, write(t, filepath.Join(dir, "pin"), []byte("4711\n"))
	return s
}

func TestAKeyInATokenSignsForDebiansTools(t *testing.T) {
	s := newToken(t, "RSA:3072")
	key, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.OpenPGPRepository, Name: "Archive in hardware"}, tokenURI)
	if err != nil {
		t.Fatal(err)
	}
	if key.Private.Storage != sign.PKCS11 || key.Private.URI != tokenURI || key.Private.Encrypted != nil {
		t.Errorf("kept as %+v", key.Private)
	}
	accepted(t, s, key)
	other := key
	elsewhere, err := newSigner(t).Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP, Algorithm: sign.RSA4096})
	if err != nil {
		t.Fatal(err)
	}
	other.Public = elsewhere.Public
	if _, err := s.SignOpenPGP(context.Background(), other, sign.Clear, []byte("x\n")); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("the token signed as another key: %v", err)
	}
}

func TestATokensKeyMustBeGoodEnough(t *testing.T) {
	s := newToken(t, "RSA:2048")
	_, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.OpenPGP}, tokenURI)
	if err == nil || !strings.Contains(err.Error(), "2048 bits") {
		t.Errorf("%v", err)
	}
	if key, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.UEFI, Name: "Boot"}, tokenURI); err != nil || !strings.Contains(string(key.Public), "CERTIFICATE") {
		t.Errorf("firmware takes it: %v", err)
	}
	for uri, want := range map[string]string{
		"pkcs11:token=debusine;object=other": "0 RSA keys",
		"pkcs11:token=other;object=archive":  "not found",
	} {
		if _, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.UEFI}, uri); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not about %q", uri, err, want)
		}
	}
}

// A token counts wrong PINs. One try is all that is made of each.
func TestAWrongPINIsTriedOnce(t *testing.T) {
	s := newToken(t, "RSA:3072")
	right := s.PINFile
	s.PINFile = write(t, filepath.Join(t.TempDir(), "pin"), []byte("9999"))
	_, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.OpenPGP}, tokenURI)
	if !errors.As(err, new(sign.WrongPIN)) || strings.Contains(err.Error(), "9999") {
		t.Fatalf("%v", err)
	}
	// The token itself remembers, so a service that starts anew does not try either.
	_, err = s.Register(context.Background(), sign.Wanted{Purpose: sign.OpenPGP}, tokenURI)
	if !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("tried again: %v", err)
	}
	s.PINFile = right
	run(t, "pkcs11-tool", "--module", softHSM, "--token-label", "debusine", "--login", "--pin", "4711", "--list-objects")
	if _, err := s.Register(context.Background(), sign.Wanted{Purpose: sign.OpenPGP}, tokenURI); err != nil {
		t.Errorf("after a login by hand: %v", err)
	}
}
