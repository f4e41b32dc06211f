// Package server is the HTTP API: Echo's routes in one table (routes.go), one
// file a noun, every fault turned into an answer in one place (fault.go).
//
// A handler does four things: bind, allow, call, answer. Bind reads the body,
// whose size and depth are bounded. Allow asks whether who calls may do the
// route's verb to the thing at hand (debusine.Principal.Allow): what may not be
// seen is not found. Call goes to the store, the file store or the engine.
// Answer writes one of package api's structs. A route without a verb does not
// exist, and an answer that was given before allow was asked is a defect that
// the tests look for.
//
// Command starts all roles of a server process: this API, the worker gateway
// and the orchestrator.
package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"debusine"
	"debusine/files"
	"debusine/store"
)

// engine is what the API does to work requests (orchestrator.Orchestrator).
type engine interface {
	Create(ctx context.Context, n store.New) (id int64, err error)
	StartWorkflow(ctx context.Context, n store.New) (id int64, err error)
	Abort(ctx context.Context, id, user int64) error
	Retry(ctx context.Context, id, user int64) (int64, error)
	RetryNow(ctx context.Context, id, user int64) (int, error)
	GiveUpRetries(ctx context.Context, id, user int64) (int, error)
	SetRetryDelays(ctx context.Context, id, user int64, delays []string) (int, error)
	Begin(ctx context.Context, worker debusine.Worker, id int64, sealed []byte) (store.Beginning, error)
	BeginSigning(ctx context.Context, worker debusine.Worker, d store.Delivery) (store.Beginning, error)
	ProvideSignature(ctx context.Context, id, user, unsigned, signed int64, output debusine.OutputData) error
	Complete(ctx context.Context, id, attempt int64, result debusine.Result, output json.RawMessage) error
	CreateSchedule(ctx context.Context, s debusine.Schedule, who debusine.Principal, on debusine.Resource) (id int64, err error)
	PauseSchedule(ctx context.Context, id int64, paused bool) error
	DeleteSchedule(ctx context.Context, id int64) error
	RunSchedule(ctx context.Context, id int64) (debusine.ScheduleRun, error)
	NextRuns(ctx context.Context, s debusine.Schedule) ([]time.Time, error)
}

// Options are what the API says of its surroundings.
type Options struct {
	Version    string
	PublicURL  string   // of this server, without /api; empty: as the request says
	UIURL      string   // of Temporal's Web UI; empty: none
	Namespace  string   // of Temporal
	Signers    []string // keyrings, or folders of them, of those whose signatures are accepted
	Gateway    string   // HOST:PORT of the worker gateway; empty: none here
	GatewayTLS bool

	meters *meters // nil: nothing is measured
}

// Server answers the API. Make it with New.
type Server struct {
	db      *store.DB
	files   *files.Disk
	engine  engine
	options Options
	log     *slog.Logger
	machines
	callers callers
	outlook outlook
	tails   *tails
	pace    *pace
	// unasked is told of routes that answered without asking for a right.
	unasked func(route)
}

// New makes the API over its parts.
func New(db *store.DB, disk *files.Disk, engine engine, options Options, log *slog.Logger) *Server {
	return &Server{db: db, files: disk, engine: engine, options: options, log: log, machines: machines{db: db}, callers: callers{db: db, known: map[string]caller{}},
		tails: newTails(db, log), pace: newPace(),
		unasked: func(r route) { log.Error("defect: a route answered without asking for a right", "route", r.path) }}
}

// Handler is the whole API.
func (s *Server) Handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerFault
	e.Pre(s.tidyPath)
	var known []string
	for _, r := range s.routes() {
		e.Add(r.method, r.pattern(), s.handler(r))
		known = append(known, r.method+" "+r.pattern())
	}
	if s.options.meters != nil {
		e.Use(s.options.meters.observe(known))
	}
	return e
}

// Limits of one connection. Uploads and downloads may take as long as they
// make progress (progress.go).
const (
	headerWait = 10 * time.Second
	idleWait   = 2 * time.Minute
	quickWait  = time.Minute // a request or an answer that is not a file
)

// HTTPServer is a server of the API with its time limits.
func (s *Server) HTTPServer() *http.Server {
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: headerWait, IdleTimeout: idleWait, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	web.RegisterOnShutdown(s.tails.stop)
	return web
}

// machines remembers for a second what the workers may do: a list of pending
// work requests asks for it once for each.
type machines struct {
	db    *store.DB
	mu    sync.Mutex
	list  []debusine.Worker
	gates map[string][]string // that the work of each queue passes
	read  time.Time
}

func (m *machines) all(ctx context.Context) (list []debusine.Worker, gates map[string][]string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.read) < time.Second {
		return m.list, m.gates, nil
	}
	if list, err = m.db.Workers(ctx); err != nil {
		return nil, nil, err
	}
	queues, err := m.db.AllQueues(ctx)
	if err != nil {
		return nil, nil, err
	}
	gates = map[string][]string{}
	for _, q := range queues {
		gates[q.Name] = q.Provided
	}
	m.list, m.gates, m.read = list, gates, time.Now()
	return list, gates, nil
}
