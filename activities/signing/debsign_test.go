package signact_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/activities/signing"
	"debusine/api"
	"debusine/debian"
	"debusine/sign"
	"debusine/sign/vault"
)

func TestDebiansToolsAcceptASignedUpload(t *testing.T) {
	h := newHouse(t)
	out, err := h.debsign()
	if err != nil || out.Result != debusine.Success {
		t.Fatalf("%+v, %v", out, err)
	}
	dir := t.TempDir()
	for name, content := range h.made {
		h.must(os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	cert := filepath.Join(dir, "archive.gpg")
	h.must(os.WriteFile(cert, h.key.Public, 0o600))
	verify := func(name string, args ...string) {
		t.Helper()
		command := exec.Command(name, args...)
		command.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C")
		if said, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s %v: %v\n%s", name, args, err, said)
		}
	}
	verify("dscverify", "--no-conf", "--no-default-keyrings", "--keyring", cert, filepath.Join(dir, "hello_1.0_source.changes"))
	for _, name := range []string{"hello_1.0.dsc", "hello_1.0_source.buildinfo", "hello_1.0_source.changes"} {
		verify("gpgv", "--keyring", cert, filepath.Join(dir, name))
		verify("sq", "verify", "--signer-cert", cert, filepath.Join(dir, name))
	}
	h.listsWhatIsThere()
	if got := h.events(); got != "generate, intend hello_1.0.dsc, sign hello_1.0.dsc, intend hello_1.0_source.buildinfo, sign hello_1.0_source.buildinfo, intend hello_1.0_source.changes, sign hello_1.0_source.changes" {
		t.Error(got)
	}
	if _, err := vault.ParseHead(out.OutputData.AuditHead); err != nil {
		t.Error(err)
	}
	if h.asked != 4 {
		t.Errorf("the server was asked %d times, not before the fetch and each of three signatures", h.asked)
	}
}

// listsWhatIsThere reads the signed .changes and .buildinfo as any archive would.
func (h *house) listsWhatIsThere() {
	h.Helper()
	changes, err := debian.ParseChanges(bytes.NewReader(h.made["hello_1.0_source.changes"]))
	h.must(err)
	for _, f := range changes.Files {
		if f.SHA256 != sum(h.made[f.Name]) || f.Size != int64(len(h.made[f.Name])) {
			h.Errorf("the .changes lists another %s", f.Name)
		}
	}
	if p := changes.Paragraph; p.Get("Debusine-User") != "alice" || p.Get("Debusine-Work-Request") != "9" || len(h.data.ChangesFields) < 10 {
		h.Errorf("%s", h.made["hello_1.0_source.changes"])
	}
	if !strings.Contains(string(h.made["hello_1.0_source.buildinfo"]), sum(h.made["hello_1.0.dsc"])) {
		h.Error("the .buildinfo lists the .dsc before its signature")
	}
}

func TestASignedUploadIsSignedAnew(t *testing.T) {
	h := newHouse(t)
	for range 2 {
		if out, err := h.debsign(); err != nil || out.Result != debusine.Success {
			t.Fatalf("%+v, %v", out, err)
		}
		h.files = h.made
	}
	if changes := string(h.made["hello_1.0_source.changes"]); strings.Count(changes, "BEGIN PGP SIGNED") != 1 || strings.Count(changes, "Debusine-User") != 1 {
		t.Error(changes)
	}
}

func TestWhatMayNotBeSignedIsNot(t *testing.T) {
	changes := "hello_1.0_source.changes"
	for name, c := range map[string]struct {
		do     func(*house)
		signed int // signatures that were made all the same
		want   string
	}{
		"the server says no":              {func(h *house) { h.permit = func(*api.SigningPermit) error { return debusine.Forbiddenf("no right") } }, 0, "no right"},
		"the right is revoked in between": {func(h *house) { h.revokeAfter(2) }, 1, "no right"},
		"the clock is a year ahead":       {func(h *house) { h.clock(-365 * 24 * time.Hour) }, 0, "clock is 8760h"},
		"the clock is a year behind":      {func(h *house) { h.clock(365 * 24 * time.Hour) }, 0, "clock is -8760h"},
		"it is another's output":          {func(h *house) { h.permit = func(p *api.SigningPermit) error { p.MadeBy = 4; return nil } }, 0, "not the output"},
		"a file changed since": {func(h *house) {
			h.permit = func(p *api.SigningPermit) error { p.Files["hello_1.0.dsc"] = sum(nil); return nil }
		}, 0, "not the one"},
		"the leave is for another":        {func(h *house) { h.permit = func(p *api.SigningPermit) error { p.Artifact = 70; return nil } }, 0, "leave is for artifact 70"},
		"the .changes lists another file": {func(h *house) { h.edit(changes, "hello_1.0.tar.xz", "other_1.0.tar.xz") }, 0, "does not hold that file"},
		"the .changes lists another size": {func(h *house) { h.files["hello_1.0.tar.xz"] = append(h.files["hello_1.0.tar.xz"], 0) }, 0, "does not hold that file"},
		"the upload holds more":           {func(h *house) { h.files["evil.deb"] = []byte("x") }, 0, "does not list"},
		"there are two .changes":          {func(h *house) { h.files["b.changes"] = h.files[changes] }, 0, "2 .changes files"},
		"a .dsc of another package":       {func(h *house) { h.edit("hello_1.0.dsc", "Source: hello", "Source: other"); h.relist() }, 0, "is about other"},
		"text outside of an old signature": {func(h *house) {
			h.files[changes] = append([]byte("x\n-----BEGIN PGP SIGNED MESSAGE-----\n"), h.files[changes]...)
		}, 0, "before the signed part"},
		"the key is retired":           {func(h *house) { h.must(h.vault.Retire(h.Context(), h.key.Fingerprint, vault.Cause{})) }, 0, "retired"},
		"the key has expired":          {func(h *house) { h.expiredKey(sign.OpenPGP) }, 0, "expired"},
		"the key is unknown here":      {func(h *house) { h.key.Fingerprint = strings.Repeat("0", 40) }, 0, "not found"},
		"the key is for Release files": {func(h *house) { h.otherKey(sign.OpenPGPRepository) }, 0, "not for uploads"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			c.do(h)
			out, err := h.debsign()
			if err != nil || out.Result != debusine.Error || len(out.OutputData.Errors) != 1 || !strings.Contains(out.OutputData.Errors[0].Message, c.want) {
				t.Errorf("%+v, %v: not about %q", out, err, c.want)
			}
			if got := strings.Count(h.events(), "sign "); got != c.signed || h.made != nil {
				t.Errorf("%d signatures were made, and uploaded: %v", got, h.made != nil)
			}
		})
	}
}

