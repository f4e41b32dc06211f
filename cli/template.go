package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine/api"
	"debusine/client"
)

func templateCommand() *cli.Command {
	return &cli.Command{Name: "workflow-template", Usage: "work with workflow templates", Subcommands: []*cli.Command{
		templateCreateCommand(), templateListCommand(), templateShowCommand(), templateManageCommand(), templateDeleteCommand(),
	}}
}

func templateListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list what workflows can be started in a workspace",
		Description: "Example: debusine workflow-template list",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(templateList),
	}
}

func templateList(s *session) error {
	if err := s.want(); err != nil {
		return err
	}
	all, err := client.Collect(s.api.Templates(s.ctx(), s.place()), 0)
	if err != nil {
		return err
	}
	return s.out.print(all, func() error {
		var rows [][]string
		for _, t := range all {
			rows = append(rows, []string{t.Name, t.TaskName, strings.Join(slices.Sorted(maps.Keys(t.StaticParameters)), " "), settable(t), restricted(t)})
		}
		return s.out.table([]string{"NAME", "WORKFLOW", "SET", "TO BE SET", ""}, rows)
	})
}

// settable lists what who starts the workflow may say.
func settable(t api.WorkflowTemplate) string {
	var parameters map[string]json.RawMessage
	if err := json.Unmarshal(t.RuntimeParameters, &parameters); err != nil {
		var any string
		if json.Unmarshal(t.RuntimeParameters, &any) == nil {
			return any
		}
		return ""
	}
	return strings.Join(slices.Sorted(maps.Keys(parameters)), " ")
}

func restricted(t api.WorkflowTemplate) string {
	if t.Restricted {
		return "restricted"
	}
	return ""
}

func templateShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a workflow template", ArgsUsage: "NAME",
		Description: "Example: debusine workflow-template show sbuild",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(templateShow),
	}
}

func templateShow(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	t, err := s.api.Template(s.ctx(), s.place(), s.Args().First())
	if err != nil {
		return err
	}
	return s.showTemplate(t)
}

func (s *session) showTemplate(t api.WorkflowTemplate) error {
	return s.out.print(t, func() error {
		static, err := json.Marshal(t.StaticParameters)
		if err != nil {
			return err
		}
		return s.out.pairs([2]string{"Template", t.Name}, [2]string{"ID", number(t.ID)}, [2]string{"Workflow", t.TaskName},
			[2]string{"Priority", strconv.Itoa(t.Priority)}, [2]string{"Restricted", restricted(t)},
			[2]string{"Extra groups", strings.Join(t.ExtraGroups, " ")},
			[2]string{"Set", indented(static)}, [2]string{"To be set", indented(t.RuntimeParameters)})
	})
}

func templateDeleteCommand() *cli.Command {
	return &cli.Command{
		Name: "delete", Usage: "delete a workflow template; what it started stays", ArgsUsage: "NAME",
		Description: "Example: debusine workflow-template delete sbuild-experimental",
		Flags:       []cli.Flag{workspaceFlag()},
		Action:      talk(templateDelete),
	}
}

func templateDelete(s *session) error {
	if err := s.want("NAME"); err != nil {
		return err
	}
	if err := s.api.DeleteTemplate(s.ctx(), s.place(), s.Args().First()); err != nil {
		return err
	}
	return s.out.print(struct {
		Deleted string `json:"deleted"`
	}{s.Args().First()}, func() error {
		_, err := fmt.Fprintln(s.out.to, "deleted", s.Args().First())
		return err
	})
}
