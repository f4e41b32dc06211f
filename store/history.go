package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// keptRuns is how many of the newest runs of a series a history keeps, beside the
// last success and the last failure, unless its collection says otherwise.
const keptRuns = 5

// withHistory adds the recording of the run, which is done for every task that
// says what it is about, unless it is among the actions already.
func (h held) withHistory(actions []task.Reaction, result debusine.Result) []task.Reaction {
	record := task.Reaction{Action: task.RecordInTaskHistory}
	said := slices.ContainsFunc(actions, func(r task.Reaction) bool { return r.Action == record.Action })
	if said || h.about.Subject == "" || result == debusine.Skipped || !hasHistory(task.TypeOf(h.taskName)) {
		return actions
	}
	return append(actions, record)
}

// hasHistory: of a workflow, its children tell.
func hasHistory(kind debusine.TaskType) bool {
	return kind == debusine.WorkerTask || kind == debusine.SigningTask
}

// record adds the run to the history of the workspace, if it has one. What was
// never begun is no run.
func (a actor) record(ctx context.Context, tx pgx.Tx, r task.Reaction) error {
	run, err := a.run(ctx, tx, r)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := a.history(ctx, tx)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(run)
	if err != nil {
		return err
	}
	variables := map[string]any{}
	if err := json.Unmarshal(raw, &variables); err != nil {
		return err
	}
	// Of two that end at once, the later counts what the earlier added.
	if err := lockName(ctx, tx, c.ID, run.Series()); err != nil {
		return err
	}
	if err := a.put(ctx, tx, c, debusine.CollectionItem{Kind: "bare", Category: debusine.CategoryHistoricalRun}, variables, r); err != nil {
		return err
	}
	return a.forget(ctx, tx, c, run.Series())
}

// run is what is remembered of the work request: the worker's statistics as far
// as the server's clock lets them be true.
func (a actor) run(ctx context.Context, tx pgx.Tx, r task.Reaction) (run debusine.HistoricalRun, err error) {
	var (
		statistics json.RawMessage
		about      task.Description
		ended      time.Time
		seconds    int64
	)
	err = tx.QueryRow(ctx, `
		SELECT r.task_type, r.task_name, r.result, coalesce(r.dynamic_task_data, '{}'), coalesce(r.output_data->'runtime_statistics', '{}'),
		       r.completed_at, ceil(extract(epoch FROM t.ended_at - t.begun_at))::bigint
		  FROM work_requests r JOIN attempts t ON t.work_request_id = r.id
		 WHERE r.id = $1 AND t.ended_at IS NOT NULL ORDER BY t.number DESC LIMIT 1`, a.id).
		Scan(&run.TaskType, &run.TaskName, &run.Result, &about, &statistics, &ended, &seconds)
	if err != nil {
		return run, err
	}
	run.WorkRequest, run.Timestamp, run.Subject, run.Context = a.id, ended.Unix(), about.Subject, about.RuntimeContext
	if r.Subject != "" {
		run.Subject = r.Subject
	}
	if r.Context != "" {
		run.Context = r.Context
	}
	run.Statistics = debusine.SaneStatistics(statistics, seconds)
	return run, nil
}

func (a actor) history(ctx context.Context, tx pgx.Tx) (c debusine.Collection, err error) {
	err = tx.QueryRow(ctx, `SELECT `+collectionColumns+` FROM collections c WHERE c.workspace_id = $1 AND c.category = $2 AND c.name = '_'`,
		a.workspace, debusine.CategoryTaskHistory).Scan(&c.ID, &c.WorkspaceID, &c.Category, &c.Name, &c.Data)
	return c, err
}

// forget removes what the history does not keep of a series: all but the last
// success, the last failure and the newest.
func (a actor) forget(ctx context.Context, tx pgx.Tx, c debusine.Collection, series string) error {
	keep := keptRuns
	var data struct {
		Keep *int `json:"old_items_to_keep"`
	}
	if err := json.Unmarshal(c.Data, &data); err == nil && data.Keep != nil {
		keep = max(*data.Keep, 0)
	}
	_, err := tx.Exec(ctx, `
		WITH run AS (
			SELECT id, (data->>'result') = 'success' AS good, data->>'result' = 'skipped' AS none, (data->>'timestamp')::numeric AS at
			  FROM collection_items WHERE collection_id = $1 AND `+inSeries+` AND removed_at IS NULL),
		ranked AS (
			SELECT id, none, row_number() OVER (ORDER BY at DESC, id DESC) AS age, row_number() OVER (PARTITION BY good, none ORDER BY at DESC, id DESC) AS like_it
			  FROM run)
		UPDATE collection_items SET removed_at = clock_timestamp(), removed_by = $3, removed_by_workflow = $4
		 WHERE id IN (SELECT id FROM ranked WHERE age > $5 AND (like_it > 1 OR none))`, c.ID, series, a.user, a.workflow, keep)
	return fault(err, "the history")
}

// inSeries chooses items by the beginning of their name, $2, through the index.
const inSeries = `name >= $2 AND name < $2 || E'\U0010FFFF' AND starts_with(name, $2)`

// LastRun gives the newest item of a series in a task history: any, or the newest
// that succeeded or failed.
func (r reader) LastRun(ctx context.Context, collection int64, which, series string) (debusine.CollectionItem, error) {
	results := map[string][]string{"success": {"success"}, "failure": {"failure", "temporary failure", "error"}}[which]
	return scanItem(r.q.QueryRow(ctx, `
		SELECT `+itemColumns+` FROM collection_items i
		 WHERE i.collection_id = $1 AND `+inSeries+` AND i.removed_at IS NULL AND ($3::text[] IS NULL OR i.data->>'result' = ANY($3))
		 ORDER BY (i.data->>'timestamp')::numeric DESC, i.id DESC LIMIT 1`, collection, series, results),
		fmt.Sprintf("last-%s of %s", which, strconv.Quote(series)))
}
