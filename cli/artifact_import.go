package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/client"
)

func importDebianCommand() *cli.Command {
	return &cli.Command{
		Name: "import-debian", Usage: "upload a Debian file with all that it lists", ArgsUsage: "FILE|URL",
		Description: "Takes a .dsc, .changes, .deb or .udeb. Every file that it lists is checked before anything is sent.\n\n" +
			"Example: debusine artifact import-debian hello_2.10-3.dsc",
		Flags:  []cli.Flag{workspaceFlag()},
		Action: talk(importDebian),
	}
}

func importDebian(s *session) error {
	if err := s.want("FILE|URL"); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "debusine-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	progress, end := s.transfer("fetching")
	read, err := client.ReadDebian(s.ctx(), s.Args().First(), scratch, progress)
	end()
	if err != nil {
		return err
	}
	progress, end = s.transfer("uploading")
	done, err := s.api.Import(s.ctx(), read, s.workspace(), progress)
	end()
	if err != nil {
		return err
	}
	main, err := s.api.Artifact(s.ctx(), done.Main.ID)
	if err != nil {
		return err
	}
	return s.out.print(main, func() error {
		for _, part := range done.Parts {
			fmt.Fprintf(s.out.to, "artifact %d  %s  %s\n", part.ID, part.Category, strings.Join(fileNames(part), " "))
		}
		_, err := fmt.Fprintf(s.out.to, "artifact %d  %s  %s  %s\n", main.ID, main.Category, bytesOf(sizeOf(main)), strings.Join(fileNames(main), " "))
		return err
	})
}
