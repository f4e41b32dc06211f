package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"debusine"
	"debusine/api"
	"debusine/task"
)

func (s *Server) listTemplates(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	templates, err := s.db.Templates(c.ctx(), w.ID)
	if err != nil {
		return err
	}
	out := api.Page[api.WorkflowTemplate]{Results: []api.WorkflowTemplate{}}
	for _, t := range templates {
		one, err := showTemplateOf(t)
		if err != nil {
			return err
		}
		out.Results = append(out.Results, one)
	}
	return c.reply(out)
}

func (s *Server) showTemplate(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	return s.replyTemplate(c, w.ID, c.Param("template"))
}

func (s *Server) replyTemplate(c *call, workspace int64, name string) error {
	t, err := s.db.Template(c.ctx(), workspace, name)
	if err != nil {
		return err
	}
	out, err := showTemplateOf(t)
	if err != nil {
		return err
	}
	return c.reply(out)
}

func (s *Server) createTemplate(c *call) error {
	var in api.WorkflowTemplate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	in.ID = 0
	t, err := readTemplate(in, w)
	if err == nil && t.Priority > 0 {
		err = c.allowVerb(debusine.RaisePriority, resourceOf(w)) // all machines' queues are shared
	}
	if err == nil {
		err = s.db.CheckExtraGroups(c.ctx(), c.who.UserID, w.ScopeID, t.ExtraGroups)
	}
	if err == nil {
		err = s.db.CheckScheduled(c.ctx(), c.who.UserID, w.ID, t.Name)
	}
	if err != nil {
		return err
	}
	if _, err := s.db.PutTemplate(c.ctx(), t); err != nil {
		return err
	}
	return s.replyTemplate(c, w.ID, t.Name)
}

// patchTemplate changes the keys that are given and leaves the others.
func (s *Server) patchTemplate(c *call) error {
	var keys map[string]json.RawMessage
	if err := c.bind(&keys); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	old, err := s.db.Template(c.ctx(), w.ID, c.Param("template"))
	if err != nil {
		return err
	}
	in, err := showTemplateOf(old)
	if err != nil {
		return err
	}
	if err := patch(&in, keys); err != nil {
		return err
	}
	in.ID = old.ID
	t, err := readTemplate(in, w)
	if err == nil && t.Priority > max(old.Priority, 0) {
		err = c.allowVerb(debusine.RaisePriority, resourceOf(w))
	}
	if err == nil {
		err = s.db.CheckExtraGroups(c.ctx(), c.who.UserID, w.ScopeID, slices.Concat(old.ExtraGroups, t.ExtraGroups))
	}
	if err == nil {
		err = s.db.CheckScheduled(c.ctx(), c.who.UserID, w.ID, old.Name, fmt.Sprint(old.ID), t.Name)
	}
	if err != nil {
		return err
	}
	if _, err := s.db.PutTemplate(c.ctx(), t); err != nil {
		return err
	}
	return s.replyTemplate(c, w.ID, t.Name)
}

// patch puts the given keys, whole, into what there is.
func patch(in *api.WorkflowTemplate, keys map[string]json.RawMessage) error {
	if _, given := keys["static_parameters"]; given {
		in.StaticParameters = nil // else the maps would be merged
	}
	delete(keys, "links")
	delete(keys, "id")
	raw, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("reading the change: %w", err)
	}
	known := map[string]bool{"name": true, "task_name": true, "static_parameters": true, "runtime_parameters": true, "priority": true, "extra_groups": true, "restricted": true}
	for key := range keys {
		if !known[key] {
			return debusine.Invalid{What: fmt.Sprintf("key %.80q is unknown", key), Per: map[string]string{fmt.Sprintf("%.80s", key): "unknown"}}
		}
	}
	if err := json.Unmarshal(raw, in); err != nil {
		return bindFault(err)
	}
	return nil
}

func readTemplate(in api.WorkflowTemplate, w debusine.Workspace) (debusine.WorkflowTemplate, error) {
	t := debusine.WorkflowTemplate{ID: in.ID, WorkspaceID: w.ID, Name: in.Name, TaskName: task.Canonical(in.TaskName), Static: in.StaticParameters,
		Priority: in.Priority, Restricted: in.Restricted, ExtraGroups: in.ExtraGroups}
	if !slices.Contains(task.Workflows(), t.TaskName) {
		return t, debusine.Invalid{What: fmt.Sprintf("workflow %.80q is unknown", in.TaskName), Hint: "known: " + strings.Join(task.Workflows(), ", "),
			Per: map[string]string{"task_name": "unknown"}}
	}
	if len(in.Name) > 200 {
		return t, debusine.Invalidf("the template's name is longer than 200 bytes")
	}
	if in.Priority > 1000 || in.Priority < -1000 {
		return t, debusine.Invalidf("priority must lie between -1000 and 1000")
	}
	var err error
	if t.Runtime, err = debusine.ParseRuntimeParameters(in.RuntimeParameters); err != nil {
		return t, err
	}
	return t, checkParameters(t)
}

// checkParameters refuses names that the workflow does not have: a template with
// one could never be started, or would allow what nobody can use.
func checkParameters(t debusine.WorkflowTemplate) error {
	known := task.WorkflowParameters(t.TaskName)
	for _, names := range [][]string{slices.Sorted(maps.Keys(t.Static)), slices.Sorted(maps.Keys(t.Runtime.Allowed))} {
		for _, name := range names {
			if !slices.Contains(known, name) {
				return debusine.Invalid{What: fmt.Sprintf("workflow %s has no parameter %.80q", t.TaskName, name), Hint: "it takes: " + strings.Join(known, ", "),
					Per: map[string]string{fmt.Sprintf("%.80s", name): "unknown"}}
			}
		}
	}
	return nil
}

func (s *Server) deleteTemplate(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	t, err := s.db.Template(c.ctx(), w.ID, c.Param("template"))
	if err != nil {
		return err
	}
	if err := s.db.DeleteTemplate(c.ctx(), w.ID, t.ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func showTemplateOf(t debusine.WorkflowTemplate) (api.WorkflowTemplate, error) {
	runtime, err := json.Marshal(t.Runtime)
	if err != nil {
		return api.WorkflowTemplate{}, fmt.Errorf("writing the template: %w", err)
	}
	return api.WorkflowTemplate{ID: t.ID, Name: t.Name, TaskName: t.TaskName, StaticParameters: t.Static, RuntimeParameters: runtime, Priority: t.Priority,
		Restricted: t.Restricted, ExtraGroups: t.ExtraGroups, Links: webSelf("workflow-template/%s/%d/", escape(t.Workspace), t.ID)}, nil
}
