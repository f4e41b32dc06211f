package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
)

func fileOf(path, content string) debusine.ArtifactFile {
	s := sha256.Sum256([]byte(content))
	return debusine.ArtifactFile{Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(s[:])}
}

func system(t *testing.T, db *store.DB) debusine.Workspace {
	t.Helper()
	w, err := db.Workspace(t.Context(), "debusine", "System")
	check(t, err)
	return w
}

func TestAnArtifactIsCompleteWithItsLastFile(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	n := store.NewArtifact{WorkspaceID: system(t, db).ID, Category: "debusine:test"}
	for i := range 20 {
		n.Files = append(n.Files, fileOf(fmt.Sprint("f", i), fmt.Sprint("content ", i)))
	}
	id, err := db.CreateArtifact(ctx, n)
	check(t, err)
	// All at once: exactly one of them is the last.
	var (
		all       sync.WaitGroup
		mu        sync.Mutex
		completed int
	)
	for _, f := range n.Files {
		all.Go(func() {
			complete, err := db.FileStored(ctx, id, f.Path)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if complete {
				completed++
			}
		})
	}
	all.Wait()
	a, on, err := db.Artifact(ctx, id)
	check(t, err)
	if completed != 1 || !a.Complete || on.Hidden || len(a.Files) != 20 || !a.Files[3].Complete {
		t.Errorf("completed %d times; %+v", completed, a)
	}
	if again, err := db.FileStored(ctx, id, "f1"); err != nil || again {
		t.Error("a file stored twice completes it again:", again, err)
	}
	if _, err := db.FileStored(ctx, id, "none"); !isMissing(err) {
		t.Error(err)
	}
	if _, _, err := db.Artifact(ctx, 999); !isMissing(err) {
		t.Error(err)
	}
}

func TestWhatIsKnownNeedsNoUpload(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	w := system(t, db)
	create := func(n store.NewArtifact) (id int64, complete bool) {
		t.Helper()
		id, err := db.CreateArtifact(ctx, n)
		check(t, err)
		a, _, err := db.ArtifactHead(ctx, id)
		check(t, err)
		return id, a.Complete
	}
	file := []debusine.ArtifactFile{fileOf("f", "content")}
	if _, complete := create(store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test"}); !complete {
		t.Error("an artifact without files is not complete")
	}
	if _, complete := create(store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: []debusine.ArtifactFile{fileOf("e", "")}}); !complete {
		t.Error("an artifact of an empty file is not complete")
	}
	first, complete := create(store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file})
	if complete {
		t.Error("nobody has uploaded it")
	}
	if _, complete := create(store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file}); complete {
		t.Error("an incomplete artifact gave its bytes")
	}
	_, err := db.FileStored(ctx, first, "f")
	check(t, err)
	if _, complete := create(store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file}); !complete {
		t.Error("the workspace has the bytes; they were asked for again")
	}
	work, _, b := attemptOf(t, db, "noop")
	attempt := store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file, WorkRequest: work, Attempt: b.AttemptID}
	if _, complete := create(attempt); complete {
		t.Error("an attempt was given bytes that it may not read")
	}
	attempt.Inputs = []int64{first}
	made, complete := create(attempt)
	if !complete {
		t.Error("an attempt was asked for the bytes of its input")
	}
	_, on, err := db.ArtifactHead(ctx, made)
	check(t, err)
	if !on.Hidden || on.AttemptID != b.AttemptID {
		t.Errorf("%+v", on)
	}
	if list, err := db.Artifacts(ctx, 1, store.ArtifactFilter{WorkRequest: work}, 10); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	_, err = db.Complete(ctx, b.AttemptID, debusine.Success, nil)
	check(t, err)
	if list, err := db.Artifacts(ctx, 1, store.ArtifactFilter{WorkRequest: work}, 10); err != nil || len(list) != 1 || len(list[0].Files) != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestWhatNobodyWillSeeIsSweptAway(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	w := system(t, db)
	file := []debusine.ArtifactFile{fileOf("f", "content")}
	half, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file})
	check(t, err)
	kept, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test"})
	check(t, err)
	work, _, b := attemptOf(t, db, "noop")
	running, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: file, WorkRequest: work, Attempt: b.AttemptID})
	check(t, err)
	if n, err := db.SweepArtifacts(ctx, time.Hour); n != 0 || err != nil {
		t.Fatal("young ones were swept away:", n, err)
	}
	if n, err := db.SweepArtifacts(ctx, -time.Minute); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, _, err := db.Artifact(ctx, half); !isMissing(err) {
		t.Error(err)
	}
	for _, id := range []int64{kept, running} {
		if _, _, err := db.Artifact(ctx, id); err != nil {
			t.Error(err)
		}
	}
	_, err = db.Pool().Exec(ctx, `UPDATE attempts SET ended_at = now(), ending = 'lost'`)
	check(t, err)
	if n, err := db.SweepArtifacts(ctx, -time.Minute); n != 1 || err != nil {
		t.Error("that of a lost attempt stays:", n, err)
	}
}

