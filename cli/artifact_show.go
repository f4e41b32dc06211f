package cli

import "github.com/urfave/cli/v2"

func artifactShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show an artifact and its files", ArgsUsage: "ID",
		Description: "Example: debusine artifact show 12",
		Action:      talk(artifactShow),
	}
}

func artifactShow(s *session) error {
	id, err := s.id("an artifact")
	if err != nil {
		return err
	}
	a, err := s.api.Artifact(s.ctx(), id)
	if err != nil {
		return err
	}
	return s.printArtifact(a)
}
