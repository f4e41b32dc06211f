package gateway_test

import (
	"context"
	"slices"
	"testing"

	"debusine"
	"debusine/store"
)

// One workspace has much work on a queue of its own class, another then asks for a
// little on another queue: the one machine that serves both takes turns.
func TestWorkspacesTakeTurnsOnAMachine(t *testing.T) {
	s := newSite(t)
	must(t, s.db.CreateWorkspace(t.Context(), "debusine", "other", false))
	var other int64
	must(t, s.db.Pool().QueryRow(t.Context(), `SELECT id FROM workspaces WHERE name = 'other'`).Scan(&other))
	_, secret := s.machine("one", 1, "a", "b")
	var order []string
	var last handle
	for i := range 16 {
		class, workspace := "a", int64(0)
		if i >= 12 {
			class, workspace = "b", other
		}
		id := s.row(class)
		if workspace != 0 {
			s.exec(`UPDATE work_requests SET workspace_id = $2 WHERE id = $1`, id, workspace)
		}
		last = s.start(id)
	}
	stop := s.work(s.gateway, "one", secret, 1, func(_ context.Context, b store.Beginning) (debusine.Result, error) {
		order = append(order, b.Workspace) // one at a time
		return debusine.Success, nil
	})
	s.outcome(last)
	stop()
	slices.Reverse(order)
	if served := len(order) - slices.Index(order, "other"); served > 11 {
		t.Errorf("the other workspace, which asked for 4, was served after %d of all: %v, the last one first", served, order)
	}
	slices.Reverse(order)
	if first := slices.Index(order, "other"); first < 0 || first > 3 {
		t.Errorf("its turn came after %d", first)
	}
}
