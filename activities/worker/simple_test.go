package workeract_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"debusine"
	workeract "debusine/activities/worker"
)

func TestSimpleTasksEndAsTold(t *testing.T) {
	doer := newDoer(t)
	tests := []struct {
		name, task string
		data       object
		want       debusine.Result
		code       string
	}{
		{"a noop succeeds", "noop", object{}, debusine.Success, ""},
		{"a noop fails when told to", "noop", object{"result": false}, debusine.Failure, ""},
		{"a short sleep succeeds", "sleep", object{"seconds": 0.01}, debusine.Success, ""},
		{"a sleep that is longer than its limit fails", "sleep", object{"seconds": 5}, debusine.Failure, "time-limit"},
		{"data that no task has are an error", "sleep", object{"second": 5}, debusine.Error, "configure-failed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j := job(t, test.task, test.data, nil)
			j.Limit = 100 * time.Millisecond
			outcome, err := doer.Do(t.Context(), j, newShelf(t))
			if err != nil || outcome.Result != test.want {
				t.Fatalf("got %+v, %v", outcome, err)
			}
			if codes := codesOf(outcome); codes != test.code {
				t.Errorf("codes %q", codes)
			}
		})
	}
}

func codesOf(outcome workeract.Outcome) string {
	var codes []string
	for _, e := range outcome.OutputData.Errors {
		codes = append(codes, e.Code)
	}
	return strings.Join(codes, " ")
}

func TestCancelledSleepEndsAtOnce(t *testing.T) {
	why := errors.New("aborted by its owner")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	start := time.Now()
	_, err := newDoer(t).Do(ctx, job(t, "sleep", object{"seconds": 60}, nil), newShelf(t))
	if !errors.Is(err, why) || time.Since(start) > 2*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

func TestUnknownTaskIsForAnother(t *testing.T) {
	_, err := newDoer(t).Do(t.Context(), job(t, "no-such-task", nil, nil), newShelf(t))
	if !errors.As(err, new(workeract.UnknownTask)) {
		t.Errorf("got %v", err)
	}
}

func TestBrokenNoopIsTheMachinesError(t *testing.T) {
	_, err := newDoer(t).Do(t.Context(), job(t, "noop", object{"exception": true}, nil), newShelf(t))
	if !errors.As(err, new(workeract.Broken)) {
		t.Errorf("got %v", err)
	}
}
