package cli

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func retentionFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "full-history-retention-period", Usage: "removed items keep their artifact for so many `DAYS`; - is for ever"},
		&cli.StringFlag{Name: "metadata-only-retention-period", Usage: "removed items are remembered for so many `DAYS` after that; - is for ever"},
	}
}

func collectionManageCommand() *cli.Command {
	return &cli.Command{
		Name: "manage", Usage: "rename a collection, or change how long removed items are kept", ArgsUsage: "NAME CATEGORY",
		Description: "Example: debusine collection manage debian@debian:environments --full-history-retention-period 30",
		Flags:       append(retentionFlags(), workspaceFlag(), &cli.StringFlag{Name: "rename", Usage: "call it `NAME`"}),
		Action:      talk(collectionManage),
	}
}

func collectionManage(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) > 0 {
		return wrong(s, "NAME", "CATEGORY")
	}
	c, err := s.api.Collection(s.ctx(), s.place(), category, name)
	if err != nil {
		return err
	}
	if c, err = s.withRetention(c); err != nil {
		return err
	}
	if s.IsSet("rename") {
		c.Name = s.String("rename")
	}
	changed, err := s.api.UpdateCollection(s.ctx(), s.place(), c)
	if err != nil {
		return err
	}
	return s.out.print(changed, func() error { return s.showCollection(changed) })
}

// withRetention sets the periods that the flags name.
func (s *session) withRetention(c api.Collection) (api.Collection, error) {
	for flag, into := range map[string]**int{"full-history-retention-period": &c.FullHistory, "metadata-only-retention-period": &c.MetadataOnly} {
		switch text := s.String(flag); {
		case !s.IsSet(flag):
		case text == "-":
			*into = nil
		default:
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return c, usage{what: fmt.Sprintf("--%s takes a number of days, not %q", flag, text), hint: "- keeps them for ever"}
			}
			*into = &n
		}
	}
	return c, nil
}

func collectionDeleteCommand() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete a collection; its artifacts stay", ArgsUsage: "NAME CATEGORY",
		Description: "A collection that holds items, or remembers removed ones, is deleted with --force alone.\nExample: debusine collection delete old@debian:environments",
		Flags:       []cli.Flag{workspaceFlag(), &cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "also when it is not empty"}},
		Action:      talk(collectionDelete),
	}
}

func collectionDelete(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) > 0 {
		return wrong(s, "NAME", "CATEGORY")
	}
	c, err := s.api.CollectionWithStats(s.ctx(), s.place(), category, name)
	if err != nil {
		return err
	}
	items := 0
	for _, each := range c.Stats {
		items += each.Count
	}
	if items > 0 && !s.Bool("force") {
		return usage{what: fmt.Sprintf("%s@%s holds or remembers %d items", name, category, items), hint: "--force deletes it with them; its artifacts stay"}
	}
	if err := s.api.DeleteCollection(s.ctx(), s.place(), c.ID); err != nil {
		return err
	}
	return s.out.print(c, func() error {
		_, err := fmt.Fprintf(s.out.to, "deleted %s@%s\n", name, category)
		return err
	})
}

func collectionRemoveCommand() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "take an item out of a collection; its artifact stays", ArgsUsage: "NAME CATEGORY ITEM",
		Description: "Example: debusine collection remove debian@debian:environments tarball:trixie:amd64",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(collectionRemove),
	}
}

func collectionRemove(s *session) error {
	name, category, rest, err := s.collection()
	if err != nil || len(rest) != 1 {
		return wrong(s, "NAME", "CATEGORY", "ITEM")
	}
	if err := s.api.RemoveItem(s.ctx(), s.place(), category, name, rest[0]); err != nil {
		return err
	}
	return s.out.print(map[string]string{"removed": rest[0]}, func() error {
		_, err := fmt.Fprintf(s.out.to, "removed %s from %s@%s\n", rest[0], name, category)
		return err
	})
}
