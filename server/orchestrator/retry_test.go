package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
)

// engine is a Temporal that is away until it is back.
type engine struct {
	client.Client
	away      bool
	cancelled []string
}

func (e *engine) CancelWorkflow(_ context.Context, id, _ string) error {
	if e.away {
		return serviceerror.NewUnavailable("away")
	}
	e.cancelled = append(e.cancelled, id)
	return nil
}

func (e *engine) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, serviceerror.NewUnavailable("away")
}

// An aborted run of which Temporal was not told would go on beside its retry.
func TestNoRetryBeforeTemporalKnowsOfTheEnd(t *testing.T) {
	db := storetest.Open(t)
	ctx := t.Context()
	var user, workspace int64
	if err := db.Pool().QueryRow(ctx, `INSERT INTO users (username) VALUES ('alice') RETURNING id, (SELECT min(id) FROM workspaces)`).Scan(&user, &workspace); err != nil {
		t.Fatal(err)
	}
	id, err := db.Create(ctx, store.New{WorkspaceID: workspace, CreatedBy: user, TaskType: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	var temporalID string
	if err := db.Pool().QueryRow(ctx, `UPDATE work_requests SET temporal_started = true, status = 'running' WHERE id = $1 RETURNING temporal_id`, id).Scan(&temporalID); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Abort(ctx, id, user); err != nil {
		t.Fatal(err)
	}
	temporal := &engine{away: true}
	o := New(db, temporal, "debusine", nil, slog.New(slog.DiscardHandler))
	o.patience = time.Second
	_, err = o.Retry(ctx, id, user)
	var conflict debusine.Conflict
	if !errors.As(err, &conflict) || !strings.Contains(conflict.Hint, "try again") {
		t.Fatalf("while Temporal is away: %v", err)
	}
	var status string
	if err := db.Pool().QueryRow(ctx, `SELECT status FROM work_requests WHERE id = $1`, id).Scan(&status); err != nil || status != "aborted" {
		t.Errorf("the refused retry left %s, %v", status, err)
	}
	temporal.away = false
	if _, err := o.Retry(ctx, id, user); err != nil {
		t.Fatalf("when it is back: %v", err)
	}
	if len(temporal.cancelled) != 1 || temporal.cancelled[0] != temporalID {
		t.Errorf("cancelled %q, not %q", temporal.cancelled, temporalID)
	}
	var now string
	if err := db.Pool().QueryRow(ctx, `SELECT status, temporal_id FROM work_requests WHERE id = $1`, id).Scan(&status, &now); err != nil || status != "pending" || now == temporalID {
		t.Errorf("the retry is %s as %s, %v", status, now, err)
	}
}
