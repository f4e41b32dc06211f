package forecast_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"debusine/forecast"
)

func hello(arch string) forecast.Kind {
	return forecast.Kind{Workspace: 1, Task: "Worker:sbuild", Subject: "hello", Context: "any:" + arch, Architecture: arch}
}

func TestDurationsComeFromTheNearestRuns(t *testing.T) {
	run := func(k forecast.Kind, minutes int, success bool) forecast.Run {
		return forecast.Run{Kind: k, Took: time.Duration(minutes) * time.Minute, Success: success}
	}
	other := hello("amd64")
	other.Subject = "linux"
	elsewhere := hello("amd64")
	elsewhere.Workspace = 2
	unnamed := forecast.Kind{Workspace: 1, Task: "Worker:noop", Architecture: "amd64"}
	for name, c := range map[string]struct {
		runs  []forecast.Run
		of    forecast.Kind
		want  time.Duration
		basis forecast.Basis
	}{
		"nothing is known":          {nil, hello("amd64"), 5 * time.Minute, forecast.Guess},
		"the median of the same":    {[]forecast.Run{run(hello("amd64"), 1, true), run(hello("amd64"), 9, true), run(hello("amd64"), 2, true)}, hello("amd64"), 2 * time.Minute, forecast.SameKind},
		"of two, their mean":        {[]forecast.Run{run(hello("amd64"), 1, true), run(hello("amd64"), 2, true)}, hello("amd64"), 90 * time.Second, forecast.SameKind},
		"failures count less":       {[]forecast.Run{run(hello("amd64"), 1, false), run(hello("amd64"), 9, true)}, hello("amd64"), 9 * time.Minute, forecast.SameKind},
		"but more than nothing":     {[]forecast.Run{run(hello("amd64"), 1, false)}, hello("amd64"), time.Minute, forecast.SameKind},
		"another architecture":      {[]forecast.Run{run(hello("riscv64"), 30, true), run(other, 100, true)}, hello("amd64"), 30 * time.Minute, forecast.Elsewhere},
		"another package":           {[]forecast.Run{run(other, 100, true)}, hello("amd64"), 100 * time.Minute, forecast.SameTask},
		"another package elsewhere": {[]forecast.Run{run(other, 100, true)}, hello("riscv64"), 5 * time.Minute, forecast.Guess},
		"another workspace":         {[]forecast.Run{run(elsewhere, 100, true)}, hello("amd64"), 5 * time.Minute, forecast.Guess},
		"a task about nothing":      {[]forecast.Run{run(unnamed, 3, true)}, unnamed, 3 * time.Minute, forecast.SameTask},
		"lies are not believed":     {[]forecast.Run{run(hello("amd64"), -3, true), run(hello("amd64"), 0, true), {Kind: hello("amd64"), Took: 1 << 62, Success: true}}, hello("amd64"), 5 * time.Minute, forecast.Guess},
	} {
		var h forecast.History
		for _, r := range c.runs {
			h.Add(r)
		}
		if got, basis := h.Duration(c.of); got != c.want || basis != c.basis {
			t.Errorf("%s: %s from %s, wanted %s from %s", name, got, basis, c.want, c.basis)
		}
	}
}

func TestWhatIsLeftOfARun(t *testing.T) {
	for _, c := range [][3]time.Duration{{10, 4, 6}, {10, 10, 2}, {10, 100, 20}, {10, -5, 10}, {0, 0, 1}} {
		if got := forecast.Left(c[0]*time.Second, c[1]*time.Second); got != c[2]*time.Second {
			t.Errorf("of %ds after %ds: %s, wanted %ds", c[0], c[1], got, c[2])
		}
	}
}

