package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/store"
	"debusine/task"
)

func (s *Server) createWorkRequest(c *call) error {
	var in api.WorkRequestCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, in.Workspace)
	if err != nil {
		return err
	}
	kind, err := standaloneType(c, in, w)
	if err != nil {
		return err
	}
	if in.PriorityBase > 0 {
		if err := c.allowVerb(debusine.RaisePriority, resourceOf(w)); err != nil {
			return err
		}
	}
	reactions, err := task.UserReactions(in.EventReactions)
	if err == nil {
		err = s.db.CheckReactions(c.ctx(), w.ID, reactions)
	}
	if err != nil {
		return err
	}
	id, err := s.engine.Create(c.ctx(), store.New{WorkspaceID: w.ID, CreatedBy: c.who.UserID, TaskType: kind, TaskName: in.TaskName,
		Data: in.TaskData, Priority: in.PriorityBase, Reactions: reactions})
	if err != nil {
		return err
	}
	return s.replyWorkRequest(c, id)
}

// standaloneType is the type of a work request that a user makes. Keys are made
// by owners of the workspace; whether one may sign is asked when it does.
func standaloneType(c *call, in api.WorkRequestCreate, w debusine.Workspace) (debusine.TaskType, error) {
	kind := task.TypeOf(in.TaskName)
	switch {
	case in.TaskType != "" && in.TaskType != string(debusine.WorkerTask) && in.TaskType != string(debusine.SigningTask):
		return "", debusine.WithHint(debusine.Invalidf("task_type must be Worker or Signing, not %.80q", in.TaskType), "workflows are started with POST workflow/")
	case in.TaskType != "" && in.TaskType != string(kind):
		_, err := task.DefinitionOf(debusine.TaskType(in.TaskType), in.TaskName)
		return "", err
	case kind != debusine.WorkerTask && kind != debusine.SigningTask:
		return "", debusine.Forbidden{What: fmt.Sprintf("%s is a %s task: only workflows ask for it", task.Canonical(in.TaskName), kind), Hint: "start a workflow that does"}
	case kind == debusine.SigningTask && task.Canonical(in.TaskName) == "generatekey":
		return kind, c.allowVerb(debusine.ConfigureSpace, resourceOf(w))
	}
	return kind, nil
}

func (s *Server) startWorkflow(c *call) error {
	var in api.WorkflowCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	if (in.TemplateName == "") == (in.TaskName == "") {
		return debusine.Invalidf("give either template_name or task_name")
	}
	w, on, err := s.findWorkspace(c, in.Workspace)
	if err != nil {
		return err
	}
	n, err := s.workflowOf(c, w, on, in)
	if err != nil {
		return err
	}
	id, err := s.engine.StartWorkflow(c.ctx(), n)
	if err != nil {
		return err
	}
	return s.replyWorkRequest(c, id)
}

// workflowOf is the workflow to start, from a template or without one.
func (s *Server) workflowOf(c *call, w debusine.Workspace, on debusine.Resource, in api.WorkflowCreate) (n store.New, err error) {
	if in.TaskName == "" {
		c.asked = true
		return s.db.FromTemplate(c.ctx(), c.who, on, in.TemplateName, in.TaskData)
	}
	if err := c.allowVerb(debusine.StartBareWorkflow, on); err != nil {
		return n, err
	}
	n = store.New{WorkspaceID: w.ID, CreatedBy: c.who.UserID, TaskType: debusine.WorkflowTask, TaskName: in.TaskName, Data: json.RawMessage("{}")}
	if in.TaskData != nil {
		if n.Data, err = json.Marshal(in.TaskData); err != nil {
			return n, fmt.Errorf("writing the workflow's data: %w", err)
		}
	}
	return n, nil
}

func (s *Server) showWorkRequest(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	out, err := s.showOne(c, w)
	if err != nil {
		return err
	}
	return c.reply(out)
}

