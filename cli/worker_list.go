package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/client"
)

// workersName is not "worker": that is the build machine's own process. arrange
// lets people write "worker list" all the same.
const workersName = "workers"

func workerCommand() *cli.Command {
	return &cli.Command{Name: workersName, Usage: "look at the build machines", Subcommands: []*cli.Command{workerListCommand()}}
}

func workerListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the build machines and what they do",
		Description: "Example: debusine worker list",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "tags", Usage: "show the tags that each provides"},
			&cli.BoolFlag{Name: "backends", Usage: "show which backends of builds each offers, and why not the others"}},
		Action: talk(workerList),
	}
}

func workerList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	workers, err := client.Collect(s.api.Workers(s.ctx()), 0)
	if err != nil {
		return err
	}
	return s.out.print(workers, func() error {
		if s.Bool("backends") {
			return s.out.table([]string{"NAME", "BACKEND", "OFFERED"}, backendsOf(workers))
		}
		head := []string{"NAME", "STATE", "RUNNING", "ARCHITECTURES"}
		if s.Bool("tags") {
			head = append(head, "TAGS")
		}
		var rows [][]string
		for _, w := range workers {
			row := []string{w.Name, workerState(w), fmt.Sprintf("%d of %d", w.RunningCount, w.Concurrency), architecturesOf(w)}
			if s.Bool("tags") {
				row = append(row, strings.Join(w.TagsProvided, " "))
			}
			rows = append(rows, row)
		}
		return s.out.table(head, rows)
	})
}

// backendsOf are rows of what machines say of their backends.
func backendsOf(workers []api.Worker) (rows [][]string) {
	for _, w := range workers {
		said, _ := w.Dynamic["system:backends"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(said)) {
			rows = append(rows, []string{w.Name, name, fmt.Sprint(said[name])})
		}
	}
	return rows
}

func workerState(w api.Worker) string {
	switch {
	case !w.Enabled:
		return "not enabled"
	case w.Draining:
		return "draining"
	case !w.Connected:
		return "away"
	case w.RunningCount > 0:
		return "busy"
	}
	return "idle"
}

func architecturesOf(w api.Worker) string {
	var all []string
	for _, tag := range w.TagsProvided {
		if arch, found := strings.CutPrefix(tag, "worker:build-arch:"); found {
			all = append(all, arch)
		}
	}
	return strings.Join(all, " ")
}
