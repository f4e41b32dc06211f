package server

import (
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
)

// sdkMeters hands what Temporal's SDK measures to Prometheus. The SDK names a
// metric as it first uses it, and tags the same one now so, now so; Prometheus
// wants each to have one set of labels. So all have those of sdkLabels, of which
// an empty one is as good as absent.
type sdkMeters struct {
	*sdkVectors
	tags prometheus.Labels
}

type sdkVectors struct {
	registry   *prometheus.Registry
	mu         sync.Mutex
	counters   map[string]*prometheus.CounterVec
	gauges     map[string]*prometheus.GaugeVec
	histograms map[string]*prometheus.HistogramVec
}

// sdkLabels are the tags that are kept. Each has few values: none of them is an
// id.
func sdkLabels() []string {
	return []string{"operation", "task_queue", "worker_type", "poller_type", "workflow_type", "activity_type", "failure_reason", "status_code"}
}

func newSDKMeters(registry *prometheus.Registry) *sdkMeters {
	s := &sdkMeters{&sdkVectors{registry: registry, counters: map[string]*prometheus.CounterVec{}, gauges: map[string]*prometheus.GaugeVec{},
		histograms: map[string]*prometheus.HistogramVec{}}, prometheus.Labels{}}
	for _, label := range sdkLabels() {
		s.tags[label] = ""
	}
	return s
}

// WithTags remembers the tags that are labels.
func (s *sdkMeters) WithTags(tags map[string]string) client.MetricsHandler {
	with := &sdkMeters{s.sdkVectors, maps.Clone(s.tags)}
	for name, value := range tags {
		if _, ok := with.tags[name]; ok {
			with.tags[name] = strings.ToValidUTF8(value, "?")
		}
	}
	return with
}

// vector finds or makes the metric of a name.
func vector[V prometheus.Collector](s *sdkVectors, all map[string]V, name string, fresh func() V) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := all[name]
	if !ok {
		v = fresh()
		all[name] = v
		s.registry.MustRegister(v)
	}
	return v
}

// Counter counts under the name that OpenMetrics demands, ending in _total.
func (s *sdkMeters) Counter(name string) client.MetricsCounter {
	name = strings.TrimSuffix(name, "_total") + "_total"
	c := vector(s.sdkVectors, s.counters, name, func() *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: "Of Temporal's SDK"}, sdkLabels())
	}).With(s.tags)
	return counterFunc(func(n int64) { c.Add(float64(n)) })
}

// Gauge is a value that goes up and down.
func (s *sdkMeters) Gauge(name string) client.MetricsGauge {
	g := vector(s.sdkVectors, s.gauges, name, func() *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "Of Temporal's SDK"}, sdkLabels())
	}).With(s.tags)
	return gaugeFunc(g.Set)
}

// Timer is a histogram in seconds.
func (s *sdkMeters) Timer(name string) client.MetricsTimer {
	name += "_seconds"
	h := vector(s.sdkVectors, s.histograms, name, func() *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: "Of Temporal's SDK", Buckets: []float64{.003, .01, .03, .1, .3, 1, 3, 10, 60}}, sdkLabels())
	}).With(s.tags)
	return timerFunc(func(d time.Duration) { h.Observe(d.Seconds()) })
}

// The SDK's own types of this kind are internal to it.
type (
	counterFunc func(int64)
	gaugeFunc   func(float64)
	timerFunc   func(time.Duration)
)

// Inc adds to a counter.
func (f counterFunc) Inc(n int64) { f(n) }

// Update sets a gauge.
func (f gaugeFunc) Update(v float64) { f(v) }

// Record adds a duration.
func (f timerFunc) Record(d time.Duration) { f(d) }
