// Command debusine is all of Debusine on Temporal in one program. It hands each
// part's command to the command line, and is the one place that knows them all.
package main

import (
	"os"

	"debusine/cli"
	"debusine/server"
	"debusine/stack"
	"debusine/worker"
)

func main() {
	os.Exit(cli.Run(os.Args, stack.Command(), stack.DeploymentCommand(), server.Command(), worker.Command(), server.AdminCommand()))
}
