package server

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"debusine"
	"debusine/api"
	"debusine/server/gateway"
	"debusine/store"
)

// Lengths of what a new worker says of itself.
const (
	shortestSecret = 32
	longestSecret  = 256
)

func (s *Server) registerWorker(c *call) error {
	var in api.WorkerRegister
	if err := c.bind(&in); err != nil {
		return err
	}
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	switch {
	case len(in.Token) < shortestSecret || len(in.Token) > longestSecret:
		return debusine.Invalid{What: "the worker's token must have 32 to 256 characters", Hint: "make it of 32 random bytes", Per: map[string]string{"token": "wrong length"}}
	case in.WorkerType != "" && in.WorkerType != "external":
		return debusine.Invalid{What: "only external workers register here", Per: map[string]string{"worker_type": "not allowed"}}
	case in.Concurrency < 0 || in.Concurrency > 256:
		return debusine.Invalid{What: "concurrency must lie between 1 and 256", Per: map[string]string{"concurrency": "out of range"}}
	}
	w, err := s.db.Register(c.ctx(), store.Registration{Secret: in.Token, Name: in.FQDN, Concurrency: in.Concurrency, Activation: secretOf(c.Request())})
	if err != nil {
		return err
	}
	s.log.Info("worker registered", "worker", w.Name, "enabled", w.Enabled)
	return c.reply(api.WorkerRegistered{ID: w.ID, Name: w.Name, Enabled: w.Enabled})
}

// longestMetadata of a worker: keys at the top.
const longestMetadata = 500

func (s *Server) tellMetadata(c *call) error {
	var in api.WorkerMetadata
	if err := c.bind(&in); err != nil {
		return err
	}
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	if len(in) > longestMetadata {
		return debusine.Invalidf("metadata has %d keys, %d are allowed", len(in), longestMetadata)
	}
	w, ignored, err := s.db.TellMetadata(c.ctx(), c.who.WorkerID, in)
	if err != nil {
		return err
	}
	if w.Type == signingWorker { // no gateway hears it
		if err := s.db.WorkersHeard(c.ctx(), []int64{w.ID}); err != nil {
			return err
		}
	}
	queues, err := s.db.QueuesOf(c.ctx(), w)
	if err != nil {
		return err
	}
	if len(ignored) > 0 {
		s.log.Debug("ignored tags of a worker", "worker", w.Name, "tags", ignored)
	}
	return c.reply(api.WorkerHello{ID: w.ID, Name: w.Name, Enabled: w.Enabled, Gateway: s.options.Gateway, GatewayTLS: s.options.GatewayTLS,
		Namespace: s.options.Namespace, TaskQueue: gateway.WorkerQueue(w.Name), Concurrency: w.Concurrency,
		TagsProvided: notNil(w.TagsProvided), TagsIgnored: ignored, QueuesEntitled: queues})
}

// silence after which a worker does not count as connected any more.
const silence = 2 * time.Minute

func (s *Server) listWorkers(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	workers, err := s.db.Workers(c.ctx())
	if err != nil {
		return err
	}
	if c.who.Kind == debusine.Machine {
		workers = slices.DeleteFunc(workers, func(w debusine.Worker) bool { return w.ID != c.who.WorkerID })
	} else if err := s.db.HideFrom(c.ctx(), c.user(), workers); err != nil {
		return err
	}
	out := api.Page[api.Worker]{Results: []api.Worker{}}
	for _, w := range workers {
		out.Results = append(out.Results, showWorker(w))
	}
	return c.reply(out)
}

func showWorker(w debusine.Worker) api.Worker {
	return api.Worker{ID: w.ID, Name: w.Name, Type: w.Type, Enabled: w.Enabled, Draining: w.Draining,
		Connected: w.HeardAt != nil && time.Since(*w.HeardAt) < silence, Concurrency: w.Concurrency, RegisteredAt: w.RegisteredAt, HeardAt: w.HeardAt,
		Static: w.Static, Dynamic: w.Dynamic, TagsProvided: notNil(w.TagsProvided), TagsRequired: w.TagsRequired,
		Running: notNil(w.Running), RunningCount: w.Busy}
}

func (s *Server) whoami(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	kind := string(c.who.Kind)
	if kind == "" {
		kind = "anonymous"
	}
	return c.reply(api.Whoami{User: c.who.User, Worker: c.who.Worker, TokenType: kind, Scope: c.scope()})
}

func (s *Server) serviceStatus(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	status, err := s.db.Status(c.ctx())
	if err != nil {
		return err
	}
	out := api.ServiceStatus{Version: s.options.Version, Pending: status.Pending, Running: status.Running, Workers: status.Workers,
		WorkersBusy: status.Busy, UI: s.options.UIURL}
	if !slices.Contains([]debusine.Kind{debusine.Person, debusine.Machine}, c.who.Kind) {
		out.Pending = map[string]int{}
	}
	if !c.who.Superuser { // a queue behind a gate may name a private workspace
		maps.DeleteFunc(out.Pending, func(queue string, _ int) bool { return strings.Contains(queue, "~") })
	}
	return c.replyWith(http.StatusOK, out)
}
