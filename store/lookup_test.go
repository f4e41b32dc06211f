package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
	"debusine/store"
	"debusine/task"
)

// artifact makes a complete artifact without files in the world's workspace.
func (w *world) artifact(category, data string) int64 {
	w.Helper()
	return w.artifactIn(w.workspace, category, data)
}

func (w *world) artifactIn(workspace int64, category, data string) int64 {
	w.Helper()
	id, err := w.CreateArtifact(w.Context(), store.NewArtifact{WorkspaceID: workspace, Category: category, Data: json.RawMessage(data), CreatedBy: w.user})
	w.must(err)
	return id
}

// made makes a complete artifact within an attempt.
func (w *world) made(workRequest, attempt int64, category, data string) int64 {
	w.Helper()
	id, err := w.CreateArtifact(w.Context(), store.NewArtifact{WorkspaceID: w.workspace, Category: category, Data: json.RawMessage(data),
		WorkRequest: workRequest, Attempt: attempt})
	w.must(err)
	return id
}

func (w *world) source(name, version, architecture string) int64 {
	w.Helper()
	return w.artifact("debian:source-package", fmt.Sprintf(`{"name": %q, "version": %q, "type": "dpkg", "dsc_fields": {"Source": %q, "Architecture": %q}}`, name, version, name, architecture))
}

const noWords = "" // of a property that an environment does not have

// environment puts a tarball into debian@debian:environments.
func (w *world) environment(codename, arch, variant, backend string) (artifact int64) {
	w.Helper()
	id := w.artifact("debian:system-tarball", fmt.Sprintf(`{"codename": %q, "architecture": %q, "variant": "buildd"}`, codename, arch))
	w.add(id, variant, backend)
	return id
}

func (w *world) add(artifact int64, variant, backend string) {
	w.Helper()
	c, err := w.Collection(w.Context(), w.workspace, debusine.CategoryEnvironments, "debian")
	w.must(err)
	a, _, err := w.ArtifactHead(w.Context(), artifact)
	w.must(err)
	_, err = w.AddArtifact(w.Context(), c, a, map[string]any{"variant": variant, "backend": backend}, w.user, true)
	w.must(err)
}

func (w *world) sbuild(source int64, environment, arch string) (int64, error) {
	w.Helper()
	return w.Create(w.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: "sbuild",
		Data: json.RawMessage(fmt.Sprintf(`{"input": {"source_artifact": %d}, "environment": %q, "build_architecture": %q}`, source, environment, arch))})
}

// dynamic is the dynamic task data of a work request.
func (w *world) dynamic(id int64) (m map[string]any) {
	w.Helper()
	w.one(`SELECT dynamic_task_data FROM work_requests WHERE id = $1`, &m, id)
	return m
}

func (w *world) missing(what string, err error) {
	w.Helper()
	var missing debusine.Missing
	if !errors.As(err, &missing) {
		w.Errorf("%s: %v, wanted not found", what, err)
	}
}

func TestARebuildThatNamesNobodyIsSignedByTheServer(t *testing.T) {
	w := newWorld(t)
	w.KnownAs("debusine.example.org")
	source := w.source("rust23", "1:1.0-1", "any")
	w.environment("forky", "arm64", noWords, noWords)
	for maintainer, want := range map[string]string{"": "Debusine <noreply@debusine.example.org>", "A B <a@b.example>": "A B <a@b.example>"} {
		id := w.create("sbuild", fmt.Sprintf(`{"input": {"source_artifact": %d}, "build_architecture": "arm64", "environment": "debian/match:codename=forky",
			"binnmu": {"changelog": "Rebuild", "suffix": "+b1", "maintainer": %q}}`, source, maintainer))
		var got string
		w.one(`SELECT configured_task_data->'binnmu'->>'maintainer' FROM work_requests WHERE id = $1`, &got, id)
		if got != want {
			t.Errorf("%q: %s", maintainer, got)
		}
	}
}

