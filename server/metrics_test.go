package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"debusine/server/gateway"
)

// scrape asks as Prometheus does.
func scrape(t *testing.T, m *meters) string {
	t.Helper()
	web := httptest.NewServer(m.handler())
	defer web.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/openmetrics-text") {
		t.Fatalf("answered %s, %s, %v: %s", answer.Status, answer.Header.Get("Content-Type"), err, raw)
	}
	return string(raw)
}

// All that a server measures, on a real database, is OpenMetrics in the eyes of
// the reference's own parser.
func TestAScrapeIsOpenMetrics(t *testing.T) {
	w := newWorld(t)
	m := newMeters()
	m.watchDatabase(w.db, slog.New(slog.DiscardHandler))
	m.watchGateway(func() gateway.Stats { return gateway.Stats{Polls: 5, Given: 3} })
	s := New(w.db, w.disk, still{w.db}, Options{meters: m}, slog.New(slog.DiscardHandler))
	for _, path := range []string{"/api/1.0/service-status/", "/api/1.0/work-request/1/", "/api/1.0/work-request/2/", "/nothing/1", "/nothing/2"} {
		s.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	sdk := newSDKMeters(m.registry)
	sdk.Counter("temporal_request").Inc(2)
	sdk.WithTags(map[string]string{"operation": "StartWorkflowExecution", "run_id": "one of many"}).Counter("temporal_request").Inc(1)
	sdk.WithTags(map[string]string{"task_queue": "debusine"}).Timer("temporal_request_latency").Record(20 * time.Millisecond)
	sdk.Gauge("temporal_num_pollers").Update(4)
	text := scrape(t, m)
	for _, want := range []string{
		`debusine_http_request_duration_seconds_count{code="200",method="GET",route="/api/1.0/service-status"} 1`,
		`debusine_http_request_duration_seconds_count{code="404",method="GET",route="/api/1.0/work-request/:id"} 2`,
		`debusine_http_request_duration_seconds_count{code="404",method="any",route="none"} 2`,
		`debusine_gateway_polls_total 5`, `debusine_gateway_given_total 3`, `users{active="true"} 4`, `file_store_size 0`,
		`debusine_database_connections_max 16`, `operation="StartWorkflowExecution"`, `temporal_request_latency_seconds_count`, "# EOF\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "one of many") {
		t.Error("an id is a label")
	}
	if testing.Short() {
		return // without the parser of Debian's python3-prometheus-client
	}
	parse := exec.Command("/usr/bin/python3", "-c", "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as f\nprint(len(list(f(sys.stdin.read()))))")
	parse.Stdin = strings.NewReader(text)
	if said, err := parse.CombinedOutput(); err != nil {
		t.Errorf("the parser of OpenMetrics refuses it: %v\n%s", err, said)
	}
}

// Methods and paths of the asker's invention are no labels.
func TestAStrangersRequestsAreOneSeries(t *testing.T) {
	m := newMeters()
	e := echo.New()
	e.GET("/known/:id", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.Use(m.observe([]string{"GET /known/:id"}))
	for n := range 100 {
		for _, method := range []string{http.MethodGet, http.MethodPost, fmt.Sprintf("ODD%d", n)} {
			for _, path := range []string{"/known/%d", "/unknown/%d"} {
				e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, fmt.Sprintf(path, n), nil))
			}
		}
	}
	if n := strings.Count(scrape(t, m), "debusine_http_request_duration_seconds_count"); n > 3 {
		t.Errorf("there are %d series", n)
	}
}

// A database that is away costs its own figures alone.
func TestAScrapeWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	m := newMeters()
	m.watchDatabase(w.db, slog.New(slog.DiscardHandler))
	w.db.Close()
	if text := scrape(t, m); strings.Contains(text, "work_requests") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("got %s", text)
	}
}

func TestMetricsStopWithTheServer(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- newMeters().serve(ctx, listener) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", answer, err)
	}
	answer.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
