package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"debusine"
	"debusine/store"
)

func (w *world) environments() debusine.Collection {
	w.Helper()
	c, err := w.Collection(w.Context(), w.workspace, debusine.CategoryEnvironments, "debian")
	w.must(err)
	return c
}

func TestOfTwoThatAddTheSameNameAtOnceOneIsLeft(t *testing.T) {
	w := newWorld(t)
	c := w.environments()
	const writers = 8
	var (
		group    sync.WaitGroup
		answers  [writers]error
		artifact [writers]debusine.Artifact
	)
	for i := range writers {
		id := w.artifact("debian:system-tarball", `{"codename": "sid", "architecture": "amd64"}`)
		a, _, err := w.ArtifactHead(t.Context(), id)
		w.must(err)
		artifact[i] = a
	}
	for _, replace := range []bool{false, true} {
		for i := range writers {
			group.Go(func() { _, answers[i] = w.AddArtifact(t.Context(), c, artifact[i], nil, w.user, replace) })
		}
		group.Wait()
		good := 0
		for _, err := range answers {
			if err == nil {
				good++
			} else if !isConflict(err) {
				t.Errorf("replace %v: %v", replace, err)
			}
		}
		if want := map[bool]int{false: 1, true: writers}[replace]; good != want {
			t.Errorf("replace %v: %d were added", replace, good)
		}
		var active int
		w.one(`SELECT count(*) FROM collection_items WHERE collection_id = $1 AND removed_at IS NULL`, &active, c.ID)
		if active != 1 {
			t.Errorf("replace %v: %d are active", replace, active)
		}
	}
}

func TestRemovedItemsAreRememberedWithWhoAndWhen(t *testing.T) {
	w := newWorld(t)
	c := w.environments()
	first := w.environment("sid", "amd64", noWords, noWords)
	second := w.environment("sid", "amd64", noWords, noWords)
	w.must(w.RemoveItem(t.Context(), c, "tarball:sid:amd64", w.user))
	w.missing("what was removed", w.RemoveItem(t.Context(), c, "tarball:sid:amd64", w.user))
	active, err := w.Items(t.Context(), c.ID, store.ItemFilter{}, 10)
	if err != nil || len(active) != 0 {
		t.Errorf("active are %+v, %v", active, err)
	}
	all, err := w.Items(t.Context(), c.ID, store.ItemFilter{Removed: true}, 10)
	if err != nil || len(all) != 2 || *all[0].ArtifactID != second || *all[1].ArtifactID != first {
		t.Fatalf("remembered are %+v, %v", all, err)
	}
	for _, i := range all {
		if i.CreatedBy != "alice" || i.RemovedBy != "alice" || i.RemovedAt == nil || i.RemovedAt.Before(i.CreatedAt) {
			t.Errorf("%+v", i)
		}
	}
	counts, err := w.CollectionCounts(t.Context(), c.ID)
	if err != nil || len(counts) != 1 || counts[0] != (debusine.CollectionCount{Category: "debian:system-tarball", Kind: "artifact", Count: 2}) {
		t.Errorf("counted %+v, %v", counts, err)
	}
}