func TestABuildIsResolvedTaggedAndQueued(t *testing.T) {
	w := newWorld(t)
	source, environment := w.source("rust23", "1:1.0-1", "any"), w.environment("forky", "arm64", noWords, noWords)
	id, err := w.sbuild(source, "debian/match:codename=forky", "arm64")
	w.must(err)
	want := map[string]any{"input_source_artifact_id": float64(source), "environment_id": float64(environment), "input_extra_binary_artifacts_ids": []any{},
		"subject": "rust23", "parameter_summary": "rust23_1:1.0-1", "runtime_context": "any:arm64:arm64", "configuration_context": "forky", "suite": "forky",
		"architecture": "arm64", "source": "rust23", "source_version": "1:1.0-1"}
	if got := w.dynamic(id); !reflect.DeepEqual(got, want) {
		t.Errorf("dynamic data %v", got)
	}
	var (
		required, provided []string
		queue, configured  string
	)
	w.one(`SELECT scheduler_tags_required FROM work_requests WHERE id = $1`, &required, id)
	w.one(`SELECT scheduler_tags_provided FROM work_requests WHERE id = $1`, &provided, id)
	w.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, id)
	w.one(`SELECT configured_task_data->>'backend' FROM work_requests WHERE id = $1`, &configured, id)
	if !slices.Equal(required, []string{"worker:build-arch:arm64", "worker:cap:sbuild", "worker:executor:unshare", "worker:task:worker:sbuild:version:1", "worker:type:worker"}) {
		t.Errorf("required %q", required)
	}
	if !slices.Equal(provided, []string{"task:scope:debusine", "task:source-package:rust23", "task:workspace:debusine:System"}) {
		t.Errorf("provided %q", provided)
	}
	if queue != "build/arm64" || configured != "unshare" {
		t.Errorf("queue %s, backend %s", queue, configured)
	}
	b := w.begin(w.deliver(id, 0))
	if b.Source != "rust23_1:1.0-1" || b.Architecture != "arm64" || !strings.Contains(string(b.Dynamic), fmt.Sprintf(`"environment_id": %d`, environment)) {
		t.Errorf("the worker is told %+v", b)
	}
}

func TestTheEnvironmentThatATaskGets(t *testing.T) {
	type env struct{ codename, arch, variant, backend string }
	for name, c := range map[string]struct {
		there  []env
		lookup string
		want   int // index of there; -1 for not found
	}{
		"of its architecture":                    {[]env{{"sid", "amd64", "", ""}, {"sid", "i386", "", ""}}, "debian/match:codename=sid", 0},
		"of its codename":                        {[]env{{"sid", "amd64", "", ""}, {"forky", "amd64", "", ""}}, "debian/match:codename=sid", 0},
		"for the task before one for all":        {[]env{{"sid", "amd64", "sbuild", ""}, {"sid", "amd64", "", ""}}, "debian/match:codename=sid", 0},
		"not one for another task":               {[]env{{"sid", "amd64", "autopkgtest", ""}}, "debian/match:codename=sid", -1},
		"for the variant that it names":          {[]env{{"sid", "amd64", "quick", ""}, {"sid", "amd64", "sbuild", ""}}, "debian/match:codename=sid:variant=quick", 0},
		"without a variant where it says so":     {[]env{{"sid", "amd64", "", ""}, {"sid", "amd64", "sbuild", ""}}, "debian/match:codename=sid:variant=", 0},
		"for its backend before a later one":     {[]env{{"sid", "amd64", "", "unshare"}, {"sid", "amd64", "", ""}}, "debian/match:codename=sid", 0},
		"for all backends if none is its own":    {[]env{{"sid", "amd64", "", ""}, {"sid", "amd64", "", "qemu"}}, "debian/match:codename=sid", 0},
		"not one for another backend":            {[]env{{"sid", "amd64", "", "qemu"}}, "debian/match:codename=sid", -1},
		"for no backend where it says so":        {[]env{{"sid", "amd64", "", ""}, {"sid", "amd64", "", "unshare"}}, "debian/match:codename=sid:backend=", 0},
		"the newest of those that fit":           {[]env{{"sid", "amd64", "", ""}, {"forky", "amd64", "", ""}}, "debian/match:architecture=amd64", 1},
		"of another architecture if it says so":  {[]env{{"sid", "i386", "", ""}, {"sid", "amd64", "", ""}}, "debian/match:codename=sid:architecture=i386", 0},
		"no image for a task that needs a tar":   {[]env{{"sid", "amd64", "", ""}}, "debian/match:codename=sid:format=image", -1},
		"by its name, without any filter":        {[]env{{"sid", "i386", "x", "qemu"}}, "debian/name:tarball:sid:i386:x:qemu", 0},
		"no codename that only begins like it":   {[]env{{"sidx", "amd64", "", ""}}, "debian/match:codename=sid", -1},
		"no codename by a pattern of SQL":        {[]env{{"sid", "amd64", "", ""}}, "debian/match:codename=s%", -1},
		"no codename by a quote":                 {[]env{{"sid", "amd64", "", ""}}, "debian/match:codename=' OR ''='", -1},
		"in the collection said in full":         {[]env{{"sid", "amd64", "", ""}}, "debian@debian:environments/match:codename=sid", 0},
		"none of a collection that is not there": {[]env{{"sid", "amd64", "", ""}}, "ubuntu/match:codename=sid", -1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var ids []int64
			for _, e := range c.there {
				ids = append(ids, w.environment(e.codename, e.arch, e.variant, e.backend))
			}
			id, err := w.sbuild(w.source("hello", "2.10-3", "any"), c.lookup, "amd64")
			if c.want < 0 {
				w.missing(c.lookup, err)
				return
			}
			w.must(err)
			if got := w.dynamic(id)["environment_id"]; got != float64(ids[c.want]) {
				t.Errorf("environment %v of %v", got, ids)
			}
		})
	}
}

