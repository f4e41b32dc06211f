package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"debusine": func() { os.Exit(Run(os.Args)) },
	})
}

// TestStories tells what people see, against an API that answers what each
// story says:
//
//	serve 'GET /api/1.0/whoami/' whoami.json          answers with the file, from now on
//	serve 'GET /api/1.0/whoami/' a.json b.json        with a.json, then with b.json
//	serve -status=404 'GET /api/1.0/whoami/' a.json   with that status
//	requests                                          prints what was asked so far, for stdout and cmp
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			s := newStage()
			env.Defer(s.Close)
			env.Values["stage"] = s
			env.Setenv("DEBUSINE_CONFIG_FILE", filepath.Join(env.WorkDir, "config.ini"))
			env.Setenv("API", s.URL)
			env.Setenv("TZ", "UTC")
			return os.WriteFile(filepath.Join(env.WorkDir, "config.ini"), []byte("[General]\ndefault-server = fake\n\n[server:fake]\napi-url = "+
				s.URL+"/api\nscope = debian\ntoken = secret\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "requests": requests},
	})
}

// TestStoriesOnAServer tells the stories that need no certain answers to a real
// server: the one that DEBUSINE_CONFIG_FILE names when the tests are started.
func TestStoriesOnAServer(t *testing.T) {
	config := os.Getenv("DEBUSINE_CONFIG_FILE")
	if config == "" {
		t.Skip("DEBUSINE_CONFIG_FILE names no server")
	}
	config, err := filepath.Abs(config)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "real"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("DEBUSINE_CONFIG_FILE", config)
			return nil
		},
	})
}

// stage is an API that answers what a story says, and writes down what it is
// asked.
type stage struct {
	*httptest.Server
	mu       sync.Mutex
	answers  map[string][]answer // by "METHOD /path/"
	requests strings.Builder
}

type answer struct {
	status int
	body   string
}

func newStage() *stage {
	s := &stage{answers: map[string][]answer{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(&s.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	key := r.Method + " " + r.URL.Path
	list := s.answers[r.Method+" "+r.URL.RequestURI()]
	if len(list) > 0 {
		key = r.Method + " " + r.URL.RequestURI()
	} else {
		list = s.answers[key]
	}
	if len(list) == 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{"title": "Not found", "detail": r.URL.Path + " not found"})
		return
	}
	if len(list) > 1 {
		s.answers[key] = list[1:]
	}
	if strings.HasSuffix(r.URL.Path, "/log/") {
		w.Header().Set("Debusine-Log-Complete", strconv.FormatBool(len(list) == 1))
		w.Header().Set("Debusine-Log-Attempt", "1")
		w.Header().Set("Debusine-Log-Offset", cmp.Or(r.URL.Query().Get("offset"), "0"))
	}
	w.WriteHeader(list[0].status)
	_, _ = io.WriteString(w, list[0].body)
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	status := 200
	if len(args) > 0 && strings.HasPrefix(args[0], "-status=") {
		n, err := strconv.Atoi(strings.TrimPrefix(args[0], "-status="))
		ts.Check(err)
		status, args = n, args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve [-status=N] 'METHOD PATH' FILE …")
	}
	s := ts.Value("stage").(*stage)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[args[0]] = nil
	for _, file := range args[1:] {
		body := strings.ReplaceAll(ts.ReadFile(file), "$API", s.URL)
		s.answers[args[0]] = append(s.answers[args[0]], answer{status, body})
	}
}

func requests(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("stage").(*stage)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(ts.Stdout(), s.requests.String())
	s.requests.Reset()
}
