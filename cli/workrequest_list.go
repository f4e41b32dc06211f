package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/client"
)

func workRequestListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list work requests, newest first",
		Description: "Example: debusine work-request list --status pending",
		Flags: []cli.Flag{workspaceFlag(), limitFlag(),
			&cli.StringFlag{Name: "status", Usage: "those that are `STATUS`: blocked, pending, running, completed or aborted"},
			&cli.StringFlag{Name: "result", Usage: "those with `RESULT`: success, failure, temporary failure, error or skipped"},
			&cli.StringFlag{Name: "task", Usage: "those of the task `NAME`"},
			&cli.StringFlag{Name: "task-type", Usage: "those of `TYPE`: Worker, Workflow or Server"},
			&cli.Int64Flag{Name: "workflow", Usage: "those of the root workflow `ID`"},
			&cli.Int64Flag{Name: "parent", Usage: "those directly below the workflow `ID`"},
			&cli.BoolFlag{Name: "root-only", Usage: "none that a workflow made"}},
		Action: talk(workRequestList),
	}
}

func workRequestList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	if err := s.filters(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.WorkRequests(s.ctx(), client.WorkRequestFilter{Workspace: s.workspace(), Status: s.String("status"),
		Result: s.String("result"), TaskName: taskName(s.String("task")), TaskType: s.String("task-type"), Root: s.Int64("workflow"),
		Parent: s.Int64("parent"), RootOnly: s.Bool("root-only")}), s.Int("limit"))
	if err != nil {
		return err
	}
	return s.printWorkRequests(all)
}

// filters refuses words that no work request can have: an empty table would look
// like an answer.
func (s *session) filters() error {
	known := map[string][]string{
		"status": {string(debusine.Blocked), string(debusine.Pending), string(debusine.Running), string(debusine.Completed), string(debusine.Aborted)},
		"result": {string(debusine.Success), string(debusine.Failure), string(debusine.TemporaryFailure), string(debusine.Error), string(debusine.Skipped)},
		"task-type": {string(debusine.WorkerTask), string(debusine.ServerTask), string(debusine.InternalTask), string(debusine.WorkflowTask),
			string(debusine.SigningTask), string(debusine.WaitTask)},
	}
	for _, flag := range []string{"status", "result", "task-type"} {
		if word := s.String(flag); word != "" && !slices.Contains(known[flag], word) {
			return usage{what: fmt.Sprintf("--%s %q is unknown", flag, word), hint: "it is one of: " + strings.Join(known[flag], ", ")}
		}
	}
	return nil
}
