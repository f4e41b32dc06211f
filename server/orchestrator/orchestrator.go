// Package orchestrator joins the two halves of the truth: PostgreSQL, which
// owns what exists, and Temporal, which owns what is under way.
//
// Its methods are what the API does to work requests: each is a transaction
// first and a word to Temporal second, so that what was acknowledged survives a
// crash between the two. Run keeps the halves together afterwards: it runs the
// workflows and the server's activities, judges silent workers (judge.go), and
// sweeps what a crash or an operator left (sweep.go).
package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/activities/server"
	"debusine/crash"
	"debusine/store"
	"debusine/task"
	"debusine/workflows"
)

// Opener turns the sealed task token of a worker back into a delivery; it
// refuses what is not that worker's.
type Opener interface {
	Open(worker int64, sealed []byte) (store.Delivery, error)
}

// Orchestrator drives work requests. Make it with New.
type Orchestrator struct {
	db       *store.DB
	temporal client.Client
	space    string // Temporal namespace
	seals    Opener
	log      *slog.Logger
	patience time.Duration // for Temporal, before the outbox is left to the sweep
	doers    map[string]server.Doer
	targets  func(place, url string) error // whether uploads may go there; nil: it is asked when they do
}

// New makes an orchestrator over a database and a (lazy) Temporal client.
func New(db *store.DB, temporal client.Client, namespace string, seals Opener, log *slog.Logger) *Orchestrator {
	return &Orchestrator{db: db, temporal: temporal, space: namespace, seals: seals, log: log, patience: 5 * time.Second, doers: server.Doers()}
}

// Offer has one of the server's own tasks done by do. It comes before Run.
func (o *Orchestrator) Offer(name string, do server.Doer) { o.doers[name] = do }

// Targets has uploads that may not go to their target refused when they are asked
// for, before anybody signs them. place is SCOPE/WORKSPACE.
func (o *Orchestrator) Targets(permit func(place, url string) error) { o.targets = permit }

// Create makes a work request that stands alone and starts it. When Temporal is
// away it is acknowledged all the same: the row is the outbox, and the sweep
// will start it.
func (o *Orchestrator) Create(ctx context.Context, n store.New) (id int64, err error) {
	if n.TaskType == debusine.WorkflowTask {
		return 0, debusine.WithHint(debusine.Invalidf("%s is a workflow", n.TaskName), "start it with: debusine workflow start")
	}
	if id, err = o.db.Create(ctx, n); err != nil {
		return 0, err
	}
	o.startSoon(ctx, id)
	return id, nil
}

// StartWorkflow makes a workflow's root work request and starts the workflow.
func (o *Orchestrator) StartWorkflow(ctx context.Context, n store.New) (id int64, err error) {
	n.TaskType = debusine.WorkflowTask
	if err := o.validate(ctx, &n); err != nil {
		return 0, err
	}
	if id, err = o.db.Create(ctx, n); err != nil {
		return 0, err
	}
	o.startSoon(ctx, id)
	return id, nil
}

// validate refuses at once what the workflow would only find out later, has the
// task configuration applied, and tells what the workflow is about.
func (o *Orchestrator) validate(ctx context.Context, n *store.New) error {
	about, err := o.db.ConfigureWorkflow(ctx, n)
	if err != nil {
		return err
	}
	if task.Canonical(n.TaskName) == task.SbuildWorkflow && !n.Misconfigured() {
		if about.Architecture, err = o.validateSbuild(ctx, n); err != nil {
			return err
		}
	}
	if task.Canonical(n.TaskName) == task.MakeSignedSourceWorkflow && !n.Misconfigured() {
		if about.Architecture, err = o.validateSigned(ctx, *n); err != nil {
			return err
		}
	}
	if task.Canonical(n.TaskName) == task.PackageUploadWorkflow && !n.Misconfigured() {
		if err := o.validateUpload(ctx, *n); err != nil {
			return err
		}
	}
	n.Dynamic, err = json.Marshal(about)
	return err
}

// validateUpload looks at what is uploaded, and whether it may go there.
func (o *Orchestrator) validateUpload(ctx context.Context, n store.New) error {
	var data task.PackageUploadWorkflowData
	if err := task.ReadWorkflow(n.Configured(), &data); err != nil {
		return err
	}
	if o.targets != nil {
		place, err := o.db.Place(ctx, n.WorkspaceID)
		if err != nil {
			return err
		}
		if err := o.targets(place, data.Target); err != nil {
			return err
		}
	}
	facts, err := o.db.UploadFactsFor(ctx, n.WorkspaceID, n.CreatedBy, n.Configured())
	if err != nil {
		return err
	}
	return workflows.CheckUpload(data, facts)
}

