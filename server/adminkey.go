package server

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/sign"
	"debusine/sign/vault"
)

// keyCommand is `debusine admin key`: the signing worker's keys, on the machine
// that has its database and its service keys.
func keyCommand() *cli.Command {
	return &cli.Command{Name: "key", Usage: "signing keys and the record of their use, on the signing worker's machine",
		Description: "All but grant, revoke, role, enroll and two-persons speak to the signing worker's own database, not to the server's.\n" +
			"With --state DIR before the word key both are those of a debusine standalone. docs/signing.md is the guide.\n\n" +
			"Example: debusine admin --state .state key generate --name 'Archive <archive@example.org>' --description uploads\n" +
			"         debusine admin --state .state key audit --verify",
		Flags: []cli.Flag{
			text("signing-database", "the signing worker's PostgreSQL at `DSN`", "", false),
			text("service-keys", "the keys that protect keys are in `FILE`", "", false),
			text("pkcs11-module", "keys in hardware are reached through the library `FILE`", "", false),
			text("pin-file", "the token's PIN is in `FILE`", "", false),
		},
		Subcommands: []*cli.Command{
			keyVerb("generate", "", "make a key that lies encrypted in the database", 0, generateKey, append(keyFlags(),
				&cli.StringFlag{Name: "algorithm", Usage: "ed25519 or rsa4096; for uefi rsa2048 or rsa4096"})...),
			keyVerb("import", "FILE", "take the secret key in FILE: of gpg --export-secret-keys, or for uefi PEM key and certificate", 1, importKey, keyFlags()...),
			keyVerb("register", "URI", "take a key in hardware at a pkcs11: URI", 1, registerKey, keyFlags()...),
			keyVerb("list", "", "list keys", 0, listSigningKeys),
			keyVerb("show", "FINGERPRINT", "print a key's certificate, armoured", 1, showKey),
			keyVerb("retire", "FINGERPRINT", "end a key's signing, for good", 1, retireKey, &cli.StringFlag{Name: "reason", Usage: "write `WHY` into the audit; needed"}),
			keyVerb("revocation", "FINGERPRINT", "print an OpenPGP certificate with the key's own revocation, to publish; once out, that is for good", 1, revokeKey,
				&cli.StringFlag{Name: "reason", Usage: "tell everybody `WHY`; needed"},
				&cli.BoolFlag{Name: "compromised", Usage: "others may have the key: nothing that it ever signed is good; else it counts as replaced"}),
			keyVerb("rotate", "", "make a new service key and encrypt every key to it", 0, rotateKeys),
			keyVerb("audit", "", "print what was done with the keys", 0, auditKeys,
				&cli.BoolFlag{Name: "verify", Usage: "only check that nothing was changed or removed"},
				&cli.StringSliceFlag{Name: "head", Usage: "the audit once had `NUMBER:HASH`: also find out whether its end is missing"}),
			serviceKeyCommand(),
			verb("grant", "FINGERPRINT GROUP", "let a group sign with a key in a workspace; on the server's database", 2, grantKey(true), grantFlags()...),
			verb("revoke", "FINGERPRINT GROUP", "take that right back, at once; on the server's database", 2, grantKey(false), grantFlags()...),
			verb("role", "FINGERPRINT GROUP", "let a group own a key, or see it; on the server's database", 2, keyRole,
				&cli.StringFlag{Name: "role", Usage: "owner (says who else owns and sees it) or viewer: `ROLE`", Value: debusine.AssetOwner},
				&cli.BoolFlag{Name: "remove", Usage: "take the role away"}),
			verb("enroll", "FILE", "tell the server of a key that was not made through it: the certificate in FILE (key show prints it)", 1, enrollKey,
				&cli.StringFlag{Name: "workspace", Usage: "the key belongs to the workspace `SCOPE/NAME`"},
				&cli.StringFlag{Name: "purpose", Usage: "openpgp, openpgp-repository or uefi: `PURPOSE`", Value: string(sign.OpenPGP)},
				&cli.StringFlag{Name: "description", Usage: "what it is for: `TEXT`"}),
			verb("two-persons", "FINGERPRINT", "each work request that signs waits until a second person approves; --two-persons=false ends that", 1, twoPersons,
				&cli.BoolFlag{Name: "two-persons", Value: true}),
		}}
}

func keyFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "purpose", Usage: "openpgp (uploads), openpgp-repository or uefi: `PURPOSE`", Value: string(sign.OpenPGP)},
		&cli.StringFlag{Name: "name", Usage: "the key's user id, or common name: `TEXT`"},
		&cli.StringFlag{Name: "description", Usage: "what it is for, in the audit: `TEXT`"},
		&cli.DurationFlag{Name: "expire", Usage: "it is good for `TIME` (17520h: two years)"},
	}
}

func serviceKeyCommand() *cli.Command {
	return &cli.Command{Name: "service-key", ArgsUsage: "FILE", Usage: "make the file of service keys, which protects all others", Action: func(c *cli.Context) error {
		if c.NArg() != 1 {
			return cli.Exit("debusine admin key service-key needs FILE\nhint: a path on a disk that no backup of the database holds", 2)
		}
		return done(c, advise(sign.CreateServiceKeys(c.Args().First())), "made %s: keep a copy offline, losing it loses all keys", c.Args().First())
	}}
}

// keyVerb is a command that gets the open vault.
func keyVerb(name, arguments, usage string, least int, do func(*cli.Context, *vault.Vault) error, flags ...cli.Flag) *cli.Command {
	return &cli.Command{Name: name, ArgsUsage: arguments, Usage: usage, Flags: flags, Action: func(c *cli.Context) error {
		c, err := flagsAnywhere(c)
		if err != nil {
			return err
		}
		if err := countArguments(c, "debusine admin key "+name, arguments, least); err != nil {
			return err
		}
		dsn, err := signingDSN(c)
		if err != nil {
			return err
		}
		v, err := vault.Open(c.Context, dsn, sign.Signer{ServiceKeys: serviceKeysOf(c), Module: c.String("pkcs11-module"), PINFile: absolute(c.String("pin-file"))})
		if err != nil {
			return advise(err)
		}
		defer v.Close()
		return advise(do(c, v))
	}}
}

// signingDSN is the database of --signing-database, or of the stack of --state.
func signingDSN(c *cli.Context) (string, error) {
	if dsn := c.String("signing-database"); dsn != "" {
		return dsn, nil
	}
	state := c.String("state")
	if state == "" {
		return "", cli.Exit("which database?\nhint: debusine admin key --signing-database DSN --service-keys FILE …; it is not the server's. Or debusine admin --state DIR key …", 2)
	}
	raw, err := os.ReadFile(filepath.Join(state, "signing", "dsn"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cli.Exit(state+" is not the state folder of a debusine standalone that has started a signing worker", 3)
	}
	return strings.TrimSpace(string(raw)), err
}

func serviceKeysOf(c *cli.Context) string {
	if file, state := c.String("service-keys"), c.String("state"); file == "" && state != "" {
		return absolute(filepath.Join(state, "signing", "service.keys"))
	}
	return absolute(c.String("service-keys"))
}

// absolute is for names of files that another process opens, from elsewhere.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

// byHand is the cause of what an administrator does.
func byHand(c *cli.Context) vault.Cause {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		name = os.Getenv("USER")
	}
	return vault.Cause{User: "administrator " + name, Description: c.String("description")}
}

func wanted(c *cli.Context) (w sign.Wanted, err error) {
	w = sign.Wanted{Name: c.String("name"), Algorithm: sign.Algorithm(c.String("algorithm")), Life: c.Duration("expire")}
	if c.IsSet("expire") && w.Life <= 0 {
		return w, debusine.Invalidf("--expire takes a time above zero")
	}
	w.Purpose, err = sign.ParsePurpose(c.String("purpose"))
	return w, err
}

func generateKey(c *cli.Context, v *vault.Vault) error {
	w, err := wanted(c)
	if err != nil {
		return err
	}
	k, err := v.Generate(c.Context, w, byHand(c))
	return done(c, err, "made the %s key %s", k.Purpose, k.Fingerprint)
}

