package store_test

import (
	"fmt"
	"testing"
	"time"

	"debusine"
	"debusine/task"
)

// expired makes an artifact whose time came an hour ago.
func (w *world) expired(category string) int64 {
	w.Helper()
	id := w.artifact(category, `{}`)
	w.exec(`UPDATE artifacts SET created_at = now() - interval '2 hours', expiration_delay = '1 hour' WHERE id = $1`, id)
	return id
}

func (w *world) relate(from, to int64, kind string) {
	w.Helper()
	_, _, err := w.PutRelation(w.Context(), debusine.Relation{Artifact: from, Target: to, Type: kind})
	w.must(err)
}

func (w *world) hold(collection, artifact int64, name string) {
	w.Helper()
	w.exec(`INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data) VALUES ($1, $2, 'artifact', 'debusine:test', $3, '{"work_request_id": 1}')`,
		collection, name, artifact)
}

func TestArtifactsExpireUnlessSomethingKeepsThem(t *testing.T) {
	w := newWorld(t)
	const test = "debusine:test"
	kept, gone := map[string]int64{}, map[string]int64{}
	kept["whose time has not come"] = w.artifact(test, `{}`)
	w.exec(`UPDATE artifacts SET expiration_delay = '1 hour' WHERE id = $1`, kept["whose time has not come"])
	kept["that is for ever"] = w.artifact(test, `{}`)
	w.exec(`UPDATE artifacts SET created_at = now() - interval '9 years', expiration_delay = '0' WHERE id = $1`, kept["that is for ever"])
	kept["to which a kept one relates"] = w.expired(test)
	w.relate(kept["that is for ever"], kept["to which a kept one relates"], "relates-to")
	kept["two relations away"] = w.expired(test)
	w.relate(kept["to which a kept one relates"], kept["two relations away"], "built-using")
	kept["that extends one whose time has not come"] = w.expired(test)
	w.relate(kept["that extends one whose time has not come"], kept["that is for ever"], "extends")
	gone["that relates to a kept one"] = w.expired(test)
	w.relate(gone["that relates to a kept one"], kept["that is for ever"], "relates-to")
	gone["in a circle of its like"] = w.expired(test)
	w.relate(gone["in a circle of its like"], gone["that relates to a kept one"], "extends")
	w.relate(gone["that relates to a kept one"], gone["in a circle of its like"], "extends")
	gone["that nobody knows"] = w.expired(test)

	kept["that running work takes"] = w.expired("debian:source-package")
	w.exec(`UPDATE artifacts SET data = '{"name": "hello", "version": "1", "type": "dpkg", "dsc_fields": {"Architecture": "any"}}' WHERE id = $1`, kept["that running work takes"])
	w.environment("sid", "amd64", noWords, noWords)
	running := w.workflow("sbuild", buildData(kept["that running work takes"], "debian:sid", ""))
	kept["an output of a running workflow"] = w.expired(test)
	w.exec(`UPDATE artifacts SET created_by_work_request = $1 WHERE id = $2`, running, kept["an output of a running workflow"])
	over := w.workflow("sbuild", buildData(kept["that running work takes"], "debian:sid", ""))
	gone["an output of a workflow that is over"] = w.expired(test)
	for root, artifact := range map[int64]int64{running: kept["an output of a running workflow"], over: gone["an output of a workflow that is over"]} {
		var internal int64
		w.one(`SELECT id FROM collections WHERE root_id = $1`, &internal, root)
		w.hold(internal, artifact, "output")
	}
	_, _, err := w.Conclude(t.Context(), task.Conclusion{ID: over, Result: debusine.Success})
	w.must(err)
	kept["that a collection holds"] = w.expired("debian:package-build-log")
	logs, err := w.Collection(t.Context(), w.workspace, debusine.CategoryPackageBuildLogs, "_")
	w.must(err)
	w.exec(`INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data) VALUES ($1, 'a', 'artifact', 'debian:package-build-log', $2, '{"work_request_id": 1}')`,
		logs.ID, kept["that a collection holds"])
	kept["that a removed item keeps"] = w.expired("debian:package-build-log")
	w.exec(`INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data, removed_at) VALUES ($1, 'b', 'artifact', 'debian:package-build-log', $2, '{"work_request_id": 1}', now())`,
		logs.ID, kept["that a removed item keeps"])

	n, err := w.ExpireArtifacts(t.Context())
	if err != nil || n != int64(len(gone)) {
		t.Errorf("%d expired, wanted %d: %v", n, len(gone), err)
	}
	for list, want := range map[*map[string]int64]int{&kept: 1, &gone: 0} {
		for name, id := range *list {
			var there int
			w.one(`SELECT count(*) FROM artifacts WHERE id = $1`, &there, id)
			if there != want {
				t.Errorf("one %s: there are %d", name, there)
			}
		}
	}
	var tombstones int
	w.one(`SELECT count(*) FROM collection_items WHERE name = 'output' AND removed_at IS NOT NULL AND artifact_id IS NULL`, &tombstones)
	if tombstones != 1 {
		t.Errorf("%d tombstones", tombstones)
	}
	if n, err = w.ExpireArtifacts(t.Context()); n != 0 || err != nil {
		t.Errorf("a second time: %d, %v", n, err)
	}
}

