package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/store"
)

// queues asks for the queues, and gives them by name. The forecast of before is
// forgotten first.
func (w *world) queues(s *Server, token, query string, headers ...string) map[string]api.Queue {
	w.Helper()
	if s != nil {
		s.outlook.mu.Lock()
		s.outlook.made = time.Time{}
		s.outlook.mu.Unlock()
	}
	var page api.Page[api.Queue]
	w.want(200, token, "GET", "queue/"+query, nil, &page, headers...)
	out := map[string]api.Queue{}
	for _, q := range page.Results {
		out[q.Name] = q
	}
	return out
}

func ids(q api.Queue) (out []string) {
	for _, r := range q.WorkRequests {
		out = append(out, fmt.Sprintf("%d@%d", r.ID, r.Position))
	}
	return out
}

// machine makes a connected worker that may do noops of the architecture.
func (w *world) machine(name, arch string) int64 {
	w.Helper()
	_, id := w.worker(name)
	_, _, err := w.db.TellMetadata(w.Context(), id, map[string]any{"provided_tags": []any{"worker:type:worker", "worker:build-arch:" + arch,
		"worker:task:worker:noop:version:1", "worker:task:worker:sbuild:version:1", "worker:executor:unshare", "worker:cap:sbuild"}})
	w.ok(err)
	w.ok(w.db.WorkersHeard(w.Context(), []int64{id}))
	return id
}

func (w *world) noop(workspace, arch string, priority int) int64 {
	w.Helper()
	var spaceID, user int64
	w.ok(w.db.Pool().QueryRow(w.Context(), `SELECT id FROM workspaces WHERE name = $1`, workspace).Scan(&spaceID))
	w.ok(w.db.Pool().QueryRow(w.Context(), `SELECT id FROM users WHERE username = 'olga'`).Scan(&user))
	id, err := w.db.Create(w.Context(), store.New{WorkspaceID: spaceID, CreatedBy: user, TaskType: debusine.WorkerTask, TaskName: "noop", Priority: priority,
		Data: json.RawMessage(fmt.Sprintf(`{"build_architecture": %q}`, arch))})
	w.ok(err)
	return id
}

func TestAQueueShowsPlaceStartAndWhatIsMissing(t *testing.T) {
	w := newWorld(t)
	w.machine("one", "amd64")
	first, second, urgent := w.noop("System", "amd64", 0), w.noop("System", "amd64", 0), w.noop("System", "amd64", 5)
	foreign := w.noop("System", "riscv64", 0)
	queues := w.queues(nil, w.viewer, "")
	q := queues["build/amd64/noop"]
	if want := []string{fmt.Sprintf("%d@1", urgent), fmt.Sprintf("%d@2", first), fmt.Sprintf("%d@3", second)}; !slices.Equal(ids(q), want) || q.Waiting != 3 || q.Workers != 1 || q.WaitingReason != "" || q.MissingTags != nil {
		t.Errorf("%+v", q)
	}
	for i, r := range q.WorkRequests {
		want := time.Now().Add(time.Duration(i) * 5 * time.Minute)
		if r.Start == nil || r.Start.Sub(want).Abs() > 30*time.Second || r.Duration != 300 || !strings.Contains(r.EstimatedFrom, "guess") || time.Since(r.PendingAt) > time.Minute {
			t.Errorf("%d: %+v", i, r)
		}
	}
	q = queues["build/riscv64/noop"]
	if !slices.Equal(ids(q), []string{fmt.Sprintf("%d@1", foreign)}) || q.WorkRequests[0].Start != nil || !slices.Equal(q.MissingTags, []string{"worker:build-arch:riscv64"}) ||
		!strings.Contains(q.WaitingReason, "no enabled worker can take this") {
		t.Errorf("%+v", q)
	}
	if one := w.queues(nil, w.viewer, "?queue=build/riscv64/noop&workspace=System"); len(one) != 1 || one["build/riscv64/noop"].Waiting != 1 {
		t.Errorf("%+v", one)
	}
	if few := w.queues(nil, w.viewer, "?limit=2")["build/amd64/noop"]; len(few.WorkRequests) != 2 || few.Waiting != 3 {
		t.Errorf("%+v", few)
	}
	for _, bad := range []string{"?limit=1001", "?limit=-1", "?limit=many"} {
		w.want(400, w.viewer, "GET", "queue/"+bad, nil, nil)
	}
	w.want(404, w.viewer, "GET", "queue/?queue=none", nil, nil, "X-Debusine-Scope", "nowhere")
}

func TestMachinesThatAreAwayTakeNothing(t *testing.T) {
	w := newWorld(t)
	id := w.machine("one", "amd64")
	w.noop("System", "amd64", 0)
	w.must(w.db.Pool().Exec(t.Context(), `UPDATE workers SET heard_at = now() - interval '1 hour' WHERE id = $1`, id))
	q := w.queues(nil, w.viewer, "")["build/amd64/noop"]
	if len(q.WorkRequests) != 1 || q.WorkRequests[0].Start != nil || q.MissingTags != nil || !strings.Contains(q.WaitingReason, "away or drains") {
		t.Errorf("%+v", q)
	}
}

func TestAQueueTellsNothingOfHiddenWorkspaces(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.ok(w.db.CreateWorkspace(ctx, "debusine", "secret", false))
	w.ok(w.db.CreateWorkspace(ctx, "debusine", "open", true))
	w.ok(w.db.SetGate(ctx, "task:scope:debusine", true))
	gated := w.noop("System", "amd64", 0)
	hidden := w.noop("secret", "amd64", 9)
	w.ok(w.db.SetGate(ctx, "task:scope:debusine", false))
	w.ok(w.db.SetGate(ctx, "task:workspace:debusine:secret", true))
	w.noop("secret", "riscv64", 0)
	w.noop("secret", "arm64", 0)
	w.ok(w.db.SetGate(ctx, "task:workspace:debusine:secret", false))
	w.noop("secret", "i386", 7)
	public := w.noop("open", "i386", 0)

	for name, c := range map[string]struct {
		token string
		want  string // queue: waiting, ids@position
	}{
		"a viewer of System": {w.viewer, fmt.Sprintf("build/amd64/noop~scope:debusine 1 [%d@1]; build/i386/noop 2 [%d@2]", gated, public)},
		"anybody":            {"", fmt.Sprintf("build/i386/noop 1 [%d@1]", public)},
		"a stranger":         {w.other, fmt.Sprintf("build/i386/noop 2 [%d@2]", public)},
		"an owner": {w.owner, fmt.Sprintf("build/amd64/noop~scope:debusine 2 [%d@1 %d@2]; build/arm64/noop~workspace:debusine:secret 1 [%d@1]; build/i386/noop 2 [%d@1 %d@2]; build/riscv64/noop~workspace:debusine:secret 1 [%d@1]",
			hidden, gated, hidden+2, hidden+3, public, hidden+1)},
	} {
		var lines []string
		raw := ""
		for name, q := range w.queues(nil, c.token, "") {
			lines = append(lines, fmt.Sprintf("%s %d %v", name, q.Waiting, ids(q)))
			text, _ := json.Marshal(q)
			raw += string(text)
		}
		slices.Sort(lines)
		if got := strings.Join(lines, "; "); got != c.want {
			t.Errorf("%s sees %s, wanted %s", name, got, c.want)
		}
		if name != "an owner" && strings.Contains(raw, "secret") {
			t.Errorf("%s reads of what is secret: %s", name, raw)
		}
	}
	worker, _ := w.worker("spy")
	w.want(403, worker, "GET", "queue/", nil, nil)
}
