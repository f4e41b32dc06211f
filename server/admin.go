package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"

	"debusine"
	"debusine/store"
)

// AdminCommand is `debusine admin`: management, straight on the database, so
// that the first user can be made. Secrets stand alone on the last line of the
// standard output.
func AdminCommand() *cli.Command {
	return &cli.Command{
		Name:  "admin",
		Usage: "manage users, tokens, workspaces, workers and storage, on the server's database",
		Description: "Says in a line what was done. The exit status is 0 when it was, 2 when the command line makes no sense, and 3\n" +
			"when the database or a rule says no.\n\n" +
			"Example: debusine admin --database postgresql:///debusine worker enable builder1",
		Flags: []cli.Flag{
			text("database", "the server's PostgreSQL at `DSN`", "", false),
			text("state", "the state folder `DIR` of `debusine standalone`, instead of --database", "", false),
		},
		Subcommands: []*cli.Command{userCommand(), tokenCommand(), scopeCommand(), workspaceCommand(), groupCommand(), workerCommand(), gateCommand(), artifactsCommand(), keyCommand(), channelCommand()},
	}
}

// verb is a command of one object. It gets the open database.
func verb(name, arguments, usage string, least int, do func(*cli.Context, *store.DB) error, flags ...cli.Flag) *cli.Command {
	return &cli.Command{Name: name, ArgsUsage: arguments, Usage: usage, Flags: flags, Action: func(c *cli.Context) error {
		c, err := flagsAnywhere(c)
		if err != nil {
			return err
		}
		if err := countArguments(c, "debusine admin … "+name, arguments, least); err != nil {
			return err
		}
		dsn, err := adminDSN(c)
		if err != nil {
			return err
		}
		db, err := store.Open(c.Context, dsn, "")
		if err != nil {
			return advise(err)
		}
		defer db.Close()
		return advise(do(c, db))
	}}
}

// countArguments refuses a command line with fewer arguments than are needed, or
// more than are named.
func countArguments(c *cli.Context, command, arguments string, least int) error {
	most := len(strings.Fields(arguments))
	hint := "\nhint: " + command + " --help"
	switch {
	case c.NArg() < least:
		return cli.Exit(command+" needs "+arguments+hint, 2)
	case c.NArg() <= most:
		return nil
	case most == 0:
		return cli.Exit(fmt.Sprintf("%s takes no arguments: %.80q is one too many%s", command, c.Args().Get(0), hint), 2)
	}
	return cli.Exit(fmt.Sprintf("%s takes %s alone: %.80q is one too many%s", command, arguments, c.Args().Get(most), hint), 2)
}

// flagsAnywhere lets flags stand after names too, which package cli does not:
// it gives a context whose arguments are the names alone.
func flagsAnywhere(c *cli.Context) (*cli.Context, error) {
	words, names := c.Args().Slice(), []string{}
	for i := 0; i < len(words); i++ {
		flagName, value, given := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		if words[i] == "-" || !strings.HasPrefix(words[i], "-") {
			names = append(names, words[i])
			continue
		}
		at := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), flagName) })
		if at < 0 {
			return nil, cli.Exit("flag "+words[i]+" is unknown\nhint: debusine admin … "+c.Command.Name+" --help", 2)
		}
		_, isBool := c.Command.Flags[at].(*cli.BoolFlag)
		switch {
		case given:
		case isBool:
			value = "true"
		case i+1 < len(words):
			i++
			value = words[i]
		default:
			return nil, cli.Exit("flag "+words[i]+" needs a value", 2)
		}
		if err := c.Set(flagName, value); err != nil {
			return nil, cli.Exit(fmt.Sprintf("flag %s: %v", words[i], err), 2)
		}
	}
	set := flag.NewFlagSet(c.Command.Name, flag.ContinueOnError)
	if err := set.Parse(append([]string{"--"}, names...)); err != nil {
		return nil, err
	}
	plain := cli.NewContext(c.App, set, c)
	plain.Command = c.Command
	return plain, nil
}

