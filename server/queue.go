package server

import (
	"context"
	"strings"
	"sync"
	"time"

	"debusine"
	"debusine/api"
	"debusine/forecast"
	"debusine/store"
	"debusine/task"
)

// outlook is the forecast for the whole installation, as it was some seconds ago:
// whoever polls pays for one reading between them.
type outlook struct {
	mu      sync.Mutex
	made    time.Time
	queued  store.Queued
	workers []debusine.Worker
	starts  map[int64]forecast.Estimate
}

// outlookFor is how long a forecast is good.
const outlookFor = 3 * time.Second

// view gives the parts of a forecast that is at most outlookFor old. They are
// shared: nobody changes them.
func (o *outlook) view(ctx context.Context, db *store.DB) (store.Queued, []debusine.Worker, map[int64]forecast.Estimate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.made) < outlookFor {
		return o.queued, o.workers, o.starts, nil
	}
	queued, err := db.Queued(ctx)
	if err != nil {
		return queued, nil, nil, err
	}
	workers, err := db.Workers(ctx)
	if err != nil {
		return queued, nil, nil, err
	}
	o.queued, o.workers, o.starts, o.made = queued, workers, foresee(&queued, workers), time.Now()
	return o.queued, o.workers, o.starts, nil
}

// foresee plays on from what is.
func foresee(q *store.Queued, workers []debusine.Worker) map[int64]forecast.Estimate {
	var machines []forecast.Machine
	number := map[int64]int{}
	for _, w := range workers {
		if ready(w) {
			number[w.ID] = len(machines)
			machines = append(machines, forecast.Machine{Slots: w.Concurrency, Queues: store.Takes(w, q.Queues)})
		}
	}
	var busy []forecast.Busy
	for _, h := range q.InHand {
		if at, known := number[h.Worker]; known {
			took, _ := q.History.Duration(h.Kind)
			busy = append(busy, forecast.Busy{Machine: at, Workspace: h.Kind.Workspace, Left: forecast.Left(took, q.Now.Sub(h.Since))})
		}
	}
	var jobs []forecast.Job
	for _, w := range q.Waiting {
		took, _ := q.History.Duration(w.Kind)
		jobs = append(jobs, forecast.Job{ID: w.ID, Queue: w.Queue, Workspace: w.Kind.Workspace, Priority: w.Priority, Took: took})
	}
	return forecast.Simulate(machines, busy, jobs)
}

// ready says that a machine takes work now.
func ready(w debusine.Worker) bool {
	return w.Enabled && !w.Draining && w.HeardAt != nil && time.Since(*w.HeardAt) < silence
}

const (
	queueShown = 100  // work requests of a queue, unless more are asked for
	queueMost  = 1000 //
)

func (s *Server) listQueues(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	limit, err := c.query("limit")
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = queueShown
	}
	if limit > queueMost {
		return debusine.Invalidf("limit is at most %d", queueMost)
	}
	seen, err := s.db.VisibleWorkspaces(c.ctx(), c.user())
	if err != nil {
		return err
	}
	queued, workers, starts, err := s.outlook.view(c.ctx(), s.db)
	if err != nil {
		return err
	}
	of := map[string][]store.Waiting{}
	for _, w := range queued.Waiting {
		of[w.Queue] = append(of[w.Queue], w)
	}
	out := api.Page[api.Queue]{Results: []api.Queue{}}
	for _, q := range queued.Queues {
		if wanted := c.QueryParam("queue"); wanted != "" && wanted != q.Name {
			continue
		}
		v := queueView{queue: q, now: queued.Now, starts: starts, history: &queued.History, limit: int(limit),
			own: c.who.Kind != debusine.Person || strings.Contains(q.Name, "~") && !c.who.Superuser,
			show: func(w store.Waiting) bool {
				scope, workspace := c.Request().Header.Get("X-Debusine-Scope"), c.QueryParam("workspace")
				return seen[w.Kind.Workspace] && (scope == "" || scope == w.Scope) && (workspace == "" || workspace == w.Workspace)
			}}
		if shown := v.of(of[q.Name], workers); len(shown.WorkRequests) > 0 {
			out.Results = append(out.Results, shown)
		}
	}
	if len(out.Results) == 0 {
		if err := s.checkScope(c); err != nil {
			return err
		}
	}
	return c.reply(out)
}

// queueView is what one caller may see of a queue. Its name, tags and machines
// are those of the work in it, of which the caller sees some.
type queueView struct {
	queue   store.QueueTags
	now     time.Time
	starts  map[int64]forecast.Estimate
	history *forecast.History
	limit   int
	own     bool // counts and positions tell nothing of the work of others
	show    func(store.Waiting) bool
}

func (v queueView) of(waiting []store.Waiting, workers []debusine.Worker) api.Queue {
	missing, unmet, able, enabled := store.Lacks(workers, v.queue)
	out := api.Queue{Name: v.queue.Name, TagsRequired: notNil(task.QueueRequired(v.queue.Required)), Waiting: len(waiting), Workers: able,
		MissingTags: missing, WorkRequests: []api.Queued{}}
	out.WaitingReason = v.reason(missing, unmet, able, enabled, workers)
	place := make([]*store.Waiting, len(waiting)+1) // by position
	for i := range waiting {
		place[v.starts[waiting[i].ID].Position] = &waiting[i]
	}
	visible := 0
	for _, w := range place {
		if w == nil || !v.show(*w) {
			continue
		}
		if visible++; visible <= v.limit {
			one := v.queued(*w)
			if v.own {
				one.Position = visible
			}
			out.WorkRequests = append(out.WorkRequests, one)
		}
	}
	if v.own {
		out.Waiting = visible
	}
	return out
}

func (v queueView) queued(w store.Waiting) api.Queued {
	took, basis := v.history.Duration(w.Kind)
	e := v.starts[w.ID]
	one := api.Queued{ID: w.ID, TaskType: string(w.TaskType), TaskName: w.TaskName, About: w.About, Architecture: w.Kind.Architecture, Scope: w.Scope,
		Workspace: w.Workspace, Priority: w.Priority, Position: e.Position, PendingAt: w.Since, Duration: took.Seconds(), EstimatedFrom: string(basis)}
	if e.Known {
		start := v.now.Add(e.Start)
		one.Start = &start
	}
	return one
}

// reason says in a sentence why nothing of the queue can begin.
func (v queueView) reason(missing, unmet []string, able, enabled int, workers []debusine.Worker) string {
	if able == 0 {
		if v.queue.Name == task.SigningQueue {
			return "no signing worker is enabled"
		}
		return waitingReason(debusine.WorkRequest{Status: debusine.Pending, TaskType: debusine.WorkerTask, NoWorkerCanTake: true, NoWorkerEnabled: enabled == 0,
			MissingTags: missing, UnmetWorkerDemand: unmet})
	}
	for _, w := range workers {
		if ready(w) && len(store.Takes(w, []store.QueueTags{v.queue})) > 0 {
			return ""
		}
	}
	return "every worker that can take this is away or drains"
}
