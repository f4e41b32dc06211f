package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"debusine/server/gateway"
	"debusine/store"
)

// meters are what a server process measures of itself, of the database and of
// Temporal's SDK. They are served on an address of their own (--metrics-listen),
// without asking who calls: queues may name private workspaces, so that address
// is for the operators' network alone.
type meters struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMeters() *meters {
	m := &meters{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "debusine_http_request_duration_seconds", Help: "How long the API took to answer, by route",
		Buckets: []float64{.003, .01, .03, .1, .3, 1, 3, 10, 60},
	}, []string{"method", "route", "code"})}
	// Without the memory figures of old: two of them have one name in OpenMetrics.
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(collectors.WithGoCollectorMemStatsMetricsDisabled()), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe is the API's middleware. A route that is none of ours has no name: else
// whoever asks for what does not exist would make a new series each time.
func (m *meters) observe(known []string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			if err := next(c); err != nil {
				c.Error(err) // the answer's status is known only after this
			}
			route, method := c.Path(), c.Request().Method
			if !slices.Contains(known, method+" "+route) {
				route, method = "none", "any"
			}
			m.requests.WithLabelValues(method, route, strconv.Itoa(c.Response().Status)).Observe(time.Since(start).Seconds())
			return nil
		}
	}
}

// watchDatabase adds what exists, and the connections.
func (m *meters) watchDatabase(db *store.DB, log *slog.Logger) {
	stat := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "debusine_database_connections_" + name, Help: help}, value))
	}
	stat("used", "Connections to the database in use", func() float64 { return float64(db.Pool().Stat().AcquiredConns()) })
	stat("open", "Connections to the database", func() float64 { return float64(db.Pool().Stat().TotalConns()) })
	stat("max", "Most connections to the database", func() float64 { return float64(db.Pool().Stat().MaxConns()) })
	m.registry.MustRegister(&census{db: db, log: log})
}

// watchGateway adds what the gateway counts.
func (m *meters) watchGateway(stats func() gateway.Stats) {
	count := func(name, help string, value func(gateway.Stats) int64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "debusine_gateway_" + name + "_total", Help: help},
			func() float64 { return float64(value(stats())) }))
	}
	count("polls", "Polls of Temporal's queues", func(s gateway.Stats) int64 { return s.Polls })
	count("empty_polls", "Polls that brought nothing", func(s gateway.Stats) int64 { return s.Empty })
	count("given", "Tasks given to workers", func(s gateway.Stats) int64 { return s.Given })
	count("handed_back", "Tasks handed back to Temporal", func(s gateway.Stats) int64 { return s.HandedBack })
	count("refused", "Calls that were refused", func(s gateway.Stats) int64 { return s.Refused })
}

// census asks the database what exists, not more often than censusEvery.
type census struct {
	db  *store.DB
	log *slog.Logger

	mu   sync.Mutex
	read time.Time
	last []store.Measure
}

const (
	censusEvery  = 10 * time.Second
	censusWithin = 8 * time.Second
)

// Describe says nothing beforehand: what there is depends on the rows.
func (*census) Describe(chan<- *prometheus.Desc) {}

// Collect sends what exists. While the database is away nothing is sent: old
// figures would look like new ones.
func (c *census) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.measures() {
		desc := prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		for _, s := range m.Samples {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, s.Value, s.Labels...)
		}
	}
}

func (c *census) measures() []store.Measure {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) < censusEvery {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), censusWithin)
	defer cancel()
	all, err := c.db.Measures(ctx)
	if err != nil {
		c.log.Warn("the database could not be measured", "error", err)
	}
	c.last, c.read = all, time.Now()
	return all
}

// handler answers /metrics, as OpenMetrics to whoever asks for it.
func (m *meters) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 2 * censusWithin}))
	return mux
}

// serve answers on the listener until ctx ends.
func (m *meters) serve(ctx context.Context, listener net.Listener) error {
	web := &http.Server{Handler: m.handler(), ReadHeaderTimeout: headerWait, IdleTimeout: idleWait, WriteTimeout: quickWait}
	stop := context.AfterFunc(ctx, func() { web.Close() })
	defer stop()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}
