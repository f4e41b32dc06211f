package cli

import "github.com/urfave/cli/v2"

func showRelationsCommand() *cli.Command {
	return &cli.Command{
		Name: "show-relations", Usage: "show to what an artifact is related, and how", ArgsUsage: "ID",
		Description: "Example: debusine artifact show-relations 12",
		Action:      talk(showRelations),
	}
}

func showRelations(s *session) error {
	id, err := s.id("an artifact")
	if err != nil {
		return err
	}
	from, err := s.api.Relations(s.ctx(), id, false)
	if err != nil {
		return err
	}
	to, err := s.api.Relations(s.ctx(), id, true)
	if err != nil {
		return err
	}
	all := append(from, to...)
	return s.out.print(all, func() error {
		var rows [][]string
		for _, r := range all {
			rows = append(rows, []string{number(r.Artifact), r.Type, number(r.Target)})
		}
		return s.out.table([]string{"ARTIFACT", "RELATION", "TARGET"}, rows)
	})
}
