package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/files"
	"debusine/sign"
	"debusine/store"
	"debusine/store/storetest"
)

func TestMain(m *testing.M) {
	runAsCommandLine()
	if len(os.Args) == 2 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	storetest.Main(m)
}

// world is a server over a real database and a real file store, without an
// engine behind it, and the people in it.
type world struct {
	*testing.T
	db     *store.DB
	disk   *files.Disk
	url    string
	logged *bytes.Buffer
	owner  string // tokens
	viewer string // sees the workspace, and no more
	maker  string // contributor
	other  string // nobody's friend
}

// still does to rows what the orchestrator does, and tells no Temporal.
type still struct{ db *store.DB }

func (e still) Create(ctx context.Context, n store.New) (int64, error) { return e.db.Create(ctx, n) }
func (e still) StartWorkflow(ctx context.Context, n store.New) (int64, error) {
	return e.db.Create(ctx, n)
}
func (e still) Abort(ctx context.Context, id, user int64) error {
	_, err := e.db.Abort(ctx, id, user)
	return err
}
func (e still) RetryNow(ctx context.Context, id, _ int64) (int, error) {
	all, err := e.db.Retrying(ctx, id)
	return len(all), err
}
func (e still) GiveUpRetries(ctx context.Context, id, user int64) (int, error) {
	return e.RetryNow(ctx, id, user)
}
func (e still) SetRetryDelays(ctx context.Context, id, user int64, _ []string) (int, error) {
	return e.RetryNow(ctx, id, user)
}
func (e still) Retry(ctx context.Context, id, user int64) (int64, error) {
	return e.db.Retry(ctx, id, user)
}
func (e still) Begin(ctx context.Context, w debusine.Worker, id int64, sealed []byte) (store.Beginning, error) {
	return e.db.Begin(ctx, store.Delivery{WorkRequest: id, Worker: w.ID, TaskToken: sealed, Attempt: 1})
}
func (e still) BeginSigning(ctx context.Context, _ debusine.Worker, d store.Delivery) (store.Beginning, error) {
	return e.db.Begin(ctx, d)
}
func (e still) ProvideSignature(ctx context.Context, id, user, unsigned, signed int64, output debusine.OutputData) error {
	return e.db.ProvideSignature(ctx, id, user, unsigned, signed, output)
}
func (e still) Complete(ctx context.Context, _, attempt int64, r debusine.Result, out json.RawMessage) error {
	_, err := e.db.Complete(ctx, attempt, r, out)
	return err
}
func (e still) CreateSchedule(ctx context.Context, s debusine.Schedule, who debusine.Principal, on debusine.Resource) (int64, error) {
	if _, err := e.db.FromTemplate(ctx, who, on, s.Template, s.Data); err != nil {
		return 0, err
	}
	s.WorkspaceID, s.CreatedByID = on.Workspace, who.UserID
	return e.db.CreateSchedule(ctx, s)
}
func (e still) PauseSchedule(ctx context.Context, id int64, paused bool) error {
	return e.db.PauseSchedule(ctx, id, paused)
}
func (e still) DeleteSchedule(ctx context.Context, id int64) error {
	return e.db.DeleteSchedule(ctx, id)
}
func (e still) RunSchedule(context.Context, int64) (debusine.ScheduleRun, error) {
	return debusine.ScheduleRun{Outcome: debusine.RunFailed, Message: "no engine"}, nil
}
func (e still) NextRuns(context.Context, debusine.Schedule) ([]time.Time, error) { return nil, nil }

func newWorld(t *testing.T) *world {
	t.Helper()
	db := storetest.Open(t)
	disk, err := files.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db, disk: disk, logged: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(w.logged, nil))
	s := New(db, disk, still{db}, Options{Version: "test", UIURL: "http://ui.invalid", Namespace: "debusine", Gateway: "127.0.0.1:1"}, log)
	s.unasked = func(r route) { t.Errorf("%s %s answered without asking for a right", r.method, r.path) }
	web := httptest.NewUnstartedServer(nil)
	web.Config = s.HTTPServer()
	web.Start()
	t.Cleanup(web.Close)
	w.url = web.URL
	w.people()
	return w
}