// validateSigned gives the architectures that signed sources will be made for.
func (o *Orchestrator) validateSigned(ctx context.Context, n store.New) (string, error) {
	var data task.MakeSignedSourceData
	if err := task.ReadWorkflow(n.Configured(), &data); err != nil {
		return "", err
	}
	facts, err := o.db.FactsForSigningOf(ctx, n.WorkspaceID, n.CreatedBy, n.Configured())
	if err != nil {
		return "", err
	}
	sources, dropped := workflows.SignedSources(data, facts)
	if len(sources) == 0 {
		return "", debusine.Invalid{What: "there is nothing to sign: " + workflows.Reasons(dropped),
			Hint: "binary_artifacts and signing_template_artifacts must be of one architecture, which architectures must not leave out"}
	}
	return strings.Join(workflows.Architectures(sources), ","), nil
}

// validateSbuild looks at the data as they are after the task configuration, and
// gives the architectures that will be built on, with commas. What is left out is
// told from the start.
func (o *Orchestrator) validateSbuild(ctx context.Context, n *store.New) (string, error) {
	var data task.SbuildWorkflowData
	if err := task.ReadWorkflow(n.Configured(), &data); err != nil {
		return "", err
	}
	source, err := o.db.SourceFactsFor(ctx, *n)
	if err != nil {
		return "", err
	}
	var build []string
	build, n.Dropped = workflows.ArchesToBuild(data, source)
	if len(build) == 0 {
		return "", debusine.Invalid{What: "no architecture is left to build on: " + workflows.Reasons(n.Dropped),
			Hint: "see the environments with: debusine collection show " + data.Vendor() + " debian:environments"}
	}
	return strings.Join(build, ","), nil
}

// startSoon starts what was just committed. The caller's own cancellation does
// not matter any more: it has been acknowledged.
func (o *Orchestrator) startSoon(ctx context.Context, id int64) {
	crash.Point(crash.Committed)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.patience)
	defer cancel()
	if err := o.startOutbox(ctx, id, 0); err != nil {
		o.log.Warn("left to the sweep: could not start a work request in Temporal", "id", id, "error", err)
	}
}

// startOutbox starts what is committed and not started: one work request, or
// with id 0 all that are older than age.
func (o *Orchestrator) startOutbox(ctx context.Context, id int64, age time.Duration) error {
	starts, err := o.db.Outbox(ctx, id, age)
	if err != nil {
		return err
	}
	for _, s := range starts {
		run, err := o.start(ctx, s)
		if err != nil {
			return fmt.Errorf("starting %s: %w", s.TemporalID, err)
		}
		crash.Point(crash.Started)
		if err := o.db.MarkStarted(ctx, s.ID, s.TemporalID, run); err != nil {
			return fmt.Errorf("marking work request %d: %w", s.ID, err)
		}
		o.log.Info("work request", "to", transition(s), "id", s.ID, "task", s.TaskName, "source", s.About.Subject, "queue", s.Queue, "temporal", s.TemporalID)
	}
	return nil
}

func transition(s store.Start) debusine.Status {
	if s.TaskType == debusine.WorkflowTask {
		return debusine.Running
	}
	return debusine.Pending
}

// start makes the execution. Doing it twice is harmless: an id never repeats.
func (o *Orchestrator) start(ctx context.Context, s store.Start) (run string, err error) {
	if s.TaskType == debusine.WorkflowTask {
		run, err = o.startWorkflow(ctx, s)
	} else {
		run, err = o.startActivity(ctx, s)
	}
	var activity *serviceerror.ActivityExecutionAlreadyStarted
	if errors.As(err, &activity) {
		return activity.RunId, nil
	}
	return run, err
}

func (o *Orchestrator) startActivity(ctx context.Context, s store.Start) (string, error) {
	limit, heartbeat, retry := task.WorkerOptions(s.Queue, s.TaskName)
	handle, err := o.temporal.ExecuteActivity(ctx, client.StartActivityOptions{
		ID: s.TemporalID, TaskQueue: s.Queue, StartToCloseTimeout: limit, HeartbeatTimeout: heartbeat, RetryPolicy: retry,
		ActivityIDConflictPolicy: enumspb.ACTIVITY_ID_CONFLICT_POLICY_USE_EXISTING,
		ActivityIDReusePolicy:    enumspb.ACTIVITY_ID_REUSE_POLICY_REJECT_DUPLICATE,
		Priority:                 temporal.Priority{PriorityKey: task.PriorityKey(s.Priority), FairnessKey: task.FairnessKey(s.Scope, s.Workspace)},
		TypedSearchAttributes:    attributes(s), Summary: summary(s), StaticDetails: details(s),
	}, s.TaskName, task.WorkRequest{ID: s.ID})
	if err != nil {
		return "", err
	}
	return handle.GetRunID(), nil
}

