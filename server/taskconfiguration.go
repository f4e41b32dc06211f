package server

import (
	"encoding/json"
	"fmt"
	"regexp"

	"debusine"
	"debusine/api"
	"debusine/store"
	"debusine/task"
	"debusine/taskconfig"
)

func (s *Server) showTaskConfiguration(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	one, entries, err := s.db.TaskConfiguration(c.ctx(), w.ID, c.Param("name"))
	if err != nil {
		return err
	}
	out := api.TaskConfiguration{Collection: api.TaskConfigurationCollection{ID: one.ID, Name: one.Name, Data: map[string]string{}}, Items: []json.RawMessage{}}
	if err := json.Unmarshal(one.Data, &out.Collection.Data); err != nil {
		return fmt.Errorf("reading collection %d: %w", one.ID, err)
	}
	for _, e := range entries {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		out.Items = append(out.Items, raw)
	}
	return c.reply(out)
}

var gitCommit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// replaceTaskConfiguration takes a whole configuration, or nothing of it.
func (s *Server) replaceTaskConfiguration(c *call) error {
	var in api.TaskConfigurationUpdate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	r := store.Replacement{Workspace: w.ID, User: c.who.UserID, Name: c.Param("name"), DryRun: in.DryRun}
	if in.Collection.Name != "" && in.Collection.Name != r.Name {
		return debusine.Invalidf("the configuration is for %.80q, and not for %.80q", in.Collection.Name, r.Name)
	}
	data := map[string]string{}
	if commit := in.Collection.Data["git_commit"]; commit != "" {
		if !gitCommit.MatchString(commit) {
			return debusine.Invalid{What: "git_commit is no commit of git", Per: map[string]string{"collection": "git_commit"}}
		}
		data["git_commit"] = commit
	}
	if r.Data, err = json.Marshal(data); err != nil {
		return err
	}
	if len(in.Items) > taskconfig.MostEntries {
		return debusine.Invalidf("a task configuration has at most %d entries, not %d", taskconfig.MostEntries, len(in.Items))
	}
	for i, raw := range in.Items {
		e, err := taskconfig.Parse(raw)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		r.Entries = append(r.Entries, e)
	}
	counts, err := s.db.ReplaceTaskConfiguration(c.ctx(), r)
	if err != nil {
		return err
	}
	return c.reply(api.TaskConfigurationCounts(counts))
}

// explainTaskConfiguration tells which entries would apply to some work.
func (s *Server) explainTaskConfiguration(c *call) error {
	var in api.TaskConfigurationQuestion
	if err := c.bind(&in); err != nil {
		return err
	}
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	t := taskconfig.Target{TaskType: debusine.TaskType(in.TaskType), TaskName: task.Canonical(in.TaskName), Subject: in.Subject, Context: in.Context,
		TagsProvided: in.TagsProvided, TagsRequired: in.TagsRequired}
	switch t.TaskType {
	case "":
		t.TaskType = debusine.WorkerTask
	case debusine.WorkerTask, debusine.WorkflowTask:
	default:
		return debusine.Invalidf("task_type is %.40q, not Worker or Workflow", in.TaskType)
	}
	if t.TaskName == "" {
		return debusine.Invalid{What: "task_name is missing", Per: map[string]string{"task_name": "required"}}
	}
	configured, err := s.db.ExplainTaskConfiguration(c.ctx(), w.ID, c.Param("name"), t, in.TaskData)
	if err != nil {
		return err
	}
	out := api.TaskConfigurationAnswer{Steps: []api.TaskConfigurationStep{}, TaskData: configured.Data, ProvideTags: notNil(configured.ProvideTags), RequireTags: notNil(configured.RequireTags)}
	for _, step := range configured.Steps {
		out.Steps = append(out.Steps, showStep(step))
	}
	return c.reply(out)
}

func showStep(s taskconfig.Step) api.TaskConfigurationStep {
	out := api.TaskConfigurationStep{Entry: s.Entry, Where: s.Where, Via: s.Via, Comment: s.Comment, Tags: s.Tags}
	for _, change := range s.Changes {
		out.Changes = append(out.Changes, api.TaskConfigurationChange{Key: change.Key, Does: string(change.Does), Value: change.Value, Lost: string(change.Lost)})
	}
	return out
}
