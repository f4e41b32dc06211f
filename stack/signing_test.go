package stack

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheSigningWorkersSecretsAreMadeOnceAndAreItsOwn(t *testing.T) {
	s, calls := newOurs(t, "echo signing-word")
	var keys [][]byte
	var words []string
	for range 2 {
		p, err := s.signingPart(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := p.command()
		if err != nil {
			t.Fatal(err)
		}
		words = cmd.Args[1:]
		raw, err := os.ReadFile(s.ServiceKeys())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, raw)
	}
	if !bytes.Equal(keys[0], keys[1]) || len(keys[0]) == 0 {
		t.Error("a second start made other service keys: all keys would be lost")
	}
	if want := "worker create --signing --enable standalone-signing"; calls() != want {
		t.Errorf("the calls were %q, want %q", calls(), want)
	}
	password, err := s.folder.signingPassword()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(words, " ")
	for _, want := range []string{"signing --api-url http://127.0.0.1:7800/api ", "--temporal 127.0.0.1:7803 ", "user=debusine_signing dbname='debusine_signing'",
		"--service-keys " + s.folder.path("signing", "service.keys"), "--temporal-tls-key " + s.folder.path("pki", "signing.key")} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	for _, secret := range []string{password, "signing-word", string(bytes.TrimSpace(keys[0]))} {
		if strings.Contains(line, secret) {
			t.Errorf("everybody can read a secret in the list of processes: %q", line)
		}
	}
	for file, mode := range map[string]os.FileMode{"": 0o700, "service.keys": 0o400, "pgpass": 0o600, "token": 0o600, "dsn": 0o600} {
		if info, err := os.Stat(s.folder.path("signing", file)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("signing/%s: %v, %v", file, info, err)
		}
	}
	others, err := s.folder.passwords()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(s.folder.path("pki", "pgpass"))
	if err != nil || bytes.Contains(raw, []byte(password)) || others[roleSigning] != "" {
		t.Errorf("the server's file of passwords has the signing worker's too (%v)", err)
	}
}

func TestAHalfMadeFileOfServiceKeysIsMadeAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "service.keys")
	if err := os.WriteFile(file+".fresh", []byte("# cut"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := keepServiceKeys(file); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil || len(bytes.Fields(raw)) < 10 {
		t.Errorf("%q %v", raw, err)
	}
}

func TestADamagedPasswordOfTheKeysIsNoReasonToMakeAnother(t *testing.T) {
	f := newFolder(t)
	if err := os.WriteFile(f.path("signing", "pgpass"), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.signingPassword(); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("the error is %v", err)
	}
}

// The whole stack with its signing worker alone: it takes work, comes back when
// it is killed, keeps its keys over a restart, and ends in order.
func TestTheStackHasASigningWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL and Temporal")
	}
	program := filepath.Join(t.TempDir(), "debusine")
	if said, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "debusine/cmd/debusine").CombinedOutput(); err != nil {
		t.Fatalf("building debusine: %v\n%s", err, said)
	}
	options := Options{State: string(newFolder(t)), Program: program, NoWorker: true}
	var keys []byte
	for round := range 2 {
		s, err := Start(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Parts(), " "); got != "postgresql temporal ui server signing" {
			t.Errorf("its parts are %s", got)
		}
		now, err := os.ReadFile(s.ServiceKeys())
		if err != nil || round > 0 && !bytes.Equal(now, keys) {
			t.Errorf("the service keys did not survive (%v)", err)
		}
		keys = now
		if round == 0 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := s.Kill(nameSigning); err != nil {
				t.Error(err)
			}
			if err := s.Await(ctx, nameSigning); err != nil {
				t.Error(err)
			}
			cancel()
		}
		s.Stop(context.Background())
		if left := marked(folder(s.State())); len(left) > 0 {
			t.Errorf("a clean stop left %v", left)
		}
		log, err := os.ReadFile(s.folder.path("log", "signing.log"))
		if err != nil || !strings.Contains(string(log), "joined") {
			t.Errorf("its log: %s %v", log, err)
		}
	}
}
