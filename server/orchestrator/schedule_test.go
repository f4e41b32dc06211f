package orchestrator

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
	"debusine/task"
)

// scheduling is an orchestrator whose Temporal is away, with a schedule of alice's.
func scheduling(t *testing.T) (o *Orchestrator, s debusine.Schedule, exec func(sql string, args ...any)) {
	t.Helper()
	db := storetest.Open(t)
	exec = func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Pool().Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.CreateUser(t.Context(), "alice", "", true); err != nil {
		t.Fatal(err)
	}
	w, err := db.Workspace(t.Context(), "debusine", "System")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutTemplate(t.Context(), debusine.WorkflowTemplate{WorkspaceID: w.ID, Name: "nothing", TaskName: "noop",
		Runtime: debusine.RuntimeParameters{Allowed: map[string]debusine.RuntimeValues{"children": {Any: true}}}}); err != nil {
		t.Fatal(err)
	}
	var alice int64
	if err := db.Pool().QueryRow(t.Context(), `SELECT id FROM users WHERE username = 'alice'`).Scan(&alice); err != nil {
		t.Fatal(err)
	}
	id, err := db.CreateSchedule(t.Context(), debusine.Schedule{WorkspaceID: w.ID, Name: "s", Template: "nothing", CreatedByID: alice, Every: time.Hour,
		Data: map[string]json.RawMessage{"children": json.RawMessage("0")}})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = db.ScheduleByID(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	o = New(db, &engine{away: true}, "debusine", nil, slog.New(slog.DiscardHandler))
	o.patience = time.Second
	return o, s, exec
}

// What cannot be started is on record with the reason, starts nothing, and is no
// error that Temporal would repeat.
func TestARunIsRefusedWhenItsMakerMayNoLongerStart(t *testing.T) {
	for name, c := range map[string]struct{ sql, words string }{
		"the maker has left":             {`UPDATE users SET is_active = false`, "alice is not active"},
		"the maker has lost all roles":   {`DELETE FROM group_members`, "not found"},
		"the maker sees, and no more":    {`DELETE FROM group_members WHERE (SELECT count(*) FROM (UPDATE_PUBLIC) x) >= 0`, "on behalf of alice: only who may start"},
		"the template is gone":           {`DELETE FROM workflow_templates`, `"nothing" not found`},
		"the template has changed":       {`UPDATE workflow_templates SET runtime_parameters = '{}'`, "children"},
		"the template is restricted":     {`UPDATE workflow_templates SET restricted = true`, ""},
		"the data are no longer correct": {`UPDATE schedules SET task_data = '{"children": -1}'`, "children must lie between"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, s, exec := scheduling(t)
			if strings.Contains(c.sql, "UPDATE_PUBLIC") {
				exec(`UPDATE workspaces SET public = true`)
				c.sql = `DELETE FROM group_members`
			}
			exec(c.sql)
			at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
			run, err := o.Fire(t.Context(), store.Firing{Schedule: s.ID, At: at, Told: at})
			var roots int
			if err := o.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM work_requests`).Scan(&roots); err != nil {
				t.Fatal(err)
			}
			if c.words == "" { // an owner may
				if err != nil || run.Outcome != debusine.RunStarted || roots != 1 {
					t.Errorf("%+v, %v", run, err)
				}
				return
			}
			if err != nil || run.Outcome != debusine.RunFailed || !strings.Contains(run.Message, c.words) || roots != 0 {
				t.Errorf("%+v, %v, %d work requests; wanted words about %q", run, err, roots, c.words)
			}
			runs, err := o.db.ScheduleRuns(t.Context(), s.ID, 10)
			if err != nil || len(runs) != 1 || runs[0].Message != run.Message {
				t.Errorf("on record: %+v, %v", runs, err)
			}
			if _, err := o.RunSchedule(t.Context(), s.ID); !debusine.IsFault(err) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("by hand: %v", err)
			}
		})
	}
}

func TestARunByHandTellsWhatItStarted(t *testing.T) {
	o, s, _ := scheduling(t)
	run, err := o.RunSchedule(t.Context(), s.ID)
	if err != nil || run.WorkRequest == nil || !run.Manual {
		t.Fatalf("%+v, %v", run, err)
	}
	w, _, err := o.db.WorkRequest(t.Context(), *run.WorkRequest)
	if err != nil || w.CreatedBy != "alice" || w.Template != "nothing" || w.TaskName != "noop" {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := o.RunSchedule(t.Context(), s.ID); !errors.As(err, &debusine.Conflict{}) {
		t.Errorf("a second one beside it: %v", err)
	}
	if _, err := o.Fire(t.Context(), store.Firing{Schedule: 4711, At: time.Now(), Told: time.Now()}); !errors.As(err, &debusine.Missing{}) {
		t.Errorf("of no schedule: %v", err)
	}
}

// What Temporal has is compared in all that matters: an operator may have changed it.
func TestAChangedScheduleIsSeen(t *testing.T) {
	o, s, _ := scheduling(t)
	have := func(s debusine.Schedule) client.Schedule {
		want := o.mirrorOf(s)
		action := *want.Action.(*client.ScheduleWorkflowAction)
		payload, err := converter.GetDefaultDataConverter().ToPayload(action.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		action.Args = []any{payload}
		out := client.Schedule{Action: &action, Spec: &client.ScheduleSpec{Intervals: want.Spec.Intervals}, State: &client.ScheduleState{Paused: want.Paused},
			Policy: &client.SchedulePolicies{Overlap: want.Overlap, CatchupWindow: want.CatchupWindow}}
		if s.Cron != "" { // "30 3 * * 1-5", as Temporal keeps it
			out.Spec.Calendars = []client.ScheduleCalendarSpec{{Second: []client.ScheduleRange{{}}, Minute: []client.ScheduleRange{{Start: 30, End: 30, Step: 1}}, Hour: []client.ScheduleRange{{Start: 3}},
				DayOfMonth: []client.ScheduleRange{{Start: 1, End: 31, Step: 1}}, Month: []client.ScheduleRange{{Start: 1, End: 12}}, DayOfWeek: []client.ScheduleRange{{Start: 1, End: 5}}}}
		}
		return out
	}
	cron := s
	cron.Every, cron.Cron = 0, "30 3 * * 1-5"
	for name, c := range map[string]struct {
		s    debusine.Schedule
		bend func(*client.Schedule)
		same bool
	}{
		"an interval":      {s, func(*client.Schedule) {}, true},
		"cron":             {cron, func(*client.Schedule) {}, true},
		"paused there":     {s, func(h *client.Schedule) { h.State.Paused = true }, false},
		"another interval": {s, func(h *client.Schedule) { h.Spec.Intervals = []client.ScheduleIntervalSpec{{Every: time.Minute}} }, false},
		"a time more":      {s, func(h *client.Schedule) { h.Spec.Calendars = make([]client.ScheduleCalendarSpec, 1) }, false},
		"another minute":   {cron, func(h *client.Schedule) { h.Spec.Calendars[0].Minute[0].Start = 29 }, false},
		"each second":      {cron, func(h *client.Schedule) { h.Spec.Calendars[0].Second[0].End = 59 }, false},
		"side by side":     {s, func(h *client.Schedule) { h.Policy.Overlap = enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL }, false},
		"another workflow": {s, func(h *client.Schedule) { h.Action.(*client.ScheduleWorkflowAction).Workflow = task.NoopWorkflow }, false},
		"another schedule's": {s, func(h *client.Schedule) {
			h.Action.(*client.ScheduleWorkflowAction).Args[0].(*commonpb.Payload).Data = []byte(`{"schedule":99}`)
		}, false},
	} {
		got := have(c.s)
		c.bend(&got)
		if mirrors(got, o.mirrorOf(c.s)) != c.same {
			t.Errorf("%s: taken for the same: %v", name, !c.same)
		}
	}
}
