package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"debusine"
	"debusine/client"
)

// big is more than goes in one request without Content-Range.
func big() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) }

func TestASmallFileGoesInOneRequest(t *testing.T) {
	f := newFake(t)
	local := write(t, "a", []byte("content"))
	a, err := f.client(0).CreateArtifact(t.Context(), client.NewArtifact{Category: "debusine:test", Data: struct{}{},
		Files: map[string]string{"dir/a file+1": local}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"POST /api/1.0/artifact/", "PUT /api/1.0/artifact/1/files/dir/a%20file+1/"}
	if got := f.seen(); !slices.Equal(got, want) || a.ID != 1 {
		t.Errorf("requests %q, want %q; artifact %d", got, want, a.ID)
	}
	if got := string(f.have["dir/a file+1"]); got != "content" {
		t.Errorf("the server has %q", got)
	}
	if h := f.headers[0]; h.Get("Token") != "secret" || h.Get("X-Debusine-Scope") != "debian" {
		t.Errorf("headers %v", h)
	}
}

func TestAnUploadThatIsCutGoesOnFromWhatTheServerHas(t *testing.T) {
	f := newFake(t)
	content := big()
	f.want["big"] = fileOf(content)
	f.cutAfter = []int64{5 << 20, 3 << 20}
	local := write(t, "big", content)
	var moved atomic.Int64
	progress := func(string, int64) func(int64) { return func(n int64) { moved.Add(n) } }
	if err := f.client(10*time.Second).Upload(t.Context(), 1, "big", local, progress); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.have["big"], content) {
		t.Error("the server has something else")
	}
	if moved.Load() != int64(len(content)) {
		t.Errorf("progress ended at %d of %d bytes", moved.Load(), len(content))
	}
	asked := 0
	for _, r := range f.seen() {
		if strings.Contains(r, "bytes */") {
			asked++
		}
	}
	if asked != 2 || !slices.ContainsFunc(f.seen(), func(r string) bool { return strings.Contains(r, fmt.Sprintf("bytes %d-", 5<<20)) }) {
		t.Errorf("requests: %q", f.seen())
	}
}

func TestAnUploadGivesUpWhenPatienceEnds(t *testing.T) {
	f := newFake(t)
	f.want["a"] = fileOf([]byte("content"))
	f.busy = 1000
	err := f.client(300*time.Millisecond).Upload(t.Context(), 1, "a", write(t, "a", []byte("content")), nil)
	var answered client.Answered
	if !errors.As(err, &answered) || answered.Status != 503 {
		t.Errorf("error %v", err)
	}
	if n := len(f.seen()); n < 2 {
		t.Errorf("%d requests only", n)
	}
}

func TestAFileThatChangedIsAConflictWithAHint(t *testing.T) {
	f := newFake(t)
	f.want["a"] = fileOf([]byte("content"))
	err := f.client(10*time.Second).Upload(t.Context(), 1, "a", write(t, "a", []byte("CONTENT")), nil)
	var conflict debusine.Conflict
	if !errors.As(err, &conflict) || conflict.Hint == "" {
		t.Errorf("error %#v", err)
	}
	if n := len(f.seen()); n != 1 {
		t.Errorf("%d requests: a mismatch is no reason to try again", n)
	}
}

func TestAWrongBeginningOnTheServerIsReplaced(t *testing.T) {
	f := newFake(t)
	content := big()
	f.want["big"] = fileOf(content)
	f.have["big"] = []byte("something that was sent under this name before")
	f.cutAfter = []int64{0}
	// The first request is cut at once, so that the server is asked.
	if err := f.client(10*time.Second).Upload(t.Context(), 1, "big", write(t, "big", content), nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.have["big"], content) {
		t.Error("the server has something else")
	}
}

func TestManyFilesAreUploadedAtOnce(t *testing.T) {
	f := newFake(t)
	dir, files := t.TempDir(), map[string]string{}
	for i := range 200 {
		name := fmt.Sprintf("f%03d", i)
		files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(files[name], []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.client(0).CreateArtifact(t.Context(), client.NewArtifact{Category: "debusine:test", Files: files}, nil); err != nil {
		t.Fatal(err)
	}
	if len(f.have) != 200 {
		t.Errorf("the server has %d files", len(f.have))
	}
}

func TestAFolderIsNoFile(t *testing.T) {
	_, err := newFake(t).client(0).CreateArtifact(t.Context(), client.NewArtifact{Files: map[string]string{"a": t.TempDir()}}, nil)
	var invalid debusine.Invalid
	if !errors.As(err, &invalid) || !strings.Contains(invalid.What, "not a regular file") {
		t.Errorf("error %v", err)
	}
}
