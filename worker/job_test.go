package worker

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"debusine/activities/worker"
	"debusine/api"
	"debusine/executor/executortest"
	"debusine/task"
)

// site plays the server and the gateway for one attempt.
type site struct {
	workeract.Server
	mu        sync.Mutex
	completed []string
	beats     int
	beat      func(n int) error // the gateway's answer to the nth heartbeat
}

func (s *site) RecordActivityHeartbeat(context.Context, []byte, ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats++
	return s.beat(s.beats)
}

func (s *site) Complete(_ context.Context, result string, _ json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.completed = append(s.completed, result)
	return nil
}

// opening is the Home whose attempts are the site itself.
type opening struct {
	Home
	s *site
}

func (o opening) Attempt(int64, string) Attempt { return o.s }

// runAttempt does one attempt at a sleep and gives what Temporal would be told.
func runAttempt(t *testing.T, s *site, seconds string, stopping context.Context) error {
	t.Helper()
	doer, err := workeract.New(t.Context(), executortest.Open(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	j := &jobs{home: opening{s: s}, heart: s, doer: doer, log: log, stopping: stopping}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) error {
		return j.attempt(ctx, log, 7, api.BeginAnswer{TaskName: "sleep", TaskData: json.RawMessage(`{"seconds": ` + seconds + `}`)})
	}, activity.RegisterOptions{Name: "attempt"})
	_, err = env.ExecuteActivity("attempt")
	return err
}

func kind(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Type()
	}
	return ""
}

func well(int) error { return nil }

func TestAnAttemptRecordsItsOutcomeBeforeItAnswers(t *testing.T) {
	s := &site{beat: well}
	if err := runAttempt(t, s, "0.05", t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.completed, []string{"success"}) {
		t.Errorf("recorded %v", s.completed)
	}
}

func TestAGatewayThatIsAwayEndsNothing(t *testing.T) {
	s := &site{beat: func(int) error { return serviceerror.NewUnavailable("away") }}
	if err := runAttempt(t, s, "4.5", t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.completed, []string{"success"}) || s.beats < 2 {
		t.Errorf("recorded %v after %d heartbeats", s.completed, s.beats)
	}
}

func TestAnAbortClosesTheAttempt(t *testing.T) {
	s := &site{beat: func(int) error { return temporal.NewCanceledError() }}
	start := time.Now()
	if err := runAttempt(t, s, "60", t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.completed) != 1 || time.Since(start) > 10*time.Second {
		t.Errorf("recorded %v after %v", s.completed, time.Since(start))
	}
}

func TestAVoidAttemptRecordsNothing(t *testing.T) {
	s := &site{beat: func(int) error { return serviceerror.NewNotFound("void") }}
	err := runAttempt(t, s, "60", t.Context())
	if kind(err) != task.WorkerError || len(s.completed) != 0 {
		t.Errorf("%v, recorded %v", err, s.completed)
	}
}

func TestAWorkerThatStopsGivesItsWorkBack(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	s := &site{beat: func(int) error { stop(); return nil }}
	err := runAttempt(t, s, "60", stopping)
	if kind(err) != task.Draining || len(s.completed) != 0 {
		t.Errorf("%v, recorded %v", err, s.completed)
	}
}

// deaf never answers a begin.
type deaf struct {
	Home
	asked chan struct{}
}

func (d deaf) Begin(ctx context.Context, _ int64, _ []byte) (api.BeginAnswer, error) {
	close(d.asked)
	<-ctx.Done()
	return api.BeginAnswer{}, ctx.Err()
}

func TestAWorkerStopsWhileTheServerDoesNotAnswer(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	d := deaf{asked: make(chan struct{})}
	j := &jobs{home: d, log: slog.New(slog.DiscardHandler), stopping: stopping}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(func(ctx context.Context) error {
		if _, err := j.begin(ctx, 7, nil); !errors.Is(err, errDraining) {
			return err
		}
		return failure(task.Draining, errDraining)
	}, activity.RegisterOptions{Name: "begin"})
	go func() { <-d.asked; stop() }()
	ended := make(chan error, 1)
	go func() { _, err := env.ExecuteActivity("begin"); ended <- err }()
	select {
	case err := <-ended:
		if kind(err) != task.Draining {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for the server")
	}
}

func TestAMachineReportsWhatItMaySayOfItself(t *testing.T) {
	box := executortest.Open(t)
	doer, err := workeract.New(t.Context(), box, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	said := (&machine{box: box, doer: doer, arch: "amd64", concurrency: 2}).report()
	tags := said["provided_tags"].([]string)
	provided, _, ignored := task.WorkerTags(said, nil)
	if len(ignored) != 0 || len(provided) != len(tags) || !slices.Contains(tags, "worker:build-arch:amd64") {
		t.Errorf("of %v, %v count and %v do not", tags, provided, ignored)
	}
}

func TestOnlyLoopbackMayBePlainText(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "localhost:80": true, "10.0.0.1:80": false, "example.org:80": false, "nonsense": false} {
		if loopback(address) != want {
			t.Errorf("%s is loopback: %v", address, !want)
		}
	}
}