func importKey(c *cli.Context, v *vault.Vault) error {
	w, err := wanted(c)
	if err != nil {
		return err
	}
	k, err := v.Import(c.Context, w.Purpose, absolute(c.Args().First()), byHand(c))
	return done(c, err, "took the %s key %s; destroy the file now: shred -u %s", k.Purpose, k.Fingerprint, c.Args().First())
}

func registerKey(c *cli.Context, v *vault.Vault) error {
	w, err := wanted(c)
	if err != nil {
		return err
	}
	k, err := v.Register(c.Context, w, c.Args().First(), byHand(c))
	return done(c, err, "registered the %s key %s", k.Purpose, k.Fingerprint)
}

func listSigningKeys(c *cli.Context, v *vault.Vault) error {
	keys, err := v.Keys(c.Context)
	if err != nil {
		return err
	}
	return table(c, "PURPOSE FINGERPRINT STORAGE MADE RETIRED DESCRIPTION", func(add func(...any)) {
		for _, k := range keys {
			retired := "-"
			if k.RetiredAt != nil {
				retired = k.RetiredAt.UTC().Format(time.DateOnly)
			}
			add(k.Purpose, k.Fingerprint, k.Private.Storage, k.CreatedAt.UTC().Format(time.DateOnly), retired, k.Description)
		}
	})
}

func showKey(c *cli.Context, v *vault.Vault) error {
	k, err := v.Key(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	public := k.Public
	if b, _ := pem.Decode(public); b == nil {
		if public, err = sign.Armour(k.Public); err != nil {
			return err
		}
	}
	_, err = c.App.Writer.Write(public)
	return err
}

func retireKey(c *cli.Context, v *vault.Vault) error {
	by := byHand(c)
	if by.Description = c.String("reason"); by.Description == "" {
		return cli.Exit("why?\nhint: debusine admin key retire FINGERPRINT --reason WHY", 2)
	}
	return done(c, v.Retire(c.Context, c.Args().First(), by), "key %s signs no more; tell those who trust it (docs/signing.md, revocation)", strings.ToUpper(c.Args().First()))
}

func revokeKey(c *cli.Context, v *vault.Vault) error {
	by := byHand(c)
	if by.Description = c.String("reason"); by.Description == "" {
		return cli.Exit("why?\nhint: debusine admin key revocation FINGERPRINT --reason WHY > revoked.asc", 2)
	}
	certificate, err := v.Revoke(c.Context, c.Args().First(), c.Bool("compromised"), by)
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(certificate)
	return err
}

func rotateKeys(c *cli.Context, v *vault.Vault) error {
	if err := sign.RotateServiceKeys(serviceKeysOf(c)); err != nil {
		return err
	}
	n, err := v.Rotate(c.Context, byHand(c))
	return done(c, err, "%d keys are encrypted to a new service key; the old ones stay in the file for backups of the database", n)
}

func auditKeys(c *cli.Context, v *vault.Vault) error {
	var known []vault.Head
	for _, text := range c.StringSlice("head") {
		h, err := vault.ParseHead(text)
		if err != nil {
			return err
		}
		known = append(known, h)
	}
	each := func(e vault.Entry) error {
		fmt.Fprintf(c.App.Writer, "%d %s %s %s %s user=%q work_request=%d resource=%q data=%s %s\n", e.Seq, e.At.Format(time.RFC3339), e.Event, e.Purpose,
			e.Fingerprint, e.User, e.WorkRequest, e.Resource, e.Data, e.Description)
		return nil
	}
	if c.Bool("verify") {
		each = nil
	}
	verdict, err := v.Verify(c.Context, known, each)
	if err != nil {
		return err
	}
	for _, e := range verdict.Unfinished {
		fmt.Fprintf(c.App.Writer, "entry %d was not finished: key %s may have signed %s for work request %d (data %s)\n", e.Seq, e.Fingerprint, e.Resource, e.WorkRequest, e.Data)
	}
	if !c.Bool("verify") {
		return nil
	}
	fmt.Fprintf(c.App.Writer, "%d entries, whole; head %s\n", verdict.Entries, verdict.Head)
	if len(known) == 0 && verdict.Entries > 0 {
		fmt.Fprintln(c.App.Writer, "whether entries are missing at the end only a head tells that was reported earlier: --head")
	}
	return nil
}
