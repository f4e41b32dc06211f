package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange moves options to the command that they belong to, in front of its
// arguments: urfave/cli stops looking for options at the first argument, but
// people write "artifact show 12 --json". It also finds commands that do not
// exist, with the one that may have been meant.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	a := &arranging{levels: []level{{flags: app.Flags}}, commands: app.Commands}
	for rest := args[1:]; len(rest) > 0; {
		taken, err := a.take(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[taken:]
	}
	out := args[:1:1]
	for _, l := range a.levels {
		out = append(append(out, l.name...), l.options...)
	}
	if len(a.args) > 0 && slices.ContainsFunc(a.args, func(s string) bool { return strings.HasPrefix(s, "-") && s != "-" }) {
		out = append(out, "--")
	}
	return append(out, a.args...), nil
}

// level is a command on the way down, with what was given for it.
type level struct {
	name    []string // empty for the program itself
	flags   []cli.Flag
	options []string
}

type arranging struct {
	levels   []level
	commands []*cli.Command // that may come next
	path     []string
	args     []string
}

// take deals with the next word or two.
func (a *arranging) take(rest []string) (int, error) {
	word := rest[0]
	switch {
	case word == "--":
		a.args = append(a.args, rest[1:]...)
		return len(rest), nil
	case strings.HasPrefix(word, "-") && word != "-":
		return a.option(rest), nil
	case len(a.commands) > 0:
		if len(a.path) == 0 && word == "worker" && len(rest) > 1 && rest[1] == "list" {
			word = workersName
		}
		return 1, a.command(word)
	}
	a.args = append(a.args, word)
	return 1, nil
}

// option goes to the innermost command that knows it; what nobody knows stays
// there too, for urfave/cli to refuse.
func (a *arranging) option(rest []string) int {
	name, _, joined := strings.Cut(strings.TrimLeft(rest[0], "-"), "=")
	at, takes := len(a.levels)-1, false
	for i := len(a.levels) - 1; i >= 0; i-- {
		if found, needs := findFlag(a.levels[i].flags, name); found {
			at, takes = i, needs && !joined
			break
		}
	}
	n := 1
	if takes && len(rest) > 1 {
		n = 2
	}
	a.levels[at].options = append(a.levels[at].options, rest[:n]...)
	return n
}

func (a *arranging) command(word string) error {
	i := slices.IndexFunc(a.commands, func(c *cli.Command) bool { return c.HasName(word) })
	a.path = append(a.path, word)
	if i < 0 {
		var names []string
		for _, c := range a.commands {
			if !c.Hidden {
				names = append(names, c.Name)
			}
		}
		return usage{what: fmt.Sprintf("there is no command \"debusine %s\"", strings.Join(a.path, " ")),
			hint: "the commands here are " + strings.Join(names, ", ")}
	}
	c := a.commands[i]
	a.levels = append(a.levels, level{name: []string{c.Name}, flags: c.Flags})
	a.commands = c.Subcommands
	return nil
}

func findFlag(flags []cli.Flag, name string) (found, takesValue bool) {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			takes, ok := f.(cli.DocGenerationFlag)
			return true, ok && takes.TakesValue()
		}
	}
	return false, false
}