func (w *world) people() {
	ctx := w.Context()
	for name, token := range map[string]*string{"olga": &w.owner, "vera": &w.viewer, "mike": &w.maker, "nina": &w.other} {
		if name == "olga" {
			continue
		}
		w.must(w.db.CreateUser(ctx, name, "", false))
		_ = token
	}
	w.must(w.db.CreateUser(ctx, "olga", "", true))
	for group, role := range map[string]string{"Makers": "contributor", "Viewers": "viewer"} {
		w.ok(w.db.CreateGroup(ctx, "debusine", group))
		w.ok(w.db.Grant(ctx, "debusine", "System", group, role))
	}
	// The first of them became an owner of the scope; only olga is to be one.
	w.must(w.db.ChangeMembers(ctx, "debusine", "Owners", nil, []string{"vera", "mike", "nina"}))
	w.must(w.db.ChangeMembers(ctx, "debusine", "Makers", []string{"mike"}, nil))
	w.must(w.db.ChangeMembers(ctx, "debusine", "Viewers", []string{"vera"}, nil))
	for name, token := range map[string]*string{"olga": &w.owner, "vera": &w.viewer, "mike": &w.maker, "nina": &w.other} {
		var err error
		*token, err = w.db.CreateUserToken(ctx, name, "", nil)
		w.ok(err)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) must(_ any, err error) { w.Helper(); w.ok(err) }

func (w *world) must2(_, _ any, err error) { w.Helper(); w.ok(err) }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem() (p api.Problem) {
	_ = json.Unmarshal(a.body, &p) // an empty one when it is none
	return p
}

// call sends body, which is a string, bytes, or anything that becomes JSON.
func (w *world) call(token, method, path string, body any, headers ...string) answer {
	w.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		w.ok(err)
		reader = bytes.NewReader(raw)
	}
	if strings.HasPrefix(path, "/") {
		path = w.url + path
	} else if !strings.HasPrefix(path, "http") {
		path = w.url + "/api/1.0/" + path
	}
	r, err := http.NewRequest(method, path, reader)
	w.ok(err)
	if token != "" {
		r.Header.Set("Token", token)
	}
	r.Header.Set("Accept", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	out, err := http.DefaultClient.Do(r)
	w.ok(err)
	defer out.Body.Close()
	raw, err := io.ReadAll(out.Body)
	w.ok(err)
	return answer{out.StatusCode, out.Header, raw}
}

// want calls and expects a status; into, when given, takes the JSON.
func (w *world) want(status int, token, method, path string, body any, into any, headers ...string) answer {
	w.Helper()
	a := w.call(token, method, path, body, headers...)
	if a.status != status {
		w.Fatalf("%s %s: status %d, wanted %d: %s", method, path, a.status, status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			w.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
	return a
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

// testArtifact is an announcement of files by path.
func testArtifact(content map[string]string) api.ArtifactCreate {
	out := api.ArtifactCreate{Category: "debusine:test", Files: map[string]api.File{}}
	for path, c := range content {
		out.Files[path] = api.File{Type: "file", Size: int64(len(c)), Checksums: map[string]string{"sha256": sum(c)}, ContentType: "text/plain"}
	}
	return out
}

// artifact makes a complete one.
func (w *world) artifact(token string, content map[string]string) (made api.Artifact) {
	w.Helper()
	w.want(201, token, "POST", "artifact/", testArtifact(content), &made)
	for _, path := range made.FilesToUpload {
		w.want(201, token, "PUT", fmt.Sprintf("artifact/%d/files/%s/", made.ID, path), content[path], nil)
	}
	w.want(200, token, "GET", fmt.Sprintf("artifact/%d/", made.ID), nil, &made)
	return made
}

// worker makes an enabled one that has every tag of amd64.
func (w *world) worker(name string) (secret string, id int64) {
	w.Helper()
	secret = debusine.NewSecret()
	made, err := w.db.Register(w.Context(), store.Registration{Secret: secret, Name: name, Exact: true, Enabled: true})
	w.ok(err)
	return secret, made.ID
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
