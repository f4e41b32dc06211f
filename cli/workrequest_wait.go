package cli

import "github.com/urfave/cli/v2"

func workRequestWaitCommand() *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "wait until a work request or workflow has ended", ArgsUsage: "ID",
		Description: "The exit code is 0 when it succeeded, 1 when it did not.\n\nExample: debusine work-request wait 12",
		Action:      talk(workRequestWait),
	}
}

func workRequestWait(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	w, err := s.api.WorkRequest(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.wait(w)
}