func TestRelationsNeedTwoCompleteEnds(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	w := system(t, db)
	var ids []int64
	for range 2 {
		id, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test"})
		check(t, err)
		ids = append(ids, id)
	}
	half, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: w.ID, Category: "debusine:test", Files: []debusine.ArtifactFile{fileOf("f", "x")}})
	check(t, err)
	id, made, err := db.PutRelation(ctx, debusine.Relation{Artifact: ids[0], Target: ids[1], Type: "extends"})
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if again, made, err := db.PutRelation(ctx, debusine.Relation{Artifact: ids[0], Target: ids[1], Type: "extends"}); err != nil || made || again != id {
		t.Error(again, made, err)
	}
	if _, _, err := db.PutRelation(ctx, debusine.Relation{Artifact: ids[0], Target: half, Type: "extends"}); !isConflict(err) {
		t.Error(err)
	}
	if _, _, err := db.PutRelation(ctx, debusine.Relation{Artifact: ids[0], Target: ids[1], Type: "loves"}); !isInvalid(err) {
		t.Error(err)
	}
	if list, err := db.Relations(ctx, 1, 0, ids[1]); err != nil || len(list) != 1 || list[0].Artifact != ids[0] {
		t.Error(list, err)
	}
	if list, err := db.Relations(ctx, 0, ids[0], 0); err != nil || len(list) != 0 {
		t.Error("a stranger sees", list, err)
	}
	check(t, db.DeleteRelation(ctx, id))
	if _, err := db.Relation(ctx, id); !isMissing(err) {
		t.Error(err)
	}
}

func TestPathsAndSumsAreHeldToTheSchema(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	bad := fileOf("f", "x")
	bad.SHA256 = "xyz"
	long := fileOf(strings.Repeat("p", 501), "x")
	for _, f := range []debusine.ArtifactFile{bad, long, {Path: "f", Size: -1, SHA256: fileOf("", "").SHA256}} {
		if _, err := db.CreateArtifact(ctx, store.NewArtifact{WorkspaceID: system(t, db).ID, Category: "debusine:test", Files: []debusine.ArtifactFile{f}}); !isInvalid(err) {
			t.Errorf("%.20s: %v", f.Path, err)
		}
	}
	if list, err := db.Artifacts(ctx, 1, store.ArtifactFilter{}, 10); err != nil || len(list) != 0 {
		t.Error("left:", list, err)
	}
}

func TestAnArtifactHasTheRelationsThatItsCategoryAllows(t *testing.T) {
	w := newWorld(t)
	source, other, deb := w.source("hello", "2.10-3", "any"), w.source("bye", "1", "any"), w.artifact("debian:binary-package", `{}`)
	upload, symbols := w.artifact("debian:upload", `{}`), w.artifact("debian:debug-symbols", `{}`)
	relate := func(from, to int64, kind string) error {
		_, _, err := w.PutRelation(t.Context(), debusine.Relation{Artifact: from, Target: to, Type: kind})
		return err
	}
	w.must(relate(upload, deb, "extends"))
	w.must(relate(symbols, deb, "relates-to"))
	for name, err := range map[string]error{
		"an upload that extends symbols":  relate(upload, symbols, "extends"),
		"symbols of a source":             relate(symbols, source, "relates-to"),
		"an artifact related to itself":   relate(upload, upload, "relates-to"),
		"a relation of a type of its own": relate(deb, source, "loves"),
	} {
		if !isInvalid(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two at once: one of them comes first.
	answers := make(chan error, 2)
	for _, target := range []int64{source, other} {
		go func() { answers <- relate(upload, target, "extends") }()
	}
	first, second := <-answers, <-answers
	if (first == nil) == (second == nil) || !(isConflict(first) || isConflict(second)) {
		t.Errorf("an upload of two sources: %v, %v", first, second)
	}
	w.must(relate(upload, source, "relates-to"))
	w.must(relate(upload, other, "relates-to"))
}
