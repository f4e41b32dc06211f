package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
)

func untar(t *testing.T, raw []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(content)
	}
}

func request(t *testing.T, w *world, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Token", w.viewer)
	return r
}

func objectsOf(t *testing.T, w *world) string {
	t.Helper()
	return w.disk.Objects()
}

func TestEveryRouteHasARightThatExists(t *testing.T) {
	known := map[debusine.Verb]bool{}
	for _, v := range debusine.Verbs() {
		known[v] = true
	}
	for _, r := range (&Server{}).routes() {
		if !known[r.verb] {
			t.Errorf("%s %s asks for %q, which is no right", r.method, r.path, r.verb)
		}
		if r.about == "" || r.status == 0 || !strings.HasPrefix(r.path, "/api/") {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
	}
}

func TestRoutesAndDocumentAreTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var document struct {
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	a := w.want(200, "", "GET", "/api/openapi.json", nil, &document)
	routes := map[string]bool{}
	for _, r := range (&Server{}).routes() {
		path, _ := openPath(r.path)
		routes[strings.ToLower(r.method)+" "+path] = true
		if document.Paths[path][strings.ToLower(r.method)] == nil {
			t.Errorf("%s %s is not in the document", r.method, path)
		}
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if !routes[method+" "+path] {
				t.Errorf("%s %s is in the document and no route", method, path)
			}
		}
	}
	for _, ref := range strings.Split(string(a.body), `"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(ref, `"`); document.Components.Schemas[name] == nil {
			t.Errorf("schema %q is referred to and not there", name)
		}
	}
}

// somewhere fills a route's parameters, with things that exist or with noise.
func somewhere(r route, random *rand.Rand) string {
	words := []string{"1", "2", "0", "-1", "System", "small", "debian:environments", "debian", "_", "99999999999999999999", "%00", "..", "%ff%fe", "a%2fb", strings.Repeat("x", 3000), "%27%3b--"}
	path := r.path
	for _, part := range strings.Split(r.path, "/") {
		if strings.HasPrefix(part, ":") || part == "*" {
			path = strings.Replace(path, part, words[random.IntN(len(words))], 1)
		}
	}
	queries := []string{"", "?offset=5", "?offset=-1", "?offset=x", "?page_size=5&cursor=MQ", "?ids=1,x", "?cursor=%00", "?artifact=1", "?archive=tar.gz", "?status=%ff", "?parent=99999999999999999999", "?;;%zz"}
	return path + queries[random.IntN(len(queries))]
}

func noise(random *rand.Rand) []byte {
	deep := bytes.Repeat([]byte(`{"task_data":`), 200)
	choices := [][]byte{nil, []byte("{}"), []byte("null"), []byte(`[]`), []byte(`"x"`), []byte(`{"a":1}{}`), deep, []byte("\xff\xfe{}"), []byte(`{"task_name":"noop","task_data":{"a":"\u0000"}}`),
		[]byte(`{"category":"debusine:test","files":{"../x":{"type":"file","size":1,"checksums":{}}}}`), []byte(`{"priority_adjustment": 1e400}`),
		[]byte(`{"artifact": 1, "target": 1, "type": "extends"}`), []byte(`{"name":"\ud800","task_name":"noop","static_parameters":{"x":1e999999}}`),
		[]byte(`{"lookup":"debian@debian:environments/match:codename=x:architecture=\u0001","workspace":"System"}`), []byte(`{"token":"` + strings.Repeat("t", 40) + `","fqdn":"h` + strings.Repeat("o", 400) + `"}`),
		[]byte(`{"name":"_x","category":"debian:environments","data":{}}`), []byte(`{"template_name":"small","task_data":{"children":1e300}}`), []byte(`{"task_token":"AAAA"}`), []byte(`{"result":"success","output_data":{"x":1e999999}}`)}
	body := bytes.Clone(choices[random.IntN(len(choices))])
	if len(body) > 0 && random.IntN(3) == 0 {
		for range 1 + random.IntN(4) {
			body[random.IntN(len(body))] = byte(random.IntN(256))
		}
	}
	if random.IntN(6) == 0 {
		body = make([]byte, random.IntN(2000))
		for i := range body {
			body[i] = byte(random.IntN(256))
		}
	}
	return body
}

func TestNoNoiseMakesARouteBreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	_, b := w.begun(worker, "x")
	w.artifact(w.maker, map[string]string{"a": "b"})
	w.want(201, w.owner, "POST", "workflow-template/System/", `{"name": "small", "task_name": "noop", "static_parameters": {}, "runtime_parameters": "any"}`, nil)
	tokens := []string{"", w.owner, w.owner, w.maker, w.other, worker, b.Token, "nonsense", strings.Repeat("z", 5000)}
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	seed := random.Uint64()
	random = rand.New(rand.NewPCG(seed, 2))
	statuses := map[int]int{}
	for range 40 {
		for _, r := range (&Server{}).routes() {
			path, body := somewhere(r, random), noise(random)
			if strings.HasSuffix(r.path, "/events/") {
				continue // it ends when the work does
			}
			a := w.call(tokens[random.IntN(len(tokens))], r.method, path, body, "Content-Range", []string{"", "bytes */9", "bytes 0-0/1", "x"}[random.IntN(4)])
			statuses[a.status]++
			if a.status >= 500 {
				t.Errorf("seed %d: %s %.200s with %.200q: %d %s\n%s", seed, r.method, path, body, a.status, a.body, w.logged)
				return
			}
		}
	}
	t.Log(statuses)
}

func TestLargeAndDeepBodiesAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range (&Server{}).routes() {
		if r.body == nil || r.raw {
			continue
		}
		endless := io.LimitReader(zeroes{}, 100<<20)
		hr, err := http.NewRequest(r.method, w.url+strings.NewReplacer(":id", "1", ":workspace", "System", ":template", "x", ":category", "c", ":name", "n", ":item", "i").Replace(r.path), endless)
		w.ok(err)
		hr.ContentLength = 100 << 20
		hr.Header.Set("Token", w.owner)
		hr.Header.Set("Expect", "100-continue")
		start := time.Now()
		answer, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: 5 * time.Second}}).Do(hr)
		w.ok(err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge || time.Since(start) > 3*time.Second {
			t.Errorf("%s %s: %s after %s", r.method, r.path, answer.Status, time.Since(start))
		}
	}
	// Without a length, 16 MiB are read and no more.
	pieces := struct{ io.Reader }{io.LimitReader(zeroes{}, 40<<20)}
	hr, err := http.NewRequest("POST", w.url+"/api/1.0/work-request/", pieces)
	w.ok(err)
	hr.Header.Set("Token", w.owner)
	if answer, err := http.DefaultClient.Do(hr); err == nil && answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%s", answer.Status)
	}
	w.want(400, w.owner, "POST", "work-request/", `{"task_name": "noop", "task_data": `+strings.Repeat(`[`, 65)+strings.Repeat(`]`, 65)+`}`, nil)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

func TestFaultsSayWhatToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.want(401, "wrong", "GET", "work-request/", nil, nil)
	if p := a.problem(); p.Hint == "" || p.Status != 401 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", a.body)
	}
	if p := w.want(404, w.owner, "GET", "artifact/hello/", nil, nil).problem(); p.Hint != "artifacts are named by their number" {
		t.Errorf("%+v", p)
	}
	// Debusine's own client breaks on members that it does not know.
	a = w.want(404, w.owner, "GET", "artifact/hello/", nil, nil, "Accept", "*/*")
	var members map[string]any
	w.ok(json.Unmarshal(a.body, &members))
	for name := range members {
		if name != "title" && name != "detail" && name != "validation_errors" {
			t.Errorf("member %q", name)
		}
	}
	w.want(404, w.owner, "GET", "/nowhere", nil, nil)
	w.want(405, w.owner, "DELETE", "work-request/", nil, nil)
	if p := w.want(400, w.owner, "POST", "work-request/", `{"taskname": "noop"}`, nil).problem(); p.ValidationErrors["taskname"] == "" {
		t.Errorf("%+v", p)
	}
}

func TestADefectIsLoggedAndNotTold(t *testing.T) {
	w := newWorld(t)
	for _, sql := range []string{`ALTER TABLE artifacts RENAME TO artefacts`} {
		if _, err := w.db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	a := w.want(500, w.owner, "GET", "artifact/", nil, nil)
	if strings.Contains(string(a.body), "artefacts") || strings.Contains(string(a.body), "SELECT") || !strings.Contains(w.logged.String(), "does not exist") {
		t.Errorf("told %s, logged %s", a.body, w.logged)
	}
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	w := newWorld(t)
	s := New(w.db, w.disk, nil, Options{}, slog.New(slog.NewTextHandler(w.logged, nil)))
	e := s.Handler()
	for range 2 {
		recorder := newRecorder()
		r, _ := http.NewRequest("POST", "/api/1.0/work-request/", strings.NewReader(`{"task_name": "noop"}`))
		r.Header.Set("Token", w.owner)
		e.ServeHTTP(recorder, r) // there is no engine
		if recorder.Code != 500 || !strings.Contains(w.logged.String(), "panic") {
			t.Errorf("%d %s", recorder.Code, w.logged)
		}
	}
}

func TestWithoutPostgreSQLTheAnswerIsToTryAgain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	conn, err := pgx.ConnectConfig(ctx, w.db.Pool().Config().ConnConfig)
	w.ok(err)
	defer conn.Close(ctx)
	open := func(open bool) {
		// Nobody can connect, and whoever is connected is cut off.
		if _, err := conn.Exec(ctx, `UPDATE pg_database SET datallowconn = $1 WHERE datname = current_database()`, open); err != nil {
			t.Fatal(err)
		}
	}
	open(false)
	if _, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a := w.want(503, w.owner, "GET", "work-request/", nil, nil); a.header.Get("Retry-After") == "" {
			t.Errorf("%v", a.header)
		}
	}
	open(true)
	w.want(200, w.owner, "GET", "work-request/", nil, nil)
}

func TestJSONThatPostgreSQLCannotHoldIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "x")
	for _, value := range []string{`1e999999`, `"\ud800"`, `"\u0000"`, `"\udc00\ud800"`, `-1e-999999`, strings.Repeat("1", 200_000), `[1.5, 1E+0400000]`} {
		template := `{"name": "n", "task_name": "noop", "static_parameters": {"children": ` + value + `}}`
		bodies := [][3]string{
			{w.owner, "POST workflow-template/System/", template},
			{worker, "PUT worker/dynamic-metadata/", `{"x": ` + value + `}`},
			{b.Token, fmt.Sprintf("PUT work-request/%d/completed/", id), `{"result": "success", "output_data": {"x": ` + value + `}}`},
		}
		for _, c := range bodies {
			method, path, _ := strings.Cut(c[1], " ")
			// What Go decodes by itself may be well after all.
			a := w.call(c[0], method, path, c[2])
			if a.status >= 500 || (a.status < 400 && !strings.HasPrefix(path, "worker/")) {
				t.Errorf("%s with %s: %d %s", c[1], value, a.status, a.body)
			}
		}
	}
}

func TestOrdinaryNumbersPass(t *testing.T) {
	for _, raw := range []string{`{"a": 1e300, "b": -1.5E-200, "c": 18446744073709551615, "eeee99999": "1e999999", "d": [true, false], "e": "\"1e99999"}`, `[0e0000000001]`} {
		if err := bounded([]byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
