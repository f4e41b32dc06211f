package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"debusine/api"
)

func (w *world) announce(path, content string) string {
	w.Helper()
	var made api.Artifact
	w.want(201, w.maker, "POST", "artifact/", testArtifact(map[string]string{path: content}), &made)
	return fmt.Sprintf("artifact/%d/files/%s/", made.ID, path)
}

func TestAnUploadGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := strings.Repeat("0123456789", 100_000)
	address := w.announce("big", content)
	has := func(want string) {
		t.Helper()
		if a := w.want(206, w.maker, "PUT", address, nil, nil, "Content-Range", fmt.Sprintf("bytes */%d", len(content))); a.header.Get("Range") != want {
			t.Errorf("Range %q, wanted %q", a.header.Get("Range"), want)
		}
	}
	piece := func(status, from, to int) answer {
		t.Helper()
		return w.want(status, w.maker, "PUT", address, content[from:to], nil, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(content)))
	}
	has("bytes=0-0")
	if a := piece(200, 0, 600_000); a.header.Get("Range") != "bytes=0-600000" {
		t.Errorf("%v", a.header)
	}
	has("bytes=0-600000")
	if a := piece(416, 700_000, 800_000); a.header.Get("Range") != "bytes=0-600000" {
		t.Errorf("%v", a.header)
	}
	piece(200, 500_000, 900_000) // what is there already is skipped
	has("bytes=0-900000")
	piece(201, 900_000, 1_000_000)
	w.want(200, w.maker, "PUT", address, nil, nil, "Content-Range", "bytes */1000000")
	if a := w.want(200, w.viewer, "GET", address, nil, nil); string(a.body) != content {
		t.Error("what came back is not what was sent")
	}
}

func TestAConnectionThatBreaksLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := strings.Repeat("x", 3<<20)
	address := w.announce("big", content)
	pipe, sender := io.Pipe()
	go func() {
		sender.Write([]byte(content[:2<<20]))
		sender.CloseWithError(fmt.Errorf("the cable was cut"))
	}()
	r, err := http.NewRequest("PUT", w.url+"/api/1.0/"+address, pipe)
	w.ok(err)
	r.Header.Set("Token", w.maker)
	r.ContentLength = int64(len(content))
	if answer, err := http.DefaultClient.Do(r); err == nil {
		t.Fatalf("the broken upload was answered %s", answer.Status)
	}
	// The server may still be reading the end of it: what comes twice is skipped.
	var from int
	so := w.want(206, w.maker, "PUT", address, nil, nil, "Content-Range", fmt.Sprintf("bytes */%d", len(content)))
	if _, err := fmt.Sscanf(so.header.Get("Range"), "bytes=0-%d", &from); err != nil {
		t.Logf("nothing of it arrived: %v", err)
	}
	w.want(201, w.maker, "PUT", address, content[from:], nil, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
	w.want(200, w.viewer, "GET", address, nil, nil)
}

func TestBadUploadsLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := w.announce("f", "right")
	cases := []struct {
		name, body, header string
		status             int
	}{
		{"other bytes of the same length", "wrong", "", 409},
		{"too short", "r", "", 409},
		{"too long", "right and more", "", 409},
		{"a size that was not announced", "right", "bytes 0-4/6", 409},
		{"a range outside the file", "right", "bytes 3-7/5", 400},
		{"a range that runs backwards", "right", "bytes 4-0/5", 400},
		{"no range at all", "right", "bytes nonsense", 400},
		{"an enormous range", "right", "bytes 0-99999999999999999999/5", 400},
		{"fewer bytes than the range says", "ri", "bytes 0-4/5", 400},
	}
	for _, c := range cases {
		headers := []string{}
		if c.header != "" {
			headers = []string{"Content-Range", c.header}
		}
		if a := w.call(w.maker, "PUT", address, c.body, headers...); a.status != c.status {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	w.want(404, w.viewer, "PUT", address, "right", nil)
	w.want(404, w.other, "PUT", address, "right", nil)
	w.want(404, w.maker, "PUT", strings.Replace(address, "/f/", "/g/", 1), "right", nil)
	w.want(201, w.maker, "PUT", address, "right", nil)
	w.want(201, w.maker, "PUT", address, "right", nil) // said again
	w.want(403, w.viewer, "PUT", address, "right", nil)
}

func TestManyUploadsOfOneFileAtOnceMakeOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := strings.Repeat("y", 2<<20)
	address := w.announce("big", content)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if a := w.call(w.maker, "PUT", address, content); a.status != 201 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if a := w.want(200, w.viewer, "GET", address, nil, nil); string(a.body) != content {
		t.Error("what came back is not what was sent")
	}
}

func TestAHashAloneOpensNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.db.CreateWorkspace(t.Context(), "debusine", "Private", false))
	announce := testArtifact(map[string]string{"f": "a secret of System"})
	w.artifact(w.maker, map[string]string{"f": "a secret of System"})
	var made api.Artifact
	w.want(201, w.maker, "POST", "artifact/", announce, &made)
	if len(made.FilesToUpload) != 0 || !made.Complete {
		t.Error("the workspace has the bytes; they were asked for again")
	}
	announce.Workspace = "Private"
	w.want(201, w.owner, "POST", "artifact/", announce, &made)
	if len(made.FilesToUpload) != 1 {
		t.Error("bytes of another workspace were given for their hash")
	}
	w.want(404, w.maker, "POST", "artifact/", announce, nil)
}

func TestTheTarHoldsAllFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.artifact(w.maker, map[string]string{"a": "1", "b/c": "22"})
	a := w.want(200, w.viewer, "GET", made.DownloadTarGzURL, nil, nil)
	files := untar(t, a.body)
	if fmt.Sprint(files) != "map[a:1 b/c:22]" {
		t.Error(files)
	}
	w.want(400, w.viewer, "GET", fmt.Sprintf("artifact/%d/?archive=zip", made.ID), nil, nil)
	// A file that the store has lost breaks the archive: it must not look whole.
	w.ok(os.Remove(filepath.Join(objectsOf(t, w), sum("22")[:2], sum("22"))))
	if answer, err := http.DefaultClient.Do(request(t, w, made.DownloadTarGzURL)); err == nil {
		if _, err := io.ReadAll(answer.Body); err == nil {
			t.Error("half an archive looks whole")
		}
	}
	w.want(500, w.viewer, "GET", made.Files["b/c"].URL, nil, nil)
}
