package task

import (
	"regexp"
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"debusine"
)

// RetryWorkflow is the Temporal workflow type around a step that is tried again
// after delays. It is no work request: each try is one.
const RetryWorkflow = "retry_with_delays"

// What a step is tried again on.
const (
	RetryOnMending = "mends-with-time" // failures that time may mend; the default
	RetryOnAny     = "any"             // whatever failed
)

// Retries says when a step is tried again: by the parameters retry_delays and
// retry_on of a workflow. The zero value is never.
type Retries struct {
	RetryDelays []string `json:"retry_delays,omitempty"`
	RetryOn     string   `json:"retry_on,omitempty"`
}

func (r Retries) check() error {
	if err := CheckDelays(r.RetryDelays); err != nil {
		return err
	}
	switch r.RetryOn {
	case "", RetryOnMending, RetryOnAny:
		return nil
	}
	return debusine.Invalid{What: "retry_on must be " + RetryOnMending + " or " + RetryOnAny, Per: map[string]string{"retry_on": "unknown"}}
}

// Again says whether an outcome is tried again, however often that was.
func (r Retries) Again(o Outcome) bool {
	if o.Status != debusine.Completed || o.Succeeded() {
		return false
	}
	return r.RetryOn == RetryOnAny || o.Mends || o.Result == debusine.TemporaryFailure
}

// mostDelays bounds a list of delays, longestDelay each of them.
const (
	mostDelays   = 50
	longestDelay = 366 * 24 * time.Hour
)

var delayForm = regexp.MustCompile(`^[0-9]{1,9}[smhdw]$`)

// ParseDelay reads a delay as Debusine writes it: a number and m, h, d or w; and
// s, which Debusine lacks.
func ParseDelay(text string) (time.Duration, error) {
	malformed := debusine.Invalid{What: "a delay must be a number with s, m, h, d or w", Hint: "for example 30m, 2h or 1d", Per: map[string]string{"retry_delays": "malformed"}}
	if !delayForm.MatchString(text) {
		return 0, malformed
	}
	n, err := strconv.Atoi(text[:len(text)-1])
	if err != nil {
		return 0, malformed
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[text[len(text)-1]]
	if time.Duration(n) > longestDelay/unit {
		return 0, debusine.Invalid{What: "a delay is at most a year", Per: map[string]string{"retry_delays": "too long"}}
	}
	return time.Duration(n) * unit, nil
}

// CheckDelays refuses a list of delays that cannot be read.
func CheckDelays(delays []string) error {
	if len(delays) > mostDelays {
		return debusine.Invalid{What: "retry_delays has more than " + strconv.Itoa(mostDelays) + " delays", Per: map[string]string{"retry_delays": "too many"}}
	}
	for _, d := range delays {
		if _, err := ParseDelay(d); err != nil {
			return err
		}
	}
	return nil
}

// RetryStart is the input of the workflow RetryWorkflow.
type RetryStart struct {
	Within  WorkflowStart `json:"within"` // that wants the step
	Step    Step          `json:"step"`
	Retries Retries       `json:"retries"`
}

// The updates of the workflow RetryWorkflow. Each answers once PostgreSQL has
// what it changed.
const (
	RetryNowUpdate    = "retry-now"        // no more waiting for the next try; no argument
	GiveUpUpdate      = "give-up"          // no further try; no argument
	RetryDelaysUpdate = "set-retry-delays" // other delays; []string
)

// RetryNote is what PostgreSQL shall know of a step that is tried again.
type RetryNote struct {
	Parent    int64    `json:"parent"`
	Step      string   `json:"step"`
	Execution string   `json:"-"`      // the Temporal id of who notes, which the activity fills in
	Number    int      `json:"number"` // of retries so far, or with Due of the next one
	Delays    []string `json:"delays"`
	RetryOn   string   `json:"retry_on,omitempty"`
	// Due is when the next try begins, by Temporal's clock; nil while one is under
	// way and when there is none any more.
	Due     *time.Time `json:"due,omitempty"`
	Reason  string     `json:"reason,omitempty"` // why there is a next try, or none
	Failed  int64      `json:"failed,omitempty"` // the work request that failed last
	GivenUp bool       `json:"given_up,omitempty"`
	Stands  string     `json:"stands"` // trying, waiting or over
}

// NoteRetry writes down how a step that is tried again stands.
var NoteRetry = Task[RetryNote, struct{}]{Name: "note-retry", Limit: 30 * time.Second}

// WithRetries runs a step within a workflow of its own, that tries it again.
func WithRetries(ctx workflow.Context, start WorkflowStart, step Step, r Retries) Future[Outcome] {
	id := WithinID(workflow.GetInfo(ctx).WorkflowExecution.ID, step.Name)
	return ChildWorkflow[RetryStart, Outcome](ctx, start, RetryWorkflow, id, "Tries "+Plain(step.Display)+" again", RetryStart{Within: start, Step: step, Retries: r})
}

// NextDelay is how long to wait before retry number n (from 0); false when there
// are no more.
func NextDelay(delays []string, n int) (time.Duration, bool) {
	if n < 0 || n >= len(delays) {
		return 0, false
	}
	d, err := ParseDelay(delays[n])
	return d, err == nil
}
