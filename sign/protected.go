package sign

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"

	"debusine"
)

// The ways in which a private key is kept.
const (
	NaCl   = "nacl"          // encrypted to a service key
	PKCS11 = "pkcs11-static" // in a token, which it never leaves
)

// Protected is a private key as it may be kept anywhere, in Debusine's own JSON.
type Protected struct {
	Storage   string `json:"storage"`
	PublicKey []byte `json:"public_key,omitempty"` // of the service key, 32 bytes
	Encrypted []byte `json:"encrypted,omitempty"`  // a NaCl sealed box
	URI       string `json:"pkcs11_uri,omitempty"` // RFC 7512, without a PIN
}

// serviceKey is a Curve25519 key that protects private keys.
type serviceKey struct{ private, public [32]byte }

// serviceKeys are those of one file, the newest first.
type serviceKeys []serviceKey

// NewServiceKey gives a new line for a file of service keys.
func NewServiceKey() string {
	key := make([]byte, 32)
	rand.Read(key) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(key)
}

// CreateServiceKeys writes a file with one new service key, unless it exists.
func CreateServiceKeys(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if errors.Is(err, fs.ErrExist) {
		return debusine.Conflict{What: path + " exists already", Hint: "losing a service key loses every key that it protects; to rotate: debusine admin key rotate"}
	}
	if err != nil {
		return fmt.Errorf("making the file of service keys: %w", err)
	}
	_, err = f.WriteString("# Service keys of debusine signing, the newest first. Keep a copy offline.\n" + NewServiceKey() + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// RotateServiceKeys puts a new service key before those of the file. What the
// old ones protect stays readable.
func RotateServiceKeys(path string) error {
	if _, err := readServiceKeys(path); err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the service keys: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return fmt.Errorf("writing the service keys: %w", err)
	}
	_, err = f.Write(append([]byte(NewServiceKey()+"\n"), old...))
	if err := errors.Join(err, f.Sync(), f.Close(), sameOwner(next, info)); err != nil {
		return errors.Join(fmt.Errorf("writing the service keys: %w", err), os.Remove(next))
	}
	return os.Rename(next, path)
}

// readServiceKeys reads a file that nobody but its owner can.
func readServiceKeys(path string) (serviceKeys, error) {
	raw, err := readSecret(path, "the service keys")
	if err != nil {
		return nil, err
	}
	var keys serviceKeys
	for number, line := range strings.Split(string(raw), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		private, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(private) != 32 {
			return nil, debusine.Invalidf("line %d of the service keys is not 32 bytes in base64", number+1)
		}
		public, err := curve25519.X25519(private, curve25519.Basepoint)
		if err != nil {
			return nil, debusine.Invalidf("line %d of the service keys is no key", number+1)
		}
		keys = append(keys, serviceKey{[32]byte(private), [32]byte(public)})
	}
	if len(keys) == 0 {
		return nil, debusine.Invalid{What: "the file of service keys holds none", Hint: "debusine signing --help says how one is made"}
	}
	return keys, nil
}

// readSecret reads a file, and refuses one that others than its owner can read.
func readSecret(path, what string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, debusine.Missingf("the file of %s (%s)", what, path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, debusine.Invalid{What: fmt.Sprintf("others than its owner can read %s (%s)", what, path), Hint: "chmod 400 " + path}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	return raw, nil
}

// seal encrypts a private key to the newest service key.
func (keys serviceKeys) seal(private []byte) (Protected, error) {
	sealed, err := box.SealAnonymous(nil, private, &keys[0].public, rand.Reader)
	if err != nil {
		return Protected{}, fmt.Errorf("encrypting a key: %w", err)
	}
	return Protected{Storage: NaCl, PublicKey: keys[0].public[:], Encrypted: sealed}, nil
}

// open decrypts a private key with the service key that it names.
func (keys serviceKeys) open(p Protected) ([]byte, error) {
	for _, key := range keys {
		if !bytes.Equal(key.public[:], p.PublicKey) {
			continue
		}
		private, ok := box.OpenAnonymous(nil, p.Encrypted, &key.public, &key.private)
		if !ok {
			return nil, debusine.Invalidf("a protected key is damaged: its service key does not open it")
		}
		return private, nil
	}
	return nil, debusine.Missing{What: "the service key that protects this key", Hint: "put the old service key back, below the newest"}
}

// sameOwner gives a file to whom another belongs: root rotates for a service.
func sameOwner(path string, as os.FileInfo) error {
	stat, ok := as.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, int(stat.Uid), int(stat.Gid))
}
