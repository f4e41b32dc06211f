package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"debusine/forecast"
)

// The trace is synthetic: four days of 45 packages on three architectures, with
// durations spread as those of Debian's packages are (from half a minute to hours),
// a noise of a tenth or so between runs of one, failures that end early, and bursts
// of uploads. testdata/builds.py made it.
//
//go:embed testdata/builds.json
var buildsTrace []byte

// trace is what happened: machines, and jobs as they were asked for.
type trace struct {
	Machines []forecast.Machine `json:"machines"`
	Jobs     []traced           `json:"jobs"`
}

type traced struct {
	At           int64  `json:"at"` // seconds from the start
	Workspace    int64  `json:"workspace"`
	Priority     int    `json:"priority"`
	Subject      string `json:"subject"`
	Architecture string `json:"architecture"`
	Took         int64  `json:"took"` // seconds
	Success      bool   `json:"success"`
}

func (j traced) kind() forecast.Kind {
	return forecast.Kind{Workspace: j.Workspace, Task: "Worker:sbuild", Subject: j.Subject, Context: "any:" + j.Architecture, Architecture: j.Architecture}
}

func (j traced) queue() string { return "build/" + j.Architecture }

// estimates replays a trace: each job is foreseen in the moment in which it is
// asked for, by what was known then, and compared with what came; the rows are
// the medians of the absolute errors. The baseline is the same without any history.
func estimates(context.Context, *house) ([]Row, error) {
	var t trace
	if err := json.Unmarshal(buildsTrace, &t); err != nil {
		return nil, fmt.Errorf("reading the trace: %w", err)
	}
	knowing, guessing := t.replay(true), t.replay(false)
	fmt.Printf("  %d work requests on %d machines; synthetic\n", len(t.Jobs), len(t.Machines))
	return []Row{
		newRow("estimate-duration-error", median(knowing.durations), "s", atMost(80), median(guessing.durations)),
		newRow("estimate-start-error", median(knowing.starts), "s", atMost(120), median(guessing.starts)),
	}, nil
}

// wrong is how far estimates were from what came, in seconds.
type wrong struct{ starts, durations []float64 }

// running is a job on a machine.
type running struct {
	traced
	id      int
	machine int
	since   time.Duration
}

func (r running) end() time.Duration { return r.since + seconds(r.Took) }

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// replaying is a trace under way.
type replaying struct {
	trace
	remember bool
	history  forecast.History
	now      time.Duration
	waiting  []int // jobs, by number
	running  []running
	foreseen map[int][2]time.Duration // start and duration
	out      wrong
}

func (t trace) replay(remember bool) wrong {
	r := &replaying{trace: t, remember: remember, foreseen: map[int][2]time.Duration{}}
	next := 0
	for next < len(t.Jobs) || len(r.running) > 0 || len(r.waiting) > 0 {
		ends := r.firstEnd()
		if next < len(t.Jobs) && (ends < 0 || seconds(t.Jobs[next].At) <= r.running[ends].end()) {
			r.now = seconds(t.Jobs[next].At)
			r.waiting = append(r.waiting, next)
			r.foresee(next)
			next++
		} else if ends >= 0 {
			r.finish(ends)
		} else {
			break // what waits, no machine takes
		}
		r.begin()
	}
	return r.out
}

func (r *replaying) firstEnd() int {
	first := -1
	for i, one := range r.running {
		if first < 0 || one.end() < r.running[first].end() {
			first = i
		}
	}
	return first
}

// play asks the forecast for what waits now.
func (r *replaying) play() map[int64]forecast.Estimate {
	var busy []forecast.Busy
	for _, one := range r.running {
		took, _ := r.history.Duration(one.kind())
		busy = append(busy, forecast.Busy{Machine: one.machine, Workspace: one.Workspace, Left: forecast.Left(took, r.now-one.since)})
	}
	var jobs []forecast.Job
	for _, i := range r.waiting {
		job := r.Jobs[i]
		took, _ := r.history.Duration(job.kind())
		jobs = append(jobs, forecast.Job{ID: int64(i + 1), Queue: job.queue(), Workspace: job.Workspace, Priority: job.Priority, Took: took})
	}
	return forecast.Simulate(r.Machines, busy, jobs)
}

func (r *replaying) foresee(i int) {
	took, _ := r.history.Duration(r.Jobs[i].kind())
	r.foreseen[i] = [2]time.Duration{r.now + r.play()[int64(i+1)].Start, took}
}

func (r *replaying) finish(at int) {
	one := r.running[at]
	r.now = one.end()
	r.running = append(r.running[:at:at], r.running[at+1:]...)
	if r.remember {
		r.history.Add(forecast.Run{Kind: one.kind(), Took: seconds(one.Took), Success: one.Success})
	}
	r.out.durations = append(r.out.durations, (r.foreseen[one.id][1] - seconds(one.Took)).Abs().Seconds())
}

// begin gives the free machines what is next for them.
func (r *replaying) begin() {
	starts := r.play()
	var still []int
	for _, i := range r.waiting {
		e := starts[int64(i+1)]
		if !e.Known || e.Start > 0 {
			still = append(still, i)
			continue
		}
		r.running = append(r.running, running{r.Jobs[i], i, e.Machine, r.now})
		r.out.starts = append(r.out.starts, (r.foreseen[i][0] - r.now).Abs().Seconds())
	}
	r.waiting = still
}
