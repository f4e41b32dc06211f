package signact_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/activities/signing"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/signtest"
	"debusine/sign/vault"
)

// verifies runs a verifier of Debian's.
func (b *benchHouse) verifies(name string, args ...string) {
	b.Helper()
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	if said, err := command.CombinedOutput(); err != nil {
		b.Errorf("%s %v: %v\n%s", name, args, err, said)
	}
}

// file writes one for a verifier.
func (b *benchHouse) file(content []byte) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "file")
	b.must(os.WriteFile(path, content, 0o600))
	return path
}

func TestExecutablesOfSeveralArtifactsAreSigned(t *testing.T) {
	b := newBench(t)
	b.put(22, debusine.SigningInputData{}, map[string][]byte{"a.efi": signtest.Executable("a"), "b.efi": signtest.Executable("b")})
	b.order = append(b.order, 21) // named twice, signed once
	out := b.mustSign(debusine.Success)
	if len(b.outputs) != 2 || len(out.OutputData.Errors) > 0 {
		t.Fatalf("%+v", b.outputs)
	}
	cert := b.file(b.key.Public)
	for id, files := range map[int64][]string{21: {"tinyboot/usr/lib/tiny.efi"}, 22: {"a.efi", "b.efi"}} {
		output := b.outputs[id]
		if len(output.data.Results) != len(files) || output.data.Purpose != "uefi" || output.data.Fingerprint != b.key.Fingerprint || output.data.BinaryPackageName != b.inputs[id].data.BinaryPackageName {
			t.Errorf("%+v", output.data)
		}
		for i, name := range files {
			if r := output.data.Results[i]; r.File != name || r.OutputFile != name+".sig" {
				t.Errorf("%+v", r)
			}
			b.verifies("sbverify", "--cert", cert, "--detached", b.file(output.files[name+".sig"]), b.file(b.inputs[id].files[name]))
		}
	}
	if b.asked != 2+3 || b.made(vault.Intend) != 3 || b.made(vault.Sign) != 3 {
		t.Errorf("asked %d times; %s", b.asked, b.events())
	}
	if _, err := vault.ParseHead(out.OutputData.AuditHead); err != nil {
		t.Error(err)
	}
}

func TestASignatureCanBeWithinTheExecutable(t *testing.T) {
	b := newBench(t)
	b.mode = "attached"
	b.mustSign(debusine.Success)
	signed := b.outputs[21].files["tinyboot/usr/lib/tiny.efi.signed"]
	b.verifies("sbverify", "--cert", b.file(b.key.Public), b.file(signed))
}

func TestAnyFileIsSignedWithOpenPGP(t *testing.T) {
	b := newBench(t)
	b.otherKey(sign.OpenPGP)
	b.purpose = "openpgp"
	b.put(22, debusine.SigningInputData{}, map[string][]byte{"text": []byte("any\x00bytes\r\n"), "empty": {}})
	b.mustSign(debusine.Success)
	cert := b.file(b.key.Public)
	for name, content := range b.inputs[22].files {
		signature, file := b.file(b.outputs[22].files[name+".sig"]), b.file(content)
		b.verifies("gpgv", "--keyring", cert, signature, file)
		b.verifies("sqv", "--keyring", cert, signature, file)
	}
}

