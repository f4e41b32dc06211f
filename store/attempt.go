package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"debusine"
	"debusine/task"
)

// How many machines a work request may bring down before it is called an error.
const (
	MaxLosses      = 3 // attempts that were begun and never ended
	MaxLostWorkers = 2 // different machines among them
)

// Delivery is one handing-out of a task: what Temporal gave to which worker.
type Delivery struct {
	WorkRequest int64
	Worker      int64
	TaskToken   []byte // Temporal's own
	Attempt     int32  // Temporal's count
}

// ID names the delivery where it is voided.
func (d Delivery) ID() string {
	sum := sha256.Sum256(d.TaskToken)
	return hex.EncodeToString(sum[:])
}

// Verdict answers a begin.
type Verdict string

// The verdicts: run it, it has ended already, or no.
const (
	RunIt        Verdict = "run"
	AlreadyEnded Verdict = "already-ended"
	No           Verdict = "no"
)

// Beginning is the answer to a begin: with RunIt, the attempt and its data.
type Beginning struct {
	Verdict      Verdict
	Reason       string
	AttemptID    int64
	Number       int
	Secret       string // the attempt's token, told once
	TaskName     string
	Data         json.RawMessage
	Dynamic      json.RawMessage
	Workspace    string
	Transition   debusine.Status // that the begin itself caused; empty for none
	Source       string          // what it is about
	Architecture string
}

// held is a locked row, as begin and complete need it.
type held struct {
	id            int64
	status        debusine.Status
	result        debusine.Result
	queue         *string
	losses        int
	lostWorkers   []int64
	taskName      string
	data, dynamic json.RawMessage
	workspace     string
	reactions     task.Reactions
	about         task.Description
	class         debusine.FailureClass
	mends         bool
}

func (h held) outcome() task.Outcome {
	return task.Outcome{ID: h.id, Status: h.status, Result: h.result, Class: h.class, Mends: h.mends}
}

// failureColumns are what work_requests r says of a failure. The worker's word
// for the class was checked when it came.
const failureColumns = `coalesce(r.output_data->'failure'->>'class', ''), coalesce(r.output_data->'failure'->'mends_with_time' = 'true', false)`

// hold locks the row against others that hold it, but not against rows that
// refer to it (NO KEY): a child that ends writes items that name its root, while
// whoever plans or aborts holds the root and waits for the child.
func hold(ctx context.Context, tx pgx.Tx, id int64) (h held, err error) {
	err = tx.QueryRow(ctx, `
		SELECT r.id, r.status, r.result, r.queue, r.losses, r.lost_workers, r.task_name, r.configured_task_data, r.dynamic_task_data, w.name, r.event_reactions, `+failureColumns+`
		  FROM work_requests r JOIN workspaces w ON w.id = r.workspace_id WHERE r.id = $1 FOR NO KEY UPDATE OF r`, id).
		Scan(&h.id, &h.status, &h.result, &h.queue, &h.losses, &h.lostWorkers, &h.taskName, &h.data, &h.dynamic, &h.workspace, &h.reactions, &h.class, &h.mends)
	if err == nil && len(h.dynamic) > 0 {
		err = json.Unmarshal(h.dynamic, &h.about)
	}
	return h, fault(err, fmt.Sprintf("work request %d", id))
}

// openAttempt is the attempt that has not ended.
type openAttempt struct {
	id, worker      int64
	number          int
	token           []byte
	temporalAttempt int32
}

func attemptOf(ctx context.Context, tx pgx.Tx, workRequest int64) (a *openAttempt, last int, newest int32, err error) {
	rows, err := tx.Query(ctx, `SELECT id, worker_id, number, task_token, temporal_attempt, ended_at IS NULL FROM attempts WHERE work_request_id = $1 ORDER BY number`, workRequest)
	if err != nil {
		return nil, 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var x openAttempt
		var open bool
		if err := rows.Scan(&x.id, &x.worker, &x.number, &x.token, &x.temporalAttempt, &open); err != nil {
			return nil, 0, 0, err
		}
		last, newest = x.number, max(newest, x.temporalAttempt)
		if open {
			a = &x
		}
	}
	return a, last, newest, rows.Err()
}

// Begin decides whether a worker may run what it was given. It is the fence: in
// one transaction it voids the attempt before and makes the new one, or says
// that there is nothing to run. Said twice with the same delivery, it gives the
// same attempt a new token: the first answer was lost on its way.
func (db *DB) Begin(ctx context.Context, d Delivery) (b Beginning, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		b = Beginning{}
		h, err := hold(ctx, tx, d.WorkRequest)
		if err != nil {
			return err
		}
		if h.status.Ended() {
			b = Beginning{Verdict: AlreadyEnded, Reason: "the work request has ended"}
			if h.status == debusine.Aborted {
				b = Beginning{Verdict: No, Reason: "the work request was aborted"}
			}
			return nil
		}
		b, err = begin(ctx, tx, h, d)
		return err
	})
	return b, err
}

