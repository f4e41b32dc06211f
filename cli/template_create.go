package cli

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"debusine/api"
)

func templateFlags() []cli.Flag {
	return []cli.Flag{
		workspaceFlag(),
		&cli.StringFlag{Name: "static-parameters", Usage: "what is set in stone: an object, YAML or JSON, from `FILE`; - is standard input"},
		&cli.StringFlag{Name: "runtime-parameters", Usage: "what who starts it may set: {NAME: any, or a list of values}, from `FILE`"},
		&cli.StringSliceFlag{Name: "set", Usage: "set one static `KEY=VALUE`"},
		&cli.StringSliceFlag{Name: "allow", Usage: "let who starts it set the parameter `NAME` to anything"},
		&cli.IntFlag{Name: "priority", Usage: "base priority `N` of what it starts"},
		&cli.StringSliceFlag{Name: "extra-group", Usage: "runs with the permissions of the group `NAME` too"},
		&cli.BoolFlag{Name: "restricted", Usage: "only owners of the workspace start it"},
	}
}

func templateCreateCommand() *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "make a workflow template", ArgsUsage: "WORKFLOW NAME",
		Description: "Example: debusine workflow-template create sbuild sbuild-trixie --set target_distribution=debian:trixie \\\n" +
			"           --allow input --allow architectures",
		Flags:  templateFlags(),
		Action: talk(templateCreate),
	}
}

func templateCreate(s *session) error {
	if err := s.want("WORKFLOW", "NAME"); err != nil {
		return err
	}
	t := api.WorkflowTemplate{TaskName: taskName(s.Args().Get(0)), Name: s.Args().Get(1), StaticParameters: map[string]json.RawMessage{}}
	if err := s.changeTemplate(&t); err != nil {
		return err
	}
	made, err := s.api.CreateTemplate(s.ctx(), s.place(), t)
	if err != nil {
		return err
	}
	return s.showTemplate(made)
}

// changeTemplate sets what the options say.
func (s *session) changeTemplate(t *api.WorkflowTemplate) error {
	static, err := s.parameters("static-parameters")
	if err != nil {
		return err
	}
	for _, assignment := range s.StringSlice("set") {
		if static == nil {
			static = map[string]any{}
			for key, raw := range t.StaticParameters {
				static[key] = raw
			}
		}
		if err := assign(static, assignment); err != nil {
			return err
		}
	}
	if static != nil {
		if t.StaticParameters, err = raws(static); err != nil {
			return err
		}
	}
	if err := s.changeRuntime(t); err != nil {
		return err
	}
	if s.IsSet("priority") {
		t.Priority = s.Int("priority")
	}
	if s.IsSet("extra-group") {
		t.ExtraGroups = s.StringSlice("extra-group")
	}
	if s.IsSet("restricted") {
		t.Restricted = s.Bool("restricted")
	}
	return nil
}

func (s *session) changeRuntime(t *api.WorkflowTemplate) error {
	runtime, err := s.parameters("runtime-parameters")
	if err != nil {
		return err
	}
	for _, name := range s.StringSlice("allow") {
		if runtime == nil {
			// What is there already stays; "any", which is no object, is replaced.
			_ = json.Unmarshal(t.RuntimeParameters, &runtime)
		}
		if runtime == nil {
			runtime = map[string]any{}
		}
		runtime[name] = "any"
	}
	if runtime == nil {
		return nil
	}
	t.RuntimeParameters, err = json.Marshal(runtime)
	return err
}

// parameters reads the object that a flag names; nil when it names none.
func (s *session) parameters(flag string) (map[string]any, error) {
	if !s.IsSet(flag) {
		return nil, nil
	}
	raw, err := s.readFile(s.String(flag))
	if err != nil {
		return nil, err
	}
	return object(raw, s.String(flag))
}
