package cli

import "github.com/urfave/cli/v2"

func scheduleRunCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "start now what a schedule is for, besides its times", ArgsUsage: "NAME",
		Description: "It runs on behalf of who created the schedule, also while that is paused.\n\n" +
			"Example: debusine schedule run weekly-environments --wait",
		Flags:  []cli.Flag{workspaceFlag(), waitFlag()},
		Action: talk(scheduleRun),
	}
}

func scheduleRun(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	w, err := s.api.RunSchedule(s.ctx(), s.place(), s.Args().First())
	if err != nil {
		return err
	}
	return s.started(w)
}
