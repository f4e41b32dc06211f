// Command debusine is all of Debusine on Temporal in one program. It hands each
// part's command to the command line, and is the one place that knows them all.
package main

import (
	"os"

	"debusine/cli"
	"debusine/server"
	"debusine/sign"
	"debusine/stack"
	"debusine/worker"
	"debusine/worker/signing"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == sign.ChildCommand {
		os.Exit(sign.ChildMain(os.Stdin, os.Stdout))
	}
	os.Exit(cli.Run(os.Args, stack.Command(), stack.DeploymentCommand(), server.Command(), worker.Command(), signing.Command(), server.AdminCommand()))
}
