package orchestrator

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// summary is the line that the Web UI shows for an execution: what is done, to
// what, and the number that people ask for it by.
func summary(s store.Start) string {
	text := s.TaskName
	if s.About.ParameterSummary != "" {
		text += " " + s.About.ParameterSummary
	}
	if s.About.Suite != "" && s.About.Source != "" {
		text += " for " + s.About.Suite
	}
	return fmt.Sprintf("%s, work request %d", task.Plain(text), s.ID)
}

// details say where the execution belongs and how to go on from the Web UI, which
// only shows. In Temporal's Markdown.
func details(s store.Start) string {
	lines := []string{fmt.Sprintf("Work request **%d** in workspace **%s/%s**, priority %d.", s.ID, task.Plain(s.Scope), task.Plain(s.Workspace), s.Priority), "",
		fmt.Sprintf("- All about it: `debusine work-request show %d`", s.ID)}
	if s.TaskType == debusine.WorkflowTask {
		lines = append(lines, fmt.Sprintf("- Its parts: `debusine work-request list --parent %d`", s.ID))
	} else {
		lines = append(lines, fmt.Sprintf("- Its log: `debusine work-request log %d`", s.ID))
	}
	lines = append(lines, fmt.Sprintf("- Stop it: `debusine work-request abort %d`", s.ID))
	return strings.Join(lines, "\n") + "\n"
}

func attributes(s store.Start) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(append(task.PlaceAttributes(s.Scope, s.Workspace, s.ID), s.About.Attributes()...)...)
}
