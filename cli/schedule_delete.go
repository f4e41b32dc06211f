package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func scheduleDeleteCommand() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete a schedule; what it started stays", ArgsUsage: "NAME",
		Description: "Example: debusine schedule delete weekly-environments",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(scheduleDelete),
	}
}

func scheduleDelete(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	name := s.Args().First()
	if err := s.api.DeleteSchedule(s.ctx(), s.place(), name); err != nil {
		return err
	}
	return s.out.print(map[string]string{"deleted": name}, func() error {
		_, err := fmt.Fprintln(s.out.to, "deleted", name)
		return err
	})
}
