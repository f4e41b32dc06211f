package workeract_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
)

// build is one that uses what sbuild can do beside building.
type build struct {
	name   string
	source tree
	data   object            // parameters of the task
	extra  map[string]string // packages to inject: name to version
	in     func(environments) api.Artifact

	result debusine.Result
	says   string   // the reason of a failure
	log    []string // what the log holds
	debs   string   // names of packages
	fields map[string]string
}

// versioned is a source of another version.
func versioned(version string) tree {
	return tree{"debian/changelog": "tiny (" + version + ") unstable; urgency=medium\n\n  * x\n\n -- A <a@b.c>  Sun, 22 Nov 2026 12:00:00 +0000\n"}
}

func with(a, b tree) tree {
	maps.Copy(a, b)
	return a
}

func builds() []build {
	whole := func(e environments) api.Artifact { return e.whole }
	rebuild := object{"binnmu": object{"changelog": "Rebuild against libfoo2.", "suffix": "+b1", "maintainer": "Wanna Build <wb@example.org>", "timestamp": "2026-11-22T12:00:00Z"}}
	tells := rules(`echo "profiles=$$DEB_BUILD_PROFILES options=$$DEB_BUILD_OPTIONS path=$$(pwd)"`, "head -5 debian/changelog")
	return []build{
		{name: "a rebuild of a version with epoch and tildes", source: with(versioned("1:1.0~rc1~2-3"), tree{"debian/rules": tells, "debian/source/format": "1.0\n"}), data: rebuild, in: bare,
			result: debusine.Success, debs: "tiny_1.0~rc1~2-3+b1_amd64.deb",
			log:    []string{"tiny (1:1.0~rc1~2-3+b1) ", "urgency=low, binary-only=yes\n\n  * Binary-only non-maintainer upload; no source changes.\n  * Rebuild against libfoo2.\n"},
			fields: map[string]string{"Version": "1:1.0~rc1~2-3+b1", "Source": "tiny (1:1.0~rc1~2-3)", "Binary-Only": "yes"}},
		{name: "profiles, options and a path", source: tree{"debian/rules": tells}, in: bare, result: debusine.Success,
			data: object{"build_profiles": []string{"stage1", "nodoc"}, "build_options": "parallel=3", "build_path": "/build/here"}, debs: "tiny_1.0_amd64.deb",
			log: []string{"profiles=stage1 nodoc options=parallel=3 nodoc path=/<<PKGBUILDDIR>>\n", "replace 'build/here/tiny-1.0' with '<<PKGBUILDDIR>>'"}},
		{name: "a package that is given and no mirror has", source: withControl("Build-Depends: tiny-dependency (>= 2)\n"), in: bare,
			extra: map[string]string{"tiny-dependency": "2:2.0~x"}, result: debusine.Success, log: []string{"Setting up tiny-dependency (2:2.0~x) ...\n"}, debs: "tiny_1.0_amd64.deb"},
		{name: "a package that is given and not as new as the mirror's", source: withControl("Build-Depends: hello\n"), in: whole,
			extra: map[string]string{"hello": "1.0"}, result: debusine.Failure, says: "the build has not used the extra packages that it was given: installed was hello "},
		{name: "the source alone", data: object{"build_components": []string{"source"}}, in: bare, result: debusine.Success, debs: ""},
		{name: "a cross build that cannot be", source: withControl("Build-Depends: libc6-i386\n"), data: object{"host_architecture": "arm64"}, in: whole,
			result: debusine.Failure, says: "the build dependencies cannot be satisfied"},
	}
}

func (b build) run(t *testing.T, doer *workeract.Doer, s *shelf, e environments) {
	source := s.source(t, b.source, nil)
	data := object{"input": object{"source_artifact": source.ID}, "build_architecture": "amd64", "environment": "bookworm"}
	maps.Copy(data, b.data)
	ids := []int64{}
	for name, version := range b.extra {
		ids = append(ids, packedAs(t, s, name, version, "all", map[string]string{"usr/share/" + name: "given"}))
	}
	mine := len(s.all("debian:binary-package"))
	outcome, err := doer.Do(t.Context(), job(t, "sbuild", data, object{"input_source_artifact_id": source.ID, "environment_id": b.in(e).ID,
		"input_extra_binary_artifacts_ids": ids}), s)
	if err != nil || outcome.Result != b.result {
		t.Fatalf("%+v, %v\n%s", outcome, err, s.log)
	}
	if said := outcome.OutputData.Errors; b.says != "" && (len(said) != 1 || !strings.Contains(said[0].Message, b.says)) {
		t.Errorf("it says %+v", said)
	}
	for _, text := range b.log {
		if !strings.Contains(string(s.log), text) {
			t.Errorf("the log does not hold %q:\n%s", text, s.log)
		}
	}
	var debs []string
	for _, a := range s.all("debian:binary-package")[mine:] {
		for name := range a.Files {
			debs = append(debs, name)
		}
	}
	slices.Sort(debs)
	if got := strings.Join(debs, " "); got != b.debs {
		t.Errorf("packages %q", got)
	}
	b.changes(t, s)
}

func (b build) changes(t *testing.T, s *shelf) {
	uploads := s.all("debian:upload")
	if b.result != debusine.Success {
		if len(uploads) > 0 {
			t.Errorf("a failure left %v", uploads)
		}
		return
	}
	if len(uploads) != 1 {
		t.Fatalf("uploads %v", uploads)
	}
	var data debusine.UploadData
	if err := json.Unmarshal(uploads[0].Data, &data); err != nil {
		t.Fatal(err)
	}
	for name, want := range b.fields {
		if got := data.ChangesFields[name]; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name := range uploads[0].Files {
		if _, err := os.Stat(s.path(uploads[0].ID, name)); err != nil {
			t.Error(err)
		}
	}
}
