package cli

import (
	"github.com/urfave/cli/v2"

	"debusine/client"
)

func scheduleListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the schedules of a workspace with their last run",
		Description: "Example: debusine schedule list",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(scheduleList),
	}
}

func scheduleList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.Schedules(s.ctx(), s.place()), 0)
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, one := range all {
			last, outcome := "", one.Problem
			if one.LastRun != nil {
				last = moment(&one.LastRun.ScheduledAt)
				if outcome == "" {
					outcome = came(*one.LastRun)
				}
			}
			rows = append(rows, []string{one.Name, one.TemplateName, when(one), paused(one), one.CreatedBy, last, outcome})
		}
		return s.out.table([]string{"NAME", "TEMPLATE", "WHEN", "", "FOR", "LAST RUN", "OUTCOME"}, rows)
	})
}