// workRequest reads the one that the path names and asks for the route's right.
func (s *Server) workRequest(c *call) (debusine.WorkRequest, error) {
	id, err := c.number("id", "work request")
	if err != nil {
		return debusine.WorkRequest{}, err
	}
	w, on, err := s.db.WorkRequest(c.ctx(), id)
	if err != nil {
		return w, err
	}
	return w, c.allow(on)
}

// replyWorkRequest answers with a work request of which the caller has just
// done something.
func (s *Server) replyWorkRequest(c *call, id int64) error {
	w, _, err := s.db.WorkRequest(c.ctx(), id)
	if err != nil {
		return err
	}
	out, err := s.showOne(c, w)
	if err != nil {
		return err
	}
	return c.reply(out)
}

func (s *Server) listWorkRequests(c *call) error {
	if err := c.allow(debusine.Resource{}); err != nil {
		return err
	}
	p, err := c.paging()
	if err != nil {
		return err
	}
	f, err := workRequestFilter(c)
	if err != nil {
		return err
	}
	f.Before = p.before
	list, err := s.db.WorkRequests(c.ctx(), c.user(), f, p.size+1)
	if err == nil && len(list) == 0 {
		err = s.checkScope(c)
	}
	if err != nil {
		return err
	}
	var broken error
	out := page(c, s, p, list, func(w debusine.WorkRequest) int64 { return w.ID }, func(w debusine.WorkRequest) api.WorkRequest {
		one, err := s.showOne(c, w)
		if err != nil {
			broken = err
		}
		return one
	})
	if broken != nil {
		return broken
	}
	return c.reply(out)
}

func workRequestFilter(c *call) (f store.WorkRequestFilter, err error) {
	f = store.WorkRequestFilter{Scope: c.Request().Header.Get("X-Debusine-Scope"), Workspace: c.QueryParam("workspace"), Status: c.QueryParam("status"),
		Result: c.QueryParam("result"), TaskType: c.QueryParam("task_type"), TaskName: task.Canonical(c.QueryParam("task_name"))}
	f.RootOnly = c.QueryParam("root_only") == "true" || c.QueryParam("root_only") == "1"
	if text := c.QueryParam("ids"); text != "" {
		f.IDs = []int64{}
		for _, word := range strings.Split(text, ",") {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil || len(f.IDs) > 1000 {
				return f, debusine.Invalid{What: "ids must be numbers with commas between them", Per: map[string]string{"ids": "not numbers"}}
			}
			f.IDs = append(f.IDs, n)
		}
	}
	if f.Parent, err = c.query("parent"); err != nil {
		return f, err
	}
	f.Root, err = c.query("workflow_root")
	return f, err
}

func (s *Server) patchWorkRequest(c *call) error {
	var in api.WorkRequestPatch
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	if in.PriorityAdjustment == nil {
		return debusine.Invalidf("priority_adjustment is missing")
	}
	if *in.PriorityAdjustment > 0 {
		if err := c.allowVerb(debusine.RaisePriority, debusine.Resource{}); err != nil {
			return err
		}
	}
	if *in.PriorityAdjustment > 1000 || *in.PriorityAdjustment < -1000 {
		return debusine.Invalidf("priority_adjustment must lie between -1000 and 1000")
	}
	if err := s.db.SetPriorityAdjustment(c.ctx(), w.ID, *in.PriorityAdjustment); err != nil {
		return err
	}
	return s.replyWorkRequest(c, w.ID)
}

func (s *Server) abortWorkRequest(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	if err := s.engine.Abort(c.ctx(), w.ID, c.who.UserID); err != nil {
		return err
	}
	return s.replyWorkRequest(c, w.ID)
}

func (s *Server) retryWorkRequest(c *call) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	id, err := s.engine.Retry(c.ctx(), w.ID, c.who.UserID)
	if err != nil {
		return err
	}
	return s.replyWorkRequest(c, id)
}

