package main

import (
	"testing"

	"debusine/forecast"
)

// buildsOf is a trace of one package on one machine.
func buildsOf(jobs ...traced) trace {
	for i := range jobs {
		jobs[i].Workspace, jobs[i].Subject, jobs[i].Architecture, jobs[i].Success = 1, "hello", "amd64", true
	}
	return trace{Machines: []forecast.Machine{{Slots: 1, Queues: []string{"build/amd64"}}}, Jobs: jobs}
}

func TestAReplayComparesWhatWasForeseenWithWhatCame(t *testing.T) {
	for name, c := range map[string]struct {
		trace             trace
		starts, durations []float64
	}{
		"nothing happened":        {buildsOf(), nil, nil},
		"a guess, as it was":      {buildsOf(traced{Took: 300}), []float64{0}, []float64{0}},
		"a guess that was wrong":  {buildsOf(traced{Took: 100}), []float64{0}, []float64{200}},
		"a run that is known":     {buildsOf(traced{Took: 100}, traced{At: 1000, Took: 110}), []float64{0, 0}, []float64{200, 10}},
		"one that waits for it":   {buildsOf(traced{Took: 100}, traced{At: 1000, Took: 110}, traced{At: 1010, Took: 100}), []float64{0, 0, 10}, []float64{200, 10, 0}},
		"one that nobody takes":   {trace{Jobs: []traced{{Took: 5}}}, nil, nil},
		"a lower priority, later": {buildsOf(traced{Took: 300}, traced{At: 1, Took: 300, Priority: -1}, traced{At: 2, Took: 300}), []float64{0, 0, 300}, []float64{0, 0, 0}},
	} {
		got := c.trace.replay(true)
		if !same(got.starts, c.starts) || !same(got.durations, c.durations) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func same(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTheHistoryMakesEstimatesBetter(t *testing.T) {
	rows, err := estimates(t.Context(), nil)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	for _, row := range rows {
		t.Log(row)
		if !row.OK || row.Ratio == 0 || row.Ratio > 0.7 {
			t.Errorf("%s", row)
		}
	}
}