func TestTheNewestEnvironmentWinsAndRemovedOnesAreGone(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "2.10-3", "any")
	old := w.environment("sid", "amd64", noWords, noWords)
	newer := w.environment("sid", "amd64", noWords, noWords) // the same name: takes its place
	id, err := w.sbuild(source, "debian/match:codename=sid", "amd64")
	w.must(err)
	if got := w.dynamic(id)["environment_id"]; got != float64(newer) {
		t.Errorf("environment %v, the old one is %d, the newer %d", got, old, newer)
	}
	var removed int64
	w.one(`SELECT artifact_id FROM collection_items WHERE removed_at IS NOT NULL AND removed_by = $1`, &removed, w.user)
	if removed != old {
		t.Errorf("removed was %d", removed)
	}
	c, err := w.Collection(t.Context(), w.workspace, debusine.CategoryEnvironments, "debian")
	w.must(err)
	w.must(w.RemoveItem(t.Context(), c, "tarball:sid:amd64", w.user))
	_, err = w.sbuild(source, "debian/match:codename=sid", "amd64")
	w.missing("a removed environment", err)
}

func TestWithoutABackendTheNewestWins(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", noWords, "unshare")
	newest := w.environment("sid", "amd64", noWords, noWords)
	r, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, debusine.LookupOf("debian@debian:environments/match:codename=sid"), lookup.Expect{})
	w.must(err)
	if r.Artifact.ID != newest || r.Item.Name != "tarball:sid:amd64" {
		t.Errorf("%+v", r.Item)
	}
}

func TestWhatTheUserMayNotSeeIsNotFound(t *testing.T) {
	w := newWorld(t)
	var stranger, hidden int64
	w.one(`INSERT INTO users (username) VALUES ('mallory') RETURNING id`, &stranger)
	w.one(`INSERT INTO workspaces (scope_id, name) SELECT id, 'embargoed' FROM scopes WHERE name = 'debusine' RETURNING id`, &hidden)
	w.must(w.CreateCollection(t.Context(), debusine.Collection{WorkspaceID: hidden, Category: debusine.CategoryEnvironments, Name: "debian"}))
	secret := w.artifactIn(hidden, "debian:source-package", `{"name": "linux", "version": "6.1-1"}`)
	shown := w.source("hello", "2.10-3", "any")
	collection, err := w.Collection(t.Context(), w.workspace, debusine.CategoryEnvironments, "debian")
	w.must(err)
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%d@artifacts", secret), fmt.Sprint(shown),
		fmt.Sprintf("%d@collections", collection.ID), "debian@debian:environments", "_@debian:package-build-logs", "999999"} {
		for _, user := range []int64{stranger, 0} { // 0 is anybody
			_, err := w.LookupSingle(t.Context(), store.Asking{User: user, Workspace: w.workspace}, debusine.LookupOf(text), lookup.Expect{})
			w.missing(text, err)
		}
		if _, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, debusine.LookupOf(text), lookup.Expect{}); err != nil && text != "999999" {
			t.Errorf("%s, for an owner: %v", text, err)
		}
	}
	w.exec(`UPDATE workspaces SET public = true WHERE id = $1`, w.workspace)
	if _, err := w.LookupSingle(t.Context(), store.Asking{Workspace: w.workspace}, debusine.LookupID(shown), lookup.Expect{}); err != nil {
		t.Errorf("a public artifact: %v", err)
	}
	_, err = w.LookupSingle(t.Context(), store.Asking{Workspace: w.workspace}, debusine.LookupID(secret), lookup.Expect{})
	w.missing("an embargoed artifact", err)
	// An item of a public collection opens no artifact that lies elsewhere.
	w.exec(`UPDATE artifacts SET workspace_id = $1 WHERE id = $2`, hidden, w.environment("sid", "amd64", noWords, noWords))
	_, err = w.LookupSingle(t.Context(), store.Asking{Workspace: w.workspace}, debusine.LookupOf("debian@debian:environments/match:codename=sid"), lookup.Expect{})
	w.missing("an embargoed artifact in a public collection", err)
}

