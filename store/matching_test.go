package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
	"debusine/store"
)

const buildLogs = "_@debian:package-build-logs"

// log puts a build log's artifact into the collection of logs.
func (w *world) log(source, version, arch string, workRequest int64) (artifact int64) {
	w.Helper()
	id := w.artifact("debian:package-build-log", fmt.Sprintf(`{"source": %q, "version": %q, "architecture": %q}`, source, version, arch))
	c, err := w.Collection(w.Context(), w.workspace, debusine.CategoryPackageBuildLogs, "_")
	w.must(err)
	a, _, err := w.ArtifactHead(w.Context(), id)
	w.must(err)
	_, err = w.AddArtifact(w.Context(), c, a, map[string]any{"work_request_id": workRequest, "vendor": "debian", "codename": "sid"}, w.user, true)
	w.must(err)
	return id
}

// names are those of the items that a lookup of many finds, or its error.
func (w *world) names(who store.Asking, raw string) string {
	w.Helper()
	results, err := w.LookupMultiple(w.Context(), who, json.RawMessage(raw), lookup.Expect{})
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, r := range results {
		names = append(names, r.Item.Name)
	}
	return strings.Join(names, " ")
}

func (w *world) asking() store.Asking { return store.Asking{User: w.user, Workspace: w.workspace} }

func TestItemsAreChosenByNameAndData(t *testing.T) {
	w := newWorld(t)
	w.log("hello", "1:2.10-3", "amd64", 7)
	w.log("hello", "1:2.10-3", "i386", 8)
	w.log("100%_sure", "1", "amd64", 70)
	const a, b, c = "debian_sid_amd64_hello_1:2.10-3_7", "debian_sid_i386_hello_1:2.10-3_8", "debian_sid_amd64_100%_sure_1_70"
	for keys, want := range map[string]string{
		``:                                                           a + " " + b + " " + c,
		`"name": "` + a + `"`:                                        a,
		`"name": "debian"`:                                           "",
		`"name__contains": "%_s"`:                                    c,
		`"name__contains": "_"`:                                      a + " " + b + " " + c,
		`"name__contains": "HELLO"`:                                  "",
		`"name__contains": "' OR ''='"`:                              "",
		`"name__startswith": "debian_sid_a"`:                         a + " " + c,
		`"name__startswith": "debian%"`:                              "",
		`"name__startswith": ""`:                                     a + " " + b + " " + c,
		`"name__endswith": "_8"`:                                     b,
		`"name__endswith": "70"`:                                     c,
		`"name__endswith": ""`:                                       a + " " + b + " " + c,
		`"name__in": ["` + b + `", "x", 5]`:                          b,
		`"name__in": []`:                                             "",
		`"data__work_request_id": 7`:                                 a,
		`"data__work_request_id": "7"`:                               a,
		`"data__work_request_id": "07"`:                              "",
		`"data__work_request_id": 7.0`:                               "",
		`"data__work_request_id": "7e0"`:                             "",
		`"data__work_request_id__in": [8, 7]`:                        a + " " + b,
		`"data__work_request_id__startswith": "7"`:                   a + " " + c,
		`"data__srcpkg_name": "hello", "data__architecture": "i386"`: b,
		`"data__srcpkg_name": "100%_sure"`:                           c,
		`"data__srcpkg_name": "{"`:                                   "",
		`"data__srcpkg_name": "[1"`:                                  "",
		`"data__srcpkg_name": "null"`:                                "",
		`"data__srcpkg_version__endswith": ".10-3"`:                  a + " " + b,
		`"data__'; DROP TABLE collection_items; --": "x"`:            "",
		`"data__nothing__contains": ""`:                              "",
		`"child_type": "bare"`:                                       "",
		`"child_type": "artifact-or-promise", "data__architecture": "i386"`:                      b,
		`"child_type": "any", "category": "debian:package-build-log", "name__in": ["` + a + `"]`: a,
		`"category": "debian:upload"`: "",
	} {
		raw := `{"collection": "` + buildLogs + `"`
		if keys != "" {
			raw += ", " + keys
		}
		if got := w.names(w.asking(), raw+"}"); got != want {
			t.Errorf("%s: %s", keys, got)
		}
	}
}

