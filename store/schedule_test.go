package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine"
	"debusine/store"
)

// schedule makes one that starts the template "nothing".
func (w *world) schedule(name string) debusine.Schedule {
	w.Helper()
	if _, err := w.Template(w.Context(), w.workspace, "nothing"); err != nil {
		_, err := w.PutTemplate(w.Context(), debusine.WorkflowTemplate{WorkspaceID: w.workspace, Name: "nothing", TaskName: "noop"})
		w.must(err)
	}
	id, err := w.CreateSchedule(w.Context(), debusine.Schedule{WorkspaceID: w.workspace, Name: name, Template: "nothing", Data: map[string]json.RawMessage{},
		Every: time.Hour, CreatedByID: w.user})
	w.must(err)
	s, err := w.ScheduleByID(w.Context(), id)
	w.must(err)
	return s
}

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// told is the firing of a moment that Temporal tells late by so much.
func told(s debusine.Schedule, at, late time.Duration) store.Firing {
	return store.Firing{Schedule: s.ID, At: noon.Add(at), Told: noon.Add(at + late)}
}

func (w *world) fire(f store.Firing) (int64, error) {
	return w.Create(w.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{}`), Run: &f})
}

func (w *world) end(id int64) {
	w.exec(`UPDATE work_requests SET status = 'completed', result = 'success', completed_at = now() WHERE id = $1`, id)
}

// decided wants that nothing more is to be done, with that outcome and words.
func (w *world) decided(err error, outcome debusine.RunOutcome, words string) {
	w.Helper()
	var d store.Decided
	if !errors.As(err, &d) || d.Run.Outcome != outcome || !strings.Contains(d.Run.Message, words) {
		w.Errorf("%v, wanted it %s: %s", err, outcome, words)
	}
}

func TestAMomentStartsOneWorkflowHoweverOftenItIsTold(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("often")
	const tellers = 8
	ids := make([]int64, tellers)
	var all sync.WaitGroup
	for i := range tellers {
		all.Go(func() { ids[i], _ = w.fire(told(s, 0, 0)) })
	}
	all.Wait()
	var started int64
	for _, id := range ids {
		if id != 0 && started != 0 {
			t.Errorf("both %d and %d were started", id, started)
		}
		started = max(started, id)
	}
	var roots int
	w.one(`SELECT count(*) FROM work_requests`, &roots)
	if started == 0 || roots != 1 {
		t.Fatalf("%d was started, there are %d", started, roots)
	}
	var d store.Decided
	if err := w.Decide(t.Context(), told(s, 0, time.Minute)); !errors.As(err, &d) || d.Run.WorkRequest == nil || *d.Run.WorkRequest != started {
		t.Errorf("told again: %v", err)
	}
}

func TestARunWaitsForNoOther(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("slow")
	first, err := w.fire(told(s, 0, 0))
	w.must(err)
	w.decided(w.Decide(t.Context(), told(s, time.Hour, 0)), debusine.RunSkipped, "is under way")
	_, err = w.fire(store.Firing{Schedule: s.ID, At: noon.Add(90 * time.Minute), Manual: true})
	if !errors.As(err, &debusine.Conflict{}) {
		t.Errorf("by hand beside it: %v", err)
	}
	w.end(first)
	w.decided(w.Decide(t.Context(), told(s, time.Hour, time.Minute)), debusine.RunSkipped, "is under way") // it stays what it was
	if _, err = w.fire(told(s, 2*time.Hour, 0)); err != nil {
		t.Errorf("after it: %v", err)
	}
	runs, err := w.ScheduleRuns(t.Context(), s.ID, 10)
	if err != nil || len(runs) != 3 || runs[0].Outcome != debusine.RunStarted || runs[1].Outcome != debusine.RunSkipped || runs[2].Result != debusine.Success {
		t.Errorf("%+v, %v", runs, err)
	}
}

func TestOfManyMissedMomentsOneIsMadeGood(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("away")
	first, err := w.fire(told(s, time.Hour, 10*time.Hour))
	w.must(err)
	w.end(first)
	for _, missed := range []time.Duration{2, 3, 11} {
		w.decided(w.Decide(t.Context(), told(s, missed*time.Hour, (11-missed)*time.Hour)), debusine.RunSkipped, "a later run")
	}
	if _, err := w.fire(told(s, 12*time.Hour, 0)); err != nil {
		t.Errorf("the next one: %v", err)
	}
	var rows int
	w.one(`SELECT count(*) FROM schedule_runs`, &rows)
	if rows != 2 {
		t.Errorf("%d are on record", rows)
	}
}

func TestAPausedScheduleStartsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("idle")
	w.must(w.PauseSchedule(t.Context(), s.ID, true))
	w.decided(w.Decide(t.Context(), told(s, 0, 0)), debusine.RunSkipped, "paused")
	if _, err := w.fire(store.Firing{Schedule: s.ID, At: noon, Manual: true}); err != nil {
		t.Errorf("by hand: %v", err)
	}
	w.must(w.PauseSchedule(t.Context(), s.ID, true))
	if s, err := w.ScheduleByID(t.Context(), s.ID); err != nil || s.Revision != 2 {
		t.Errorf("pausing twice changed it twice: %+v, %v", s, err)
	}
	w.must(w.DeleteSchedule(t.Context(), s.ID))
	_, err := w.fire(told(s, time.Hour, 0))
	if !errors.As(err, &debusine.Missing{}) {
		t.Errorf("deleted: %v", err)
	}
	w.schedule("idle") // the name is free before Temporal knows
	w.must(w.ForgetSchedule(t.Context(), s.ID))
	all, err := w.AllSchedules(t.Context())
	if err != nil || len(all) != 1 || all[0].ID == s.ID {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAFailedStartIsOnRecordOnce(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("broken")
	for range 2 {
		run, err := w.FailRun(t.Context(), told(s, 0, 0), "the template is gone")
		if err != nil || run.Outcome != debusine.RunFailed {
			t.Errorf("%+v, %v", run, err)
		}
	}
	id, err := w.fire(told(s, time.Hour, 0))
	w.must(err)
	if run, err := w.FailRun(t.Context(), told(s, time.Hour, 0), "too late"); err != nil || run.WorkRequest == nil || *run.WorkRequest != id {
		t.Errorf("what was started failed: %+v, %v", run, err)
	}
}

// What is forgotten of old runs is not started again when it is told once more.
func TestOldRunsAreForgottenForGood(t *testing.T) {
	w := newWorld(t)
	s := w.schedule("old")
	for i := range debusine.MostRuns + 5 {
		_, err := w.FailRun(t.Context(), told(s, time.Duration(i)*time.Hour, 0), "no")
		w.must(err)
	}
	runs, err := w.ScheduleRuns(t.Context(), s.ID, 1000)
	if err != nil || len(runs) != debusine.MostRuns {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	w.decided(w.Decide(t.Context(), told(s, 0, 0)), debusine.RunSkipped, "a later run")
}

func TestWhoTheMakerIsNow(t *testing.T) {
	w := newWorld(t)
	on := debusine.Resource{What: "x", Workspace: w.workspace}
	w.one(`SELECT scope_id FROM workspaces WHERE id = $1`, &on.Scope, w.workspace)
	p, err := w.PrincipalOf(t.Context(), w.user)
	if err != nil || p.Role(on) != debusine.Owner {
		t.Errorf("%+v, %v", p, err)
	}
	w.exec(`DELETE FROM group_members WHERE user_id = $1`, w.user)
	if p, err = w.PrincipalOf(t.Context(), w.user); err != nil || p.Role(on) != debusine.Nobody {
		t.Errorf("without groups: %+v, %v", p, err)
	}
	w.exec(`UPDATE users SET is_active = false WHERE id = $1`, w.user)
	if _, err = w.PrincipalOf(t.Context(), w.user); !errors.As(err, &debusine.Forbidden{}) {
		t.Errorf("inactive: %v", err)
	}
	if _, err = w.PrincipalOf(t.Context(), 4711); !errors.As(err, &debusine.Missing{}) {
		t.Errorf("nobody: %v", err)
	}
}
