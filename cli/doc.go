// Package cli is the command line: the object first, then the verb, as in
// Debusine's own client, with one file for each verb.
//
// A verb asks the API, and prints what came back in one of three forms: a table
// for people, --json or --yaml for programs. Progress, warnings and errors go
// to standard error; what was asked for goes to standard output.
//
// Options may stand before or after the arguments. The exit code is 0 when all
// went well, 1 when the work that was waited for did not, 2 when the command
// line makes no sense, 3 when configuration, network or server say no, and 130
// after Ctrl-C.
package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// New makes the program: the user's verbs, and the commands of the other parts
// (server, worker, standalone …) as they are.
func New(commands ...*cli.Command) *cli.App {
	app := &cli.App{
		Name:  "debusine",
		Usage: "build, test, sign and upload Debian packages on a network of workers",
		UsageText: "debusine [options] OBJECT VERB [options] [arguments]\n\n" +
			"Example: debusine artifact import-debian hello_2.10-3.dsc\n" +
			"         debusine workflow start sbuild --set input.source_artifact=12 --wait",
		Flags: globalFlags(),
		Commands: append([]*cli.Command{
			artifactCommand(), workRequestCommand(), workflowCommand(), templateCommand(), scheduleCommand(),
			collectionCommand(), assetCommand(), taskConfigCommand(), workerCommand(), whoamiCommand(), serviceStatusCommand(),
			queueCommand(),
		}, commands...),
		HideHelpCommand:        true,
		HideVersion:            true,
		UseShortOptionHandling: false,
		// A comma belongs to the value: --set "architectures=[amd64, all]".
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run does it
		OnUsageError:              onUsageError,
	}
	for _, c := range app.Commands {
		settle(c)
	}
	return app
}

// Run runs the program and gives its exit code.
func Run(args []string, commands ...*cli.Command) int {
	return run(New(commands...), args, os.Stdout, os.Stderr)
}

func run(app *cli.App, args []string, out, errOut io.Writer) int {
	app.Writer, app.ErrWriter = out, errOut
	args, err := arrange(app, args)
	if err == nil {
		err = app.Run(args)
	}
	return report(errOut, err)
}

// settle gives each command what all have.
func settle(c *cli.Command) {
	c.OnUsageError = onUsageError
	c.HideHelpCommand = true
	for _, sub := range c.Subcommands {
		settle(sub)
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	what := err.Error()
	if option, ok := strings.CutPrefix(what, "flag provided but not defined: -"); ok {
		dashes := "--"
		if len(option) == 1 {
			dashes = "-"
		}
		what = fmt.Sprintf("there is no option %s%s", dashes, option)
	}
	return usage{what: what, hint: fmt.Sprintf("%s --help", c.Command.HelpName)}
}

// globalFlags may stand anywhere on the command line.
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config-file", Usage: "read the configuration from `FILE`", DefaultText: "~/.config/debusine/client/config.ini", EnvVars: []string{"DEBUSINE_CONFIG_FILE"}},
		&cli.StringFlag{Name: "server", Usage: "speak to the server `NAME` of the configuration, or FQDN/SCOPE", EnvVars: []string{"DEBUSINE_SERVER_NAME"}},
		&cli.StringFlag{Name: "scope", Usage: "work in the scope `NAME` instead of the configured one"},
		&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		&cli.BoolFlag{Name: "yaml", Usage: "print YAML"},
		&cli.BoolFlag{Name: "silent", Aliases: []string{"s"}, Usage: "show no progress"},
		&cli.BoolFlag{Name: "debug", Aliases: []string{"d"}, Usage: "show each request to the server"},
	}
}