func (o *Orchestrator) startWorkflow(ctx context.Context, s store.Start) (string, error) {
	run, err := o.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: s.TemporalID, TaskQueue: task.ServerQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		Priority:                 temporal.Priority{PriorityKey: task.PriorityKey(s.Priority), FairnessKey: task.FairnessKey(s.Scope, s.Workspace)},
		TypedSearchAttributes:    attributes(s), StaticSummary: summary(s), StaticDetails: details(s),
	}, s.TaskName, task.WorkflowStart{ID: s.ID, Installation: o.db.Installation(), Scope: s.Scope, Workspace: s.Workspace, Priority: s.Priority, Data: s.Data})
	if err != nil {
		return "", err
	}
	return run.GetRunID(), nil
}

// Abort ends a work request and what is below it, and tells Temporal.
func (o *Orchestrator) Abort(ctx context.Context, id, user int64) error {
	ended, err := o.db.Abort(ctx, id, user)
	if err != nil {
		return err
	}
	for _, e := range ended {
		o.log.Info("work request", "to", debusine.Aborted, "id", e, "user", user)
	}
	go o.tellSoon(context.WithoutCancel(ctx), id)
	return nil
}

// ProvideSignature ends the wait for a signature, and tells the workflow that waits
// for it.
func (o *Orchestrator) ProvideSignature(ctx context.Context, id, user, unsigned, signed int64, output debusine.OutputData) error {
	if err := o.db.ProvideSignature(ctx, id, user, unsigned, signed, output); err != nil {
		return err
	}
	o.log.Info("work request", "to", debusine.Completed, "id", id, "result", debusine.Success, "user", user)
	crash.Point(crash.Recorded)
	o.tellSoon(context.WithoutCancel(ctx), id)
	return nil
}

// Retry gives a work request that ended without success another go; the answer
// is the one to watch.
func (o *Orchestrator) Retry(ctx context.Context, id, user int64) (int64, error) {
	root, err := o.db.RootOf(ctx, id)
	if err != nil {
		return 0, err
	}
	// An aborted run that was not told would go on for ever: the next one takes
	// its place in the row.
	telling, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	if err := o.tell(telling, root, 0); err != nil {
		o.log.Warn("no retry: Temporal could not be told of the end before", "id", root, "error", err)
		return 0, debusine.WithHint(debusine.Conflictf("the end of work request %d is still being settled", root), "try again in some seconds")
	}
	retried, err := o.db.Retry(ctx, id, user)
	if err != nil {
		return 0, err
	}
	if root, err = o.db.RootOf(ctx, retried); err != nil {
		return 0, err
	}
	o.startSoon(ctx, root)
	return retried, nil
}

// Begin answers a worker that was given a task.
func (o *Orchestrator) Begin(ctx context.Context, worker debusine.Worker, id int64, sealed []byte) (store.Beginning, error) {
	d, err := o.seals.Open(worker.ID, sealed)
	if err != nil || d.WorkRequest != id {
		o.log.Warn("refused: a task token that is not this worker's", "worker", worker.Name, "id", id)
		return store.Beginning{}, debusine.Forbiddenf("this task was not given to worker %s", worker.Name)
	}
	return o.begin(ctx, worker, d)
}

// BeginSigning answers a signing worker, which polls Temporal itself and so knows
// its token as it is.
func (o *Orchestrator) BeginSigning(ctx context.Context, worker debusine.Worker, d store.Delivery) (store.Beginning, error) {
	return o.begin(ctx, worker, d)
}

func (o *Orchestrator) begin(ctx context.Context, worker debusine.Worker, d store.Delivery) (store.Beginning, error) {
	id := d.WorkRequest
	b, err := o.db.Begin(ctx, d)
	if err != nil {
		return b, err
	}
	switch {
	case b.Transition != "":
		o.log.Info("work request", "to", b.Transition, "id", id, "task", b.TaskName, "source", b.Source, "architecture", b.Architecture,
			"worker", worker.Name, "attempt", b.Number, "reason", b.Reason)
	case b.Verdict == store.No:
		o.log.Warn("refused: a late begin", "worker", worker.Name, "id", id, "reason", b.Reason)
	}
	return b, nil
}

// Complete records how an attempt ended.
func (o *Orchestrator) Complete(ctx context.Context, id, attempt int64, result debusine.Result, output json.RawMessage) error {
	c, err := o.db.Complete(ctx, attempt, result, output)
	if err != nil {
		return err
	}
	if c.First {
		said := []any{"to", c.Status, "id", id, "task", c.Task, "source", c.Source, "architecture", c.Architecture,
			"worker", c.Worker, "attempt", c.Number, "result", c.Result}
		if c.Class != "" {
			said = append(said, "failure", c.Class)
		}
		o.log.Info("work request", said...)
	}
	return nil
}
