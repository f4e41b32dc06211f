package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/client"
)

func collectionCommand() *cli.Command {
	return &cli.Command{Name: "collection", Usage: "work with collections", Subcommands: []*cli.Command{
		collectionCreateCommand(), collectionListCommand(), collectionShowCommand(), collectionManageCommand(), collectionDeleteCommand(),
		collectionAddCommand(), collectionRemoveCommand(), lookupSingleCommand(), lookupMultipleCommand(),
	}}
}

// collection reads which collection the first arguments name: NAME CATEGORY, or
// NAME@CATEGORY as lookups write it.
func (s *session) collection() (name, category string, rest []string, err error) {
	if name, category, found := strings.Cut(s.Args().First(), "@"); found {
		return name, category, s.Args().Tail(), nil
	}
	if s.NArg() < 2 {
		return "", "", nil, wrong(s, "NAME", "CATEGORY")
	}
	return s.Args().Get(0), s.Args().Get(1), s.Args().Slice()[2:], nil
}

func collectionCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "make an empty collection", ArgsUsage: "NAME CATEGORY",
		Description: "Example: debusine collection create debian debian:environments",
		Flags:       append(dataFlags("collection's data"), workspaceFlag()),
		Action:      talk(collectionCreate),
	}
}

func collectionCreate(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) > 0 {
		return wrong(s, "NAME", "CATEGORY")
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	made, err := s.api.CreateCollection(s.ctx(), s.place(), api.Collection{Name: name, Category: category, Data: raw})
	if err != nil {
		return err
	}
	return s.out.print(made, func() error { return s.showCollection(made) })
}

func collectionListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the collections of a workspace",
		Description: "Example: debusine collection list -w System",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(collectionList),
	}
}

func collectionList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.Collections(s.ctx(), s.place()), 0)
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, c := range all {
			rows = append(rows, []string{number(c.ID), c.Name, c.Category, strconv.Itoa(c.Items)})
		}
		return s.out.table([]string{"ID", "NAME", "CATEGORY", "ITEMS"}, rows)
	})
}

func collectionShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a collection and what it holds", ArgsUsage: "NAME CATEGORY",
		Description: "Example: debusine collection show debian debian:environments\n         debusine collection show debian@debian:environments",
		Flags: []cli.Flag{workspaceFlag(), limitFlag(),
			&cli.BoolFlag{Name: "history", Usage: "also the items that were removed, and who did it"}},
		Action: talk(collectionShow),
	}
}

func collectionShow(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) > 0 {
		return wrong(s, "NAME", "CATEGORY")
	}
	c, err := s.api.Collection(s.ctx(), s.place(), category, name)
	if err != nil {
		return err
	}
	items, err := client.Collect(s.api.Items(s.ctx(), s.place(), category, name, s.Bool("history")), s.Int("limit"))
	if err != nil {
		return err
	}
	both := struct {
		api.Collection
		Items []api.CollectionItem `json:"items"` // in place of their number
	}{c, items}
	return s.out.print(both, func() error {
		if err := s.showCollection(c); err != nil {
			return err
		}
		fmt.Fprintln(s.out.to)
		header := []string{"ITEM", "CATEGORY", "ARTIFACT", "SINCE"}
		if s.Bool("history") {
			header = append(header, "BY", "REMOVED", "BY")
		}
		var rows [][]string
		for _, i := range items {
			row := []string{i.Name, i.Category, optional(i.Artifact), moment(&i.CreatedAt), who(i.CreatedBy, i.CreatedByWorkflow), moment(i.RemovedAt), who(i.RemovedBy, i.RemovedByWorkflow)}
			rows = append(rows, row[:len(header)])
		}
		return s.out.table(header, rows)
	})
}

func (s *session) showCollection(c api.Collection) error {
	return s.out.pairs([2]string{"Collection", c.Name + "@" + c.Category}, [2]string{"ID", number(c.ID)},
		[2]string{"Items", strconv.Itoa(c.Items)}, [2]string{"Removed items keep artifacts", inDays(c.FullHistory)},
		[2]string{"After that are remembered", inDays(c.MetadataOnly)}, [2]string{"Data", indented(c.Data)})
}

// inDays says how long; for ever is not worth a line.
func inDays(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n) + " days"
}

// who is a user, and the workflow on whose behalf.
func who(user string, workflow *int64) string {
	if workflow == nil {
		return user
	}
	return strings.TrimSpace(user + " in workflow " + number(*workflow))
}

func number(id int64) string { return strconv.FormatInt(id, 10) }

func optional(id *int64) string {
	if id == nil {
		return ""
	}
	return number(*id)
}
