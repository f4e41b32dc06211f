package cli

import (
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
	"debusine/client"
)

func assetCommand() *cli.Command {
	return &cli.Command{Name: "asset", Usage: "look at signing keys, and approve signatures", Subcommands: []*cli.Command{
		assetListCommand(), assetShowCommand(), assetCreateCommand(), assetApproveCommand(), assetRoleCommand(),
	}}
}

func assetListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list signing keys, and which groups may sign with them where",
		Description: "Example: debusine asset list -w System\n\nWho may sign an administrator says: debusine admin key grant.",
		Flags: []cli.Flag{workspaceFlag(),
			&cli.Int64Flag{Name: "work-request", Usage: "the key that work request `ID` made"}},
		Action: talk(assetList),
	}
}

func assetList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := s.api.Assets(s.ctx(), client.AssetFilter{Workspace: s.workspace(), WorkRequest: s.Int64("work-request")})
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, a := range all {
			rows = append(rows, []string{number(a.ID), a.Scope + "/" + a.Workspace, a.Data.Purpose, a.Data.Fingerprint, persons(a), signers(a), oneLine(a.Data.Description)})
		}
		return s.out.table([]string{"ID", "WORKSPACE", "PURPOSE", "FINGERPRINT", "PERSONS", "SIGNERS", "DESCRIPTION"}, rows)
	})
}

// persons is how many it takes to sign.
func persons(a api.Asset) string {
	if a.TwoPersons {
		return "2"
	}
	return "1"
}

// signers are the groups that may use the key, each with the workspace if that is
// not the key's own, and with the role if it is not the usual one.
func signers(a api.Asset) string {
	var all []string
	for _, g := range a.Grants {
		text := g.Group
		if g.Role != debusine.Signer {
			text += " (" + g.Role + ")"
		}
		if g.Workspace != a.Scope+"/"+a.Workspace {
			text += " in " + g.Workspace
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(all, ", ")
}

func assetShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a signing key", ArgsUsage: "FINGERPRINT|ID",
		Description: "Example: debusine asset show 17\n         debusine asset show --certificate 0123456789ABCDEF0123456789ABCDEF01234567 > archive.asc",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "certificate", Usage: "print the certificate alone, as text: for gpg --import, or sbverify"}},
		Action:      talk(assetShow),
	}
}

func assetShow(s *session) error {
	if err := s.want("FINGERPRINT|ID"); err != nil {
		return err
	}
	a, err := s.findAsset(s.Args().First())
	if err != nil {
		return err
	}
	if s.Bool("certificate") {
		return s.printCertificate(a)
	}
	return s.showAsset(a)
}

// findAsset finds an asset by its fingerprint, or by its number.
func (s *session) findAsset(name string) (a api.Asset, err error) {
	f := client.AssetFilter{Fingerprint: name}
	if len(name) < 40 {
		f.Fingerprint = ""
		if f.ID, err = parseID("an asset", name); err != nil {
			return a, err
		}
	}
	found, err := s.api.Assets(s.ctx(), f)
	if err == nil && len(found) == 0 {
		err = debusine.Missing{What: "asset " + name, Hint: "debusine asset list"}
	}
	if err != nil {
		return a, err
	}
	return found[0], nil
}

func (s *session) showAsset(a api.Asset) error {
	return s.out.print(a, func() error {
		made := a.CreatedBy
		if a.CreatedByWorkRequest != nil {
			made = strings.TrimSpace(made + ", work request " + number(*a.CreatedByWorkRequest))
		}
		if made == "" {
			made = "an administrator"
		}
		return s.out.pairs([2]string{"Asset", number(a.ID)}, [2]string{"Category", a.Category}, [2]string{"Workspace", a.Scope + "/" + a.Workspace},
			[2]string{"Purpose", a.Data.Purpose}, [2]string{"Fingerprint", a.Data.Fingerprint}, [2]string{"Description", a.Data.Description},
			[2]string{"Persons", persons(a)}, [2]string{"Signers", signers(a)}, [2]string{"Made", moment(&a.CreatedAt)}, [2]string{"Made by", made})
	})
}
