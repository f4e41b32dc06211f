package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"debusine"
)

// reconfigure applies the task configuration, as it is now, to a workflow that is
// to run again, and gives the data that it runs with. What the configuration makes
// invalid is a misconfigured; nothing has changed then.
func reconfigure(ctx context.Context, tx pgx.Tx, id int64) (json.RawMessage, error) {
	n := New{TaskType: debusine.WorkflowTask}
	r := reader{q: tx}
	dynamic := map[string]json.RawMessage{}
	err := tx.QueryRow(ctx, `
		SELECT task_name, task_data, workspace_id, created_by, coalesce(root_id, id), coalesce(dynamic_task_data, '{}') FROM work_requests WHERE id = $1`, id).
		Scan(&n.TaskName, &n.Data, &n.WorkspaceID, &n.CreatedBy, &r.root, &dynamic)
	if err != nil {
		return nil, fault(err, fmt.Sprintf("work request %d", id))
	}
	r.workspace, r.user = n.WorkspaceID, n.CreatedBy
	if _, err := configureWorkflow(ctx, r, &n); err != nil {
		return nil, err
	}
	if n.failed != nil {
		return nil, misconfigured{debusine.Invalid{What: n.failed.Errors[0].Message, Hint: "mend it with debusine task-config push"}}
	}
	delete(dynamic, "configured_by")
	raw, err := json.Marshal(dynamic)
	if err != nil {
		return nil, err
	}
	if raw, err = withSteps(raw, n.steps); err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE work_requests SET configured_task_data = $2, dynamic_task_data = $3 WHERE id = $1`, id, n.configured, raw)
	return n.Configured(), err
}

// failToGoOn ends a workflow within a workflow that cannot run again.
func failToGoOn(ctx context.Context, tx pgx.Tx, id int64, why error, run int) error {
	output, err := json.Marshal(configureFailed(why))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE work_requests SET status = 'completed', result = 'error', completed_at = now(), aborted_by = NULL, output_data = $2, run = $3 WHERE id = $1`,
		id, output, run)
	return err
}