func (h *house) revokeAfter(leaves int) {
	h.permit = func(*api.SigningPermit) error {
		if h.asked > leaves {
			return debusine.Forbiddenf("no right")
		}
		return nil
	}
}

func (h *house) clock(off time.Duration) {
	h.permit = func(p *api.SigningPermit) error { p.Now = p.Now.Add(off); return nil }
}

func (h *house) edit(file, old, changed string) {
	h.files[file] = bytes.ReplaceAll(h.files[file], []byte(old), []byte(changed))
}

// relist makes buildinfo and changes agree with what was edited.
func (h *house) relist() {
	for _, name := range []string{"hello_1.0_source.buildinfo", "hello_1.0_source.changes"} {
		text, err := debian.Relist(h.files[name], h.files)
		h.must(err)
		h.files[name] = text
	}
}

// expiredKey is one that was good for a second.
func (h *house) expiredKey(p sign.Purpose) {
	k, err := h.vault.Generate(h.Context(), sign.Wanted{Purpose: p, Life: time.Second}, vault.Cause{})
	h.must(err)
	h.key = k
	time.Sleep(2100 * time.Millisecond)
}

func (h *house) otherKey(p sign.Purpose) {
	k, err := h.vault.Generate(h.Context(), sign.Wanted{Purpose: p}, vault.Cause{})
	h.must(err)
	h.key = k
}

// What is away is no verdict about the upload: the job is tried again.
func TestAnOutageIsNoOutcome(t *testing.T) {
	h := newHouse(t)
	h.permit = func(*api.SigningPermit) error { return errors.New("the server is away") }
	if out, err := h.debsign(); err == nil {
		t.Errorf("%+v", out)
	}
}

func TestGenerateKeyTellsTheServerThePublicHalf(t *testing.T) {
	h := newHouse(t)
	job := signact.Job{WorkRequest: 11, Task: "generatekey", Data: json.RawMessage(`{"purpose": "openpgp", "description": "uploads", "two_persons": true}`)}
	for range 2 { // said twice, it is one key
		out, err := h.doer.Do(t.Context(), job, h)
		if err != nil || out.Result != debusine.Success || out.OutputData.AssetID != 12 {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	if h.assets[0].Data != h.assets[1].Data || !h.assets[0].TwoPersons || debusine.SigningKeyData(h.assets[0].Data).Check() != nil {
		t.Errorf("%+v", h.assets)
	}
	if strings.Contains(h.log.String(), "encrypted") {
		t.Errorf("the log tells of the key: %s", h.log)
	}
}
