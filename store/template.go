package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"debusine"
)

const templateColumns = `t.id, w.name, t.workspace_id, t.name, t.task_name, t.static_parameters, t.runtime_parameters, t.priority, t.restricted,
	ARRAY(SELECT g.name FROM groups g WHERE g.id = ANY(t.extra_groups) ORDER BY 1)`

func scanTemplate(row pgx.Row) (t debusine.WorkflowTemplate, err error) {
	var runtime json.RawMessage
	if err = row.Scan(&t.ID, &t.Workspace, &t.WorkspaceID, &t.Name, &t.TaskName, &t.Static, &runtime, &t.Priority, &t.Restricted, &t.ExtraGroups); err != nil {
		return t, err
	}
	t.Runtime, err = debusine.ParseRuntimeParameters(runtime)
	return t, err
}

// Template gives a workflow template of a workspace by its name or its number.
func (db *DB) Template(ctx context.Context, workspace int64, nameOrID string) (debusine.WorkflowTemplate, error) {
	id, err := strconv.ParseInt(nameOrID, 10, 64)
	if err != nil {
		id = 0
	}
	t, err := scanTemplate(db.pool.QueryRow(ctx, `
		SELECT `+templateColumns+` FROM workflow_templates t JOIN workspaces w ON w.id = t.workspace_id
		 WHERE t.workspace_id = $1 AND (t.name = $2 OR t.id = $3) ORDER BY t.name = $2 DESC LIMIT 1`, workspace, nameOrID, id))
	return t, fault(err, fmt.Sprintf("workflow template %q", nameOrID))
}

// Templates lists the workflow templates of a workspace by name.
func (db *DB) Templates(ctx context.Context, workspace int64) ([]debusine.WorkflowTemplate, error) {
	rows, err := db.pool.Query(ctx, `
		SELECT `+templateColumns+` FROM workflow_templates t JOIN workspaces w ON w.id = t.workspace_id WHERE t.workspace_id = $1 ORDER BY t.name`, workspace)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (debusine.WorkflowTemplate, error) { return scanTemplate(row) })
}

// CheckScheduled refuses to change what a schedule starts on behalf of another user
// than this one, who would act with that user's rights: to sign, for one.
func (db *DB) CheckScheduled(ctx context.Context, user, workspace int64, names ...string) error {
	var by string
	err := db.pool.QueryRow(ctx, `
		SELECT u.username FROM schedules h JOIN users u ON u.id = h.created_by
		 WHERE h.workspace_id = $1 AND h.template = ANY($2) AND h.created_by <> $3 AND h.deleted_at IS NULL LIMIT 1`, workspace, names, user).Scan(&by)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return debusine.WithHint(debusine.Conflictf("a schedule of %s starts this template", by), "debusine schedule list; delete the schedule first")
}

// PutTemplate makes a template, or with an id changes that one, and gives its id.
func (db *DB) PutTemplate(ctx context.Context, t debusine.WorkflowTemplate) (id int64, err error) {
	if t.Static == nil {
		t.Static = map[string]json.RawMessage{}
	}
	what := fmt.Sprintf("workflow template %q", t.Name)
	if t.ID != 0 {
		err = db.pool.QueryRow(ctx, `
			UPDATE workflow_templates SET name = $3, task_name = $4, static_parameters = $5, runtime_parameters = $6, priority = $7, restricted = $8, extra_groups = `+extraGroups("$9", "$2")+`
			 WHERE id = $1 AND workspace_id = $2 RETURNING id`,
			t.ID, t.WorkspaceID, t.Name, t.TaskName, t.Static, t.Runtime, t.Priority, t.Restricted, notNil(t.ExtraGroups)).Scan(&id)
		return id, fault(err, what)
	}
	err = db.pool.QueryRow(ctx, `
		INSERT INTO workflow_templates (workspace_id, name, task_name, static_parameters, runtime_parameters, priority, restricted, extra_groups)
		VALUES ($1, $2, $3, $4, $5, $6, $7, `+extraGroups("$8", "$1")+`) RETURNING id`,
		t.WorkspaceID, t.Name, t.TaskName, t.Static, t.Runtime, t.Priority, t.Restricted, notNil(t.ExtraGroups)).Scan(&id)
	return id, fault(err, what)
}

// DeleteTemplate removes a template; work requests that came of it stay.
func (db *DB) DeleteTemplate(ctx context.Context, workspace, id int64) error {
	tag, err := db.pool.Exec(ctx, `DELETE FROM workflow_templates WHERE id = $1 AND workspace_id = $2`, id, workspace)
	if err == nil && tag.RowsAffected() == 0 {
		return debusine.Missingf("workflow template %d", id)
	}
	return fault(err, fmt.Sprintf("workflow template %d", id))
}

// extraGroups are the ids of groups by name, of the workspace's scope.
func extraGroups(names, workspace string) string {
	return `ARRAY(SELECT g.id FROM groups g WHERE g.name = ANY(` + names + `) AND g.workspace_id IS NULL
		AND g.scope_id = (SELECT scope_id FROM workspaces WHERE id = ` + workspace + `))`
}

// CheckExtraGroups refuses groups that the user is no member of: a template lends
// their rights to who starts it.
func (db *DB) CheckExtraGroups(ctx context.Context, user, scope int64, names []string) error {
	rows, err := db.pool.Query(ctx, `
		SELECT n FROM unnest($3::text[]) AS n WHERE NOT EXISTS (SELECT FROM groups g JOIN group_members m ON m.group_id = g.id
		 WHERE g.name = n AND g.scope_id = $2 AND g.workspace_id IS NULL AND m.user_id = $1)`, user, scope, notNil(names))
	if err != nil {
		return err
	}
	foreign, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(foreign) > 0 {
		return debusine.Forbiddenf("extra_groups: you are no member of %.200q, or the scope has no such group", foreign)
	}
	return err
}

// FromTemplate is the workflow that somebody starts from a template of the
// workspace, with the data given: the rights are asked for, and the parameters
// merged with the template's.
func (db *DB) FromTemplate(ctx context.Context, who debusine.Principal, on debusine.Resource, name string, given map[string]json.RawMessage) (n New, err error) {
	// Who may not see the workspace must not learn which templates it has.
	if !who.Sees(on) {
		return n, who.Allow(debusine.StartWorkflow, on)
	}
	t, err := db.Template(ctx, on.Workspace, name)
	if err != nil {
		return n, err
	}
	on.What, on.Restricted = fmt.Sprintf("workflow template %q", t.Name), t.Restricted
	if err := who.Allow(debusine.StartWorkflow, on); err != nil {
		return n, err
	}
	data, err := t.Merge(given)
	if err != nil {
		return n, err
	}
	n = New{WorkspaceID: on.Workspace, CreatedBy: who.UserID, TaskType: debusine.WorkflowTask, TaskName: t.TaskName, Template: &t.ID, Priority: t.Priority}
	n.Data, err = json.Marshal(data)
	return n, err
}