func begin(ctx context.Context, tx pgx.Tx, h held, d Delivery) (Beginning, error) {
	var void bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM voided_deliveries WHERE delivery = $1)`, d.ID()).Scan(&void); err != nil {
		return Beginning{}, err
	}
	open, last, newest, err := attemptOf(ctx, tx, h.id)
	if err != nil {
		return Beginning{}, err
	}
	if open != nil && open.worker == d.Worker && string(open.token) == string(d.TaskToken) {
		return again(ctx, tx, h, open)
	}
	if void || (last > 0 && d.Attempt <= newest) {
		return Beginning{Verdict: No, Reason: "this delivery is void: the task was given out again"}, nil
	}
	if open != nil {
		if err := lose(ctx, tx, &h, open.id, open.worker); err != nil {
			return Beginning{}, err
		}
		// Temporal gave the task out again: it knows.
		if _, err := tx.Exec(ctx, `UPDATE attempts SET told = true WHERE id = $1`, open.id); err != nil {
			return Beginning{}, err
		}
	}
	if reason := givenUp(h); reason != "" {
		return Beginning{Verdict: AlreadyEnded, Reason: reason, Transition: debusine.Completed}, endWithError(ctx, tx, h, reason)
	}
	assigned := h.reactions.To(task.OnAssignment)
	if skipped, err := skip(ctx, tx, h.id, assigned); err != nil || skipped {
		return Beginning{Verdict: AlreadyEnded, Reason: "the work request is not needed any more", Transition: debusine.Completed}, err
	}
	if err := react(ctx, tx, h.id, assigned); err != nil {
		return Beginning{}, err
	}
	return newAttempt(ctx, tx, h, d, last+1)
}

func again(ctx context.Context, tx pgx.Tx, h held, open *openAttempt) (Beginning, error) {
	secret := debusine.NewSecret()
	_, err := tx.Exec(ctx, `UPDATE attempts SET token_hash = $2, heard_at = now() WHERE id = $1`, open.id, debusine.HashSecret(secret))
	return h.beginning(open.id, open.number, secret, ""), err
}

func newAttempt(ctx context.Context, tx pgx.Tx, h held, d Delivery, number int) (Beginning, error) {
	secret := debusine.NewSecret()
	var id int64
	err := tx.QueryRow(ctx, `
		INSERT INTO attempts (work_request_id, number, worker_id, token_hash, task_token, temporal_attempt)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`, h.id, number, d.Worker, debusine.HashSecret(secret), d.TaskToken, d.Attempt).Scan(&id)
	if err != nil {
		return Beginning{}, fault(err, "attempt")
	}
	_, err = tx.Exec(ctx, `UPDATE work_requests SET status = 'running', started_at = now() WHERE id = $1`, h.id)
	return h.beginning(id, number, secret, debusine.Running), err
}

func (h held) beginning(attempt int64, number int, secret string, transition debusine.Status) Beginning {
	return Beginning{Verdict: RunIt, AttemptID: attempt, Number: number, Secret: secret, TaskName: h.taskName, Data: h.data, Dynamic: h.dynamic,
		Workspace: h.workspace, Transition: transition, Source: h.about.ParameterSummary, Architecture: h.about.Architecture}
}

// lose ends an attempt whose worker is gone and counts it.
func lose(ctx context.Context, tx pgx.Tx, h *held, attempt, worker int64) error {
	if _, err := tx.Exec(ctx, `UPDATE attempts SET ended_at = now(), ending = 'lost' WHERE id = $1`, attempt); err != nil {
		return err
	}
	h.losses++
	h.lostWorkers = append(h.lostWorkers, worker)
	_, err := tx.Exec(ctx, `UPDATE work_requests SET losses = $2, lost_workers = $3 WHERE id = $1`, h.id, h.losses, h.lostWorkers)
	return err
}

// givenUp says why a work request is not tried again, or nothing.
func givenUp(h held) string {
	different := sortedIDs(h.lostWorkers)
	switch {
	case h.losses >= MaxLosses:
		return fmt.Sprintf("the worker was lost %d times while it ran this", h.losses)
	case len(different) >= MaxLostWorkers:
		return fmt.Sprintf("%d different workers were lost while they ran this", len(different))
	}
	return ""
}

func endWithError(ctx context.Context, tx pgx.Tx, h held, reason string) error {
	if err := noteError(ctx, tx, h.id, debusine.TaskError{Message: reason, Code: "worker-lost"}); err != nil {
		return err
	}
	return end(ctx, tx, h, debusine.Error, nil)
}

// Completion tells of an attempt that completed, for the log.
type Completion struct {
	First                              bool // this call was the one that ended it
	WorkRequest                        int64
	Number                             int
	Status                             debusine.Status // of the work request
	Result                             debusine.Result
	Worker, Task, Source, Architecture string
	Class                              debusine.FailureClass // of a failed build
}

// Complete records how an attempt ended: result, output, artifacts, event
// reactions and collection changes, in one transaction. Said again by the same
// attempt it changes nothing. The attempt of a work request that was aborted
// meanwhile leaves its log and output, and the work request stays aborted.
func (db *DB) Complete(ctx context.Context, attempt int64, result debusine.Result, output json.RawMessage) (c Completion, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, ending, err := holdAttempt(ctx, tx, attempt)
		if err != nil {
			return err
		}
		c = Completion{WorkRequest: h.id, Status: debusine.Completed, Result: result, Task: h.taskName, Source: h.about.ParameterSummary, Architecture: h.about.Architecture}
		if h.status == debusine.Aborted {
			c.Status, c.Result = debusine.Aborted, ""
		}
		if ending != nil {
			if *ending == "completed" {
				return nil
			}
			return debusine.Conflictf("attempt %d is void: the work request was given to another worker", attempt)
		}
		c.First, c.Class = true, classOf(output)
		err = tx.QueryRow(ctx, `
			UPDATE attempts a SET ended_at = now(), ending = 'completed' FROM workers w WHERE a.id = $1 AND w.id = a.worker_id RETURNING a.number, w.name`,
			attempt).Scan(&c.Number, &c.Worker)
		if err != nil {
			return err
		}
		return end(ctx, tx, h, result, output)
	})
	return c, err
}

// classOf is the class of a failure in output data.
func classOf(output json.RawMessage) debusine.FailureClass {
	var data struct {
		Failure struct {
			Class debusine.FailureClass `json:"class"`
		} `json:"failure"`
	}
	if json.Unmarshal(output, &data) != nil {
		return ""
	}
	return data.Failure.Class
}

func holdAttempt(ctx context.Context, tx pgx.Tx, attempt int64) (h held, ending *string, err error) {
	var workRequest int64
	if err := tx.QueryRow(ctx, `SELECT work_request_id FROM attempts WHERE id = $1`, attempt).Scan(&workRequest); err != nil {
		return h, nil, fault(err, fmt.Sprintf("attempt %d", attempt))
	}
	if h, err = hold(ctx, tx, workRequest); err != nil {
		return h, nil, err
	}
	err = tx.QueryRow(ctx, `SELECT ending FROM attempts WHERE id = $1`, attempt).Scan(&ending)
	return h, ending, err
}

// end records the result and reacts to it. What is said of an aborted work
// request only leaves its output and its artifacts.
func end(ctx context.Context, tx pgx.Tx, h held, result debusine.Result, output json.RawMessage) error {
	if h.status == debusine.Aborted {
		if _, err := tx.Exec(ctx, `UPDATE work_requests SET output_data = coalesce(output_data, '{}') || $2 WHERE id = $1`, h.id, orEmpty(output)); err != nil {
			return err
		}
		return react(ctx, tx, h.id, onlyCollections(h.reactions.To(task.OnFailure)))
	}
	_, err := tx.Exec(ctx, `
		UPDATE work_requests SET status = 'completed', result = $2, output_data = coalesce(output_data, '{}') || $3, completed_at = now() WHERE id = $1`,
		h.id, result, orEmpty(output))
	if err != nil {
		return fault(err, fmt.Sprintf("the outcome of work request %d", h.id))
	}
	event := task.OnFailure
	if result == debusine.Success || result == debusine.Skipped {
		event = task.OnSuccess
	}
	return react(ctx, tx, h.id, h.withHistory(h.reactions.To(event), result))
}

// Conclude records how a workflow ended. An abort that came first stays, and so
// does the next run of a workflow that was retried meanwhile.
func (db *DB) Conclude(ctx context.Context, c task.Conclusion) (o task.Outcome, recorded bool, err error) {
	output, err := json.Marshal(c.Output)
	if err != nil {
		return o, false, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		h, err := hold(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		o = h.outcome()
		var current bool
		if err := tx.QueryRow(ctx, `SELECT $2 IN ('', coalesce(execution_id, temporal_id)) FROM work_requests WHERE id = $1`, h.id, c.Execution).Scan(&current); err != nil {
			return err
		}
		if h.status.Ended() || !current {
			return nil
		}
		o.Status, o.Result, recorded = debusine.Completed, c.Result, true
		return end(ctx, tx, h, c.Result, output)
	})
	return o, recorded, err
}

func sortedIDs(ids []int64) []int64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
