package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"debusine"
	"debusine/api"
	"debusine/crash"
)

// Bounds on schedules.
const (
	shownRuns     = 20
	mostSchedules = 500 // of a workspace
)

// shortestEvery keeps a typing error from filling the queues.
func shortestEvery() time.Duration {
	if crash.Live {
		return time.Second
	}
	return time.Minute
}

func (s *Server) listSchedules(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	all, err := s.db.Schedules(c.ctx(), w.ID)
	if err != nil {
		return err
	}
	out := api.Page[api.Schedule]{Results: []api.Schedule{}}
	for _, one := range all {
		shown, err := s.showScheduleOf(c, one, 1)
		if err != nil {
			return err
		}
		shown.Runs = nil
		out.Results = append(out.Results, shown)
	}
	return c.reply(out)
}

func (s *Server) createSchedule(c *call) error {
	var in api.ScheduleCreate
	if err := c.bind(&in); err != nil {
		return err
	}
	w, on, err := s.findWorkspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	if err := c.allow(on); err != nil {
		return err
	}
	wanted, err := readSchedule(in)
	if err != nil {
		return err
	}
	others, err := s.db.Schedules(c.ctx(), w.ID)
	if err == nil && len(others) >= mostSchedules {
		err = debusine.Conflictf("workspace %s has %d schedules, which is the most it may have", w.Name, mostSchedules)
	}
	if err != nil {
		return err
	}
	if _, err := s.engine.CreateSchedule(c.ctx(), wanted, c.who, on); err != nil {
		return err
	}
	return s.replySchedule(c, w.ID, in.Name)
}

// readSchedule checks what can be checked without looking anything up.
func readSchedule(in api.ScheduleCreate) (debusine.Schedule, error) {
	out := debusine.Schedule{Name: in.Name, Template: in.TemplateName, Data: in.TaskData, Cron: in.Cron, Paused: in.Paused}
	switch {
	case in.Name == "" || len(in.Name) > 100:
		return out, debusine.Invalid{What: "the schedule's name must have 1 to 100 characters", Per: map[string]string{"name": "its length"}}
	case in.TemplateName == "":
		return out, debusine.Invalid{What: "template_name is missing", Hint: "see: debusine workflow-template list", Per: map[string]string{"template_name": "missing"}}
	case (in.Every == "") == (in.Cron == ""):
		return out, debusine.WithHint(debusine.Invalidf("give either every or cron"), "every 7d, or cron '0 3 * * 1'")
	}
	if out.Data == nil {
		out.Data = map[string]json.RawMessage{}
	}
	if in.Cron != "" {
		_, err := debusine.ParseCron(in.Cron)
		return out, err
	}
	var err error
	if out.Every, err = debusine.ParseEvery(in.Every); err == nil && out.Every < shortestEvery() {
		err = debusine.Invalid{What: "every must be a minute or more", Per: map[string]string{"every": "too short"}}
	}
	return out, err
}

func (s *Server) showSchedule(c *call) error {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return err
	}
	return s.replySchedule(c, w.ID, c.Param("schedule"))
}

func (s *Server) patchSchedule(c *call) error {
	var in api.SchedulePatch
	if err := c.bind(&in); err != nil {
		return err
	}
	found, err := s.schedule(c)
	if err != nil {
		return err
	}
	if in.Paused == nil {
		return debusine.WithHint(debusine.Invalidf("paused is missing"), "nothing else of a schedule changes: delete it and make another")
	}
	if err := s.engine.PauseSchedule(c.ctx(), found.ID, *in.Paused); err != nil {
		return err
	}
	return s.replySchedule(c, found.WorkspaceID, found.Name)
}

func (s *Server) deleteSchedule(c *call) error {
	found, err := s.schedule(c)
	if err != nil {
		return err
	}
	if err := s.engine.DeleteSchedule(c.ctx(), found.ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// runSchedule answers with the work request that was started.
func (s *Server) runSchedule(c *call) error {
	found, err := s.schedule(c)
	if err != nil {
		return err
	}
	run, err := s.engine.RunSchedule(c.ctx(), found.ID)
	if err != nil {
		return err
	}
	if run.WorkRequest == nil {
		return debusine.Conflictf("nothing was started: %s", run.Message)
	}
	return s.replyWorkRequest(c, *run.WorkRequest)
}

// schedule is the one that the path names, after the route's right was asked for.
func (s *Server) schedule(c *call) (debusine.Schedule, error) {
	w, err := s.workspace(c, c.Param("workspace"))
	if err != nil {
		return debusine.Schedule{}, err
	}
	return s.db.Schedule(c.ctx(), w.ID, c.Param("schedule"))
}

func (s *Server) replySchedule(c *call, workspace int64, name string) error {
	one, err := s.db.Schedule(c.ctx(), workspace, name)
	if err != nil {
		return err
	}
	out, err := s.showScheduleOf(c, one, shownRuns)
	if err != nil {
		return err
	}
	if !one.Paused && out.Problem == "" {
		if out.NextRuns, err = s.engine.NextRuns(c.ctx(), one); err != nil {
			s.log.Warn("Temporal does not tell a schedule's next runs", "id", one.ID, "error", err)
			out.Problem = "Temporal does not answer: no run is started until it does"
		}
	}
	return c.reply(out)
}

func (s *Server) showScheduleOf(c *call, one debusine.Schedule, runs int) (api.Schedule, error) {
	out := api.Schedule{ID: one.ID, Name: one.Name, Scope: one.Scope, Workspace: one.Workspace, TemplateName: one.Template, TaskData: one.Data,
		Cron: one.Cron, Paused: one.Paused, CreatedBy: one.CreatedBy, CreatedAt: one.CreatedAt}
	if one.Every > 0 {
		out.Every = debusine.FormatEvery(one.Every)
	}
	if one.Refused != "" {
		out.Problem = fmt.Sprintf("Temporal refuses it: %.200s", one.Refused)
	}
	list, err := s.db.ScheduleRuns(c.ctx(), one.ID, runs)
	for _, n := range list {
		out.Runs = append(out.Runs, api.ScheduleRun{ScheduledAt: n.At, Outcome: string(n.Outcome), Message: n.Message, Manual: n.Manual,
			WorkRequest: n.WorkRequest, Status: string(n.Status), Result: string(n.Result)})
	}
	if len(out.Runs) > 0 {
		out.LastRun = &out.Runs[0]
	}
	return out, err
}
