package workeract_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"debusine"
	"debusine/activities/signing"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/sign"
	"debusine/sign/signtest"
	"debusine/sign/vault"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	storetest.Main(m)
}

// signer is the shelf as a signing worker sees it.
type signer struct{ *shelf }

func (s signer) SignWith(ctx context.Context, fingerprint string, artifact int64, file string) (api.SigningPermit, error) {
	a, err := s.Artifact(ctx, artifact)
	p := api.SigningPermit{Asset: api.Asset{Data: api.SigningKey{Fingerprint: fingerprint}}, User: "alice", Artifact: artifact, Files: map[string]string{}, Now: time.Now()}
	for name, f := range a.Files {
		if file == "" || file == name {
			p.Files[name] = f.Checksums["sha256"]
		}
	}
	return p, err
}

func (s signer) CreateAsset(context.Context, api.AssetCreate) (api.Asset, error) {
	return api.Asset{}, debusine.Forbiddenf("no keys are made here")
}

func (s signer) CreateFrom(ctx context.Context, category string, data any, files map[string]string, _ map[string]api.File) (int64, error) {
	return s.CreateArtifact(ctx, category, data, files)
}

// signs does the task sign with a key of its own, whose certificate it gives.
func (s *shelf) signs(t *testing.T, input int64) (certificate []byte) {
	t.Helper()
	keys := sign.Signer{ServiceKeys: filepath.Join(t.TempDir(), "service.keys")}
	if err := sign.CreateServiceKeys(keys.ServiceKeys); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), storetest.EmptyDSN(t), keys)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	key, err := v.Generate(t.Context(), sign.Wanted{Purpose: sign.UEFI, Name: "A test"}, vault.Cause{})
	if err != nil {
		t.Fatal(err)
	}
	doer := signact.Doer{Vault: v, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Dir: t.TempDir(), TrustedCerts: []string{signtest.TrustedCert}}
	data, err := json.Marshal(object{"purpose": "uefi", "unsigned": []int64{input}, "key": key.Fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := json.Marshal(object{"input_unsigned_ids": []int64{input}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := doer.Do(t.Context(), signact.Job{WorkRequest: 9, Task: "sign", Data: data, Dynamic: dynamic}, signer{s})
	if err != nil || out.Result != debusine.Success {
		t.Fatalf("%+v, %v", out, err)
	}
	return key.Public
}

// named is the binary package of a name.
func (s *shelf) named(t *testing.T, name string) api.Artifact {
	t.Helper()
	for _, a := range s.all(debusine.CategoryBinaryPackage) {
		var data struct {
			Fields struct{ Package string } `json:"deb_fields"`
		}
		if err := json.Unmarshal(a.Data, &data); err == nil && data.Fields.Package == name {
			return a
		}
	}
	t.Fatalf("no package %s was built:\n%s", name, s.log)
	return api.Artifact{}
}

// buildsSigned goes the whole way of make_signed_source with real tools: a source
// is built, what its template names is signed, the source that is made of both is
// built, and firmware's own verifier judges what came out.
func buildsSigned(t *testing.T, doer *workeract.Doer, s *shelf, e environments) {
	builds := func(source int64, in api.Artifact, extra ...int64) {
		t.Helper()
		s.log = nil
		outcome, err := doer.Do(t.Context(), job(t, "sbuild", object{"input": object{"source_artifact": source}, "build_architecture": "amd64", "environment": "bookworm"},
			object{"input_source_artifact_id": source, "environment_id": in.ID, "input_extra_binary_artifacts_ids": extra}), s)
		if err != nil || outcome.Result != debusine.Success {
			t.Fatalf("%+v, %v\n%s", outcome, err, s.log)
		}
	}
	builds(s.source(t, signtest.Bootable(), nil).ID, e.bare)
	plain, template := s.named(t, "tiny").ID, s.named(t, "tiny-amd64-signed-template").ID
	s.log = nil
	if out := extract(t, doer, s, signedInputs{Template: template, Binaries: []int64{plain, template}}); out.Result != debusine.Success {
		t.Fatalf("%+v\n%s", out, s.log)
	}
	certificate := s.signs(t, s.all(debusine.CategorySigningInput)[0].ID)
	s.log = nil
	if out := assemble(t, doer, s, signedInputs{Template: template, Signed: []int64{s.all(debusine.CategorySigningOutput)[0].ID}, Using: []int64{plain, template}}); out.Result != debusine.Success {
		t.Fatalf("%+v\n%s", out, s.log)
	}
	sources := s.all(debusine.CategorySourcePackage)
	builds(sources[len(sources)-1].ID, e.whole, plain)
	s.boots(t, s.named(t, "tiny-signed"), certificate)
}

// boots has sbverify look at what a package has signed, with its certificate and
// with another.
func (s *shelf) boots(t *testing.T, deb api.Artifact, certificate []byte) {
	t.Helper()
	dir := t.TempDir()
	for name := range deb.Files {
		if said, err := exec.Command("dpkg-deb", "-x", s.path(deb.ID, name), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	cert, other, signed := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "usr/lib/tiny/tiny.efi.signed")
	if err := os.WriteFile(cert, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("sbverify", "--cert", cert, signed).CombinedOutput(); err != nil {
		t.Errorf("sbverify: %v: %s", err, said)
	}
	if said, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Other", "-keyout", "/dev/null", "-out", other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if said, err := exec.Command("sbverify", "--cert", other, signed).CombinedOutput(); err == nil {
		t.Errorf("another key signed it, too: %s", said)
	}
}
