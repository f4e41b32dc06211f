package cli

import (
	"github.com/urfave/cli/v2"

	"debusine/api"
)

func scheduleCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "start a workflow template again and again", ArgsUsage: "NAME TEMPLATE",
		Description: "It runs on behalf of who creates it, with the rights that this person has at each run. While the run before\n" +
			"is under way, a run is skipped. Only owners of the workspace create schedules.\n\n" +
			"Example: debusine schedule create weekly-environments environments --every 7d --data targets.yaml\n" +
			"         debusine schedule create nightly environments --cron '0 3 * * *' --set vendor=debian",
		Flags: append(dataFlags("runtime parameters"), workspaceFlag(),
			&cli.StringFlag{Name: "every", Usage: "run once in each `INTERVAL`: 30m, 12h, 7d, 2w; the first time after one has passed"},
			&cli.StringFlag{Name: "cron", Usage: "run at the times of `'MINUTE HOUR DAY MONTH WEEKDAY'`, in UTC; both days must match"},
			&cli.BoolFlag{Name: "paused", Usage: "start nothing until it is resumed"}),
		Action: talk(scheduleCreate),
	}
}

func scheduleCreate(s *session) error {
	if err := s.want("NAME", "TEMPLATE"); err != nil {
		return err
	}
	if s.IsSet("every") == s.IsSet("cron") {
		return usage{what: "give either --every or --cron", hint: "--every 7d, or --cron '0 3 * * 1'"}
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	n := api.ScheduleCreate{Name: s.Args().Get(0), TemplateName: s.Args().Get(1), Every: s.String("every"), Cron: s.String("cron"), Paused: s.Bool("paused")}
	if n.TaskData, err = raws(data); err != nil {
		return err
	}
	made, err := s.api.CreateSchedule(s.ctx(), s.place(), n)
	if err != nil {
		return err
	}
	return s.showSchedule(made)
}
