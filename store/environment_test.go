package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// used is a source, an old environment for it, and the collection that forgets at
// once what was replaced.
func (w *world) used() (source, environment int64) {
	w.Helper()
	source = w.artifact("debian:source-package", `{"name": "hello", "version": "1", "type": "dpkg", "dsc_fields": {"Architecture": "any"}}`)
	environment = w.expired("debian:system-tarball")
	w.exec(`UPDATE artifacts SET data = '{"codename": "sid", "architecture": "amd64", "variant": "buildd"}' WHERE id = $1`, environment)
	w.add(environment, noWords, noWords)
	none := 0
	_, err := w.UpdateCollection(w.Context(), w.workspace, w.environments().ID, func(c *debusine.Collection) error {
		c.FullHistoryDays = &none
		return nil
	})
	w.must(err)
	return source, environment
}

// there says whether an artifact survives the removal of what nothing keeps.
func (w *world) there(artifact int64) (there bool) {
	w.Helper()
	_, err := w.ForgetItems(w.Context())
	w.must(err)
	_, err = w.ExpireArtifacts(w.Context())
	w.must(err)
	w.one(`SELECT EXISTS (SELECT FROM artifacts WHERE id = $1)`, &there, artifact)
	return there
}

func TestAReplacedEnvironmentStaysWhileABuildUsesIt(t *testing.T) {
	w := newWorld(t)
	source, old := w.used()
	id := w.create("sbuild", fmt.Sprintf(`{"input": {"source_artifact": %d}, "build_architecture": "amd64", "environment": "debian/match:codename=sid"}`, source))
	w.environment("sid", "amd64", noWords, noWords)
	if !w.there(old) {
		t.Fatal("it is gone while the build is pending")
	}
	b := w.begin(w.deliver(id, 0))
	if !w.there(old) {
		t.Fatal("it is gone while the build runs")
	}
	p, err := w.Principal(t.Context(), b.Secret)
	if err != nil || !strings.Contains(fmt.Sprint(p.Inputs), fmt.Sprint(old)) {
		t.Errorf("the build may not read it: %+v, %v", p, err)
	}
	w.complete(b.AttemptID, debusine.Success, `{}`)
	if w.there(old) {
		t.Error("it stays after the build")
	}
}

func TestAReplacedEnvironmentStaysWhileAWorkflowThatUsedItIsUnderWay(t *testing.T) {
	w := newWorld(t)
	source, old := w.used()
	root := w.workflow("sbuild", buildData(source, "debian:sid", ""))
	data := fmt.Sprintf(`{"input": {"source_artifact": %d}, "build_architecture": "amd64", "environment": "debian/match:codename=sid"}`, source)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "sbuild", Data: json.RawMessage(data)}}})
	w.must(err)
	w.environment("sid", "amd64", noWords, noWords)
	b := w.begin(w.deliver(planned.Children[0].ID, 0))
	w.complete(b.AttemptID, debusine.Failure, `{}`)
	if !w.there(old) {
		t.Error("it is gone before the workflow's end")
	}
	_, _, err = w.Conclude(t.Context(), task.Conclusion{ID: root, Result: debusine.Failure})
	w.must(err)
	if w.there(old) {
		t.Error("it stays after the workflow")
	}
}

// bootstrapped is an environment that a work request made and put where it belongs.
func (w *world) bootstrapped(content string) (artifact int64) {
	w.Helper()
	_, id := w.child(task.Reactions{OnSuccess: []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "debian@debian:environments",
		Filters: map[string]any{"category": "debian:system-tarball"}, Variables: map[string]any{"codename": "sid"}}}})
	b := w.begin(w.deliver(id, 0))
	artifact = w.made(id, b.AttemptID, "debian:system-tarball", `{"codename": "sid", "architecture": "amd64", "variant": "buildd"}`)
	w.exec(`INSERT INTO artifact_files (artifact_id, path, sha256, size) VALUES ($1, 'system.tar.zst', sha256($2::bytea), 3)`, artifact, []byte(content))
	w.complete(b.AttemptID, debusine.Success, `{}`)
	return artifact
}

func TestTheSameEnvironmentAgainChangesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.bootstrapped("one")
	w.bootstrapped("one")
	if items := w.items(debusine.CategoryEnvironments, "debian"); len(items) != 1 || *items[0].Artifact != first {
		t.Errorf("the same bytes took its place: %+v", items)
	}
	second := w.bootstrapped("two")
	if items := w.items(debusine.CategoryEnvironments, "debian"); len(items) != 1 || *items[0].Artifact != second {
		t.Errorf("other bytes did not: %+v", items)
	}
	all, err := w.Items(t.Context(), w.environments().ID, store.ItemFilter{Removed: true}, 10)
	if err != nil || len(all) != 2 {
		t.Errorf("%d items are remembered, %v", len(all), err)
	}
}