func TestALookupOfManyShowsOnlyWhatMayBeSeen(t *testing.T) {
	w := newWorld(t)
	var hidden int64
	w.one(`INSERT INTO workspaces (scope_id, name) SELECT id, 'embargoed' FROM scopes WHERE name = 'debusine' RETURNING id`, &hidden)
	open, secret := w.log("hello", "1", "amd64", 7), w.log("linux", "1", "amd64", 8)
	w.exec(`UPDATE artifacts SET workspace_id = $1 WHERE id = $2`, hidden, secret)
	w.exec(`UPDATE workspaces SET public = true WHERE id = $1`, w.workspace)
	anybody := store.Asking{Workspace: w.workspace}
	all := `{"collection": "` + buildLogs + `"}`
	if got := w.names(anybody, all); got != "debian_sid_amd64_hello_1_7" {
		t.Errorf("anybody sees %q", got)
	}
	if got := w.names(w.asking(), all); got != "debian_sid_amd64_hello_1_7 debian_sid_amd64_linux_1_8" {
		t.Errorf("an owner sees %q", got)
	}
	// Not found, whether it exists or not.
	for _, pair := range [][2]string{
		{fmt.Sprintf(`["%d@artifacts"]`, secret), `["999999@artifacts"]`},
		{`["//workspace=embargoed/_@debian:package-build-logs"]`, `["//workspace=nothing/_@debian:package-build-logs"]`},
		{`["//scope=debusine:workspace=embargoed/_@debian:package-build-logs"]`, `["//scope=none:workspace=x/_@debian:package-build-logs"]`},
	} {
		var words []string
		for _, raw := range pair {
			_, err := w.LookupMultiple(t.Context(), anybody, json.RawMessage(raw), lookup.Expect{})
			w.missing(raw, err)
			words = append(words, strings.NewReplacer(fmt.Sprint(secret), "N", "999999", "N", "embargoed", "W", "nothing", "W", `"x"`, `"W"`).Replace(err.Error()))
		}
		if words[0] != words[1] {
			t.Errorf("what is hidden and what is not there differ: %q", words)
		}
	}
	if got := w.names(anybody, fmt.Sprintf(`{"collection": %q, "lookup__same_work_request": %d}`, buildLogs, open)); got != "" {
		t.Errorf("an artifact of no work request has logs: %s", got)
	}
}

func TestLogsOfTheSameWorkRequest(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	b := w.begin(w.deliver(id, 0))
	artifact := w.made(id, b.AttemptID, "debusine:test", `{}`)
	w.complete(b.AttemptID, debusine.Success, `{}`)
	w.log("hello", "1", "amd64", id)
	w.log("other", "1", "amd64", id+1)
	if got, want := w.names(w.asking(), fmt.Sprintf(`{"collection": %q, "lookup__same_work_request": [%d]}`, buildLogs, artifact)),
		fmt.Sprintf("debian_sid_amd64_hello_1_%d", id); got != want {
		t.Errorf("found %q", got)
	}
}

func TestAWorkflowFindsItsOutputsByName(t *testing.T) {
	w := newWorld(t)
	data := buildData(w.source("hello", "1", "any"), "debian:sid", "")
	root, other := w.workflow("sbuild", data), w.workflow("sbuild", data)
	within := store.Asking{User: w.user, Workspace: w.workspace, WorkRequest: root}
	c, err := w.LookupSingle(t.Context(), within, debusine.LookupOf("internal@collections"), lookup.Expect{Type: lookup.Collection})
	w.must(err)
	if c.Collection.Name != fmt.Sprintf("workflow-%d", root) {
		t.Errorf("%+v", c.Collection)
	}
	upload := w.artifact("debian:upload", `{}`)
	w.exec(`INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data) VALUES ($1, 'build-amd64', 'artifact', 'debian:upload', $2, '{"architecture": "amd64"}')`,
		c.Collection.ID, upload)
	r, err := w.LookupSingle(t.Context(), within, debusine.LookupOf("internal@collections/build-amd64"), lookup.Expect{})
	w.must(err)
	if r.Artifact.ID != upload || r.Lookup().String() != "internal@collections/name:build-amd64" {
		t.Errorf("%+v is %s", r.Artifact, r.Lookup())
	}
	_, err = w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace, WorkRequest: other}, r.Lookup(), lookup.Expect{})
	w.missing("in another workflow", err)
	_, err = w.LookupSingle(t.Context(), store.Asking{Workspace: w.workspace, WorkRequest: root}, r.Lookup(), lookup.Expect{})
	w.missing("a workflow that may not be seen", err)
	_, err = w.LookupSingle(t.Context(), w.asking(), r.Lookup(), lookup.Expect{})
	if !isInvalid(err) {
		t.Errorf("outside of a workflow: %v", err)
	}
	// Nobody else changes it, and no list is full of such collections.
	a, _, err := w.ArtifactHead(t.Context(), upload)
	w.must(err)
	_, added := w.AddArtifact(t.Context(), *c.Collection, a, nil, w.user, true)
	for name, err := range map[string]error{"adding": added, "removing": w.RemoveItem(t.Context(), *c.Collection, "build-amd64", w.user), "deleting": w.DeleteCollection(t.Context(), *c.Collection)} {
		if !errors.As(err, new(debusine.Forbidden)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := w.Collections(t.Context(), w.workspace)
	if err != nil || len(all) != 3 {
		t.Errorf("listed are %+v, %v", all, err)
	}
}
