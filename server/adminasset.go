package server

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/sign"
	"debusine/store"
)

func grantFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "workspace", Usage: "in the workspace `SCOPE/NAME`"},
		&cli.StringFlag{Name: "role", Usage: "signer or repository_signer: `ROLE`", Value: debusine.Signer},
	}
}

// placeFlag reads --workspace SCOPE/NAME.
func placeFlag(c *cli.Context) (scope, workspace string, err error) {
	scope, workspace, ok := strings.Cut(c.String("workspace"), "/")
	if !ok || scope == "" || workspace == "" {
		return "", "", cli.Exit("in which workspace?\nhint: --workspace SCOPE/NAME, for example debusine/System", 2)
	}
	return scope, workspace, nil
}

func grantKey(grant bool) func(*cli.Context, *store.DB) error {
	return func(c *cli.Context, db *store.DB) error {
		scope, workspace, err := placeFlag(c)
		if err != nil {
			return err
		}
		key, group, role := c.Args().Get(0), c.Args().Get(1), c.String("role")
		if grant {
			return done(c, db.GrantAsset(c.Context, key, scope, workspace, group, role), "the group %s may sign with key %s in %s/%s", group, key, scope, workspace)
		}
		return done(c, db.RevokeAsset(c.Context, key, scope, workspace, group, role), "the group %s may not sign with key %s in %s/%s any more", group, key, scope, workspace)
	}
}

// keyRole names the first owners of a key; they name others.
func keyRole(c *cli.Context, db *store.DB) error {
	key, g, has := c.Args().Get(0), debusine.AssetGroup{Group: c.Args().Get(1), Role: c.String("role")}, !c.Bool("remove")
	words := "the group %s is now %s of key %s"
	if !has {
		words = "the group %s is not %s of key %s any more"
	}
	return done(c, db.SetAssetGroup(c.Context, 0, key, g, has), words, g.Group, g.Role, key)
}

// enrollKey makes the asset of a key that was imported, or is in hardware. It is
// an administrator's to do: who enrolls a key says who may use it.
func enrollKey(c *cli.Context, db *store.DB) error {
	scope, workspace, err := placeFlag(c)
	if err != nil {
		return err
	}
	purpose, err := sign.ParsePurpose(c.String("purpose"))
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(c.Args().First())
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	fingerprint, public, err := sign.Public(purpose, raw)
	if err != nil {
		return err
	}
	w, err := db.Workspace(c.Context, scope, workspace)
	if err != nil {
		return err
	}
	_, err = db.PutAsset(c.Context, debusine.Asset{WorkspaceID: w.ID, Data: debusine.SigningKeyData{Purpose: string(purpose), Fingerprint: fingerprint,
		PublicKey: base64.StdEncoding.EncodeToString(public), Description: c.String("description")}})
	return done(c, err, "the key %s belongs to %s/%s; nobody may sign with it yet: debusine admin key grant", fingerprint, scope, workspace)
}

func twoPersons(c *cli.Context, db *store.DB) error {
	two, words := c.Bool("two-persons"), "signs for one person"
	if two {
		words = "signs when a second person approves"
	}
	return done(c, db.SetTwoPersons(c.Context, c.Args().First(), two), "key %s %s", strings.ToUpper(c.Args().First()), words)
}