func TestRemovedItemsAreForgottenInTwoSteps(t *testing.T) {
	w := newWorld(t)
	c := w.environments()
	for i, days := range []int{1, 8, 40} {
		w.environment(fmt.Sprintf("old%d", i), "amd64", noWords, noWords)
		w.exec(`UPDATE collection_items SET removed_at = now() - make_interval(days => $2) WHERE name = $1`, fmt.Sprintf("tarball:old%d:amd64", i), days)
	}
	w.environment("sid", "amd64", noWords, noWords)
	count := func() (rows, artifacts int) {
		w.one(`SELECT count(*) FROM collection_items`, &rows)
		w.one(`SELECT count(artifact_id) FROM collection_items`, &artifacts)
		return rows, artifacts
	}
	forget := func(full, metadata *int, wantRows, wantArtifacts int) {
		t.Helper()
		_, err := w.UpdateCollection(t.Context(), w.workspace, c.ID, func(c *debusine.Collection) error {
			c.FullHistoryDays, c.MetadataOnlyDays = full, metadata
			return nil
		})
		w.must(err)
		_, err = w.ForgetItems(t.Context())
		w.must(err)
		if rows, artifacts := count(); rows != wantRows || artifacts != wantArtifacts {
			t.Errorf("%d rows with %d artifacts, wanted %d with %d", rows, artifacts, wantRows, wantArtifacts)
		}
	}
	week, month := 7, 30
	forget(nil, nil, 4, 4)
	forget(nil, &week, 4, 4)
	forget(&week, nil, 4, 2)
	forget(&week, &month, 3, 2) // the one of 40 days
}

func TestFilesThatNoArtifactHoldsAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.exec(`INSERT INTO files (sha256, size, created_at) VALUES (decode(repeat('01', 32), 'hex'), 5, now() - interval '2 days'), (decode(repeat('02', 32), 'hex'), 5, now()),
		(decode(repeat('03', 32), 'hex'), 5, now() - interval '2 days'), (decode(repeat('04', 32), 'hex'), 0, now() - interval '2 days')`)
	id := w.artifact("debusine:test", `{}`)
	w.exec(`INSERT INTO artifact_files (artifact_id, path, sha256, size, file_id) SELECT $1, 'a', sha256, size, id FROM files WHERE sha256 = decode(repeat('03', 32), 'hex')`, id)
	if n, err := w.DropFiles(t.Context(), 24*time.Hour); n != 1 || err != nil {
		t.Errorf("%d forgotten, %v", n, err)
	}
	sums := []string{}
	for i := range 4 {
		sum := ""
		for range 32 {
			sum += fmt.Sprintf("%02d", i+1)
		}
		sums = append(sums, sum)
	}
	wanted, err := w.Wanted(t.Context(), sums)
	if err != nil || wanted[sums[0]] || !wanted[sums[1]] || !wanted[sums[2]] || !wanted[sums[3]] {
		t.Errorf("%v, %v", wanted, err)
	}
}
