package cli

import "github.com/urfave/cli/v2"

func workRequestShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a work request", ArgsUsage: "ID",
		Description: "Example: debusine work-request show 12",
		Action:      talk(workRequestShow),
	}
}

func workRequestShow(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	w, err := s.api.WorkRequest(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.printWorkRequest(w)
}