func TestArtifactsOfAnAttemptAreFoundOnceItCompleted(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	find := func(artifact int64) error {
		_, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, debusine.LookupID(artifact), lookup.Expect{})
		return err
	}
	lost := w.begin(w.deliver(id, 0))
	early := w.made(id, lost.AttemptID, "debusine:test", `{}`)
	w.missing("of a running attempt", find(early))
	again := w.begin(w.deliver(id, 0)) // voids the first
	late := w.made(id, again.AttemptID, "debusine:test", `{}`)
	_, err := w.Complete(t.Context(), again.AttemptID, debusine.Success, nil)
	w.must(err)
	w.missing("of a lost attempt", find(early))
	w.must(find(late))
	half, err := w.CreateArtifact(t.Context(), store.NewArtifact{WorkspaceID: w.workspace, Category: "debusine:test", CreatedBy: w.user,
		Files: []debusine.ArtifactFile{{Path: "a", SHA256: strings.Repeat("0a", 32), Size: 7}}})
	w.must(err)
	w.missing("without its file", find(half))
}

func TestALookupOfTheWrongKindIsInvalid(t *testing.T) {
	w := newWorld(t)
	source, tar := w.source("hello", "2.10-3", "any"), w.environment("sid", "amd64", noWords, noWords)
	for name, c := range map[string]struct {
		source      int64
		environment string
		want        string
	}{
		"a tarball as the source":      {tar, "debian/match:codename=sid", "of category debian:system-tarball, wanted is debian:source-package"},
		"a source as the environment":  {source, fmt.Sprint(source), "wanted is debian:system-tarball"},
		"a collection":                 {source, "debian", "does not come to an artifact"},
		"an environment by zero":       {source, "0", "not the number of anything"},
		"an environment by a NUL byte": {source, "debian/x\x00", "characters that no name has"},
	} {
		raw, err := json.Marshal(map[string]any{"input": map[string]any{"source_artifact": c.source}, "environment": c.environment, "build_architecture": "amd64"})
		w.must(err)
		_, err = w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: "sbuild", Data: raw})
		var invalid debusine.Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var n int
	w.one(`SELECT count(*) FROM work_requests`, &n)
	if n != 0 {
		t.Errorf("%d work requests were left behind", n)
	}
}

func TestExtraPackagesComeFromSeveralArtifacts(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "2.10-3", "any")
	w.environment("sid", "amd64", noWords, noWords)
	deb, upload := w.artifact("debian:binary-package", `{}`), w.artifact("debian:upload", `{}`)
	id := w.create("sbuild", fmt.Sprintf(`{"input": {"source_artifact": %d, "extra_binary_artifacts": [%d, "%d@artifacts"]}, "environment": "debian/match:codename=sid", "build_architecture": "amd64"}`, source, upload, deb))
	if got := w.dynamic(id)["input_extra_binary_artifacts_ids"]; !reflect.DeepEqual(got, []any{float64(upload), float64(deb)}) {
		t.Errorf("extra packages %v", got)
	}
}

func TestGatesGiveWorkAQueueOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.exec(`INSERT INTO gates (tag) VALUES ('task:workspace:debusine:System'), ('task:source-package:linux'), ('task:scope:other')`)
	w.environment("sid", "amd64", noWords, noWords)
	for name, want := range map[string]string{"hello": "build/amd64~workspace:debusine:System", "linux": "build/amd64~source-package:linux~workspace:debusine:System"} {
		id, err := w.sbuild(w.source(name, "1", "any"), "debian/match:codename=sid", "amd64")
		w.must(err)
		var queue string
		var required, provided []string
		w.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, id)
		w.one(`SELECT required FROM queues WHERE name = $1`, &required, queue)
		w.one(`SELECT provided FROM queues WHERE name = $1`, &provided, queue)
		if queue != want || !slices.Contains(required, "worker:cap:sbuild") || slices.Contains(required, "worker:cap:mmdebstrap") {
			t.Errorf("%s goes to %s, which requires %q", name, queue, required)
		}
		// A machine kept for linux may have linux and nothing else.
		if _, unmet := task.Entitled(required, []string{"task:source-package:linux"}, required, provided); (len(unmet) == 0) != (name == "linux") {
			t.Errorf("%s: unmet demands %q", name, unmet)
		}
	}
	w.create("noop", `{}`)
	var queues int
	w.one(`SELECT count(*) FROM queues WHERE name <> 'signing'`, &queues)
	if queues != 3 { // a noop has its own
		t.Errorf("%d queues", queues)
	}
}

func TestAStepThatPostgreSQLRefusesSpoilsNoPlan(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{
		{Name: "missing", TaskName: "sbuild", Data: json.RawMessage(`{"input": {"source_artifact": 99}, "environment": 1, "build_architecture": "amd64"}`)},
		{Name: "good", TaskName: "noop"}}})
	w.must(err)
	w.wants(planned.Children[0].ID, "completed:error")
	w.wants(planned.Children[1].ID, "pending:")
	var words string
	w.one(`SELECT output_data->'errors'->0->>'message' FROM work_requests WHERE id = $1 AND output_data->'errors'->0->>'code' = 'dynamic-data-failed'`, &words, planned.Children[0].ID)
	if !strings.Contains(words, "artifact 99 not found") {
		t.Errorf("the reason is %q", words)
	}
}

// JSON has characters that PostgreSQL's text has not.
func TestTextThatPostgreSQLCannotHoldIsInvalid(t *testing.T) {
	w := newWorld(t)
	for name, text := range map[string]string{"a NUL byte": `\u0000`, "half of a pair": `\ud800`} {
		for taskName, data := range map[string]string{
			"mmdebstrap": `{"bootstrap_options": {"architecture": "amd64"}, "bootstrap_repositories": [{"mirror": "http://mirror/debian", "suite": "sid"}], "customization_script": "` + text + `"}`,
			"sbuild":     `{"input": {"source_artifact": "` + text + `@debian:suite"}, "environment": 1, "build_architecture": "amd64"}`,
		} {
			_, err := w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: taskName, Data: json.RawMessage(data)})
			var invalid debusine.Invalid
			if !errors.As(err, &invalid) {
				t.Errorf("%s in %s: %v", name, taskName, err)
			}
		}
	}
	var left int
	w.one(`SELECT (SELECT count(*) FROM work_requests) + (SELECT count(*) FROM queues WHERE name <> 'signing')`, &left)
	if left != 0 {
		t.Errorf("%d rows were left behind", left)
	}
}

func TestAVisibleSourceOfAnotherWorkspaceMayBeBuilt(t *testing.T) {
	w := newWorld(t)
	var public int64
	w.one(`INSERT INTO workspaces (scope_id, name, public) SELECT id, 'shared', true FROM scopes WHERE name = 'debusine' RETURNING id`, &public)
	source := w.artifactIn(public, "debian:source-package", `{"name": "hello", "version": "2.10-3"}`)
	w.environment("sid", "amd64", noWords, noWords)
	id, err := w.sbuild(source, "debian/match:codename=sid", "amd64")
	w.must(err)
	if got := w.dynamic(id)["input_source_artifact_id"]; got != float64(source) {
		t.Errorf("source %v", got)
	}
}
