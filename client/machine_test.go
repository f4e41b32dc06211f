package client_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine/api"
)

func TestAnAttemptSpeaksWithItsOwnToken(t *testing.T) {
	f := newFake(t)
	f.have["a"] = []byte("content")
	f.answer("GET /api/1.0/artifact/1/{$}", 200, api.Artifact{ID: 1, Files: map[string]api.File{"a": fileOf([]byte("content"))}})
	f.answer("POST /api/1.0/artifact-relation/", 201, api.Relation{})
	f.answer("PUT /api/1.0/work-request/7/completed/", 200, nil)
	var logged string
	f.mux.HandleFunc("POST /api/1.0/work-request/7/log/", func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		logged = r.URL.Query().Get("offset") + ":" + string(raw)
		w.WriteHeader(http.StatusNoContent)
	})
	attempt := f.client(time.Second).Attempt(7, "attempt's own")
	for range 2 {
		to := target(t, "")
		if err := attempt.Download(t.Context(), 1, "a", to); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(to.Name()); string(got) != "content" {
			t.Errorf("on disk: %q", got)
		}
	}
	id, err := attempt.CreateArtifact(t.Context(), "debusine:test", struct{}{}, map[string]string{"b": write(t, "b", []byte("built"))})
	if err != nil || id != 1 {
		t.Fatal(id, err)
	}
	if err := attempt.Relate(t.Context(), 1, 2, "relates-to"); err != nil {
		t.Error(err)
	}
	if err := attempt.AppendLog(t.Context(), 5, []byte("line\n")); err != nil || logged != "5:line\n" {
		t.Error(err, logged)
	}
	if err := attempt.Complete(t.Context(), "success", json.RawMessage(`{}`)); err != nil {
		t.Error(err)
	}
	for i, h := range f.headers {
		if h.Get("Token") != "attempt's own" {
			t.Errorf("%s went with the token %q", f.requests[i], h.Get("Token"))
		}
	}
	asked := slices.DeleteFunc(f.seen(), func(r string) bool { return r != "GET /api/1.0/artifact/1/" })
	if len(asked) != 1 {
		t.Errorf("the artifact was asked for %d times", len(asked))
	}
}

func TestBeginAndCompleteAreRepeatedWhenTheServerIsAway(t *testing.T) {
	f := newFake(t)
	f.answer("POST /api/1.0/work-request/7/begin/", 200, api.BeginAnswer{Decision: api.Run, Token: "x"})
	f.answer("PUT /api/1.0/work-request/7/completed/", 200, nil)
	f.busy = 1
	c := f.client(10 * time.Second)
	b, err := c.Begin(t.Context(), 7, []byte("sealed"))
	if err != nil || b.Decision != api.Run {
		t.Fatal(b, err)
	}
	f.busy = 1
	if err := c.Attempt(7, b.Token).Complete(t.Context(), "success", nil); err != nil {
		t.Error(err)
	}
	if n := len(f.seen()); n != 4 {
		t.Errorf("%d requests", n)
	}
}

func TestALiveLogIsNotRepeated(t *testing.T) {
	f := newFake(t)
	f.busy = 1
	err := f.client(time.Hour).Attempt(7, "x").AppendLog(context.Background(), 0, []byte("a"))
	if err == nil || !strings.Contains(err.Error(), "503") || len(f.seen()) != 1 {
		t.Errorf("%v after %q", err, f.seen())
	}
}
