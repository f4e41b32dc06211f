package cli

import "github.com/urfave/cli/v2"

func workflowCommand() *cli.Command {
	return &cli.Command{Name: "workflow", Usage: "start workflows and look at them", Subcommands: []*cli.Command{
		workflowStartCommand(), workflowListCommand(),
	}}
}
