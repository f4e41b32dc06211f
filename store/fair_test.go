package store_test

import (
	"encoding/json"
	"slices"
	"testing"

	"debusine"
	"debusine/store"
)

func TestWorkspacesShareTheMachinesWhateverTheirQueues(t *testing.T) {
	w := newWorld(t)
	w.must(w.CreateWorkspace(t.Context(), "debusine", "other", false))
	var other int64
	w.one(`SELECT id FROM workspaces WHERE name = 'other'`, &other)
	names := map[int64]string{}
	ask := func(workspace int64, name, data string, priority int) (id int64) {
		id, err := w.Create(t.Context(), store.New{WorkspaceID: workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: "noop",
			Data: json.RawMessage(data), Priority: priority})
		w.must(err)
		names[id] = name
		return id
	}
	first := ask(w.workspace, "a1", `{}`, 0)
	ask(w.workspace, "a2", `{"class": "big"}`, 0)
	ask(w.workspace, "a3", `{}`, 0)
	ask(other, "b1", `{}`, 0)
	ask(other, "b2", `{"class": "big"}`, 0)
	ask(other, "b9", `{}`, -1)
	order := func(served ...int64) (got []string) {
		rows, err := w.ReadyRows(t.Context(), []string{"build/amd64/noop", "build/amd64/noop+class:big", "build/none"}, nil, served, 10)
		w.must(err)
		for _, r := range rows {
			got = append(got, names[r.ID])
		}
		return got
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	expect("nobody was served", order(), "a1", "b1", "a2", "b2", "a3", "b9")
	expect("the one was served", order(w.workspace), "b1", "a1", "b2", "a2", "a3", "b9")
	expect("both were, the other last", order(w.workspace, other), "a1", "b1", "a2", "b2", "a3", "b9")
	w.begin(w.deliver(first, 0))
	expect("the one has a machine", order(other), "b1", "a2", "b2", "a3", "b9")
	w.exec(`UPDATE work_requests SET priority_adjustment = 1 WHERE id = (SELECT max(id) FROM work_requests WHERE workspace_id = $1)`, w.workspace)
	expect("priority comes before fairness", order(other), "a3", "b1", "a2", "b2", "b9")
}

func TestTheOneOfManyIsSeen(t *testing.T) {
	w := newWorld(t)
	w.create("noop", `{}`)
	w.exec(`INSERT INTO work_requests (workspace_id, created_by, status, task_type, task_name, task_data, queue)
		SELECT $1, $2, 'pending', 'Worker', 'noop', '{}', 'build/amd64/noop' FROM generate_series(1, 2000)`, w.workspace, w.user)
	w.exec(`ANALYZE work_requests`)
	w.must(w.CreateWorkspace(t.Context(), "debusine", "other", false))
	w.exec(`INSERT INTO work_requests (workspace_id, created_by, status, task_type, task_name, task_data, queue)
		SELECT id, $1, 'pending', 'Worker', 'noop', '{}', 'build/amd64/noop' FROM workspaces WHERE name = 'other'`, w.user)
	rows, err := w.ReadyRows(t.Context(), []string{"build/amd64/noop"}, nil, []int64{w.workspace}, 4)
	w.must(err)
	if len(rows) != 4 || rows[0].Workspace == w.workspace || rows[1].Workspace != w.workspace {
		t.Errorf("%v", rows)
	}
}
