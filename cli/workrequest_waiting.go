package cli

import (
	"context"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func workRequestRetryNowCommand() *cli.Command {
	return &cli.Command{
		Name: "retry-now", Usage: "end the waiting for the next try (retry_delays) of a work request, or of all that wait below a workflow", ArgsUsage: "ID",
		Description: "Example: debusine work-request retry-now 12",
		Action:      talk(changeRetries(func(s *session) retryChange { return s.api.RetryNow })),
	}
}

func workRequestGiveUpCommand() *cli.Command {
	return &cli.Command{
		Name: "give-up", Usage: "do not try a work request again (retry_delays), nor what waits below a workflow", ArgsUsage: "ID",
		Description: "Example: debusine work-request give-up 12",
		Action:      talk(changeRetries(func(s *session) retryChange { return s.api.GiveUp })),
	}
}

func workRequestRetryDelaysCommand() *cli.Command {
	return &cli.Command{
		Name: "set-retry-delays", Usage: "change the delays between the tries of a work request, or of all that wait below a workflow", ArgsUsage: "ID DELAY...",
		Description: "A DELAY is a number with s, m, h, d or w. They count from the first retry on; the one that is waited for begins anew from the last failure.\n" +
			"Example: debusine work-request set-retry-delays 12 10m 2h 1d",
		Action: talk(setRetryDelays),
	}
}

// retryChange is a call that changes how a step is tried again.
type retryChange func(ctx context.Context, id int64) (api.WorkRequest, error)

func changeRetries(change func(*session) retryChange) func(*session) error {
	return func(s *session) error {
		id, err := s.id("a work request")
		if err != nil {
			return err
		}
		w, err := change(s)(s.ctx(), id)
		if err != nil {
			return err
		}
		return s.printWorkRequest(w)
	}
}

func setRetryDelays(s *session) error {
	args := s.Args().Slice()
	if len(args) < 2 {
		return usage{what: "a work request and its delays are wanted", hint: "debusine work-request set-retry-delays 12 10m 2h 1d"}
	}
	id, err := parseID("a work request", args[0])
	if err != nil {
		return err
	}
	w, err := s.api.SetRetryDelays(s.ctx(), id, args[1:])
	if err != nil {
		return err
	}
	return s.printWorkRequest(w)
}
