package cli

import "github.com/urfave/cli/v2"

func scheduleShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a schedule with its next and last runs", ArgsUsage: "NAME",
		Description: "Example: debusine schedule show weekly-environments",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(scheduleShow),
	}
}

func scheduleShow(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	one, err := s.api.Schedule(s.ctx(), s.place(), s.Args().First())
	if err != nil {
		return err
	}
	return s.showSchedule(one)
}
