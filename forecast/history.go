// Package forecast says when work that waits will begin and how long it will
// take: pure functions of what is known of earlier runs, and of the queues and
// machines at this moment.
//
// A duration is the median of earlier runs of the same task on the same thing in
// the same context; where there is none, of that thing elsewhere (a source package
// on other architectures); then of the task on that architecture; then a guess.
// Starts come from playing on: whenever a machine is free it takes the next job
// that it may, in the order in which the gateway would give it, and is free again
// after the job's estimated duration (simulate.go).
//
// What nobody can know is not in it: work that is not planned yet, machines that
// come and go, priorities that change.
package forecast

import (
	"slices"
	"time"
)

// Kind is what runs of work have in common that are expected to take equally long.
type Kind struct {
	Workspace    int64  // histories of others say nothing
	Task         string // TYPE:NAME
	Subject      string // mostly a source package; may be empty
	Context      string // the runtime context; may be empty
	Architecture string // may be empty
}

// Run is one earlier run. Those that are not a success count only where no
// success is known.
type Run struct {
	Kind
	Took    time.Duration
	Success bool
}

// Basis says what a duration was estimated from.
type Basis string

// The bases, best first.
const (
	SameKind  Basis = "the same task on this"
	Elsewhere Basis = "this in other contexts"
	SameTask  Basis = "the task on this architecture"
	Guess     Basis = "nothing: a guess"
)

// guessed is the duration of what never ran.
const guessed = 5 * time.Minute

// longest is what any duration is believed to be at most.
const longest = 366 * 24 * time.Hour

// History answers how long work takes. The zero value knows nothing.
type History struct {
	runs map[Kind][]Run // by each of the three ways to look
}

// Add adds a run. One without a duration says nothing.
func (h *History) Add(r Run) {
	if r.Took <= 0 || r.Took > longest {
		return
	}
	if h.runs == nil {
		h.runs = map[Kind][]Run{}
	}
	for _, key := range r.Kind.keys() {
		h.runs[key] = append(h.runs[key], r)
	}
}

// keys are what to look for, best first: the fields that matter, the others
// empty; Context "*" keeps the three apart.
func (k Kind) keys() []Kind {
	task := Kind{Workspace: k.Workspace, Task: k.Task, Context: "*task", Architecture: k.Architecture}
	if k.Subject == "" {
		return []Kind{task}
	}
	return []Kind{
		{Workspace: k.Workspace, Task: k.Task, Subject: k.Subject, Context: "=" + k.Context},
		{Workspace: k.Workspace, Task: k.Task, Subject: k.Subject, Context: "*subject"},
		task,
	}
}

// Duration estimates how long work of the kind takes.
func (h *History) Duration(k Kind) (time.Duration, Basis) {
	keys := k.keys()
	bases := []Basis{SameKind, Elsewhere, SameTask}[3-len(keys):]
	for i, key := range keys {
		if took := typical(h.runs[key]); took > 0 {
			return took, bases[i]
		}
	}
	return guessed, Guess
}

// typical is the median of the successes, or of all when there is none.
func typical(runs []Run) time.Duration {
	var good, all []time.Duration
	for _, r := range runs {
		all = append(all, r.Took)
		if r.Success {
			good = append(good, r.Took)
		}
	}
	if len(good) > 0 {
		all = good
	}
	return Median(all)
}

// Median of an even number is the mean of the middle two; 0 of none.
func Median(values []time.Duration) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return sorted[middle-1] + (sorted[middle]-sorted[middle-1])/2
}

// Left is what is left of a run that was estimated to take so long and has taken
// so much. One that is late is expected to take some more, the more the later.
func Left(estimated, taken time.Duration) time.Duration {
	taken = max(taken, 0)
	return max(estimated-taken, taken/5, time.Second)
}
