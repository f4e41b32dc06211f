package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func scheduleCommand() *cli.Command {
	return &cli.Command{Name: "schedule", Usage: "start workflows again and again", Subcommands: []*cli.Command{
		scheduleCreateCommand(), scheduleListCommand(), scheduleShowCommand(), schedulePauseCommand(), scheduleResumeCommand(),
		scheduleRunCommand(), scheduleDeleteCommand(),
	}}
}

// when says when a schedule runs: "every 7d", "cron 0 3 * * 1 (UTC)".
func when(s api.Schedule) string {
	if s.Cron != "" {
		return "cron " + s.Cron + " (UTC)"
	}
	return "every " + s.Every
}

// came says what came of a run: "started 12: success".
func came(r api.ScheduleRun) string {
	text := r.Outcome
	if r.WorkRequest != nil {
		text += " " + number(*r.WorkRequest) + ": " + cmp.Or(r.Result, r.Status)
	}
	if r.Message != "" {
		text += ": " + r.Message
	}
	return oneLine(text)
}

func paused(s api.Schedule) string {
	if s.Paused {
		return "paused"
	}
	return ""
}

func (s *session) showSchedule(one api.Schedule) error {
	return s.out.print(one, func() error {
		data, err := json.Marshal(one.TaskData)
		if err != nil {
			return err
		}
		var next []string
		for _, t := range one.NextRuns[:min(3, len(one.NextRuns))] {
			next = append(next, moment(&t))
		}
		pairs := [][2]string{{"Schedule", one.Name}, {"ID", number(one.ID)}, {"Workspace", one.Workspace}, {"Template", one.TemplateName}, {"When", when(one)},
			{"State", paused(one)}, {"Problem", one.Problem}, {"On behalf of", one.CreatedBy}, {"Created", moment(&one.CreatedAt)},
			{"Next runs", strings.Join(next, ", ")}, {"Data", indented(data)}}
		if err := s.out.pairs(pairs...); err != nil || len(one.Runs) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(s.out.to); err != nil {
			return err
		}
		return s.out.table([]string{"RUN", "", "OUTCOME"}, runRows(one.Runs))
	})
}

func runRows(runs []api.ScheduleRun) (rows [][]string) {
	for _, r := range runs {
		how := ""
		if r.Manual {
			how = "by hand"
		}
		rows = append(rows, []string{moment(&r.ScheduledAt), how, came(r)})
	}
	return rows
}

// soonest is the first of the next runs.
func soonest(times []time.Time) string {
	if len(times) == 0 {
		return ""
	}
	return moment(&times[0])
}
