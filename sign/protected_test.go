package sign_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/sign"
)

func TestServiceKeysRotateByPrepending(t *testing.T) {
	ctx, s := context.Background(), newSigner(t)
	key, err := s.Generate(ctx, sign.Wanted{Purpose: sign.OpenPGP})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(s.ServiceKeys)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign.RotateServiceKeys(s.ServiceKeys); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(s.ServiceKeys)
	if err != nil || !bytes.HasSuffix(after, before) || len(after) <= len(before) {
		t.Fatalf("the old keys do not follow the new one: %v", err)
	}
	if _, err := s.SignOpenPGP(ctx, key, sign.Clear, []byte("x\n")); err != nil {
		t.Errorf("the old key is not read any more: %v", err)
	}
	again := key
	if again.Private, err = s.Reseal(ctx, key.Private); err != nil || bytes.Equal(again.Private.PublicKey, key.Private.PublicKey) {
		t.Fatalf("not sealed to the new service key: %v", err)
	}
	newest, _, _ := strings.Cut(string(after), "\n")
	if err := os.Remove(s.ServiceKeys); err != nil {
		t.Fatal(err)
	}
	write(t, s.ServiceKeys, []byte(newest+"\n"))
	if _, err := s.SignOpenPGP(ctx, again, sign.Clear, []byte("x\n")); err != nil {
		t.Errorf("the newest key alone does not open it: %v", err)
	}
	if _, err := s.SignOpenPGP(ctx, key, sign.Clear, []byte("x\n")); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("a key whose service key is gone: %v", err)
	}
}

func TestServiceKeysAreGuarded(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := newSigner(t)
	if err := sign.CreateServiceKeys(s.ServiceKeys); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("the file was written over: %v", err)
	}
	open := write(t, filepath.Join(dir, "open"), []byte(sign.NewServiceKey()))
	if err := os.Chmod(open, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"a file that a group reads": {open, "others than its owner"},
		"no file":                   {filepath.Join(dir, "nowhere"), "not found"},
		"an empty file":             {write(t, filepath.Join(dir, "empty"), []byte("# nothing\n")), "holds none"},
		"half a key":                {write(t, filepath.Join(dir, "half"), []byte("c2VjcmV0\n")), "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := sign.Signer{ServiceKeys: c.path}.Check(ctx)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "c2Vj") {
				t.Errorf("%v, not about %q", err, c.want)
			}
		})
	}
}

func TestProtectedKeysAreDebusinesJSON(t *testing.T) {
	s := newSigner(t)
	key, err := s.Generate(context.Background(), sign.Wanted{Purpose: sign.OpenPGP})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]string
	if err := json.Unmarshal(raw, &fields); err != nil || fields["storage"] != "nacl" || len(fields["public_key"]) != 44 || fields["encrypted"] == "" || len(fields) != 3 {
		t.Errorf("%s, %v", raw, err)
	}
	damaged := key
	damaged.Private.Encrypted = bytes.Clone(key.Private.Encrypted)
	damaged.Private.Encrypted[40] ^= 1
	if _, err := s.SignOpenPGP(context.Background(), damaged, sign.Clear, []byte("x\n")); !errors.As(err, new(debusine.Invalid)) {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestAChildThatDiesIsAnErrorWithoutWords(t *testing.T) {
	for name, command := range map[string][]string{
		"it is killed":    {"/bin/sh", "-c", "echo private-words >&2; kill -9 $$"},
		"it says nothing": {"/bin/true"},
		"it says rubbish": {"/bin/echo", "private-words"},
		"it is not there": {"/nonexistent/debusine"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigner(t)
			s.Child = command
			if err := s.Check(context.Background()); err == nil || strings.Contains(err.Error(), "private-words") {
				t.Errorf("%v", err)
			}
		})
	}
}

// A child has nothing of its parent's environment and leaves no core.
func TestAChildKnowsNothingOfItsParent(t *testing.T) {
	t.Setenv("DEBUSINE_TOKEN", "private-words")
	seen := filepath.Join(t.TempDir(), "seen")
	s := newSigner(t)
	s.Child = []string{"/bin/sh", "-c", "env > " + seen}
	_ = s.Check(context.Background())
	raw, err := os.ReadFile(seen)
	if err != nil || strings.Contains(string(raw), "private-words") || strings.Contains(string(raw), "HOME") {
		t.Errorf("%s, %v", raw, err)
	}
}