// showOne is a work request as everybody sees it.
func (s *Server) showOne(c *call, w debusine.WorkRequest) (api.WorkRequest, error) {
	if err := s.missingTags(c.ctx(), &w); err != nil {
		return api.WorkRequest{}, err
	}
	out := api.WorkRequest{
		ID: w.ID, URL: place("work-request/%d/", w.ID), Parent: w.Parent, WorkflowRoot: w.Root,
		CreatedAt: w.CreatedAt, PendingAt: w.PendingAt, StartedAt: w.StartedAt, CompletedAt: w.CompletedAt,
		CreatedBy: w.CreatedBy, AbortedBy: w.AbortedBy, Status: string(w.Status), Result: string(w.Result),
		Worker: w.WorkerID, WorkerName: w.Worker, Attempt: w.Attempt, TaskType: string(w.TaskType), TaskName: w.TaskName,
		TaskData: w.TaskData, ConfiguredTaskData: w.ConfiguredData, DynamicTaskData: orNull(w.DynamicData),
		PriorityBase: w.PriorityBase, PriorityAdjustment: w.PriorityAdjust, OutputData: w.OutputData, WorkflowData: w.WorkflowData,
		Step: w.Step, Template: w.Template, Artifacts: notNil(w.Artifacts), Scope: w.Scope, Workspace: w.Workspace,
		Supersedes: w.Supersedes, SupersededBy: w.SupersededBy, TagsProvided: notNil(w.TagsProvided), TagsRequired: notNil(w.TagsRequired),
		Queue: w.Queue, MissingTags: w.MissingTags, WaitingReason: waitingReason(w),
		TemporalID: w.TemporalID, TemporalURL: s.temporalURL(w), HasLog: w.HasLog, LogArtifact: w.LogArtifact,
		Retry: (*api.Retry)(w.Retry), RuntimeStatus: w.RuntimeStatus, StepsToRetry: w.StepsToRetry, NextRetry: w.NextRetry, Links: webSelf("work-request/%d/", w.ID),
	}
	if w.StartedAt != nil && w.CompletedAt != nil {
		seconds := w.CompletedAt.Sub(*w.StartedAt).Seconds()
		out.Duration = &seconds
	}
	return out, nil
}

// waitingReason says in a sentence why a pending work request does not begin, or
// for whom one that runs waits.
func waitingReason(w debusine.WorkRequest) string {
	if w.NeedsInput != 0 && !w.Status.Ended() {
		return fmt.Sprintf("needs input: debusine work-request sign %d", w.NeedsInput)
	}
	if w.Status != debusine.Pending || w.TaskType != debusine.WorkerTask && w.TaskType != debusine.SigningTask {
		return retryReason(w)
	}
	switch {
	case w.SigningWaits != "":
		return w.SigningWaits
	case w.NoWorkerEnabled && w.TaskType == debusine.SigningTask:
		return "no enabled worker can take this: no signing worker is enabled"
	case w.NoWorkerEnabled:
		return "no enabled worker can take this: none is enabled"
	case w.NoWorkerCanTake && len(w.MissingTags) > 0:
		return "no enabled worker can take this: the nearest one lacks " + strings.Join(w.MissingTags, ", ")
	case w.NoWorkerCanTake && len(w.UnmetWorkerDemand) > 0:
		// For which is nobody's business: it may be a workspace that is not public.
		return "no enabled worker can take this: the nearest one is kept for other work"
	case w.NoWorkerCanTake:
		return "no enabled worker can take this"
	}
	return "waits for a worker to be free"
}

// temporalURL leads to the run in the Web UI.
func (s *Server) temporalURL(w debusine.WorkRequest) string {
	if s.options.UIURL == "" || w.TemporalID == "" {
		return ""
	}
	kind := "workflows"
	if strings.HasPrefix(w.TemporalID, "wr/") {
		kind = "activities"
	}
	address := strings.TrimRight(s.options.UIURL, "/") + "/namespaces/" + url.PathEscape(s.options.Namespace) + "/" + kind + "/" + url.PathEscape(w.TemporalID)
	if w.TemporalRunID != "" {
		address += "/" + url.PathEscape(w.TemporalRunID)
	}
	return address
}

// orNull: Debusine gives null where nothing is known yet.
func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
