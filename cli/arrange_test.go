package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestOptionsMayStandAnywhere(t *testing.T) {
	machine := &cli.Command{Name: "worker", Flags: []cli.Flag{&cli.StringFlag{Name: "state"}}, Action: func(*cli.Context) error { return nil }}
	for _, test := range []struct{ name, given, want string }{
		{"an option after the argument", "artifact download 12 --target-directory out", "artifact download --target-directory out 12"},
		{"an option for all after the verb", "artifact show 12 --json", "--json artifact show 12"},
		{"an option for all with a value", "artifact show --server x 12 -d", "--server x -d artifact show 12"},
		{"a value that is joined", "artifact show 12 --server=x", "--server=x artifact show 12"},
		{"a value that looks like an option", "work-request manage 12 --set-priority-adjustment -5", "work-request manage --set-priority-adjustment -5 12"},
		{"standard input is no option", "workflow start x --data -", "workflow start --data - x"},
		{"a switch takes no value", "work-request log --follow 12", "work-request log --follow 12"},
		{"an unknown option stays where it is", "artifact show --nosuch 12", "artifact show --nosuch 12"},
		{"what follows -- is no option", "artifact create x -- --json", "artifact create -- x --json"},
		{"worker list is about all of them", "worker list", "workers list"},
		{"worker alone is the build machine", "worker --state x", "worker --state x"},
		{"help is left to the verb", "artifact show --help", "artifact show --help"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := arrange(New(machine), append([]string{"debusine"}, strings.Fields(test.given)...))
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]string{"debusine"}, strings.Fields(test.want)...); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestACommandThatDoesNotExist(t *testing.T) {
	for _, line := range []string{"artifcat", "artifact shwo", "workflow list-all"} {
		_, err := arrange(New(), append([]string{"debusine"}, strings.Fields(line)...))
		var u usage
		if !errors.As(err, &u) || !strings.Contains(u.what, "debusine "+line) || u.hint == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestEveryVerbTeaches(t *testing.T) {
	var verbs func(path string, list []*cli.Command)
	verbs = func(path string, list []*cli.Command) {
		for _, c := range list {
			if c.Usage == "" {
				t.Errorf("%s %s has no sentence about it", path, c.Name)
			}
			if len(c.Subcommands) == 0 && !strings.Contains(c.Description, "Example: debusine ") {
				t.Errorf("%s %s has no example", path, c.Name)
			}
			verbs(path+" "+c.Name, c.Subcommands)
		}
	}
	verbs("debusine", New().Commands)
}
