package cli

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func waitFlag() cli.Flag {
	return &cli.BoolFlag{Name: "wait", Usage: "wait until it has ended, and show how it goes"}
}

func workRequestCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "ask for one task to be done", ArgsUsage: "TASK",
		Description: "Example: debusine work-request create sleep --set seconds=5 --wait",
		Flags: append(dataFlags("task's data"), workspaceFlag(), waitFlag(),
			&cli.IntFlag{Name: "priority", Usage: "base priority `N`: higher goes first"},
			&cli.StringFlag{Name: "event-reactions", Usage: "what is to happen then: an object, YAML or JSON, from `FILE`"}),
		Action: talk(workRequestCreate),
	}
}

func workRequestCreate(s *session) error {
	if err := s.want("TASK"); err != nil {
		return err
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	n := api.WorkRequestCreate{TaskName: taskName(s.Args().First()), Workspace: s.workspace(), PriorityBase: s.Int("priority")}
	if n.TaskData, err = json.Marshal(data); err != nil {
		return usage{what: "the data cannot be written as JSON: " + err.Error()}
	}
	reactions, err := s.parameters("event-reactions")
	if err != nil {
		return err
	}
	if reactions != nil {
		if n.EventReactions, err = json.Marshal(reactions); err != nil {
			return err
		}
	}
	w, err := s.api.CreateWorkRequest(s.ctx(), n)
	if err != nil {
		return err
	}
	return s.started(w)
}
