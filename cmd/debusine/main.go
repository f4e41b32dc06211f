// Command debusine is all of Debusine on Temporal in one program. It hands each
// part's command to the command line, and is the one place that knows them all.
package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"debusine/server"
	"debusine/stack"
	"debusine/worker"
)

func main() {
	app := &cli.App{
		Name:     "debusine",
		Usage:    "build, test, sign and upload Debian packages on a network of workers",
		Commands: []*cli.Command{stack.Command(), server.Command(), server.AdminCommand(), worker.Command()},
	}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "debusine:", err)
		os.Exit(1)
	}
}
