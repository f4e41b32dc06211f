package cli

import (
	"github.com/urfave/cli/v2"

	"debusine/api"
)

func workRequestManageCommand() *cli.Command {
	return &cli.Command{
		Name: "manage", Usage: "change the priority of a work request", ArgsUsage: "ID",
		Description: "Example: debusine work-request manage 12 --set-priority-adjustment -10",
		Flags:       []cli.Flag{&cli.IntFlag{Name: "set-priority-adjustment", Usage: "add `N` to its base priority: higher goes first"}},
		Action:      talk(workRequestManage),
	}
}

func workRequestManage(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	if !s.IsSet("set-priority-adjustment") {
		return usage{what: "there is nothing to change", hint: "--set-priority-adjustment N"}
	}
	adjustment := s.Int("set-priority-adjustment")
	w, err := s.api.Patch(s.ctx(), id, api.WorkRequestPatch{PriorityAdjustment: &adjustment})
	if err != nil {
		return err
	}
	return s.printWorkRequest(w)
}
