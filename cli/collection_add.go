package cli

import (
	"github.com/urfave/cli/v2"

	"debusine/api"
)

func collectionAddCommand() *cli.Command {
	return &cli.Command{
		Name: "add", Usage: "put an artifact into a collection", ArgsUsage: "NAME CATEGORY ARTIFACT",
		Description: "Example: debusine collection add debian debian:environments 12 --set codename=trixie --set architecture=amd64",
		Flags: append(dataFlags("variables that name the item"), workspaceFlag(),
			&cli.BoolFlag{Name: "replace", Usage: "take the place of the item of that name"}),
		Action: talk(collectionAdd),
	}
}

func collectionAdd(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) != 1 {
		return wrong(s, "NAME", "CATEGORY", "ARTIFACT")
	}
	artifact, err := parseID("an artifact", rest[0])
	if err != nil {
		return err
	}
	variables, err := s.data()
	if err != nil {
		return err
	}
	item, err := s.api.AddItem(s.ctx(), s.place(), category, name, api.CollectionItemCreate{Artifact: artifact, Variables: variables}, s.Bool("replace"))
	if err != nil {
		return err
	}
	return s.out.print(item, func() error {
		return s.out.pairs([2]string{"Item", item.Name}, [2]string{"Artifact", optional(item.Artifact)})
	})
}