// What cannot be signed is told, beside the signatures of the rest.
func TestAFileThatCannotBeSignedFailsTheWorkRequest(t *testing.T) {
	for name, c := range map[string]struct {
		file, want string
		content    []byte
		size       int64
		intended   int // that the audit knows of, beside the good one
	}{
		"a kernel module":         {"lib/modules/6.1/ext4.ko", "kernel modules", signtest.Executable(""), 0, 0},
		"a packed kernel module":  {"lib/modules/6.1/ext4.ko.xz", "kernel modules", []byte("x"), 0, 0},
		"a text":                  {"README", "not a sound PE executable", []byte("no executable"), 0, 1},
		"an empty file":           {"empty.efi", "not a sound PE executable", nil, 0, 1},
		"an executable that lies": {"lies.efi", "not a sound PE executable", append(signtest.Executable("")[:signtest.Sections], make([]byte, 40)...), 0, 1},
		"a huge file":             {"huge.efi", "536870912 are allowed", nil, 1 << 30, 0},
		"a path of 500 bytes":     {strings.Repeat("p", 500), "path is too long", signtest.Executable(""), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.inputs[21].files[c.file] = c.content
			if c.size > 0 {
				b.inputs[21].sizes = map[string]int64{c.file: c.size}
			}
			out := b.mustSign(debusine.Failure)
			if len(out.OutputData.Errors) != 1 || !strings.Contains(out.OutputData.Errors[0].Message, "1 of 2 files were not signed") {
				t.Errorf("%+v", out.OutputData.Errors)
			}
			for _, r := range b.outputs[21].data.Results {
				if good := r.File == "tinyboot/usr/lib/tiny.efi"; good != (r.ErrorMessage == "") || (!good && (!strings.Contains(r.ErrorMessage, c.want) || r.OutputFile != "")) {
					t.Errorf("%+v", r)
				}
			}
			if b.made(vault.Intend) != 1+c.intended || b.made(vault.Fail) != c.intended || b.made(vault.Sign) != 1 {
				t.Error(b.events())
			}
		})
	}
}

// Nothing comes out where one of all must not be signed.
func TestWhatMustNotBeSignedEndsTheTask(t *testing.T) {
	refuse := func(b *benchHouse, when func(*api.SigningPermit, string) bool, change func(*api.SigningPermit)) {
		b.judge = func(p *api.SigningPermit, file string) error {
			if !when(p, file) {
				return nil
			}
			if change == nil {
				return debusine.Forbiddenf("no right")
			}
			change(p)
			return nil
		}
	}
	always := func(*api.SigningPermit, string) bool { return true }
	for name, c := range map[string]struct {
		do     func(*benchHouse)
		signed int
		want   string
	}{
		"the server says no": {func(b *benchHouse) { refuse(b, always, nil) }, 0, "no right"},
		"the grant is revoked after the first signature": {func(b *benchHouse) {
			refuse(b, func(*api.SigningPermit, string) bool { return b.asked > 3 }, nil)
		}, 1, "no right"},
		"one of the artifacts is another's": {func(b *benchHouse) {
			refuse(b, func(p *api.SigningPermit, _ string) bool { return p.Artifact == 22 }, func(p *api.SigningPermit) { p.MadeBy = 4 })
		}, 0, "not the output"},
		"a file changed between plan and signature": {func(b *benchHouse) {
			refuse(b, func(_ *api.SigningPermit, file string) bool { return file == "a.efi" }, func(p *api.SigningPermit) { p.Files["a.efi"] = sum(nil) })
		}, 1, "not the one"},
		"the leave is for another artifact": {func(b *benchHouse) { refuse(b, always, func(p *api.SigningPermit) { p.Artifact = 70 }) }, 0, "leave is for artifact 70"},
		"the clock is a year ahead":         {func(b *benchHouse) { refuse(b, always, func(p *api.SigningPermit) { p.Now = p.Now.AddDate(-1, 0, 0) }) }, 0, "clock is"},
		"the clock is a year behind":        {func(b *benchHouse) { refuse(b, always, func(p *api.SigningPermit) { p.Now = p.Now.AddDate(1, 0, 0) }) }, 0, "clock is"},
		"code trusts what it may not": {func(b *benchHouse) {
			b.inputs[22].data.TrustedCerts = []string{strings.Repeat("ab", 32), strings.Repeat("cd", 32)}
		}, 0,
			"trusts the certificate cdcdcd"},
		"a path that goes up":        {func(b *benchHouse) { b.inputs[22].files["../../etc/passwd"] = signtest.Executable("") }, 0, "must be relative and plain"},
		"an absolute path":           {func(b *benchHouse) { b.inputs[22].files["/etc/passwd"] = signtest.Executable("") }, 0, "must be relative and plain"},
		"a path with an escape":      {func(b *benchHouse) { b.inputs[22].files["a\x1b[2Jb"] = signtest.Executable("") }, 0, "must be relative and plain"},
		"more bytes than can be":     {func(b *benchHouse) { b.inputs[22].sizes = map[string]int64{"a.efi": 5 << 30} }, 0, "bytes to be signed"},
		"the key is for uploads":     {func(b *benchHouse) { b.retype("openpgp") }, 0, "is for uefi"},
		"the key is retired":         {func(b *benchHouse) { b.must(b.vault.Retire(b.Context(), b.key.Fingerprint, vault.Cause{})) }, 0, "retired"},
		"the key is unknown here":    {func(b *benchHouse) { b.key.Fingerprint = strings.Repeat("0", 64) }, 0, "not found"},
		"the certificate is expired": {func(b *benchHouse) { b.expiredKey(sign.UEFI) }, 0, "valid from"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.doer.TrustedCerts = []string{strings.Repeat("AB", 32)}
			b.put(22, debusine.SigningInputData{}, map[string][]byte{"a.efi": signtest.Executable("a")})
			c.do(b)
			out := b.mustSign(debusine.Error)
			if len(out.OutputData.Errors) != 1 || !strings.Contains(out.OutputData.Errors[0].Message, c.want) {
				t.Errorf("%+v: not about %q", out, c.want)
			}
			if got := b.made(vault.Sign); got != c.signed || len(b.outputs) > 0 {
				t.Errorf("%d signatures were made; uploaded %v", got, b.outputs)
			}
		})
	}
}

