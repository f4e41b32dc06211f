package cli

import (
	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/client"
)

func workflowListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list workflows, newest first",
		Description: "Example: debusine workflow list --status running",
		Flags: []cli.Flag{workspaceFlag(), limitFlag(),
			&cli.StringFlag{Name: "status", Usage: "those that are `STATUS`: running, completed or aborted"}},
		Action: talk(workflowList),
	}
}

func workflowList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.WorkRequests(s.ctx(), client.WorkRequestFilter{Workspace: s.workspace(), Status: s.String("status"),
		TaskType: string(debusine.WorkflowTask), RootOnly: true}), s.Int("limit"))
	if err != nil {
		return err
	}
	return s.printWorkRequests(all)
}
