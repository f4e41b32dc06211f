package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/files"
)

// expire lets the time of an artifact come.
func (w *world) expire(artifact int64) {
	w.Helper()
	_, err := w.db.Pool().Exec(w.Context(), `UPDATE artifacts SET created_at = now() - interval '2 hours', expiration_delay = '1 hour' WHERE id = $1`, artifact)
	w.ok(err)
}

func TestBytesGoWithTheLastArtifactThatHoldsThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alone := w.artifact(w.maker, map[string]string{"a": "only here", "both": "here and there"})
	other := w.artifact(w.maker, map[string]string{"both": "here and there", "none": ""})
	w.expire(alone.ID)
	time.Sleep(10 * time.Millisecond) // the age of what was just stored is not zero any more
	collect := func(grace time.Duration) garbage {
		t.Helper()
		g, err := collectGarbage(t.Context(), w.db, w.disk, grace, true)
		w.ok(err)
		return g
	}
	// Within the time of grace the artifact goes, the bytes stay.
	if g := collect(time.Hour); g.artifacts != 1 || g.contents != 0 || g.files != 0 {
		t.Errorf("%+v", g)
	}
	if g := collect(time.Millisecond); g.contents != 1 || g.bytes != int64(len("only here")) || g.files != 1 {
		t.Errorf("%+v", g)
	}
	if g := collect(time.Millisecond); g != (garbage{}) {
		t.Errorf("a second time: %+v", g)
	}
	if w.disk.Has(files.Announced{Size: 9, SHA256: sum("only here")}) {
		t.Error("the bytes are still there")
	}
	a := w.want(200, w.viewer, "GET", fmt.Sprintf("artifact/%d/files/both/", other.ID), nil, nil)
	if string(a.body) != "here and there" {
		t.Errorf("%q", a.body)
	}
	w.artifact(w.maker, map[string]string{"a": "only here"}) // and again
}

func TestAnUploadAndTheCollectionAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := collectGarbage(ctx, w.db, w.disk, 300*time.Millisecond, true); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for n := 0; ctx.Err() == nil; n++ {
		made := w.artifact(w.maker, map[string]string{"a": "always the same", "b": fmt.Sprint(n % 3)})
		for _, path := range []string{"a", "b"} {
			w.want(200, w.viewer, "GET", fmt.Sprintf("artifact/%d/files/%s/", made.ID, path), nil, nil)
		}
		w.expire(made.ID)
	}
	w.ok(<-ended)
}

func TestTheFilesOfAnotherInstallationAreLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.artifact(w.maker, map[string]string{"a": "precious"})
	if _, err := collectGarbage(t.Context(), w.db, w.disk, time.Nanosecond, false); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("a folder that no server claimed: %v", err)
	}
	w.ok(w.disk.Claim("another", true))
	for _, server := range []bool{false, true} {
		if _, err := collectGarbage(t.Context(), w.db, w.disk, time.Nanosecond, server); !errors.As(err, new(debusine.Conflict)) {
			t.Errorf("the folder of another installation: %v", err)
		}
	}
	if !w.disk.Has(files.Announced{Size: 8, SHA256: sum("precious")}) {
		t.Error("the bytes are gone")
	}
}

func TestWhatACrashLeftIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.artifact(w.maker, map[string]string{"a": "kept"})
	// Bytes that arrived and were never recorded, and things that are no contents.
	const stray = "never recorded"
	if _, err := w.disk.Append(t.Context(), "k", 0, strings.NewReader(stray), files.Announced{Size: int64(len(stray)), SHA256: sum(stray)}); err != nil {
		t.Fatal(err)
	}
	folder := w.disk.Objects() + "/" + sum("kept")[:2]
	w.ok(os.WriteFile(folder+"/README", []byte("x"), 0o600))
	time.Sleep(10 * time.Millisecond)
	g, err := collectGarbage(t.Context(), w.db, w.disk, time.Millisecond, true)
	if err != nil || g.contents != 1 || g.bytes != int64(len(stray)) {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := os.Stat(folder + "/README"); err != nil {
		t.Error(err)
	}
	var shown api.Artifact
	w.want(200, w.viewer, "GET", fmt.Sprintf("artifact/%d/", made.ID), nil, &shown)
	w.want(200, w.viewer, "GET", shown.Files["a"].URL, nil, nil)
	unwell := errors.New("the database is away")
	_, _, err = w.disk.Collect(t.Context(), 0, func(context.Context, []string) (map[string]bool, error) { return nil, unwell })
	if !errors.Is(err, unwell) || !w.disk.Has(files.Announced{Size: 4, SHA256: sum("kept")}) {
		t.Errorf("an outage of the database: %v", err)
	}
}