// retype has the work request claim another purpose for the key, as a server that
// was tampered with might.
func (b *benchHouse) retype(purpose string) {
	b.exec(`UPDATE keys SET fingerprint = left(fingerprint, 40)`)
	b.key.Fingerprint, b.purpose = b.key.Fingerprint[:40], purpose
}

func TestCodeMayTrustWhatIsTrustedHere(t *testing.T) {
	b := newBench(t)
	b.doer.TrustedCerts = []string{strings.Repeat("AB", 32)}
	b.inputs[21].data.TrustedCerts = []string{strings.Repeat("ab", 32)}
	b.mustSign(debusine.Success)
}

// An outage is no verdict, also half-way: the work is tried again.
func TestAnOutageWhileSigningIsNoOutcome(t *testing.T) {
	b := newBench(t)
	b.judge = func(_ *api.SigningPermit, file string) error {
		if file != "" {
			return errors.New("the server is away")
		}
		return nil
	}
	if out, err := b.sign(); err == nil {
		t.Errorf("%+v", out)
	}
}

// Two workers sign the same at once: each makes an artifact of its own, and the
// audit is one chain of both.
func TestTwoWorkersSignTheSameAtOnce(t *testing.T) {
	first := newBench(t)
	second := benchIn(houseAt(t, first.dsn, first.signer))
	second.key = first.key
	both := make(chan error, 2)
	for _, b := range []*benchHouse{first, second} {
		b.inputs[21].files["b.efi"] = signtest.Executable("b")
		go func() {
			out, err := b.sign()
			if err == nil && out.Result != debusine.Success {
				err = fmt.Errorf("%+v", out)
			}
			both <- err
		}()
	}
	for range 2 {
		if err := <-both; err != nil {
			t.Error(err)
		}
	}
	if first.made(vault.Intend) != 4 || first.made(vault.Sign) != 4 || len(first.outputs) != 1 || len(second.outputs) != 1 {
		t.Error(first.events())
	}
}

func TestThousandsOfFilesAreBounded(t *testing.T) {
	b := newBench(t)
	for i := range 9_999 {
		b.inputs[21].files[fmt.Sprintf("lib/modules/%d.ko", i)] = nil
	}
	start := time.Now()
	b.mustSign(debusine.Failure)
	if took := time.Since(start); b.fetched != 1 || len(b.outputs[21].data.Results) != 10_000 || took > time.Minute {
		t.Errorf("%d were fetched, %d results, %v", b.fetched, len(b.outputs[21].data.Results), took)
	}
}

func TestASigningWorkerWantsInputs(t *testing.T) {
	b := newBench(t)
	data, err := json.Marshal(map[string]any{"unsigned": 21, "key": b.key.Fingerprint, "purpose": "uefi"})
	b.must(err)
	for _, dynamic := range []string{`{}`, `{"input_unsigned_ids": []}`, `[]`} {
		out, err := b.doer.Do(t.Context(), signact.Job{WorkRequest: 9, Task: "sign", Data: data, Dynamic: json.RawMessage(dynamic)}, b)
		if err != nil || out.Result != debusine.Error {
			t.Errorf("%s: %+v, %v", dynamic, out, err)
		}
	}
}
