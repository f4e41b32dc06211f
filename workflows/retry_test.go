package workflows_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

var (
	mirrorAway = task.Outcome{Status: debusine.Completed, Result: debusine.Failure, Class: debusine.FailedNetwork, Mends: true}
	testsFail  = task.Outcome{Status: debusine.Completed, Result: debusine.Failure, Class: debusine.FailedTestSuite}
	succeeds   = task.Outcome{Status: debusine.Completed, Result: debusine.Success}
	abortedOne = task.Outcome{Status: debusine.Aborted}
	temporary  = task.Outcome{Status: debusine.Completed, Result: debusine.TemporaryFailure}
)

// retry runs a step that is tried again, and tells how long it took by Temporal's
// clock.
func (h *house) retry(t *testing.T, r task.Retries, tries ...task.Outcome) (o task.Outcome, took time.Duration, err error) {
	t.Helper()
	h.tries = map[string][]task.Outcome{"build-amd64": append([]task.Outcome{}, tries...)}
	begun := h.Now()
	h.ExecuteWorkflow(task.RetryWorkflow, task.RetryStart{Within: task.WorkflowStart{ID: 7, Installation: "test"}, Retries: r,
		Step: task.Step{Name: "build-amd64", TaskName: "sbuild", Data: json.RawMessage(`{}`), Display: "Build hello on amd64"}})
	if !h.IsWorkflowCompleted() {
		t.Fatal("it goes on")
	}
	err = h.GetWorkflowResult(&o)
	return o, h.Now().Sub(begun), err
}

func (h *house) lastNote() task.RetryNote {
	if len(h.notes) == 0 {
		return task.RetryNote{}
	}
	return h.notes[len(h.notes)-1]
}

func TestAStepIsTriedAgainAfterItsDelays(t *testing.T) {
	tests := []struct {
		name    string
		retries task.Retries
		tries   []task.Outcome
		result  debusine.Result
		begun   int
		took    time.Duration
		says    string // the last note
	}{
		{"a success needs no retry and no note", task.Retries{RetryDelays: []string{"1h"}}, []task.Outcome{succeeds}, debusine.Success, 1, 0, ""},
		{"the second retry succeeds", task.Retries{RetryDelays: []string{"30m", "2h", "1d"}}, []task.Outcome{mirrorAway, mirrorAway, succeeds}, debusine.Success, 3, 150 * time.Minute, ""},
		{"all fail", task.Retries{RetryDelays: []string{"30m", "1w"}}, []task.Outcome{mirrorAway, mirrorAway, mirrorAway}, debusine.Failure, 3, 30*time.Minute + 7*24*time.Hour, "there is no further delay"},
		{"time does not mend tests", task.Retries{RetryDelays: []string{"30m"}}, []task.Outcome{testsFail}, debusine.Failure, 1, 0, "time does not mend a failure of class test-suite"},
		{"tests are tried again when asked for", task.Retries{RetryDelays: []string{"30m"}, RetryOn: task.RetryOnAny}, []task.Outcome{testsFail, succeeds}, debusine.Success, 2, 30 * time.Minute, ""},
		{"the second failure is another", task.Retries{RetryDelays: []string{"1s", "1s"}}, []task.Outcome{mirrorAway, testsFail}, debusine.Failure, 2, time.Second, "time does not mend"},
		{"what was aborted stays so", task.Retries{RetryDelays: []string{"1s"}, RetryOn: task.RetryOnAny}, []task.Outcome{abortedOne}, "", 1, 0, "aborted"},
		{"a temporary failure without a class", task.Retries{RetryDelays: []string{"1m"}}, []task.Outcome{temporary, succeeds}, debusine.Success, 2, time.Minute, ""},
		{"a delay of nothing", task.Retries{RetryDelays: []string{"0m"}}, []task.Outcome{mirrorAway, succeeds}, debusine.Success, 2, 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			o, took, err := h.retry(t, test.retries, test.tries...)
			if err != nil || o.Result != test.result || len(h.planned) != test.begun || took.Round(time.Second) != test.took {
				t.Errorf("%+v after %d tries and %v, %v", o, len(h.planned), took, err)
			}
			if last := h.lastNote(); !strings.Contains(last.Reason, test.says) || last.Due != nil || test.begun > 1 && (last.Stands != "over" || last.Number > len(test.tries)-1) {
				t.Errorf("the last note is %+v", last)
			}
			for i, s := range h.planned {
				if want := int64(99 + i); i > 0 && s.Supersedes != want || i == 0 && s.Supersedes != 0 {
					t.Errorf("try %d supersedes %d", i, s.Supersedes)
				}
			}
		})
	}
}