// exitRefused is the exit status of what a rule or the network refuses, as it is
// of the other commands.
const exitRefused = 3

// advise puts a fault's hint under it. A command line that makes no sense has an
// exit status of its own already.
func advise(err error) error {
	if err == nil || errors.As(err, new(cli.ExitCoder)) {
		return err
	}
	text := err.Error()
	if p := problem(err); p.Hint != "" {
		text += "\nhint: " + p.Hint
	}
	return cli.Exit(text, exitRefused)
}

// done says in a line what was done, unless err says that it was not.
func done(c *cli.Context, err error, format string, args ...any) error {
	if err == nil {
		fmt.Fprintf(c.App.Writer, format+"\n", args...)
	}
	return err
}

func adminDSN(c *cli.Context) (string, error) {
	if dsn := c.String("database"); dsn != "" {
		return dsn, nil
	}
	state := c.String("state")
	if state == "" {
		return "", cli.Exit("which database?\nhint: debusine admin --database DSN …, or --state DIR for a debusine standalone", 2)
	}
	raw, err := os.ReadFile(filepath.Join(state, "server.dsn"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cli.Exit(state+" is not the state folder of a debusine standalone that has started", 3)
	}
	return strings.TrimSpace(string(raw)), err
}

// table prints rows under a head.
func table(c *cli.Context, head string, rows func(add func(cells ...any))) error {
	w := tabwriter.NewWriter(c.App.Writer, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " ", "\t"))
	rows(func(cells ...any) {
		words := make([]string, len(cells))
		for i, cell := range cells {
			words[i] = fmt.Sprint(cell)
		}
		fmt.Fprintln(w, strings.Join(words, "\t"))
	})
	return w.Flush()
}

func userCommand() *cli.Command {
	return &cli.Command{Name: "user", Usage: "people and programs", Subcommands: []*cli.Command{
		verb("create", "NAME [EMAIL]", "make a user; the first one owns the scope debusine", 1, func(c *cli.Context, db *store.DB) error {
			owner, err := db.CreateUser(c.Context, c.Args().Get(0), c.Args().Get(1), c.Bool("owner"))
			if owner {
				return done(c, err, "made the user %s, an owner of the scope debusine", c.Args().Get(0))
			}
			return done(c, err, "made the user %s", c.Args().Get(0))
		}, &cli.BoolFlag{Name: "owner", Usage: "also make it an owner of the scope debusine"}),
		verb("list", "", "list users", 0, func(c *cli.Context, db *store.DB) error {
			users, err := db.Users(c.Context)
			if err != nil {
				return err
			}
			return table(c, "NAME EMAIL ACTIVE SUPERUSER", func(add func(...any)) {
				for _, u := range users {
					add(u.Username, u.Email, u.Active, u.Superuser)
				}
			})
		}),
		verb("manage", "NAME", "change a user", 1, func(c *cli.Context, db *store.DB) error {
			return done(c, db.SetUser(c.Context, c.Args().First(), given(c, "active"), given(c, "superuser")), "changed the user %s", c.Args().First())
		}, &cli.BoolFlag{Name: "active", Usage: "its tokens work; --active=false stops them"}, &cli.BoolFlag{Name: "superuser", Usage: "may everything"}),
	}}
}

// given is a flag's value if it was given at all.
func given(c *cli.Context, name string) *bool {
	if !c.IsSet(name) {
		return nil
	}
	v := c.Bool(name)
	return &v
}

