package workeract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/executor"
	"debusine/executor/executortest"
)

// script is work that runs a shell script and does what the test says.
type script struct {
	text   string
	setups error
	judged func(context.Context, *attempt, executor.Result) (debusine.Result, error)
	called bool
}

func (s *script) subject() int64 { return 0 }

func (s *script) setup(context.Context, *attempt) (executor.Command, error) {
	return executor.Command{Argv: []string{"sh", "-c", s.text}}, s.setups
}

func (s *script) teardown(ctx context.Context, a *attempt, r executor.Result) (debusine.Result, error) {
	s.called = true
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if s.judged != nil {
		return s.judged(ctx, a, r)
	}
	return debusine.Success, nil
}

// keeper is a server that takes the log and artifacts, and remembers.
type keeper struct {
	takes
	made []string
	said string // of stages.log
}

func (k *keeper) CreateArtifact(_ context.Context, category string, _ any, files map[string]string) (int64, error) {
	k.made = append(k.made, category)
	if path := files["stages.log"]; path != "" {
		text, _ := os.ReadFile(path)
		k.said = string(text)
	}
	return int64(len(k.made)), nil
}

func TestHowAnAttemptEnds(t *testing.T) {
	broken := errors.New("the disk is on fire")
	fail := func(err error) func(context.Context, *attempt, executor.Result) (debusine.Result, error) {
		return func(context.Context, *attempt, executor.Result) (debusine.Result, error) { return "", err }
	}
	tests := []struct {
		name   string
		work   script
		limit  time.Duration
		result debusine.Result
		code   string
		err    error
		debug  string // what the debug logs say; "" for none
	}{
		{"a success leaves no debug logs", script{text: "true"}, time.Minute, debusine.Success, "", nil, ""},
		{"a failure leaves a listing", script{text: "echo x > half-built; exit 3", judged: func(context.Context, *attempt, executor.Result) (debusine.Result, error) {
			return debusine.Failure, nil
		}}, time.Minute, debusine.Failure, "", nil, "half-built"},
		{"a limit of time is told", script{text: "sleep 60"}, 200 * time.Millisecond, debusine.Success, "time-limit", nil, ""},
		{"inputs that nobody can use are an error of the work", script{setups: unusablef("no .dsc")}, time.Minute, debusine.Error, "execute-failed", nil, "no .dsc"},
		{"inputs that did not come are the machine's", script{setups: broken}, time.Minute, "", "", broken, "on fire"},
		{"a teardown that breaks is the machine's", script{text: "true", judged: fail(broken)}, time.Minute, "", "", broken, "on fire"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := &Doer{machine: executortest.Open(t), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			k := &keeper{}
			outcome, err := d.inFolder(t.Context(), Job{WorkRequest: 7, Limit: test.limit}, k, &test.work)
			if !errors.Is(err, test.err) || outcome.Result != test.result {
				t.Fatalf("got %+v, %v", outcome, err)
			}
			if got := outcome.OutputData.Errors; (len(got) == 0) != (test.code == "") || len(got) > 0 && got[0].Code != test.code {
				t.Errorf("errors %+v", got)
			}
			if test.debug == "" != (len(k.made) == 0) || !strings.Contains(k.said, test.debug) {
				t.Errorf("artifacts %v, debug log %q", k.made, k.said)
			}
		})
	}
}

func TestALimitThatStruckIsTold(t *testing.T) {
	d := &Doer{machine: executortest.OpenWith(t, executor.Config{Limits: executor.Limits{Processes: 40}}), log: slog.New(slog.DiscardHandler)}
	work := script{text: "for i in $(seq 100); do sleep 20 & done; wait", judged: func(context.Context, *attempt, executor.Result) (debusine.Result, error) {
		return debusine.Failure, nil
	}}
	outcome, err := d.inFolder(t.Context(), Job{WorkRequest: 7, Limit: time.Minute}, &keeper{}, &work)
	if err != nil || outcome.OutputData.Command == nil || outcome.OutputData.Command.Limit != "processes" {
		t.Fatalf("got %+v, %v", outcome, err)
	}
	want := debusine.TaskError{Message: "the command had more than 40 processes at once", Code: "processes-limit"}
	if got := outcome.OutputData.Errors; len(got) != 1 || got[0] != want {
		t.Errorf("errors %+v", got)
	}
	if outcome.OutputData.RuntimeStatistics.Memory == 0 {
		t.Error("no memory was counted")
	}
}

func TestWhatAStoppedAttemptKeeps(t *testing.T) {
	draining := errors.New("the worker drains")
	for _, test := range []struct {
		name   string
		cause  error
		keeps  bool
		expect error
	}{
		{"an abort keeps the log", nil, true, context.Canceled},
		{"a job that is given back leaves nothing", draining, false, draining},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &Doer{machine: executortest.Open(t), log: slog.New(slog.DiscardHandler)}
			ctx, cancel := context.WithCancelCause(t.Context())
			k, w := &keeper{}, &script{text: "echo begun; exec sleep 60"}
			k.heard = func() { cancel(test.cause) }
			start := time.Now()
			outcome, err := d.inFolder(ctx, Job{WorkRequest: 7, Limit: time.Minute}, k, w)
			if stats := outcome.OutputData.RuntimeStatistics; stats == nil || stats.DurationRun == 0 || outcome.Result != "" {
				t.Errorf("it took %+v, %q", stats, outcome.Result)
			}
			if !errors.Is(err, test.expect) || w.called != test.keeps || len(k.made) != 0 {
				t.Errorf("got %v, judged %t, made %v", err, w.called, k.made)
			}
			if k.got.String() != "begun\n" || time.Since(start) > 4*time.Second {
				t.Errorf("live log %q after %v", k.got.String(), time.Since(start))
			}
		})
	}
}

func TestEnvironmentIsGivenBack(t *testing.T) {
	d := &Doer{machine: executortest.Open(t), log: slog.New(slog.DiscardHandler)}
	released := false
	w := &script{text: "true", judged: func(_ context.Context, a *attempt, _ executor.Result) (debusine.Result, error) {
		a.atEnd = append(a.atEnd, func() { released = true })
		return "", fmt.Errorf("broken")
	}}
	if _, err := d.inFolder(t.Context(), Job{Limit: time.Minute}, &keeper{}, w); err == nil || !released {
		t.Errorf("got %v, released %t", err, released)
	}
}