func TestTheWaitingIsTold(t *testing.T) {
	h := newHouse(t)
	begun := h.Now()
	if _, _, err := h.retry(t, task.Retries{RetryDelays: []string{"30m", "2h"}}, mirrorAway, succeeds); err != nil {
		t.Fatal(err)
	}
	first := h.notes[0]
	if first.Stands != "waiting" || first.Number != 1 || first.Due == nil || first.Due.Sub(begun).Round(time.Second) != 30*time.Minute ||
		first.Reason != "a failure of class network" || first.Failed != 100 || first.Parent != 7 || first.Step != "build-amd64" {
		t.Errorf("%+v", first)
	}
	if second := h.notes[1]; second.Stands != "trying" || second.Number != 1 || second.Due != nil {
		t.Errorf("%+v", second)
	}
}

// answer is how an update was taken.
type answer struct {
	accepted, completed bool
	err                 error
}

func (a *answer) Accept()          { a.accepted = true }
func (a *answer) Reject(err error) { a.err = err }
func (a *answer) Complete(_ any, err error) {
	a.completed = true
	a.err = errors.Join(a.err, err)
}

func TestPeopleChangeHowAStepIsTriedAgain(t *testing.T) {
	type change struct {
		at      time.Duration
		update  string
		args    []any
		refused string
	}
	tests := []struct {
		name    string
		delays  []string
		tries   []task.Outcome
		changes []change
		result  debusine.Result
		begun   int
		took    time.Duration
	}{
		{"now", []string{"2h"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Hour, task.RetryNowUpdate, nil, ""}}, debusine.Success, 2, time.Hour},
		{"now, and the delay after that is the second", []string{"2h", "1d"}, []task.Outcome{mirrorAway, mirrorAway, succeeds},
			[]change{{time.Hour, task.RetryNowUpdate, nil, ""}}, debusine.Success, 3, 25 * time.Hour},
		{"give up", []string{"2h"}, []task.Outcome{mirrorAway}, []change{{time.Hour, task.GiveUpUpdate, nil, ""}}, debusine.Failure, 1, time.Hour},
		{"shorter delays", []string{"1d"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Hour, task.RetryDelaysUpdate, []any{[]string{"2h"}}, ""}}, debusine.Success, 2, 2 * time.Hour},
		{"a delay that is over already", []string{"1d"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Hour, task.RetryDelaysUpdate, []any{[]string{"1m"}}, ""}}, debusine.Success, 2, time.Hour},
		{"longer delays", []string{"1h"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Minute, task.RetryDelaysUpdate, []any{[]string{"3h"}}, ""}}, debusine.Success, 2, 3 * time.Hour},
		{"no delays", []string{"1h"}, []task.Outcome{mirrorAway}, []change{{time.Minute, task.RetryDelaysUpdate, []any{[]string{}}, ""}}, debusine.Failure, 1, time.Minute},
		{"twice", []string{"1d"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Minute, task.RetryDelaysUpdate, []any{[]string{"2d"}}, ""},
			{2 * time.Minute, task.RetryDelaysUpdate, []any{[]string{"1h", "1h"}}, ""}}, debusine.Success, 2, time.Hour},
		{"nonsense is refused", []string{"1h"}, []task.Outcome{mirrorAway, succeeds}, []change{{time.Minute, task.RetryDelaysUpdate, []any{[]string{"soon"}}, "a delay must be"},
			{time.Minute, task.RetryDelaysUpdate, []any{make([]string, 51)}, "more than 50"}}, debusine.Success, 2, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			answers := make([]answer, len(test.changes))
			for i, c := range test.changes {
				h.RegisterDelayedCallback(func() { h.UpdateWorkflow(c.update, fmt.Sprint("u", i), &answers[i], c.args...) }, c.at)
			}
			o, took, err := h.retry(t, task.Retries{RetryDelays: test.delays}, test.tries...)
			if err != nil || o.Result != test.result || len(h.planned) != test.begun || took.Round(time.Second) != test.took {
				t.Errorf("%+v after %d tries and %v, %v", o, len(h.planned), took, err)
			}
			for i, c := range test.changes {
				if a := answers[i]; c.refused == "" && (!a.accepted || !a.completed || a.err != nil) || c.refused != "" && (a.err == nil || !strings.Contains(a.err.Error(), c.refused)) {
					t.Errorf("%s: %+v", c.update, a)
				}
			}
			if last := h.lastNote(); last.Stands != "over" {
				t.Errorf("the last note is %+v", last)
			}
		})
	}
}