func TestStartsArePlayedOut(t *testing.T) {
	job := func(id int64, queue string, workspace int64, priority, minutes int) forecast.Job {
		return forecast.Job{ID: id, Queue: queue, Workspace: workspace, Priority: priority, Took: time.Duration(minutes) * time.Minute}
	}
	one, two := forecast.Machine{Slots: 1, Queues: []string{"a"}}, forecast.Machine{Slots: 2, Queues: []string{"a", "b"}}
	for name, c := range map[string]struct {
		machines []forecast.Machine
		busy     []forecast.Busy
		jobs     []forecast.Job
		want     string // ID#POSITION@MINUTES, by id
	}{
		"no machine":               {nil, nil, []forecast.Job{job(1, "a", 1, 0, 5), job(2, "a", 1, 9, 5)}, "1#2@? 2#1@?"},
		"a free one":               {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "a", 1, 0, 5)}, "1#1@0"},
		"one after another":        {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "a", 1, 0, 5), job(2, "a", 1, 0, 7), job(3, "a", 1, 0, 1)}, "1#1@0 2#2@5 3#3@12"},
		"a higher priority":        {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "a", 1, 0, 5), job(2, "a", 1, 1, 7)}, "1#2@7 2#1@0"},
		"a busy one":               {[]forecast.Machine{one}, []forecast.Busy{{Machine: 0, Workspace: 1, Left: 3 * time.Minute}}, []forecast.Job{job(1, "a", 1, 0, 5)}, "1#1@3"},
		"two slots":                {[]forecast.Machine{two}, nil, []forecast.Job{job(1, "a", 1, 0, 5), job(2, "b", 1, 0, 7), job(3, "a", 1, 0, 1)}, "1#1@0 2#1@0 3#2@5"},
		"a queue that nobody has":  {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "c", 1, 0, 5), job(2, "a", 1, 0, 5)}, "1#1@? 2#1@0"},
		"workspaces take turns":    {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "a", 1, 0, 1), job(2, "a", 1, 0, 1), job(3, "a", 2, 0, 1), job(4, "a", 1, 0, 1)}, "1#1@0 2#3@2 3#2@1 4#4@3"},
		"who holds less comes":     {[]forecast.Machine{two}, []forecast.Busy{{Machine: 0, Workspace: 1, Left: time.Hour}}, []forecast.Job{job(1, "a", 1, 0, 1), job(2, "b", 2, 0, 1)}, "1#1@1 2#1@0"},
		"fewer slots than running": {[]forecast.Machine{one}, []forecast.Busy{{0, 1, time.Minute}, {0, 1, 4 * time.Minute}}, []forecast.Job{job(1, "a", 1, 0, 1)}, "1#1@4"},
		"jobs that take no time":   {[]forecast.Machine{one}, nil, []forecast.Job{job(1, "a", 1, 0, -5), job(2, "a", 1, 0, 0)}, "1#1@0 2#2@0"},
		"a machine that is none":   {[]forecast.Machine{one}, []forecast.Busy{{Machine: 7}, {Machine: -1}}, []forecast.Job{job(1, "a", 1, 0, 1)}, "1#1@0"},
	} {
		got := forecast.Simulate(c.machines, c.busy, c.jobs)
		var words []string
		for _, j := range c.jobs {
			e := got[j.ID]
			start := "?"
			if e.Known {
				start = fmt.Sprint(int(e.Start.Minutes()))
			}
			words = append(words, fmt.Sprintf("%d#%d@%s", j.ID, e.Position, start))
		}
		if s := strings.Join(words, " "); s != c.want {
			t.Errorf("%s: %s, wanted %s", name, s, c.want)
		}
	}
}

func TestACrowdIsPlayedOutQuickly(t *testing.T) {
	var machines []forecast.Machine
	for i := range 50 {
		machines = append(machines, forecast.Machine{Slots: 2, Queues: []string{fmt.Sprint(i % 12), fmt.Sprint(i % 7)}})
	}
	var jobs []forecast.Job
	for i := range 20_000 {
		jobs = append(jobs, forecast.Job{ID: int64(i + 1), Queue: fmt.Sprint(i % 13), Workspace: int64(1 + i%20), Took: time.Minute})
	}
	began := time.Now()
	got := forecast.Simulate(machines, nil, jobs)
	if took := time.Since(began); len(got) != len(jobs) || took > 10*time.Second {
		t.Errorf("%d estimates after %s", len(got), took)
	}
}
