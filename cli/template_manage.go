package cli

import (
	"github.com/urfave/cli/v2"
)

func templateManageCommand() *cli.Command {
	return &cli.Command{
		Name: "manage", Usage: "change a workflow template", ArgsUsage: "NAME",
		Description: "Example: debusine workflow-template manage sbuild-trixie --priority 10 --allow extra_environment",
		Flags: append(templateFlags(),
			&cli.StringFlag{Name: "name", Usage: "rename it to `NAME`"}),
		Action: talk(templateManage),
	}
}

func templateManage(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	t, err := s.api.Template(s.ctx(), s.place(), s.Args().First())
	if err != nil {
		return err
	}
	if err := s.changeTemplate(&t); err != nil {
		return err
	}
	if s.IsSet("name") {
		t.Name = s.String("name")
	}
	t.Links = nil
	if t, err = s.api.UpdateTemplate(s.ctx(), s.place(), t); err != nil {
		return err
	}
	return s.showTemplate(t)
}