func TestWhatIsUnderWayIsNotTriedNow(t *testing.T) {
	h := newHouse(t)
	var early, giveUp, again answer
	h.RegisterDelayedCallback(func() {
		h.UpdateWorkflow(task.RetryNowUpdate, "now", &early)
		h.UpdateWorkflow(task.GiveUpUpdate, "up", &giveUp)
		h.UpdateWorkflow(task.GiveUpUpdate, "again", &again)
	}, 0)
	o, took, err := h.retry(t, task.Retries{RetryDelays: []string{"1h"}}, mirrorAway)
	if err != nil || o.Result != debusine.Failure || took != 0 || len(h.planned) != 1 {
		t.Errorf("%+v after %v, %v", o, took, err)
	}
	if early.err == nil || !strings.Contains(early.err.Error(), "does not wait") || giveUp.err != nil || again.err == nil {
		t.Errorf("now %v, give up %v, and again %v", early.err, giveUp.err, again.err)
	}
	if h.lastNote().Reason != "given up" {
		t.Errorf("%+v", h.lastNote())
	}
}

func TestAWaitingStepEndsWithItsWorkflow(t *testing.T) {
	h := newHouse(t)
	h.RegisterDelayedCallback(h.CancelWorkflow, time.Hour)
	if _, took, err := h.retry(t, task.Retries{RetryDelays: []string{"1d"}}, mirrorAway); err == nil || took.Round(time.Second) != time.Hour {
		t.Errorf("after %v it ended with %v", took, err)
	}
}

// TestAClockThatJumps: a due time that is long over, or that lies ahead for no
// reason, ends the waiting at once or by people, never with an error.
func TestAClockThatJumps(t *testing.T) {
	for _, start := range []time.Time{time.Unix(0, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} {
		h := newHouse(t)
		h.SetStartTime(start)
		if o, took, err := h.retry(t, task.Retries{RetryDelays: []string{"1d"}}, mirrorAway, succeeds); err != nil || o.Result != debusine.Success || took.Round(time.Second) != 24*time.Hour {
			t.Errorf("begun at %v: %+v after %v, %v", start, o, took, err)
		}
	}
}

func TestSbuildTriesItsBuildsAgain(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "any", Environments: []string{"amd64", "i386"}}
	h.tries = map[string][]task.Outcome{"build-amd64": {mirrorAway, succeeds}, "build-i386": {testsFail}}
	data := strings.Replace(build, "{", `{"retry_delays": ["1h"], `, 1)
	if o := h.run(t, "sbuild", data); o.Result != debusine.Failure || len(h.planned) != 3 {
		t.Errorf("%+v, planned %d", o, len(h.planned))
	}
	if h.conclusion.Result != debusine.Failure {
		t.Errorf("%+v", h.conclusion)
	}
}

func many(ctx workflow.Context, start task.WorkflowStart, steps []task.Step) (task.Outcome, error) {
	return workflows.Retried(ctx, start, task.Retries{RetryDelays: []string{"1h"}}, steps...)
}

func TestTwoHundredStepsWaitAtOnce(t *testing.T) {
	h := newHouse(t)
	h.tries = map[string][]task.Outcome{}
	var steps []task.Step
	for i := range 200 {
		name := fmt.Sprintf("build-%d", i)
		steps = append(steps, task.Step{Name: name, TaskName: "noop", Data: json.RawMessage(`{}`)})
		h.tries[name] = []task.Outcome{mirrorAway, succeeds}
	}
	h.RegisterWorkflow(many)
	begun := h.Now()
	h.ExecuteWorkflow(many, task.WorkflowStart{ID: 7, Installation: "test"}, steps)
	var o task.Outcome
	if err := h.GetWorkflowResult(&o); err != nil || o.Result != debusine.Success || len(h.planned) != 400 || h.Now().Sub(begun).Round(time.Second) != time.Hour {
		t.Errorf("%+v, planned %d, after %v, %v", o, len(h.planned), h.Now().Sub(begun), err)
	}
}
