package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/task"
)

// deb is a binary package of the source shim.
func (w *world) deb(name, arch string) int64 {
	w.Helper()
	return w.artifact(debusine.CategoryBinaryPackage, fmt.Sprintf(
		`{"srcpkg_name": "shim", "srcpkg_version": "15.8-1", "deb_fields": {"Package": %q, "Version": "15.8-1", "Architecture": %q}, "deb_control_files": ["control"]}`, name, arch))
}

func TestTheFactsOfASignedSource(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", noWords, noWords)
	first, doc, template, alone := w.deb("shim-unsigned", "amd64"), w.deb("shim-doc", "all"), w.deb("shim-amd64-signed-template", "amd64"), w.deb("shim-helpers", "arm64")
	upload := w.artifact(debusine.CategoryUpload, `{"type": "dpkg", "changes_fields": {}}`)
	for _, deb := range []int64{first, doc} {
		_, _, err := w.PutRelation(t.Context(), debusine.Relation{Artifact: upload, Target: deb, Type: "extends"})
		w.must(err)
	}
	data := fmt.Sprintf(`{"binary_artifacts": [%d, %d], "signing_template_artifacts": [%d], "vendor": "debian", "codename": "sid", "purpose": "uefi", "key": %q}`,
		upload, alone, template, strings.Repeat("AB", 32))
	facts, err := w.FactsForSigning(t.Context(), task.SourceQuestion{ID: w.workflow("make_signed_source", data)})
	w.must(err)
	got, err := json.Marshal(facts)
	w.must(err)
	of := func(id int64, name, arch string) string {
		return fmt.Sprintf(`{"artifact":%d,"package":%q,"architecture":%q,"source":"shim","version":"15.8-1"}`, id, name, arch)
	}
	if want := `{"binaries":[` + of(first, "shim-unsigned", "amd64") + "," + of(doc, "shim-doc", "all") + "," + of(alone, "shim-helpers", "arm64") +
		`],"templates":[` + of(template, "shim-amd64-signed-template", "amd64") + `],"environments":["amd64"]}`; string(got) != want {
		t.Errorf("%s, not %s", got, want)
	}
	if _, err := w.FactsForSigningOf(t.Context(), w.workspace, w.user, json.RawMessage(strings.Replace(data, fmt.Sprint(alone), "4711", 1))); err == nil {
		t.Error("facts of what is not there")
	}
	if _, err := w.FactsForSigning(t.Context(), task.SourceQuestion{ID: 4711}); err == nil {
		t.Error("facts of no work request")
	}
}

// What an attempt made that was lost is no output.
func TestTheOutputsOfAWorkRequest(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	b := w.begin(w.deliver(id, 0))
	var made [2]int64
	for i, category := range []string{debusine.CategorySigningInput, debusine.CategoryUpload} {
		w.one(`INSERT INTO artifacts (category, workspace_id, data, created_by_work_request, created_by_attempt, complete)
			VALUES ($1, $2, '{"binary_package_name": "shim"}', $3, $4, true) RETURNING id`, &made[i], category, w.workspace, id, b.AttemptID)
	}
	ask := task.OutputQuestion{ID: id, Category: debusine.CategorySigningInput}
	if before, err := w.Outputs(t.Context(), ask); err != nil || len(before) != 0 {
		t.Errorf("while it runs: %+v, %v", before, err)
	}
	w.exec(`UPDATE attempts SET ended_at = now(), ending = 'completed'`)
	after, err := w.Outputs(t.Context(), ask)
	if err != nil || len(after) != 1 || after[0] != (task.Output{Artifact: made[0], Package: "shim"}) {
		t.Errorf("%+v, %v", after, err)
	}
}
