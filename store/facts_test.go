package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/task"
)

func buildData(source int64, target, more string) string {
	return fmt.Sprintf(`{"input": {"source_artifact": %d}, "target_distribution": %q, "architectures": ["amd64"]%s}`, source, target, more)
}

func TestTheFactsOfASource(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "1:2.10-3", "any all")
	for _, e := range [][4]string{{"sid", "i386"}, {"sid", "amd64"}, {"sid", "amd64", "sbuild"}, {"forky", "arm64"},
		{"sid", "riscv64", "autopkgtest"}, {"sid", "s390x", "", "qemu"}, {"sid", "armhf", "quick"}, {"sid", "ppc64el", "", "unshare"}} {
		w.environment(e[0], e[1], e[2], e[3])
	}
	for name, c := range map[string]struct {
		target, more string
		want         []string
	}{
		"of one suite":           {"debian:sid", ``, []string{"amd64", "i386", "ppc64el"}},
		"of another":             {"debian:forky", ``, []string{"arm64"}},
		"of a suite without any": {"debian:bookworm", ``, nil},
		"of a variant":           {"debian:sid", `, "environment_variant": "quick"`, []string{"armhf"}},
		"of none but the empty":  {"debian:sid", `, "environment_variant": ""`, []string{"amd64", "i386", "ppc64el"}},
	} {
		root := w.workflow("sbuild", buildData(source, c.target, c.more))
		facts, err := w.SourceFacts(t.Context(), task.SourceQuestion{ID: root})
		w.must(err)
		if facts.Artifact != source || facts.Name != "hello" || facts.Version != "1:2.10-3" || facts.Architectures != "any all" || !slices.Equal(facts.Environments, c.want) {
			t.Errorf("%s: %+v", name, facts)
		}
		// What it calls able, a build finds; what it does not, none finds.
		var data task.SbuildWorkflowData
		w.must(task.ReadWorkflow(json.RawMessage(buildData(source, c.target, c.more)), &data))
		for _, arch := range []string{"amd64", "i386", "arm64", "riscv64", "s390x", "armhf", "ppc64el"} {
			_, err := w.sbuild(source, data.Environment().String(), arch)
			if (err == nil) != slices.Contains(facts.Environments, arch) {
				t.Errorf("%s: a build on %s: %v", name, arch, err)
			}
		}
	}
}

func TestAnUploadStandsForTheSourceThatItExtends(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", noWords, noWords)
	source, other := w.source("hello", "2.10-3", "any"), w.source("unrelated", "1", "any")
	upload, deb := w.artifact("debian:upload", `{"type": "dpkg", "changes_fields": {}}`), w.artifact("debian:binary-package", `{}`)
	for _, r := range []debusine.Relation{{Artifact: upload, Target: other, Type: "relates-to"}, {Artifact: upload, Target: deb, Type: "extends"}} {
		_, _, err := w.PutRelation(t.Context(), r)
		w.must(err)
	}
	root := w.workflow("sbuild", buildData(upload, "debian:sid", ""))
	_, err := w.SourceFacts(t.Context(), task.SourceQuestion{ID: root})
	w.missing("an upload that extends no source", err)
	_, _, err = w.PutRelation(t.Context(), debusine.Relation{Artifact: upload, Target: source, Type: "extends"})
	w.must(err)
	facts, err := w.SourceFacts(t.Context(), task.SourceQuestion{ID: root})
	w.must(err)
	if facts.Artifact != source || facts.Name != "hello" || !slices.Equal(facts.Environments, []string{"amd64"}) {
		t.Errorf("%+v", facts)
	}
	var hidden int64
	w.one(`INSERT INTO workspaces (scope_id, name) SELECT id, 'embargoed' FROM scopes WHERE name = 'debusine' RETURNING id`, &hidden)
	w.exec(`DELETE FROM group_members`)
	w.exec(`UPDATE workspaces SET public = true WHERE id = $1`, w.workspace)
	w.exec(`UPDATE artifacts SET workspace_id = $1 WHERE id = $2`, hidden, source)
	_, err = w.SourceFacts(t.Context(), task.SourceQuestion{ID: root})
	w.missing("a source that the user may not see", err)
}

func TestFactsThatCannotBeTold(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "2.10-3", "any")
	deb := w.artifact("debian:binary-package", `{}`)
	for name, c := range map[string]struct{ data, want string }{
		"a source that is not":       {buildData(9999, "debian:sid", ""), "artifact 9999 not found"},
		"a binary package":           {buildData(deb, "debian:sid", ""), "wanted is debian:source-package or debian:upload"},
		"a vendor without a suite":   {buildData(source, "ubuntu:noble", ""), "ubuntu@debian:environments not found"},
		"data of no workflow at all": {`{"children": 3}`, "unknown"},
		"a target of many parts":     {buildData(source, "debian:sid:x", ""), "vendor:codename"},
	} {
		_, err := w.SourceFactsFor(t.Context(), w.workspace, w.user, json.RawMessage(c.data))
		var missing debusine.Missing
		var invalid debusine.Invalid
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &missing) && !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := w.SourceFacts(t.Context(), task.SourceQuestion{ID: 12345})
	w.missing("a work request that is not", err)
}

func TestASourceWithoutArchitecturesIsToldAsItIs(t *testing.T) {
	w := newWorld(t)
	for _, data := range []string{`{"name": "hello", "version": "1"}`, `{"name": "hello", "version": "1", "dsc_fields": {"Architecture": ["any"]}}`,
		`{"name": "hello", "version": "1", "dsc_fields": {"Architecture": null}}`} {
		facts, err := w.SourceFactsFor(t.Context(), w.workspace, w.user, json.RawMessage(buildData(w.artifact("debian:source-package", data), "debian:sid", "")))
		w.must(err)
		if facts.Name != "hello" || facts.Architectures != "" || facts.Environments != nil {
			t.Errorf("%s: %+v", data, facts)
		}
	}
}

func TestSourceFactsTellWhatASourceMakes(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", noWords, noWords)
	source := w.artifact("debian:source-package", `{"name": "hello", "version": "1", "type": "dpkg", "dsc_fields": {"Source": "hello",
		"Architecture": "any all", "Package-List": "\n hello deb devel optional arch=any", "Build-Indep-Architecture": "arm64"}}`)
	facts, err := w.SourceFacts(t.Context(), task.SourceQuestion{ID: w.workflow("sbuild", buildData(source, "debian:sid", ""))})
	w.must(err)
	targets, err := facts.Targets()
	w.must(err)
	if len(targets.Packages) != 1 || targets.IndepOn != "arm64" || targets.Builds("amd64", nil) != nil || targets.Builds("all", nil) == nil {
		t.Errorf("%+v tells %+v", facts, targets)
	}
}
