package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/client"
)

func queueCommand() *cli.Command {
	return &cli.Command{
		Name: "queue", Usage: "show what waits for a worker: its place, since when, and when it should begin",
		Description: "Each queue has the work of one sort of machine. Start and duration are estimates: from earlier runs of the same\n" +
			"(the task history), from what runs now, and from what comes first. A ~ marks a duration that is only a guess.\n\n" +
			"Example: debusine queue\n" +
			"         debusine queue --queue build/riscv64 --json",
		Flags: []cli.Flag{&cli.StringFlag{Name: "workspace", Aliases: []string{"w"}, Usage: "only what waits in the workspace `NAME`"},
			&cli.StringFlag{Name: "queue", Usage: "only the queue `NAME`"},
			&cli.IntFlag{Name: "limit", Usage: "show at most `N` work requests of each queue", Value: 100}},
		Action: talk(queue),
	}
}

func queue(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	if s.Int("limit") < 1 {
		return usage{what: "--limit takes a number above zero"}
	}
	queues, err := client.Collect(s.api.Queues(s.ctx(), client.QueueFilter{Queue: s.String("queue"), Workspace: s.workspace(), Limit: s.Int("limit")}), 0)
	if err != nil {
		return err
	}
	return s.out.print(queues, func() error { return printQueues(s.out, queues, time.Now()) })
}

func printQueues(out *output, queues []api.Queue, now time.Time) error {
	if len(queues) == 0 {
		_, err := fmt.Fprintln(out.to, "nothing waits for a worker")
		return err
	}
	var rows [][]string
	var notes []string
	for _, q := range queues {
		for _, w := range q.WorkRequests {
			rows = append(rows, []string{q.Name, fmt.Sprintf("%d of %d", w.Position, q.Waiting), strconv.FormatInt(w.ID, 10), strings.TrimSpace(w.TaskName + " " + w.About),
				span(now.Sub(w.PendingAt)), startOf(w, now), durationOf(w), strings.Join(q.MissingTags, " ")})
		}
		if q.WaitingReason != "" {
			notes = append(notes, q.Name+": "+q.WaitingReason)
		}
		if n := q.Waiting - len(q.WorkRequests); n > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d more wait", q.Name, n))
		}
	}
	if err := out.table([]string{"QUEUE", "POSITION", "ID", "WHAT", "WAITS FOR", "BEGINS", "TAKES", "MISSING TAGS"}, rows); err != nil {
		return err
	}
	for i, note := range notes {
		if i == 0 {
			fmt.Fprintln(out.to)
		}
		if _, err := fmt.Fprintln(out.to, oneLine(note)); err != nil {
			return err
		}
	}
	return nil
}

// startOf is when it should begin, from now; "?" when nobody can tell.
func startOf(w api.Queued, now time.Time) string {
	switch {
	case w.Start == nil:
		return "?"
	case w.Start.Sub(now) < 5*time.Second:
		return "now"
	}
	return "in " + span(w.Start.Sub(now))
}

func durationOf(w api.Queued) string {
	took := span(time.Duration(w.Duration * float64(time.Second)))
	if strings.Contains(w.EstimatedFrom, "guess") {
		return "~" + took
	}
	return took
}
