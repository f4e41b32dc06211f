package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"
)

func serviceStatusCommand() *cli.Command {
	return &cli.Command{
		Name: "service-status", Usage: "show queues and workers",
		Description: "Example: debusine service-status",
		Action:      talk(serviceStatus),
	}
}

func serviceStatus(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	status, err := s.api.ServiceStatus(s.ctx())
	if err != nil {
		return err
	}
	return s.out.print(status, func() error {
		err := s.out.pairs([2]string{"Version", status.Version}, [2]string{"Running", strconv.Itoa(status.Running)},
			[2]string{"Workers", fmt.Sprintf("%d enabled, %d busy", status.Workers, status.WorkersBusy)}, [2]string{"Web UI", status.UI})
		if err != nil || len(status.Pending) == 0 {
			return err
		}
		fmt.Fprintln(s.out.to)
		var rows [][]string
		for _, queue := range slices.Sorted(maps.Keys(status.Pending)) {
			rows = append(rows, []string{queue, strconv.Itoa(status.Pending[queue])})
		}
		return s.out.table([]string{"QUEUE", "PENDING"}, rows)
	})
}
