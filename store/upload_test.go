package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/task"
)

func (w *world) known(u store.Upload) (known store.Upload) {
	w.Helper()
	w.must(w.OneUpload(w.Context(), u, func(_ context.Context, k store.Upload) error { known = k; return nil }))
	return known
}

func TestWhatIsKnownOfAnUpload(t *testing.T) {
	w := newWorld(t)
	sum := strings.Repeat("ab", 32)
	u := store.Upload{Target: "ftp://host/queue", Content: sum, Changes: "hello.changes", ChangesSHA: sum, WorkRequest: 5, Files: map[string]string{"hello.orig.tar.xz": sum}}
	if k := w.known(u); !k.Begun.IsZero() || !k.Done.IsZero() || k.WorkRequest != 5 {
		t.Errorf("of a new one: %+v", k)
	}
	u.Blind = true
	w.must(w.BeginUpload(t.Context(), u))
	other := u
	other.WorkRequest, other.ChangesSHA = 6, strings.Repeat("cd", 32)
	if k := w.known(other); k.Begun.IsZero() || !k.Blind || !k.Done.IsZero() || k.WorkRequest != 5 || k.ChangesSHA != sum {
		t.Errorf("of one that was begun: %+v", k)
	}
	if has, err := w.UploadHasFile(t.Context(), u.Target, "hello.orig.tar.xz", sum); has || err != nil {
		t.Errorf("a file that is on its way is there: %v", err)
	}
	w.must(w.EndUpload(t.Context(), u))
	if k := w.known(other); k.Done.IsZero() || k.WorkRequest != 5 {
		t.Errorf("of one that is done: %+v", k)
	}
	for name, c := range map[string]struct {
		target, file, sum string
		want              bool
	}{
		"what it had":    {u.Target, "hello.orig.tar.xz", sum, true},
		"other bytes":    {u.Target, "hello.orig.tar.xz", other.ChangesSHA, false},
		"another name":   {u.Target, "hello.dsc", sum, false},
		"another target": {"ftp://host/other", "hello.orig.tar.xz", sum, false},
	} {
		if has, err := w.UploadHasFile(t.Context(), c.target, c.file, c.sum); has != c.want || err != nil {
			t.Errorf("%s: %v, %v", name, has, err)
		}
	}
	elsewhere := u
	elsewhere.Target += "/DELAYED/3-day"
	if k := w.known(elsewhere); !k.Done.IsZero() {
		t.Errorf("another folder has it too: %+v", k)
	}
}

func TestTwoUploadsOfOneNameFollowOneAnother(t *testing.T) {
	w := newWorld(t)
	u := store.Upload{Target: "ftp://host/queue", Content: strings.Repeat("ab", 32), Changes: "hello.changes"}
	entered, leave := make(chan bool, 2), make(chan bool)
	for range 2 {
		go func() {
			_ = w.OneUpload(context.Background(), u, func(context.Context, store.Upload) error {
				entered <- true
				<-leave
				return nil
			})
		}()
	}
	<-entered
	select {
	case <-entered:
		t.Error("two upload at once")
	case <-time.After(300 * time.Millisecond):
	}
	other := u
	other.Changes = "goodbye.changes"
	w.known(other) // does not wait
	close(leave)
	<-entered
}

func TestFactsAboutAnUpload(t *testing.T) {
	w := newWorld(t)
	source := w.source("hello", "2.10-3", "any")
	binary := w.artifact("debian:upload", `{"type": "dpkg", "changes_fields": {"Source": "hello (2.10-3)", "Version": "2.10-3+b1", "Architecture": "amd64"}}`)
	data := `{"source_artifact": "` + debusine.LookupID(source).String() + `", "binary_artifacts": ["` + debusine.LookupID(binary).String() + `"], "target": "ftp://host/queue"}`
	u, err := w.UploadFactsFor(t.Context(), w.workspace, w.user, []byte(data))
	w.must(err)
	want := task.Uploadable{Artifact: binary, Category: "debian:upload", Name: "hello", Version: "2.10-3+b1", HasBinaries: true}
	if u.Source == nil || u.Source.Artifact != source || !u.Source.HasSource || u.Source.HasBinaries || len(u.Binaries) != 1 || u.Binaries[0] != want {
		t.Errorf("%+v, %+v", u.Source, u.Binaries)
	}
	root := w.workflow("package_upload", data)
	if same, err := w.UploadFacts(t.Context(), task.UploadQuestion{ID: root}); err != nil || same.Source.Artifact != source {
		t.Errorf("%+v, %v", same, err)
	}
	_, err = w.UploadFactsFor(t.Context(), w.workspace, w.user, []byte(`{"source_artifact": 999999, "target": "ftp://host/queue"}`))
	if !errors.As(err, new(debusine.Missing)) {
		t.Errorf("%v", err)
	}
	if _, _, err := w.UploadFiles(t.Context(), root, source); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("a source package is uploaded: %v", err)
	}
}
