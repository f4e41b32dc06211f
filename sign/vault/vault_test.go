package vault_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/sign"
	"debusine/sign/vault"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	storetest.Main(m)
}

// world is a vault with a way into its database that no program of ours has.
type world struct {
	*vault.Vault
	t      *testing.T
	db     *pgx.Conn
	dsn    string
	signer sign.Signer
}

func newWorld(t *testing.T, change ...func(*sign.Signer)) *world {
	t.Helper()
	w := &world{t: t, dsn: storetest.EmptyDSN(t), signer: sign.Signer{ServiceKeys: filepath.Join(t.TempDir(), "service.keys")}}
	w.must(sign.CreateServiceKeys(w.signer.ServiceKeys))
	for _, c := range change {
		c(&w.signer)
	}
	v, err := vault.Open(t.Context(), w.dsn, w.signer)
	w.must(err)
	t.Cleanup(v.Close)
	w.Vault = v
	w.db, err = pgx.Connect(t.Context(), w.dsn)
	w.must(err)
	t.Cleanup(func() { w.db.Close(context.Background()) })
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.db.Exec(context.Background(), sql, args...)
	w.must(err)
}

// key makes one that was generated for work request 7.
func (w *world) key() vault.Key {
	w.t.Helper()
	k, err := w.Generate(w.t.Context(), sign.Wanted{Purpose: sign.OpenPGP, Name: "Test"}, vault.Cause{User: "alice", WorkRequest: 7, Description: "for tests"})
	w.must(err)
	return k
}

func (w *world) sign(k vault.Key) {
	w.t.Helper()
	_, err := w.SignOpenPGP(w.t.Context(), k, sign.Clear, []byte("x\n"), vault.Cause{User: "alice", WorkRequest: 8, Artifact: 3, Resource: "hello.dsc"})
	w.must(err)
}

// entries are the audit's events in order.
func (w *world) events(known ...vault.Head) (events []string, v vault.Verdict, err error) {
	v, err = w.Verify(w.t.Context(), known, func(e vault.Entry) error {
		events = append(events, e.Event)
		return nil
	})
	return events, v, err
}

func TestEachSignatureIsInTheAudit(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	w.sign(k)
	events, v, err := w.events()
	w.must(err)
	if got := strings.Join(events, " "); got != "generate intend sign" || v.Entries != 3 || len(v.Unfinished) != 0 {
		t.Errorf("%s, %+v", got, v)
	}
	head, err := w.Head(t.Context())
	if err != nil || head != v.Head || head.Seq != 3 {
		t.Errorf("head %v, %v, verified %v", head, err, v.Head)
	}
	again, err := vault.ParseHead(head.String())
	if err != nil || again != head {
		t.Errorf("%v, %v", again, err)
	}
}

func TestAWorkRequestMakesOneKey(t *testing.T) {
	w := newWorld(t)
	if first, second := w.key(), w.key(); first.Fingerprint != second.Fingerprint {
		t.Errorf("%s and %s", first.Fingerprint, second.Fingerprint)
	}
	keys, err := w.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Description != "for tests" {
		t.Errorf("%+v, %v", keys, err)
	}
}

// Signing fails after the intention: the audit says so, and no signature is out.
func TestAFailureIsOnRecord(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	w.must(os.Remove(w.signer.ServiceKeys))
	if _, err := w.SignOpenPGP(t.Context(), k, sign.Clear, []byte("x\n"), vault.Cause{WorkRequest: 8}); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("%v", err)
	}
	events, v, err := w.events()
	w.must(err)
	if got := strings.Join(events, " "); got != "generate intend fail" || len(v.Unfinished) != 0 {
		t.Errorf("%s, %+v", got, v)
	}
}

// A worker that dies as it signs leaves its intention.
func TestADeathBetweenTheTwoEntriesShows(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	ctx, cancel := context.WithCancel(t.Context())
	dying, err := vault.Open(t.Context(), w.dsn, sign.Signer{ServiceKeys: w.signer.ServiceKeys, Child: []string{"/bin/sleep", "60"}})
	w.must(err)
	done := make(chan error)
	go func() {
		_, err := dying.SignOpenPGP(ctx, k, sign.Clear, []byte("x\n"), vault.Cause{User: "alice", WorkRequest: 8, Resource: "hello.dsc"})
		done <- err
	}()
	for {
		if head, err := w.Head(t.Context()); err != nil || head.Seq == 2 {
			w.must(err)
			break
		}
	}
	// Its connection goes first, as with a process that is killed: the end of the
	// signature finds no database.
	dying.Close()
	cancel()
	if err := <-done; err == nil {
		t.Error("a signature came out that is not on record")
	}
	_, v, err := w.events()
	w.must(err)
	if len(v.Unfinished) != 1 || v.Unfinished[0].Resource != "hello.dsc" || v.Unfinished[0].User != "alice" {
		t.Errorf("%+v", v)
	}
}

func TestRotationAndRetirement(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	w.must(sign.RotateServiceKeys(w.signer.ServiceKeys))
	if n, err := w.Rotate(t.Context(), vault.Cause{}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := w.Rotate(t.Context(), vault.Cause{}); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	k, err := w.Key(t.Context(), strings.ToLower(k.Fingerprint))
	w.must(err)
	w.sign(k)
	w.must(w.Retire(t.Context(), k.Fingerprint, vault.Cause{Description: "its token was lost"}))
	k, err = w.Key(t.Context(), k.Fingerprint)
	w.must(err)
	var conflict debusine.Conflict
	if _, err := w.SignOpenPGP(t.Context(), k, sign.Clear, []byte("x\n"), vault.Cause{}); !errors.As(err, &conflict) {
		t.Errorf("a retired key signs: %v", err)
	}
	events, _, err := w.events()
	w.must(err)
	if got := strings.Join(events, " "); got != "generate rotate intend sign retire" {
		t.Error(got)
	}
	if _, err := w.Key(t.Context(), "0000"); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("an unknown key: %v", err)
	}
}