func tokenCommand() *cli.Command {
	return &cli.Command{Name: "token", Usage: "credentials", Subcommands: []*cli.Command{
		verb("create", "", "make a token and print its secret, which is kept nowhere", 0, func(c *cli.Context, db *store.DB) error {
			var expire *time.Time
			if d := c.Duration("expire"); c.IsSet("expire") {
				if d <= 0 { // a slip must not make a token that lives for ever
					return cli.Exit("--expire takes a duration above zero\nhint: for example --expire 720h; without it the token is good until it is deleted", 2)
				}
				at := time.Now().Add(d)
				expire = &at
			}
			secret, err := "", error(nil)
			switch user := c.String("user"); {
			case user != "":
				secret, err = db.CreateUserToken(c.Context, user, c.String("comment"), expire)
			case c.Bool("worker-activation"):
				secret, err = db.CreateActivationToken(c.Context, c.String("comment"), expire)
			default:
				return cli.Exit("for whom?\nhint: --user NAME or --worker-activation", 2)
			}
			if err == nil {
				fmt.Fprintln(c.App.Writer, secret)
			}
			return err
		}, &cli.StringFlag{Name: "user", Usage: "for the user `NAME`"}, &cli.BoolFlag{Name: "worker-activation", Usage: "with it, one new worker enables itself"},
			&cli.StringFlag{Name: "comment", Usage: "what it is for"}, &cli.DurationFlag{Name: "expire", Usage: "it is void after `DURATION`, for example 720h", DefaultText: "never"}),
		verb("list", "[USER]", "list tokens", 0, func(c *cli.Context, db *store.DB) error {
			tokens, err := db.Tokens(c.Context, c.Args().First())
			if err != nil {
				return err
			}
			return table(c, "ID TYPE USER WORKER ENABLED EXPIRES COMMENT", func(add func(...any)) {
				for _, t := range tokens {
					expires := "never"
					if t.ExpireAt != nil {
						expires = t.ExpireAt.Format(time.RFC3339)
					}
					add(t.ID, t.Type, t.User, t.Worker, t.Enabled, expires, t.Comment)
				}
			})
		}),
		verb("delete", "ID", "make a token void", 1, func(c *cli.Context, db *store.DB) error {
			var id int64
			if _, err := fmt.Sscan(c.Args().First(), &id); err != nil {
				return cli.Exit("a token is named by its number\nhint: debusine admin token list", 2)
			}
			return done(c, db.DeleteToken(c.Context, id), "token %d is void", id)
		}),
	}}
}

func scopeCommand() *cli.Command {
	return &cli.Command{Name: "scope", Usage: "tenants", Subcommands: []*cli.Command{
		verb("create", "NAME [LABEL]", "make a scope with the groups Members and Owners", 1, func(c *cli.Context, db *store.DB) error {
			return done(c, db.CreateScope(c.Context, c.Args().Get(0), c.Args().Get(1)), "made the scope %s", c.Args().Get(0))
		}),
		verb("list", "", "list scopes", 0, func(c *cli.Context, db *store.DB) error {
			scopes, err := db.Scopes(c.Context)
			if err != nil {
				return err
			}
			return table(c, "NAME LABEL PUBLIC", func(add func(...any)) {
				for _, s := range scopes {
					add(s.Name, s.Label, s.Public)
				}
			})
		}),
		verb("grant-role", "SCOPE GROUP ROLE", "give a group the role owner or observer", 3, func(c *cli.Context, db *store.DB) error {
			scope, group, role := c.Args().Get(0), c.Args().Get(1), c.Args().Get(2)
			return done(c, db.Grant(c.Context, scope, "", group, role), "%s is %s of the scope %s", group, role, scope)
		}),
	}}
}

// inScope splits SCOPE/NAME; the scope is debusine where none is given.
func inScope(name string) (scope, rest string) {
	if scope, rest, ok := strings.Cut(name, "/"); ok {
		return scope, rest
	}
	return "debusine", name
}

