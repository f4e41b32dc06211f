package signact_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/signtest"
	"debusine/sign/vault"
)

// dieAt names, in the environment of a process within a test, where it ends.
const dieAt = "SIGNACT_DIE_AT"

// A signing worker that is killed leaves each signature that it made on record,
// wherever it dies; the next one signs all, and that is on record too.
func TestADeadSigningWorkersSignaturesAreOnRecord(t *testing.T) {
	for where, want := range map[string]struct{ intended, signed int }{
		"before a signature is recorded": {1, 0}, // it exists; that it was intended says so
		"between two signatures":         {1, 1},
		"before anything is reported":    {2, 2},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.inputs[21].files["b.efi"] = signtest.Executable("b")
			command := exec.Command(os.Args[0], "-test.run=^TestDying$", "-test.count=1")
			command.Env = append(os.Environ(), dieAt+"="+where, "DIE_DSN="+b.dsn, "DIE_KEYS="+b.signer.ServiceKeys, "DIE_KEY="+b.key.Fingerprint)
			said, err := command.CombinedOutput()
			if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("it was not killed: %v\n%s", err, said)
			}
			verdict, err := b.vault.Verify(t.Context(), nil, nil)
			b.must(err)
			if b.made(vault.Intend) != want.intended || b.made(vault.Sign) != want.signed || len(verdict.Unfinished) != want.intended-want.signed {
				t.Errorf("%s; unfinished %+v", b.events(), verdict.Unfinished)
			}
			for _, e := range verdict.Unfinished {
				if e.WorkRequest != 9 || e.User != "alice" || e.Artifact != 21 || e.Resource != "b.efi" || e.Data != sum(b.inputs[21].files["b.efi"]) {
					t.Errorf("%+v", e)
				}
			}
			b.mustSign(debusine.Success)
			if b.made(vault.Sign) != want.signed+2 {
				t.Error(b.events())
			}
		})
	}
}

// TestDying is the process that is killed.
func TestDying(t *testing.T) {
	where := os.Getenv(dieAt)
	if where == "" {
		t.Skip("runs within another test")
	}
	signer := sign.Signer{ServiceKeys: os.Getenv("DIE_KEYS")}
	if strings.HasPrefix(where, "before a signature") {
		signer.Child = []string{"/bin/sh", "-c", filepath.Clean(os.Args[0]) + " " + sign.ChildCommand + " >/dev/null; kill -9 $PPID"}
	}
	b := benchIn(houseAt(t, os.Getenv("DIE_DSN"), signer))
	b.inputs[21].files["b.efi"] = signtest.Executable("b")
	b.key.Fingerprint = os.Getenv("DIE_KEY")
	die := func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
	b.judge = func(_ *api.SigningPermit, file string) error {
		if where == "between two signatures" && file != "" && file != "b.efi" {
			die()
		}
		return nil
	}
	b.giving = die
	out, err := b.sign()
	t.Fatalf("it lived on: %+v, %v", out, err)
}
