package workeract_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/debian"
)

// tinySource is a source package that dpkg-source has made, of two versions in its
// changelog, and the tree that it was made of.
func tinySource(t *testing.T, s *shelf) (id int64, tree string) {
	t.Helper()
	top := t.TempDir()
	tree = filepath.Join(top, "tiny-1.0")
	entry := func(version, text string) string {
		return "tiny (" + version + ") unstable; urgency=medium\n\n  * " + text + "\n\n -- A <a@example.org>  Sun, 22 Nov 2026 12:00:00 +0000\n\n"
	}
	for name, text := range map[string]string{
		"debian/control": "Source: tiny\nMaintainer: A <a@example.org>\nSection: misc\nPriority: optional\nStandards-Version: 4.6.2\n\n" +
			"Package: tiny\nArchitecture: any\nDescription: made by a test\n\nPackage: tiny-doc\nArchitecture: all\nDescription: tells how\n",
		"debian/changelog": entry("1:1.0-2", "second") + entry("1:1.0-1", "first"), "debian/rules": "#!/usr/bin/make -f\nclean:\n",
		"debian/source/format": "3.0 (quilt)\n", "README": "tiny\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	in(t, top, "tar -czf tiny_1.0.orig.tar.gz --exclude=debian tiny-1.0; dpkg-source -b tiny-1.0")
	files := map[string]string{}
	for _, name := range []string{"tiny_1.0-2.dsc", "tiny_1.0.orig.tar.gz", "tiny_1.0-2.debian.tar.xz"} {
		files[name] = filepath.Join(top, name)
	}
	id, err := s.CreateArtifact(t.Context(), debusine.CategorySourcePackage, sourceData(t, files["tiny_1.0-2.dsc"]), files)
	if err != nil {
		t.Fatal(err)
	}
	return id, tree
}

func in(t *testing.T, dir, script string) {
	t.Helper()
	c := exec.Command("sh", "-ec", script)
	c.Dir = dir
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

func makeUpload(t *testing.T, d *workeract.Doer, s *shelf, source int64, more object) workeract.Outcome {
	t.Helper()
	data := object{"environment": 1, "input": object{"source_artifact": source}}
	for k, v := range more {
		data[k] = v
	}
	outcome, err := d.Do(t.Context(), job(t, "makesourcepackageupload", data, object{"input_source_artifact_id": source, "environment_id": 1}), s)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func changesOf(t *testing.T, s *shelf, upload api.Artifact) *debian.Changes {
	t.Helper()
	for name := range upload.Files {
		if !strings.HasSuffix(name, ".changes") {
			continue
		}
		f, err := os.Open(s.path(upload.ID, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := debian.ParseChanges(f)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Fatal("there is no .changes")
	return nil
}

func TestAnUploadIsMadeOfASource(t *testing.T) {
	doer, s := newDoer(t), newShelf(t)
	source, _ := tinySource(t, s)
	outcome := makeUpload(t, doer, s, source, object{"since_version": "0.9", "target_distribution": "experimental"})
	uploads := s.all(debusine.CategoryUpload)
	if outcome.Result != debusine.Success || len(uploads) != 1 {
		t.Fatalf("%+v\n%s", outcome, s.log)
	}
	c := changesOf(t, s, uploads[0])
	if c.Distribution != "experimental" || c.Version.String() != "1:1.0-2" || len(c.Files) != 3 || !c.HasSource() {
		t.Errorf("%s", c.Paragraph)
	}
	if told := c.Paragraph.Get("Changes"); !strings.Contains(told, "second") || !strings.Contains(told, "first") {
		t.Errorf("the changelog since 0.9 is %s", told)
	}
	for _, kind := range []string{"extends", "relates-to"} {
		if want := "debian:upload " + kind + " debian:source-package"; !slices.Contains(s.relations, want) {
			t.Errorf("%q is not among %q", want, s.relations)
		}
	}
	if outcome := makeUpload(t, doer, s, source, nil); outcome.Result != debusine.Success {
		t.Fatalf("%+v", outcome)
	}
	if c := changesOf(t, s, s.all(debusine.CategoryUpload)[1]); c.Distribution != "unstable" || strings.Contains(c.Paragraph.Get("Changes"), "first") {
		t.Errorf("without options: %s", c.Paragraph)
	}
}

func TestAnUploadIsNotMadeOfWhatIsNoSource(t *testing.T) {
	doer, s := newDoer(t), newShelf(t)
	source, _ := tinySource(t, s)
	t.Run("an unpacking that fails is a failure", func(t *testing.T) {
		text, err := os.ReadFile(s.path(source, "tiny_1.0-2.debian.tar.xz"))
		if err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(s.path(source, "tiny_1.0-2.debian.tar.xz"), text, 0o644)
		// dpkg-source reads what the .dsc lists; here it is something else.
		if err := os.WriteFile(s.path(source, "tiny_1.0-2.debian.tar.xz"), []byte("no archive"), 0o644); err != nil {
			t.Fatal(err)
		}
		if outcome := makeUpload(t, doer, s, source, nil); outcome.Result != debusine.Failure {
			t.Errorf("%+v", outcome)
		}
	})
	t.Run("an artifact that is another package is an error", func(t *testing.T) {
		artifact := s.artifacts[source]
		artifact.Data = []byte(`{"name": "other", "version": "1:1.0-2"}`)
		s.artifacts[source] = artifact
		if outcome := makeUpload(t, doer, s, source, nil); outcome.Result != debusine.Error {
			t.Errorf("%+v", outcome)
		}
	})
}

// builtUpload is an upload of packages that dpkg has made of the tree.
func builtUpload(t *testing.T, s *shelf, tree, options string, packages ...string) int64 {
	t.Helper()
	script := "rm -f debian/files; umask 022; "
	for _, p := range packages {
		script += "rm -rf debian/tmp; mkdir -p debian/tmp/DEBIAN; dpkg-gencontrol -p" + p + "; dpkg-deb --build --root-owner-group debian/tmp ..; "
	}
	in(t, tree, script+"dpkg-genchanges "+options+" >../tiny.changes")
	path := filepath.Join(filepath.Dir(tree), "tiny.changes")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := debian.ParseChanges(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"tiny_1.0-2_amd64.changes": path}
	for _, l := range c.Files {
		files[l.Name] = filepath.Join(filepath.Dir(tree), l.Name)
	}
	id, err := s.CreateArtifact(t.Context(), debusine.CategoryUpload, debusine.UploadData{Type: "dpkg", ChangesFields: c.Fields()}, files)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mergeAll(t *testing.T, d *workeract.Doer, s *shelf, ids ...int64) workeract.Outcome {
	t.Helper()
	outcome, err := d.Do(t.Context(), job(t, "mergeuploads", object{"input": object{"uploads": ids}}, object{"input_uploads_ids": ids}), s)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestUploadsAreMerged(t *testing.T) {
	doer, s := newDoer(t), newShelf(t)
	source, tree := tinySource(t, s)
	if outcome := makeUpload(t, doer, s, source, nil); outcome.Result != debusine.Success {
		t.Fatalf("%+v\n%s", outcome, s.log)
	}
	first := s.all(debusine.CategoryUpload)[0].ID
	any, all := builtUpload(t, s, tree, "-B", "tiny"), builtUpload(t, s, tree, "-A", "tiny-doc")
	s.log, s.relations, s.downloads = nil, nil, 0
	outcome := mergeAll(t, doer, s, first, any, all)
	uploads := s.all(debusine.CategoryUpload)
	if outcome.Result != debusine.Success || len(uploads) != 4 {
		t.Fatalf("%+v\n%s", outcome, s.log)
	}
	c := changesOf(t, s, uploads[3])
	if _, named := uploads[3].Files["tiny_1.0-2_multi.changes"]; !named || len(c.Files) != 5 || c.Paragraph.Get("Architecture") != "all amd64 source" || c.Paragraph.Get("Binary") != "tiny tiny-doc" {
		t.Errorf("%v\n%s", uploads[3].Files, c.Paragraph)
	}
	if len(s.relations) != 3 || s.downloads != 3 || !s.saw("merged into tiny_1.0-2_multi.changes") {
		t.Errorf("relations %q, %d downloads, %s", s.relations, s.downloads, s.log)
	}
	t.Run("one with itself is an error", func(t *testing.T) {
		if outcome := mergeAll(t, doer, s, any, any); outcome.Result != debusine.Error {
			t.Errorf("%+v", outcome)
		}
	})
	t.Run("two that contradict are a failure", func(t *testing.T) {
		in(t, tree, `sed -i 's/^Description: made.*/Description: made otherwise/' debian/control`)
		other := builtUpload(t, s, tree, "-B", "tiny")
		if outcome := mergeAll(t, doer, s, any, other); outcome.Result != debusine.Failure || !strings.Contains(outcome.OutputData.Errors[0].Message, "differently") {
			t.Errorf("%+v", outcome)
		}
	})
}
