package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
)

func workflowStartCommand() *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start a workflow from a template", ArgsUsage: "TEMPLATE",
		Description: "Example: debusine workflow start sbuild --set input.source_artifact=12 --set architectures='[amd64, all]' --wait\n" +
			"         debusine workflow start --no-template noop --set children=3",
		Flags: append(dataFlags("runtime parameters"), workspaceFlag(), waitFlag(),
			&cli.BoolFlag{Name: "no-template", Usage: "the argument names a workflow, not a template; for owners of the workspace"}),
		Action: talk(workflowStart),
	}
}

func workflowStart(s *session) error {
	if err := s.want("TEMPLATE"); err != nil {
		return err
	}
	data, err := s.data()
	if err != nil {
		return err
	}
	n := api.WorkflowCreate{TemplateName: s.Args().First(), Workspace: s.workspace()}
	if s.Bool("no-template") {
		n.TemplateName, n.TaskName = "", taskName(s.Args().First())
	}
	if n.TaskData, err = raws(data); err != nil {
		return err
	}
	w, err := s.api.StartWorkflow(s.ctx(), n)
	if err != nil {
		return err
	}
	return s.started(w)
}

// started tells where to look at work that has just begun, then waits if that
// was asked for.
func (s *session) started(w api.WorkRequest) error {
	if !s.Bool("wait") {
		return s.out.print(w, func() error { return s.announce(w, func(line string) { fmt.Fprintln(s.out.to, line) }) })
	}
	if s.out.machine() {
		if err := s.announce(w, func(line string) { s.note("%s", line) }); err != nil {
			return err
		}
		return s.wait(w)
	}
	if err := s.announce(w, func(line string) { fmt.Fprintln(s.out.to, line) }); err != nil {
		return err
	}
	return s.wait(w)
}

func (s *session) announce(w api.WorkRequest, line func(string)) error {
	kind := "work request"
	if w.TaskType == string(debusine.WorkflowTask) {
		kind = "workflow"
	}
	line(fmt.Sprintf("%s %d  %s  %s", kind, w.ID, title(w), w.Status))
	for _, out := range leftOut(w) {
		line("Left out     " + out)
	}
	if stuck(w) {
		line("Waiting      " + oneLine(waitingReason(w)))
	}
	if w.TemporalID != "" {
		line("Temporal id  " + w.TemporalID)
	}
	if w.TemporalURL != "" {
		line("Web UI       " + w.TemporalURL)
	}
	return nil
}
