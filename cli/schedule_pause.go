package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func schedulePauseCommand() *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "start nothing more; what runs goes on", ArgsUsage: "NAME",
		Description: "Example: debusine schedule pause weekly-environments",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(func(s *session) error { return schedulePause(s, true) }),
	}
}

func scheduleResumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Aliases: []string{"unpause"}, Usage: "let a paused schedule go on; what it missed is not made good", ArgsUsage: "NAME",
		Description: "Example: debusine schedule resume weekly-environments",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(func(s *session) error { return schedulePause(s, false) }),
	}
}

func schedulePause(s *session, paused bool) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	one, err := s.api.PauseSchedule(s.ctx(), s.place(), s.Args().First(), paused)
	if err != nil {
		return err
	}
	return s.out.print(one, func() error {
		text := "paused " + one.Name
		if !one.Paused {
			text = "resumed " + one.Name
			if next := soonest(one.NextRuns); next != "" {
				text += ", next run " + next
			}
		}
		_, err := fmt.Fprintln(s.out.to, text)
		return err
	})
}
