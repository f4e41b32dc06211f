package workeract_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/debian"
)

// packed is a binary package made of paths to texts; "-> TO" is a link.
func packed(t *testing.T, s *shelf, name string, files map[string]string) int64 {
	t.Helper()
	return packedAs(t, s, name, "1.0", "amd64", files)
}

func packedAs(t *testing.T, s *shelf, name, version, arch string, files map[string]string) int64 {
	t.Helper()
	dir := t.TempDir()
	files["DEBIAN/control"] = "Package: " + name + "\nSource: tinyboot\nVersion: " + version + "\nArchitecture: " + arch + "\nMaintainer: A <a@b.c>\nDescription: made by a test\n"
	for path, text := range files {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(text, "-> "); link {
			err = os.Symlink(to, at)
		} else {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), name+"_1.0_"+arch+".deb")
	if said, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", dir, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	read, err := debian.OpenDeb(deb)
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.CreateArtifact(t.Context(), debusine.CategoryBinaryPackage, debusine.BinaryPackageData{SrcpkgName: read.Source,
		SrcpkgVersion: version, DebFields: read.Fields(), DebControlFiles: read.ControlFiles}, map[string]string{filepath.Base(deb): deb})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

const (
	codeSigning = "usr/share/code-signing/tinyboot-signed-template/"
	filesJSON   = `{"packages": {"tinyboot": {"trusted_certs": ["` + someCert + `"], "files": [{"sig_type": "efi", "file": "usr/lib/tinyboot/tiny.efi"}]}}}`
	someCert    = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// signingTemplate holds what a package's template does; others are put over it,
// where "" takes away.
func signingTemplate(others map[string]string) map[string]string {
	const source = codeSigning + "source-template/"
	files := map[string]string{
		codeSigning + "files.json":      filesJSON,
		source + "debian/source/format": "3.0 (native)\n",
		source + "debian/control": "Source: tinyboot-signed\nMaintainer: A <a@b.c>\nSection: misc\nPriority: optional\n\n" +
			"Package: tinyboot-signed\nArchitecture: amd64\nDescription: made by a test\n",
		source + "debian/changelog": "tinyboot-signed (1:1.0~rc1) unstable; urgency=medium\n\n  * x\n\n -- A <a@b.c>  Sun, 22 Nov 2026 12:00:00 +0000\n",
		source + "debian/rules":     "#!/usr/bin/make -f\nclean:\n",
		source + "README":           "-> debian/control",
	}
	for name, text := range others {
		if files[name] = text; text == "" {
			delete(files, name)
		}
	}
	return files
}

type signedInputs struct {
	Template int64   `json:"input_template_artifact_id"`
	Binaries []int64 `json:"input_binary_artifacts_ids,omitempty"`
	Signed   []int64 `json:"input_signed_ids,omitempty"`
	Using    []int64 `json:"input_built_using_ids,omitempty"`
}

func extract(t *testing.T, d *workeract.Doer, s *shelf, in signedInputs) workeract.Outcome {
	t.Helper()
	outcome, err := d.Do(t.Context(), job(t, "extractforsigning", object{"environment": 1,
		"input": object{"template_artifact": in.Template, "binary_artifacts": in.Binaries}}, in), s)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func assemble(t *testing.T, d *workeract.Doer, s *shelf, in signedInputs) workeract.Outcome {
	t.Helper()
	outcome, err := d.Do(t.Context(), job(t, "assemblesignedsource", object{"environment": 1, "template": in.Template, "signed": in.Signed}, in), s)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestASignedSourceIsMadeOfTemplateAndSignatures(t *testing.T) {
	doer, s := newDoer(t), newShelf(t)
	template := packed(t, s, "tinyboot-signed-template", signingTemplate(nil))
	boot := packed(t, s, "tinyboot", map[string]string{"usr/lib/tinyboot/tiny-1.0.efi": "MZ boots", "usr/lib/tinyboot/tiny.efi": "-> tiny-1.0.efi"})
	other := packed(t, s, "tinyboot-doc", map[string]string{"usr/share/doc/tinyboot-doc/x": "x"})

	outcome := extract(t, doer, s, signedInputs{Template: template, Binaries: []int64{boot, other}})
	made := s.all(debusine.CategorySigningInput)
	if outcome.Result != debusine.Success || len(made) != 1 {
		t.Fatalf("%+v; made %v", outcome, made)
	}
	var input debusine.SigningInputData
	if err := json.Unmarshal(made[0].Data, &input); err != nil || input.BinaryPackageName != "tinyboot" || len(input.TrustedCerts) != 1 || input.TrustedCerts[0] != someCert {
		t.Errorf("%+v, %v", input, err)
	}
	if text := s.text(t, made[0]); text != "MZ boots" {
		t.Errorf("to be signed is %q", text)
	}
	if !s.saw("tinyboot/usr/lib/tinyboot/tiny.efi") {
		t.Errorf("the log does not say what will be signed: %s", s.log)
	}
	signed := s.put(t, debusine.CategorySigningOutput, debusine.SigningOutputData{Purpose: "uefi", Fingerprint: "abcd", BinaryPackageName: "tinyboot",
		Results: []debusine.SigningResult{{File: "tinyboot/usr/lib/tinyboot/tiny.efi", OutputFile: "tinyboot/usr/lib/tinyboot/tiny.efi.sig"}}},
		map[string]string{"tinyboot/usr/lib/tinyboot/tiny.efi.sig": "signature"})

	s.log = nil
	outcome = assemble(t, doer, s, signedInputs{Template: template, Signed: []int64{signed}, Using: []int64{template, boot}})
	sources, uploads := s.all(debusine.CategorySourcePackage), s.all(debusine.CategoryUpload)
	if outcome.Result != debusine.Success || len(sources) != 1 || len(uploads) != 1 {
		t.Fatalf("%+v\n%s", outcome, s.log)
	}
	want := "debian:source-package built-using debian:binary-package"
	if got := strings.Join(s.relations, "\n"); strings.Count(got, want) != 2 || !strings.Contains(got, "debian:upload extends debian:source-package") {
		t.Errorf("relations:\n%s", got)
	}
	isUnpacked(t, s, sources[0], uploads[0])
}

// isUnpacked unpacks the source as Debian does and looks at the signature.
func isUnpacked(t *testing.T, s *shelf, source, upload api.Artifact) {
	t.Helper()
	dir := t.TempDir()
	for name := range upload.Files {
		text, err := os.ReadFile(s.path(upload.ID, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, found := source.Files["tinyboot-signed_1.0~rc1.dsc"]; !found || len(source.Files) != 2 || len(upload.Files) != 3 {
		t.Errorf("source %v, upload %v", source.Files, upload.Files)
	}
	unpack := exec.Command("dpkg-source", "-x", "tinyboot-signed_1.0~rc1.dsc", "x")
	unpack.Dir = dir
	if said, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "x/debian/signatures/tinyboot/usr/lib/tinyboot/tiny.efi.sig"))
	if err != nil || string(text) != "signature" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestHostilePackagesAreNotTakenApart(t *testing.T) {
	doer := newDoer(t)
	files := func(name string) string {
		return `{"packages": {"tinyboot": {"files": [{"sig_type": "efi", "file": "` + name + `"}]}}}`
	}
	tests := []struct {
		name, files string
		want        string
	}{
		{"a template without files.json", "", "is not a signing template"},
		{"files.json that is not JSON", "{", "is not what a signing template holds"},
		{"files.json without packages", "{}", "names no package"},
		{"a path that goes up", files("../../etc/shadow"), "is not a path below the root"},
		{"an absolute path", files("/etc/shadow"), "is not a path below the root"},
		{"a link to the machine's files", files("usr/lib/absolute"), "leads out of the package"},
		{"a link that goes up", files("usr/lib/up"), "leads out of the package"},
		{"a folder that is such a link", files("usr/lib/folder/shadow"), "leads out of the package"},
		{"links in a circle", files("usr/lib/circle"), "more than 40 links"},
		{"a folder", files("usr/lib"), "not a plain file"},
		{"a file that is not there", files("usr/lib/none"), "holds no"},
		{"a package that was not built", `{"packages": {"grub2": {"files": [{"sig_type": "efi", "file": "x"}]}}}`, "not among binary_artifacts"},
		{"a package with an illegal name", `{"packages": {"../x": {"files": [{"sig_type": "efi", "file": "x"}]}}}`, "package name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf(t)
			boot := packed(t, s, "tinyboot", map[string]string{"usr/lib/absolute": "-> /etc/shadow", "usr/lib/up": "-> ../../../etc/shadow",
				"usr/lib/folder": "-> ../../../../etc", "usr/lib/circle": "-> circle", "usr/lib/tiny.efi": "MZ"})
			template := packed(t, s, "tinyboot-signed-template", signingTemplate(map[string]string{codeSigning + "files.json": test.files}))
			outcome := extract(t, doer, s, signedInputs{Template: template, Binaries: []int64{boot}})
			if outcome.Result != debusine.Error || len(outcome.OutputData.Errors) != 1 || !strings.Contains(outcome.OutputData.Errors[0].Message, test.want) {
				t.Errorf("%+v", outcome)
			}
			if made := s.all(debusine.CategorySigningInput); len(made) > 0 {
				t.Errorf("made %v", made)
			}
		})
	}
}

func TestHostileTemplatesAreNotAssembled(t *testing.T) {
	doer := newDoer(t)
	const source = codeSigning + "source-template/"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"another source format", map[string]string{source + "debian/source/format": "3.0 (quilt)\n"}, "3.0 (native)"},
		{"options of dpkg-source", map[string]string{source + "debian/source/options": "compression=none\n"}, "must not have debian/source/options"},
		{"local options that are a link", map[string]string{source + "debian/source/local-options": "-> format"}, "must not have debian/source/local-options"},
		{"a link to the machine's files", map[string]string{source + "debian/copyright": "-> /etc/shadow"}, "neither a plain file"},
		{"a link that goes up", map[string]string{source + "x": "-> ../y"}, "neither a plain file"},
		{"signatures through a link", map[string]string{source + "debian/signatures": "-> ../README"}, "in the way of"},
		{"a signature that is there already", map[string]string{source + "debian/signatures/tinyboot/usr/lib/tinyboot/tiny.efi.sig": "forged"}, "in the way of"},
		{"no changelog", map[string]string{source + "debian/changelog": ""}, "debian/changelog"},
		{"a changelog that is a link", map[string]string{source + "debian/changelog": "-> control"}, "not a plain file"},
		{"more files than were signed", map[string]string{codeSigning + "files.json": strings.Replace(filesJSON, "tiny.efi", "more.efi", 1)}, "none of the signed artifacts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf(t)
			template := packed(t, s, "tinyboot-signed-template", signingTemplate(test.files))
			signed := s.put(t, debusine.CategorySigningOutput, debusine.SigningOutputData{Purpose: "uefi", Fingerprint: "abcd",
				Results: []debusine.SigningResult{{File: "tinyboot/usr/lib/tinyboot/tiny.efi", OutputFile: "s"}}}, map[string]string{"s": "signature"})
			outcome := assemble(t, doer, s, signedInputs{Template: template, Signed: []int64{signed}})
			if outcome.Result != debusine.Error || len(outcome.OutputData.Errors) != 1 || !strings.Contains(outcome.OutputData.Errors[0].Message, test.want) {
				t.Errorf("%+v", outcome)
			}
			if made := s.all(debusine.CategorySourcePackage); len(made) > 0 {
				t.Errorf("made %v", made)
			}
		})
	}
}
