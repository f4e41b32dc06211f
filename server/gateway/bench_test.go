package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"go.temporal.io/sdk/activity"

	"debusine"
	"debusine/stack"
	"debusine/store"
)

// Run them with -bench . -benchtime 1x: each is one measurement, begin and
// complete included.

// Six queues, three workers of capacity 1, 300 tasks of 30 ms: 3.0 s would be
// ideal.
func BenchmarkSixQueuesThreeWorkers(b *testing.B) {
	for b.Loop() {
		s := newSite(b)
		classes := []string{"a", "b", "c", "d", "e", "f"}
		for name, may := range map[string][]string{"one": classes, "two": classes[:4], "three": classes[2:]} {
			_, secret := s.machine(name, 1, may...)
			s.work(s.gateway, name, secret, 1, func(context.Context, store.Beginning) (debusine.Result, error) {
				time.Sleep(30 * time.Millisecond)
				return debusine.Success, nil
			})
		}
		took := s.flood(b, 300, 4, func(i int) string { return classes[i%len(classes)] })
		stats := s.gateway.Stats()
		bare := s.bareFlood(b, 300, 3, 30*time.Millisecond)
		b.ReportMetric(took.Seconds(), "s/300")
		b.ReportMetric(bare.Seconds(), "s/300bare")
		b.ReportMetric(float64(stats.HandedBack)/float64(stats.Given), "handbacks/task")
		b.Logf("%s; %+v", took, stats)
	}
}

// flood makes all rows and their activities first, as a workflow does, and then
// counts from the moment that workers may have them.
func (s *site) flood(b *testing.B, n, at int, class func(i int) string) time.Duration {
	s.exec(`UPDATE workers SET draining = true`)
	time.Sleep(1200 * time.Millisecond)
	var group sync.WaitGroup
	work := make(chan string)
	for range at {
		group.Go(func() {
			for c := range work {
				s.noop(c)
			}
		})
	}
	for i := range n {
		work <- class(i)
	}
	close(work)
	group.Wait()
	time.Sleep(time.Second)
	s.exec(`UPDATE workers SET draining = false`)
	within(b, 10*time.Second, "the first is begun", func() bool { return s.count(`SELECT count(*) FROM attempts`) > 0 })
	began := time.Now()
	within(b, 120*time.Second, "all are done", func() bool {
		return s.count(`SELECT count(*) FROM work_requests WHERE status <> 'completed'`) == 0
	})
	return time.Since(began)
}

// One noop at a time, from its row to Temporal's answer.
func BenchmarkNoopLatency(b *testing.B) {
	for b.Loop() {
		s := newSite(b)
		_, secret := s.machine("one", 1, "a")
		s.work(s.gateway, "one", secret, 1, succeed)
		latency := median(40, func() {
			_, h := s.noop("a")
			s.outcome(h)
		})
		b.ReportMetric(float64(latency.Microseconds())/1000, "ms/noop")
		b.ReportMetric(float64(median(40, s.bare(b, 1)).Microseconds())/1000, "ms/bare")
	}
}

// bareFlood is flood without us: one queue, one worker, nothing recorded.
func (s *site) bareFlood(b *testing.B, n, concurrency int, each time.Duration) time.Duration {
	queue := "bareflood-" + s.name
	var group sync.WaitGroup
	for k := range 4 {
		group.Go(func() {
			for i := k; i < n; i += 4 {
				_, err := s.temporal.ExecuteActivity(context.Background(), client.StartActivityOptions{ID: fmt.Sprint(queue, "/", i), TaskQueue: queue, StartToCloseTimeout: time.Minute}, "noop")
				must(b, err)
			}
		})
	}
	group.Wait()
	c, err := infrastructure.Client(context.Background(), stack.Namespace)
	must(b, err)
	defer c.Close()
	w := worker.New(c, queue, worker.Options{MaxConcurrentActivityExecutionSize: concurrency, MaxConcurrentActivityTaskPollers: concurrency, DisableWorkflowWorker: true})
	first, last := make(chan time.Time, n), make(chan time.Time, n)
	w.RegisterActivityWithOptions(func(context.Context) error {
		first <- time.Now()
		time.Sleep(each)
		last <- time.Now()
		return nil
	}, activity.RegisterOptions{Name: "noop"})
	must(b, w.Start())
	defer w.Stop()
	began, ended := <-first, time.Time{}
	for range n {
		ended = <-last
	}
	return ended.Sub(began)
}

// bare starts a worker at Temporal itself and gives what runs one activity.
func (s *site) bare(b *testing.B, concurrency int) func() {
	c, err := infrastructure.Client(context.Background(), stack.Namespace)
	must(b, err)
	b.Cleanup(c.Close)
	w := worker.New(c, "bare-"+s.name, worker.Options{MaxConcurrentActivityExecutionSize: concurrency, MaxConcurrentActivityTaskPollers: concurrency, DisableWorkflowWorker: true})
	w.RegisterActivityWithOptions(func(context.Context) error { return nil }, activity.RegisterOptions{Name: "noop"})
	must(b, w.Start())
	b.Cleanup(w.Stop)
	var mu sync.Mutex
	n := 0
	return func() {
		mu.Lock()
		n++
		id := fmt.Sprintf("bare/%s/%d", s.name, n)
		mu.Unlock()
		h, err := s.temporal.ExecuteActivity(context.Background(), client.StartActivityOptions{ID: id, TaskQueue: "bare-" + s.name, StartToCloseTimeout: time.Minute}, "noop")
		must(b, err)
		must(b, h.Get(context.Background(), nil))
	}
}

func median(n int, f func()) time.Duration {
	var all []time.Duration
	for range n {
		began := time.Now()
		f()
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[n/2]
}

// A thousand noops on one queue and one worker of concurrency 8, against as many
// bare activities that are waited for in eights.
func BenchmarkThousandNoops(b *testing.B) {
	for b.Loop() {
		s := newSite(b)
		_, secret := s.machine("one", 8, "a")
		s.work(s.gateway, "one", secret, 8, succeed)
		took := s.flood(b, 1000, 8, func(int) string { return "a" })
		stats := s.gateway.Stats()
		bare := s.bareFlood(b, 1000, 8, 0)
		b.ReportMetric(1000/took.Seconds(), "noops/s")
		b.ReportMetric(bare.Seconds()/took.Seconds(), "ofbare")
		b.ReportMetric(float64(stats.HandedBack)/float64(stats.Given), "handbacks/task")
		b.Logf("%s; %+v", took, stats)
	}
}
