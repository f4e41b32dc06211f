package cli

import "github.com/urfave/cli/v2"

func workRequestAbortCommand() *cli.Command {
	return &cli.Command{
		Name: "abort", Usage: "stop a work request, or a workflow with all below it", ArgsUsage: "ID",
		Description: "Example: debusine work-request abort 12",
		Action:      talk(workRequestAbort),
	}
}

func workRequestAbort(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	w, err := s.api.Abort(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.printWorkRequest(w)
}
