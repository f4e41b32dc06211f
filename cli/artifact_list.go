package cli

import (
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/client"
)

func artifactListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list artifacts, newest first",
		Description: "Example: debusine artifact list --category debian:binary-package",
		Flags: []cli.Flag{workspaceFlag(), limitFlag(),
			&cli.StringFlag{Name: "category", Usage: "those of `CATEGORY` only"},
			&cli.Int64Flag{Name: "work-request", Usage: "those that the work request `ID` made"}},
		Action: talk(artifactList),
	}
}

func artifactList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.Artifacts(s.ctx(), client.ArtifactFilter{Workspace: s.workspace(), Category: s.String("category"),
		WorkRequest: s.Int64("work-request")}), s.Int("limit"))
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, a := range all {
			names := fileNames(a)
			if len(names) > 3 {
				names = append(names[:3:3], "and "+strconv.Itoa(len(names)-3)+" more")
			}
			rows = append(rows, []string{number(a.ID), a.Category, a.Workspace, moment(&a.CreatedAt), bytesOf(sizeOf(a)), strings.Join(names, " ")})
		}
		return s.out.table([]string{"ID", "CATEGORY", "WORKSPACE", "CREATED", "SIZE", "FILES"}, rows)
	})
}
