package cli

import "github.com/urfave/cli/v2"

func workRequestRetryCommand() *cli.Command {
	return &cli.Command{
		Name: "retry", Usage: "do an ended work request again; of a workflow, what did not succeed", ArgsUsage: "ID",
		Description: "Example: debusine work-request retry 12 --wait",
		Flags:       []cli.Flag{waitFlag()},
		Action:      talk(workRequestRetry),
	}
}

func workRequestRetry(s *session) error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	w, err := s.api.Retry(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.started(w)
}
