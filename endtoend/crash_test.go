package endtoend

import (
	"encoding/json"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/crash"
)

// Each part is killed with -9 in each gap between two writes. Whatever was
// acknowledged must end once, well, and with the attempts that the case allows.
func TestKilledInEachGap(t *testing.T) {
	h := ownHouse(t)
	c := h.user(t)
	m := h.join(t, "gap", "amd64", 2)
	spare := h.join(t, "spare", "amd64", 2)
	victims := map[string]func() int{
		"the process itself": func() int { return 0 },
		"PostgreSQL":         func() int { return h.pid(t, "postgresql") },
		"Temporal":           func() int { return h.pid(t, "temporal") },
		"the server":         func() int { return h.pid(t, "server") },
		"the worker":         func() int { return m.cmd.Process.Pid },
	}
	for _, gap := range []string{crash.Committed, crash.Started, crash.Planned, crash.Begun, crash.Recorded} {
		for _, victim := range []string{"the process itself", "PostgreSQL", "Temporal", "the server", "the worker"} {
			t.Run(victim+" when "+gap, func(t *testing.T) {
				h.arm(t, gap, victims[victim]())
				id := askThrough(t, c, gap)
				w := until(t, c, id, 100*time.Second, "ended", ended)
				if w.Result != "success" {
					t.Errorf("ended with result %q: %s", w.Result, w.OutputData)
				}
				// What is recorded is seen before its worker comes to the gap behind it.
				for deadline := time.Now().Add(20 * time.Second); !h.fired(gap); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the gap was never reached")
					}
				}
				h.onceOnly(t, c, id)
				h.awaitAll(t)
				revive(t, m)
				revive(t, spare)
			})
		}
	}
}

// askThrough makes a work request that passes the gap. The answer may be lost
// with the server; then the work request is found by its number.
func askThrough(t *testing.T, c *client.Client, gap string) int64 {
	t.Helper()
	before := newest(t, c)
	if gap == crash.Planned {
		w, err := c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "noop", Workspace: "System", TaskData: map[string]json.RawMessage{"children": json.RawMessage("3")}})
		if err == nil {
			return w.ID
		}
	} else {
		w, err := c.CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: "noop", TaskData: json.RawMessage("{}"), Workspace: "System"})
		if err == nil {
			return w.ID
		}
	}
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		if id := newest(t, c); id > before {
			return id
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("what was committed is gone")
	return 0
}

// newest is the highest id of a root or standalone work request.
func newest(t *testing.T, c *client.Client) int64 {
	t.Helper()
	for w, err := range c.WorkRequests(t.Context(), client.WorkRequestFilter{RootOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		return w.ID
	}
	return 0
}

// onceOnly looks into the database: every work request of the tree ended, with
// one attempt that completed each, and Temporal comes to know of it.
func (h *house) onceOnly(t *testing.T, c *client.Client, id int64) {
	t.Helper()
	db := h.database(t)
	deadline := time.Now().Add(30 * time.Second)
	for {
		var open, twice, untold int
		err := db.QueryRow(t.Context(), `
			SELECT count(*) FILTER (WHERE w.status <> 'completed'),
			       count(*) FILTER (WHERE w.task_type = 'Worker' AND (SELECT count(*) FROM attempts a WHERE a.work_request_id = w.id AND a.ending = 'completed') <> 1),
			       count(*) FILTER (WHERE NOT w.temporal_closed AND w.task_type = 'Worker')
			  FROM work_requests w WHERE w.id = $1 OR w.root_id = $1`, id).Scan(&open, &twice, &untold)
		if err == nil && open == 0 && twice == 0 && untold == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("of the tree of %d, %d are open, %d completed not once, of %d Temporal does not know (%v)", id, open, twice, untold, err)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// awaitAll waits until every part of the installation answers again.
func (h *house) awaitAll(t *testing.T) {
	t.Helper()
	for _, name := range []string{"postgresql", "temporal", "ui", "server"} {
		if err := h.Await(within(t, 60*time.Second), name); err != nil {
			t.Fatal(err)
		}
	}
}

// revive starts a worker again that was killed.
func revive(t *testing.T, m *machine) {
	t.Helper()
	if m.cmd.ProcessState != nil || !alive(m.cmd.Process.Pid) {
		m.start(t, 2)
	}
}