func workspaceCommand() *cli.Command {
	return &cli.Command{Name: "workspace", Usage: "where artifacts and work requests live; named [SCOPE/]WORKSPACE", Subcommands: []*cli.Command{
		verb("create", "WORKSPACE", "make a workspace", 1, func(c *cli.Context, db *store.DB) error {
			scope, name := inScope(c.Args().First())
			return done(c, db.CreateWorkspace(c.Context, scope, name, c.Bool("public")), "made the workspace %s/%s", scope, name)
		}, &cli.BoolFlag{Name: "public", Usage: "everybody may see it, without a token too"}),
		verb("list", "", "list workspaces", 0, func(c *cli.Context, db *store.DB) error {
			list, err := db.Workspaces(c.Context)
			if err != nil {
				return err
			}
			return table(c, "NAME PUBLIC", func(add func(...any)) {
				for _, w := range list {
					add(w.Scope+"/"+w.Name, w.Public)
				}
			})
		}),
		verb("grant-role", "WORKSPACE GROUP ROLE", "give a group of the scope the role owner, contributor or viewer", 3, func(c *cli.Context, db *store.DB) error {
			scope, name := inScope(c.Args().Get(0))
			group, role := c.Args().Get(1), c.Args().Get(2)
			return done(c, db.Grant(c.Context, scope, name, group, role), "%s is %s of the workspace %s/%s", group, role, scope, name)
		}),
	}}
}

func groupCommand() *cli.Command {
	return &cli.Command{Name: "group", Usage: "who holds roles; named [SCOPE/]GROUP", Subcommands: []*cli.Command{
		verb("create", "GROUP", "make a group", 1, func(c *cli.Context, db *store.DB) error {
			scope, name := inScope(c.Args().First())
			return done(c, db.CreateGroup(c.Context, scope, name), "made the group %s/%s", scope, name)
		}),
		verb("members", "GROUP", "list members, after adding and removing some", 1, func(c *cli.Context, db *store.DB) error {
			scope, name := inScope(c.Args().First())
			members, err := db.ChangeMembers(c.Context, scope, name, c.StringSlice("add"), c.StringSlice("remove"))
			for _, m := range members {
				fmt.Fprintln(c.App.Writer, m)
			}
			return err
		}, &cli.StringSliceFlag{Name: "add", Usage: "add the user `NAME`"}, &cli.StringSliceFlag{Name: "remove", Usage: "remove the user `NAME`"}),
	}}
}

func gateCommand() *cli.Command {
	set := func(gate bool, words string) func(*cli.Context, *store.DB) error {
		return func(c *cli.Context, db *store.DB) error {
			return done(c, db.SetGate(c.Context, c.Args().First(), gate), "%s %s for work that is asked for from now on", c.Args().First(), words)
		}
	}
	return &cli.Command{Name: "gate", Usage: "tags of work that get queues of their own, for machines that are kept for it", Subcommands: []*cli.Command{
		verb("add", "TAG", "declare a tag to be a gate, such as task:workspace:debusine:security", 1, set(true, "is a gate")),
		verb("remove", "TAG", "it is no gate any more", 1, set(false, "is no gate")),
		verb("list", "", "list gates", 0, func(c *cli.Context, db *store.DB) error {
			gates, err := db.Gates(c.Context)
			for _, g := range gates {
				fmt.Fprintln(c.App.Writer, g)
			}
			return err
		}),
	}}
}

// readMetadata reads a YAML file of static metadata.
func readMetadata(name string) (map[string]any, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the metadata: %w", err)
	}
	data := map[string]any{}
	if err := yaml.Unmarshal(raw, &data); err != nil {
		return nil, debusine.Invalidf("%s is not a YAML mapping: %v", name, err)
	}
	return data, nil
}

// asYAML is what edit-metadata shows.
func asYAML(data map[string]any) (string, error) {
	// Numbers came as JSON's.
	raw, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	var plain any
	if err := yaml.Unmarshal(raw, &plain); err != nil {
		return "", err
	}
	out, err := yaml.Marshal(plain)
	return string(out), err
}

func namedWorker(ctx context.Context, db *store.DB, c *cli.Context) (debusine.Worker, error) {
	return db.WorkerNamed(ctx, c.Args().First())
}
