package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

func buildData(source int64, target, more string) string {
	return fmt.Sprintf(`{"input": {"source_artifact": %d}, "target_distribution": %q, "architectures": ["amd64"]%s}`, source, target, more)
}

func (w *world) factsOf(data string) (task.Source, error) {
	return w.SourceFactsFor(w.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, Data: json.RawMessage(data)})
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
		_, err := w.factsOf(c.data)
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
		facts, err := w.factsOf(buildData(w.artifact("debian:source-package", data), "debian:sid", ""))
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
	if len(targets.Packages) != 1 || facts.AllOn != "arm64" || facts.Asked.IsZero() || targets.Builds("amd64", nil) != nil || targets.Builds("all", nil) == nil {
		t.Errorf("%+v tells %+v", facts, targets)
	}
}

// suiteEnvironment puts a tarball that tells of its mirror into the collection.
func (w *world) suiteEnvironment(codename, arch, more string) {
	w.Helper()
	w.add(w.artifact("debian:system-tarball", fmt.Sprintf(`{"codename": %q, "architecture": %q, "variant": "buildd", "mirror": "http://mirror.example/debian",
		"components": ["main", "contrib"]%s}`, codename, arch, more)), "", "")
}

func TestTheNewestEnvironmentSaysWhatTheSuiteAccepts(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "2.10-3", "any")
	facts := func(target string) task.Source {
		t.Helper()
		s, err := w.factsOf(buildData(source, target, ""))
		w.must(err)
		return s
	}
	w.suiteEnvironment("sid", "mipsel", `, "suite_architectures": ["amd64", "mipsel"]`)
	w.suiteEnvironment("sid", "i386", `, "suite_architectures": ["amd64", "i386"]`)
	if s := facts("debian:sid"); !slices.Equal(s.Suite, []string{"amd64", "i386"}) || !slices.Equal(s.Environments, []string{"i386", "mipsel"}) {
		t.Errorf("%+v", s)
	}
	w.suiteEnvironment("sid", "amd64", ``) // of a machine that does not know the field
	if s := facts("debian:sid"); !slices.Equal(s.Suite, []string{"amd64", "i386"}) {
		t.Errorf("an environment that says nothing has changed the suite: %v", s.Suite)
	}
	// experimental is built in sid.
	if s := facts("debian:experimental"); s.Mirror != "http://mirror.example/debian" || !slices.Equal(s.Components, []string{"main", "contrib"}) || len(s.Environments) != 3 {
		t.Errorf("%+v", s)
	}
	w.suiteEnvironment("forky", "amd64", ``)
	if s := facts("debian:forky"); s.Suite != nil {
		t.Errorf("a suite that nobody looked at accepts but %v", s.Suite)
	}
}

func TestMachinesAreAskedAsTheBuildWillBeConfigured(t *testing.T) {
	w := newWorld(t)
	for _, arch := range []string{"amd64", "i386", "arm64", "riscv64"} {
		w.environment("sid", arch, noWords, noWords)
	}
	tags := func(arch string, more ...string) []string {
		return append([]string{"worker:type:worker", "worker:task:worker:sbuild:version:1", "worker:executor:unshare", "worker:cap:sbuild", "worker:build-arch:" + arch}, more...)
	}
	w.exec(`UPDATE workers SET tags_provided = $1 WHERE name = 'one'`, tags("amd64"))
	w.exec(`UPDATE workers SET tags_provided = $1, enabled = false WHERE name = 'two'`, tags("arm64"))
	w.exec(`UPDATE workers SET tags_provided = $1, tags_required = '{task:workspace:debusine:secret}' WHERE name = 'three'`, tags("i386"))
	w.configure(`{"task_type": "Worker", "task_name": "sbuild", "subject": "linux", "require_tags": ["worker:class:big"]}`)
	const all = `"architectures": ["amd64", "i386", "arm64", "all", "s390x"]`
	for name, c := range map[string]struct {
		source, parameters string
		want               map[string]string
	}{
		"as they are":  {"hello", all, map[string]string{"i386": "every enabled worker that could is kept for other work", "arm64": "no enabled worker provides worker:build-arch:arm64"}},
		"cross built":  {"hello", `"architectures": ["arm64", "i386"], "cross_build_architecture": "amd64"`, map[string]string{}},
		"on a big one": {"linux", `"architectures": ["amd64"]`, map[string]string{"amd64": "no enabled worker provides worker:class:big"}},
		"all on a machine that is away": {"hello", `"architectures": ["all"], "arch_all_build_architecture": "riscv64"`,
			map[string]string{"all": "no enabled worker provides worker:build-arch:riscv64"}},
	} {
		facts, err := w.factsOf(fmt.Sprintf(`{"input": {"source_artifact": %d}, "target_distribution": "debian:sid", %s}`, w.source(c.source, "1", "any all"), c.parameters))
		w.must(err)
		if !maps.Equal(facts.NoWorker, c.want) {
			t.Errorf("%s: %v", name, facts.NoWorker)
		}
	}
	w.exec(`UPDATE workers SET enabled = false`)
	facts, err := w.factsOf(buildData(w.source("hello", "1", "any"), "debian:sid", ""))
	w.must(err)
	if facts.NoWorker["amd64"] != "no worker is enabled" {
		t.Errorf("%v", facts.NoWorker)
	}
	var queues int
	w.one(`SELECT count(*) FROM queues WHERE name LIKE 'build/%riscv64%'`, &queues)
	if queues > 0 {
		t.Error("asking has made a queue")
	}
}

func TestWhatAWorkflowLeavesOutIsToldWhileItRuns(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	_, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Dropped: []debusine.DroppedArchitecture{{Architecture: "i386", Reason: "because"}}})
	w.must(err)
	var reason string
	w.one(`SELECT output_data->'dropped_architectures'->0->>'reason' FROM work_requests WHERE id = $1`, &reason, root)
	if reason != "because" {
		t.Errorf("told is %q", reason)
	}
}
