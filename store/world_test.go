package store_test

import (
	"context"
	"encoding/json"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
)

// world is a database with a user who may do everything in workspace System,
// and three enabled workers.
type world struct {
	*testing.T
	*store.DB
	user, workspace int64
	workers         []int64
	tokens          int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{T: t, DB: storetest.Open(t)}
	w.one(`INSERT INTO users (username) VALUES ('alice') RETURNING id`, &w.user)
	w.one(`SELECT id FROM workspaces WHERE name = 'System'`, &w.workspace)
	w.exec(`INSERT INTO group_members (group_id, user_id) SELECT id, $1 FROM groups WHERE name = 'Owners'`, w.user)
	for _, name := range []string{"one", "two", "three"} {
		var id int64
		w.one(`INSERT INTO workers (name, enabled) VALUES ($1, true) RETURNING id`, &id, name)
		w.workers = append(w.workers, id)
	}
	return w
}

func (w *world) one(sql string, into any, args ...any) {
	w.Helper()
	if err := w.Pool().QueryRow(context.Background(), sql, args...).Scan(into); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.Pool().Exec(context.Background(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(taskName, data string) int64 {
	w.Helper()
	id, err := w.Create(w.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: taskName, Data: json.RawMessage(data)})
	w.must(err)
	return id
}

func (w *world) workflow(name, data string) int64 {
	w.Helper()
	id, err := w.Create(w.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkflowTask, TaskName: name, Data: json.RawMessage(data)})
	w.must(err)
	var temporalID string
	w.one(`SELECT temporal_id FROM work_requests WHERE id = $1`, &temporalID, id)
	w.must(w.MarkStarted(w.Context(), id, temporalID, "run"))
	return id
}

// deliver is a new handing-out of the task, as Temporal counts them.
func (w *world) deliver(id int64, worker int) store.Delivery {
	w.tokens++
	return store.Delivery{WorkRequest: id, Worker: w.workers[worker], TaskToken: []byte{byte(id), byte(w.tokens)}, Attempt: int32(w.tokens)}
}

func (w *world) begin(d store.Delivery) store.Beginning {
	w.Helper()
	b, err := w.Begin(w.Context(), d)
	w.must(err)
	return b
}

func (w *world) state(id int64) (s string) {
	w.Helper()
	w.one(`SELECT status || ':' || result FROM work_requests WHERE id = $1`, &s, id)
	return s
}

func (w *world) wants(id int64, state string) {
	w.Helper()
	if got := w.state(id); got != state {
		w.Fatalf("work request %d is %q, wanted %q", id, got, state)
	}
}

func (w *world) silence(attempt int64) {
	w.exec(`UPDATE attempts SET heard_at = now() - interval '31 seconds' WHERE id = $1`, attempt)
}
