package endtoend

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/crash"
)

// A schedule of every two seconds, with the server killed in each gap and Temporal
// away for some rounds: each moment starts one workflow at most, and it goes on.
func TestASchedulesMomentsStartOneWorkflowEach(t *testing.T) {
	h := ownHouse(t)
	c := h.user(t)
	mustTemplate(t, c, "nothing", `{}`)
	h.arm(t, crash.Scheduled, 0)
	// The answer is lost with the server; the row is not.
	_, _ = c.CreateSchedule(t.Context(), "System", api.ScheduleCreate{Name: "often", TemplateName: "nothing", Every: "2s"})
	for _, gap := range []string{crash.Fired, crash.Committed, crash.Started} {
		started := h.starts(t, c, 1)
		h.arm(t, gap, 0)
		h.starts(t, c, started+1)
		if !h.fired(gap) {
			t.Errorf("the gap %q was never reached", gap)
		}
	}
	away := time.Now()
	syscall.Kill(h.pid(t, "temporal"), syscall.SIGSTOP)
	frozen := h.pid(t, "temporal")
	time.Sleep(9 * time.Second)
	back := time.Now()
	syscall.Kill(frozen, syscall.SIGCONT)
	h.starts(t, c, h.starts(t, c, 1)+2)
	var missed int
	if err := h.database(t).QueryRow(t.Context(), `SELECT count(*) FROM schedule_runs WHERE outcome = 'started' AND scheduled_at > $1 AND scheduled_at < $2`,
		away.Add(2*time.Second), back.Add(-time.Second)).Scan(&missed); err != nil || missed > 1 {
		t.Errorf("%d of the missed moments were made good (%v)", missed, err)
	}
	h.mendsTemporalsSchedules(t, c)
	if _, err := c.PauseSchedule(t.Context(), "System", "often", true); err != nil {
		t.Fatal(err)
	}
	h.oneEach(t, h.starts(t, c, 1))
	time.Sleep(3 * time.Second)
	h.oneEach(t, h.starts(t, c, 1)) // and none after the pause
}

// mendsTemporalsSchedules takes a schedule away behind our back: a server that
// starts makes it anew.
func (h *house) mendsTemporalsSchedules(t *testing.T, c *client.Client) {
	t.Helper()
	temporal, err := h.Client(t.Context(), "debusine")
	if err != nil {
		t.Fatal(err)
	}
	defer temporal.Close()
	s, err := c.Schedule(t.Context(), "System", "often")
	if err != nil {
		t.Fatal(err)
	}
	var installation string
	if err := h.database(t).QueryRow(t.Context(), `SELECT name FROM installation`).Scan(&installation); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("schedule/%s/%d/often", installation, s.ID)
	if err := temporal.ScheduleClient().GetHandle(t.Context(), id).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(h.pid(t, "server"), syscall.SIGKILL)
	if err := h.Await(within(t, 60*time.Second), "server"); err != nil {
		t.Fatal(err)
	}
	h.starts(t, c, h.starts(t, c, 1)+1)
}

// starts waits until so many runs have started something, and gives how many did.
func (h *house) starts(t *testing.T, c *client.Client, least int) (n int) {
	t.Helper()
	db := h.database(t)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := db.QueryRow(t.Context(), `SELECT count(*) FROM schedule_runs WHERE outcome = 'started'`).Scan(&n)
		if err == nil && n >= least {
			return n
		}
		if time.Now().After(deadline) {
			s, showErr := c.Schedule(t.Context(), "System", "often")
			t.Fatalf("%d runs, wanted %d (%v): %+v %v", n, least, err, s, showErr)
		}
	}
}

// oneEach: as many workflows as runs, one a moment, all of which end well.
func (h *house) oneEach(t *testing.T, runs int) {
	t.Helper()
	db := h.database(t)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var moments, workflows, well int
		err := db.QueryRow(t.Context(), `
			SELECT (SELECT count(DISTINCT scheduled_at) FROM schedule_runs WHERE outcome = 'started'), count(*), count(*) FILTER (WHERE result = 'success')
			  FROM work_requests WHERE task_name = 'noop' AND parent_id IS NULL`).Scan(&moments, &workflows, &well)
		if err == nil && moments == runs && workflows == runs && well == runs {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d runs at %d moments, %d workflows of which %d went well (%v)", runs, moments, workflows, well, err)
		}
	}
}

func mustTemplate(t *testing.T, c *client.Client, name, static string) {
	t.Helper()
	var data map[string]json.RawMessage
	if err := json.NewDecoder(strings.NewReader(static)).Decode(&data); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTemplate(t.Context(), "System", api.WorkflowTemplate{Name: name, TaskName: "noop", StaticParameters: data}); err != nil {
		t.Fatal(err)
	}
}