func TestTheDatabaseHoldsItemsToTheirCollectionsRules(t *testing.T) {
	w := newWorld(t)
	environments := w.environments()
	logs, err := w.Collection(t.Context(), w.workspace, debusine.CategoryPackageBuildLogs, "_")
	w.must(err)
	tarball := w.artifact("debian:system-tarball", `{}`)
	for name, c := range map[string]struct {
		collection           int64
		name, kind, category string
		artifact             any
		data                 string
		good                 bool
	}{
		"an environment":                        {environments.ID, "tarball:sid:amd64", "artifact", "debian:system-tarball", tarball, `{"codename": "sid", "architecture": "amd64"}`, true},
		"one for a backend":                     {environments.ID, "tarball:sid:amd64::unshare", "artifact", "debian:system-tarball", tarball, `{"codename": "sid", "architecture": "amd64", "backend": "unshare"}`, true},
		"the same under another name":           {environments.ID, "tarball:sid:amd64:x", "artifact", "debian:system-tarball", tarball, `{"codename": "sid", "architecture": "amd64"}`, false},
		"the same again":                        {environments.ID, "tarball:sid:amd64", "artifact", "debian:system-tarball", tarball, `{"codename": "sid", "architecture": "amd64"}`, false},
		"an environment without a codename":     {environments.ID, "tarball:sid:amd64", "artifact", "debian:system-tarball", tarball, `{"architecture": "amd64"}`, false},
		"an image by the name of a tarball":     {environments.ID, "tarball:sid:i386", "artifact", "debian:system-image", tarball, `{"codename": "sid", "architecture": "i386"}`, false},
		"a bare environment":                    {environments.ID, "tarball:sid:i386", "bare", "debian:system-tarball", nil, `{"codename": "sid", "architecture": "i386"}`, false},
		"an artifact item without its artifact": {environments.ID, "tarball:sid:i386", "artifact", "debian:system-tarball", nil, `{"codename": "sid", "architecture": "i386"}`, false},
		"a log among environments":              {environments.ID, "x", "bare", "debian:package-build-log", nil, `{"work_request_id": 1}`, false},
		"a log":                                 {logs.ID, "x", "bare", "debian:package-build-log", nil, `{"work_request_id": 1}`, true},
		"a log of no work request":              {logs.ID, "y", "bare", "debian:package-build-log", nil, `{}`, false},
		"a name with a slash":                   {logs.ID, "a/b", "bare", "debian:package-build-log", nil, `{"work_request_id": 1}`, false},
		"a collection within a collection":      {logs.ID, "z", "collection", "debian:environments", nil, `{"work_request_id": 1}`, false},
	} {
		insert := func() error {
			_, err := w.Pool().Exec(t.Context(), `
				INSERT INTO collection_items (collection_id, name, child_type, category, artifact_id, data) VALUES ($1, $2, $3, $4, $5, $6)`,
				c.collection, c.name, c.kind, c.category, c.artifact, c.data)
			return err
		}
		if name == "the same again" {
			w.exec(`DELETE FROM collection_items WHERE name = $1`, c.name)
			w.must(insert())
		}
		if err := insert(); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		w.exec(`DELETE FROM collection_items WHERE name = $1`, c.name)
	}
	for _, sql := range []string{
		`INSERT INTO collections (workspace_id, category, name) VALUES (%d, 'debian:environments', '_')`,
		`INSERT INTO collections (workspace_id, category, name) VALUES (%d, 'debian:package-build-logs', 'mine')`,
		`INSERT INTO collections (workspace_id, category, name) VALUES (%d, 'debusine:workflow-internal', 'workflow-1')`,
	} {
		if _, err := w.Pool().Exec(t.Context(), fmt.Sprintf(sql, w.workspace)); err == nil {
			t.Errorf("taken: %s", sql)
		}
	}
}

func TestACollectionIsRenamedGivenRetentionAndDeleted(t *testing.T) {
	w := newWorld(t)
	c := w.environments()
	w.environment("sid", "amd64", noWords, noWords)
	seven := 7
	changed, err := w.UpdateCollection(t.Context(), w.workspace, c.ID, func(c *debusine.Collection) error {
		c.Name, c.FullHistoryDays = "ubuntu", &seven
		return nil
	})
	w.must(err)
	again, err := w.CollectionByID(t.Context(), w.workspace, c.ID)
	w.must(err)
	if changed.Name != "ubuntu" || again.Name != "ubuntu" || *again.FullHistoryDays != 7 || again.MetadataOnlyDays != nil {
		t.Errorf("%+v, %+v", changed, again)
	}
	for _, name := range []string{"_", "", "a/b", "a@b", strings.Repeat("x", 1000)} {
		_, err := w.UpdateCollection(t.Context(), w.workspace, c.ID, func(c *debusine.Collection) error { c.Name = name; return nil })
		if !isInvalid(err) {
			t.Errorf("renamed to %.20q: %v", name, err)
		}
	}
	refused := errors.New("no")
	if _, err := w.UpdateCollection(t.Context(), w.workspace, c.ID, func(*debusine.Collection) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
	_, err = w.UpdateCollection(t.Context(), w.workspace+1, c.ID, func(*debusine.Collection) error { return nil })
	w.missing("a collection of another workspace", err)
	w.must(w.DeleteCollection(t.Context(), again))
	_, err = w.CollectionByID(t.Context(), w.workspace, c.ID)
	w.missing("a deleted collection", err)
	var artifacts int
	w.one(`SELECT count(*) FROM artifacts`, &artifacts)
	if artifacts != 1 {
		t.Errorf("%d artifacts are left", artifacts)
	}
}