func TestTheServersDatabaseIsRefused(t *testing.T) {
	_, err := vault.Open(t.Context(), storetest.DSN(t), sign.Signer{})
	if !errors.As(err, new(debusine.Invalid)) || !strings.Contains(err.Error(), "one of their own") {
		t.Errorf("%v", err)
	}
}

// A PIN that was refused is not tried again, whatever the token itself thinks,
// until somebody writes another: here the child only claims that it was wrong.
func TestAPINIsTriedOnceAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	tries := filepath.Join(dir, "tries")
	pin := filepath.Join(dir, "pin")
	if err := os.WriteFile(pin, []byte("1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(s *sign.Signer) {
		s.PINFile, s.Module = pin, "/nonexistent.so"
		s.Child = []string{"/bin/sh", "-c", "cat >/dev/null; echo try >>" + tries + `; echo '{"fault":{"kind":"wrong-pin"}}'`}
	})
	for range 3 {
		again, err := vault.Open(t.Context(), w.dsn, w.signer)
		w.must(err)
		if _, err := again.Register(t.Context(), sign.Wanted{Purpose: sign.OpenPGP}, "pkcs11:token=a;object=b", vault.Cause{}); !errors.As(err, new(debusine.Conflict)) {
			t.Errorf("%v", err)
		}
		again.Close()
	}
	w.tried(tries, 1)
	w.must(os.WriteFile(pin, []byte("12345"), 0o600))
	if _, err := w.Register(t.Context(), sign.Wanted{Purpose: sign.OpenPGP}, "pkcs11:token=a;object=b", vault.Cause{}); err == nil {
		t.Error("it worked")
	}
	w.tried(tries, 2)
}

// The same holds for what is signed: a hundred work requests lock no token.
func TestAWrongPINIsNotTriedAgainForTheNextSignature(t *testing.T) {
	dir := t.TempDir()
	tries, pin, registered, file := filepath.Join(dir, "tries"), filepath.Join(dir, "pin"), filepath.Join(dir, "registered"), filepath.Join(dir, "file")
	for _, path := range []string{pin, file} {
		if err := os.WriteFile(path, []byte("1234"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	answer := `{"key": {"storage": "pkcs11-static", "pkcs11_uri": "pkcs11:token=a;object=b"}, "fingerprint": "` + strings.Repeat("AB", 20) + `", "public": "eA=="}`
	w := newWorld(t, func(s *sign.Signer) {
		s.PINFile, s.Module = pin, "/nonexistent.so"
		s.Child = []string{"/bin/sh", "-c", "cat >/dev/null; if [ -e " + registered + " ]; then echo try >>" + tries + `; echo '{"fault":{"kind":"wrong-pin"}}'; else touch ` + registered + "; echo '" + answer + "'; fi"}
	})
	k, err := w.Register(t.Context(), sign.Wanted{Purpose: sign.OpenPGP}, "pkcs11:token=a;object=b", vault.Cause{})
	w.must(err)
	for range 3 {
		_, inline := w.SignOpenPGP(t.Context(), k, sign.Clear, []byte("x\n"), vault.Cause{WorkRequest: 8})
		beside := w.SignFile(t.Context(), k, sign.Detached, file, file+".sig", vault.Cause{WorkRequest: 9})
		if !errors.As(inline, new(debusine.Conflict)) || !errors.As(beside, new(debusine.Conflict)) {
			t.Errorf("%v, %v", inline, beside)
		}
	}
	w.tried(tries, 1)
	events, v, err := w.events()
	w.must(err)
	if strings.Count(strings.Join(events, " "), "intend fail") != 6 || len(v.Unfinished) != 0 {
		t.Errorf("%v", events)
	}
}

func (w *world) tried(path string, want int) {
	w.t.Helper()
	raw, err := os.ReadFile(path)
	w.must(err)
	if got := strings.Count(string(raw), "try"); got != want {
		w.t.Errorf("the PIN was tried %d times, not %d", got, want)
	}
}

// What lies in the database opens nothing: it is searched for every way in which
// a private key could have got there.
func TestNoPrivateKeyIsInTheDatabase(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	home, err := os.MkdirTemp("/tmp", "g")
	w.must(err)
	defer os.RemoveAll(home)
	batch := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""}
	gpg := func(args ...string) []byte {
		out, err := exec.Command("gpg", append(batch, args...)...).Output()
		w.must(err)
		return out
	}
	gpg("--quick-generate-key", "Imported <i@example.org>", "ed25519", "sign", "0")
	secret := gpg("--export-secret-keys")
	_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
	path := filepath.Join(dir, "key")
	w.must(os.WriteFile(path, secret, 0o600))
	k, err := w.Import(t.Context(), sign.OpenPGP, path, vault.Cause{User: "bob"})
	w.must(err)
	w.sign(k)
	// The last 34 bytes are not all secret; the 16 before the checksum are the key's.
	needle := secretScalar(t, secret)
	dump, err := exec.Command("pg_dump", w.dsn).Output()
	w.must(err)
	if len(dump) < 1000 || !strings.Contains(string(dump), k.Fingerprint) {
		t.Fatalf("the dump holds no key: %d bytes", len(dump))
	}
	for _, form := range forms(needle) {
		if strings.Contains(string(dump), form) {
			t.Errorf("the database holds the private key as %q", form)
		}
	}
}
