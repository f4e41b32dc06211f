package cli

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func lookupSingleCommand() *cli.Command {
	return &cli.Command{
		Name: "lookup-single", Usage: "find what a lookup means", ArgsUsage: "LOOKUP [EXPECTED-TYPE]",
		Description: "Example: debusine collection lookup-single 'debian@debian:environments/match:codename=trixie:architecture=amd64'",
		Flags: []cli.Flag{workspaceFlag(),
			&cli.Int64Flag{Name: "work-request", Usage: "as the work request `ID` would see it"},
			&cli.StringFlag{Name: "default-category", Usage: "of a collection without @CATEGORY: `CATEGORY`"}},
		Action: talk(lookupSingle),
	}
}

func lookupSingle(s *session) error {
	if s.NArg() < 1 || s.NArg() > 2 {
		return s.want("LOOKUP", "[EXPECTED-TYPE]")
	}
	l := api.LookupSingle{Lookup: s.Args().First(), Workspace: s.place(), ExpectType: s.Args().Get(1), DefaultCategory: s.String("default-category")}
	if id, err := strconv.ParseInt(s.Args().First(), 10, 64); err == nil {
		l.Lookup = id
	}
	if id := s.Int64("work-request"); id != 0 {
		l.WorkRequest = &id
	}
	r, err := s.api.Lookup(s.ctx(), l)
	if err != nil {
		return err
	}
	return s.out.print(r, func() error {
		pairs := [][2]string{{"Type", r.ResultType}, {"Artifact", optional(r.Artifact)}, {"Collection", optional(r.Collection)}}
		if r.CollectionItem != nil {
			pairs = append(pairs, [2]string{"Item", r.CollectionItem.Name}, [2]string{"Data", indented(r.CollectionItem.Data)})
		}
		return s.out.pairs(pairs...)
	})
}
