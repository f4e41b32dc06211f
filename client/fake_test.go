package client_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
)

// fake is a server that keeps the files of artifacts in memory, with Debusine's
// protocol for uploads, and breaks in the ways that it is told to.
type fake struct {
	*httptest.Server
	mux *http.ServeMux

	mu       sync.Mutex
	requests []string            // "PUT /api/1.0/artifact/1/files/a/ bytes 0-9/10"
	headers  []http.Header       // of each request
	want     map[string]api.File // by path
	have     map[string][]byte
	cutAfter []int64 // the next uploads are cut after so many bytes
	busy     int     // so many requests are answered 503
}

func newFake(t *testing.T) *fake {
	f := &fake{mux: http.NewServeMux(), want: map[string]api.File{}, have: map[string][]byte{}}
	f.mux.HandleFunc("PUT /api/1.0/artifact/1/files/{path...}", f.upload)
	f.mux.HandleFunc("GET /api/1.0/artifact/1/files/{path...}", f.download)
	f.mux.HandleFunc("POST /api/1.0/artifact/{$}", f.create)
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Range")))
	f.headers = append(f.headers, r.Header.Clone())
	busy := f.busy > 0
	if busy {
		f.busy--
	}
	f.mu.Unlock()
	if busy {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.mux.ServeHTTP(w, r)
}

func (f *fake) client(patience time.Duration) *client.Client {
	return client.New(client.Options{BaseURL: f.URL + "/api", Token: "secret", Scope: "debian", Patience: patience})
}

// seen gives the requests so far.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.requests...)
}

func (f *fake) create(w http.ResponseWriter, r *http.Request) {
	var in api.ArtifactCreate
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out := api.Artifact{ID: 1, Category: in.Category, Files: in.Files}
	for path, file := range in.Files {
		f.want[path] = file
		out.FilesToUpload = append(out.FilesToUpload, path)
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(out)
}

var piece = regexp.MustCompile(`^bytes (\d+)-(\d+)/\d+$`)

func (f *fake) upload(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.PathValue("path"), "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	want := f.want[path]
	if strings.HasPrefix(r.Header.Get("Content-Range"), "bytes */") {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(f.have[path])))
		w.WriteHeader(http.StatusPartialContent)
		return
	}
	from := int64(0)
	if m := piece.FindStringSubmatch(r.Header.Get("Content-Range")); m != nil {
		from, _ = strconv.ParseInt(m[1], 10, 64)
	}
	if from > int64(len(f.have[path])) {
		problem(w, http.StatusRequestedRangeNotSatisfiable, "not the next piece")
		return
	}
	body := io.Reader(r.Body)
	cut := len(f.cutAfter) > 0
	if cut {
		body = io.LimitReader(body, f.cutAfter[0])
		f.cutAfter = f.cutAfter[1:]
	}
	got, err := io.ReadAll(body)
	f.have[path] = append(f.have[path][:from:from], got...)
	switch {
	case cut || err != nil:
		breakConnection(w)
	case int64(len(f.have[path])) < want.Size:
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(f.have[path])))
	case sum(f.have[path]) != want.Checksums["sha256"]:
		delete(f.have, path)
		problem(w, http.StatusConflict, "the file has another SHA-256")
	default:
		w.WriteHeader(http.StatusCreated)
	}
}

func (f *fake) download(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.PathValue("path"), "/")
	f.mu.Lock()
	content := string(f.have[path])
	cut := int64(-1)
	if len(f.cutAfter) > 0 {
		cut, f.cutAfter = f.cutAfter[0], f.cutAfter[1:]
	}
	f.mu.Unlock()
	if cut >= 0 {
		w = &cutting{ResponseWriter: w, left: cut}
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	if cut >= 0 {
		_ = http.NewResponseController(w).Flush()
		breakConnection(w)
	}
}

// cutting drops what comes after some bytes.
type cutting struct {
	http.ResponseWriter
	left int64
}

func (c *cutting) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left -= n
	if _, err := c.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *cutting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// breakConnection ends the connection as a crash does.
func breakConnection(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	connection, _, err := control.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	connection.Close()
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Title: http.StatusText(status), Detail: detail, Hint: "a hint"})
}

// answer has a path answered with JSON.
func (f *fake) answer(pattern string, status int, v any) {
	f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	})
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func fileOf(content []byte) api.File {
	return api.File{Type: "file", Size: int64(len(content)), Checksums: map[string]string{"sha256": sum(content)}}
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
