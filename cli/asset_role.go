package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func assetRoleCommand() *cli.Command {
	role := &cli.StringFlag{Name: "role", Value: "viewer", Usage: "owner (says who else owns and sees the key) or viewer: `ROLE`"}
	return &cli.Command{Name: "role", Usage: "say which groups own a signing key, and which see it", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the groups that own or see a key", ArgsUsage: "FINGERPRINT", Action: talk(assetRoleList),
			Description: "Who sees the key's workspace sees the key, too, and is not listed.\n\nExample: debusine asset role list 0123456789ABCDEF0123456789ABCDEF01234567"},
		{Name: "grant", Usage: "let a group own a key, or see it; for the key's owners", ArgsUsage: "FINGERPRINT GROUP", Action: talk(assetRoleSet(true)), Flags: []cli.Flag{role},
			Description: "No role here is a right to sign: an administrator gives that, with debusine admin key grant.\n\n" +
				"Example: debusine asset role grant --role owner 0123456789ABCDEF0123456789ABCDEF01234567 Archive"},
		{Name: "revoke", Usage: "take such a role away; for the key's owners", ArgsUsage: "FINGERPRINT GROUP", Action: talk(assetRoleSet(false)), Flags: []cli.Flag{role},
			Description: "Example: debusine asset role revoke --role viewer 0123456789ABCDEF0123456789ABCDEF01234567 Archive"},
	}}
}

func assetRoleList(s *session) error {
	if err := s.want("FINGERPRINT"); err != nil {
		return err
	}
	all, err := s.api.AssetGroups(s.ctx(), s.Args().First())
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, g := range all {
			rows = append(rows, []string{g.Group, g.Role})
		}
		return s.out.table([]string{"GROUP", "ROLE"}, rows)
	})
}

func assetRoleSet(has bool) func(*session) error {
	return func(s *session) error {
		if err := s.want("FINGERPRINT", "GROUP"); err != nil {
			return err
		}
		key, g := s.Args().First(), api.AssetGroup{Group: s.Args().Get(1), Role: s.String("role")}
		if err := s.api.SetAssetGroup(s.ctx(), key, g, has); err != nil {
			return err
		}
		return s.out.print(g, func() error {
			words := "the group %s is now %s of key %s\n"
			if !has {
				words = "the group %s is not %s of key %s any more\n"
			}
			_, err := fmt.Fprintf(s.out.to, words, g.Group, g.Role, key)
			return err
		})
	}
}
