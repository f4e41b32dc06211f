package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
)

func taskConfigCommand() *cli.Command {
	return &cli.Command{Name: "task-config", Usage: "tune tasks and workflows without code", Subcommands: []*cli.Command{
		taskConfigPullCommand(), taskConfigPushCommand(), taskConfigExplainCommand(),
	}}
}

const taskConfigAbout = `
A task configuration is kept as YAML files in a folder, best a git work tree. Each
file holds one entry or a list of them:

   - task_type: Worker            # or Workflow
     task_name: sbuild
     subject: linux               # source package; leave out for all
     context: trixie              # codename; leave out for all
     override_values: {build_profiles: [nodoc]}
     require_tags: ["worker:class:big"]
     comment: why

Files count in the order of their names, entries in that of the file; the last one
that sets a value wins, unless an earlier one has it in lock_values.`

func treeFlags() []cli.Flag {
	return []cli.Flag{
		workspaceFlag(),
		&cli.StringFlag{Name: "collection", Usage: "the task configuration `NAME`", DefaultText: "the one in MANIFEST, or default"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only say what would change"},
		&cli.BoolFlag{Name: "force", Usage: "whatever git says"},
	}
}

func taskConfigPullCommand() *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "bring the entries of the server into the folder", ArgsUsage: "[FOLDER]",
		Description: "Example: debusine task-config pull -w System\n" + taskConfigAbout,
		Flags:       treeFlags(), Action: talk(taskConfigPull),
	}
}

func taskConfigPushCommand() *cli.Command {
	return &cli.Command{
		Name: "push", Usage: "put the entries of the folder in place of those of the server", ArgsUsage: "[FOLDER]",
		Description: "Example: debusine task-config push --dry-run\n" + taskConfigAbout,
		Flags:       treeFlags(), Action: talk(taskConfigPush),
	}
}

// tree opens the work tree that the arguments name, with the manifest that the
// options change.
func (s *session) tree() (*configTree, error) {
	if s.NArg() > 1 {
		return nil, wrong(s, "at most one FOLDER")
	}
	root := s.Args().First()
	if root == "" {
		root = "."
	}
	t, err := openConfigTree(root)
	if err != nil {
		return nil, err
	}
	if w := s.workspace(); w != "" {
		t.manifest.Workspace = w
	}
	if t.manifest.Workspace == "" {
		t.manifest.Workspace = defaultWorkspace
	}
	if name := s.String("collection"); name != "" {
		t.manifest.Collection.Name = name
	}
	if t.manifest.Collection.Name == "" {
		t.manifest.Collection.Name = "default"
	}
	if !s.Bool("force") {
		if err := t.clean(s.ctx()); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func taskConfigPull(s *session) error {
	t, err := s.tree()
	if err != nil {
		return err
	}
	there, err := s.api.TaskConfiguration(s.ctx(), t.manifest.Workspace, t.manifest.Collection.Name)
	if err != nil {
		return err
	}
	t.manifest.Collection = there.Collection
	counts, kept, err := t.pull(s.ctx(), there.Items, s.Bool("dry-run"), s.Bool("force"))
	if err != nil {
		return err
	}
	for _, file := range kept {
		s.note("%s has entries that the server does not have; it is kept", file)
	}
	return s.out.print(counts, func() error { return s.countsLine(counts) })
}

func (s *session) countsLine(n api.TaskConfigurationCounts) error {
	would := ""
	if s.Bool("dry-run") {
		would = " (dry run: nothing was changed)"
	}
	_, err := fmt.Fprintf(s.out.to, "%d added, %d updated, %d removed, %d unchanged%s\n", n.Added, n.Updated, n.Removed, n.Unchanged, would)
	return err
}

func taskConfigPush(s *session) error {
	t, err := s.tree()
	if err != nil {
		return err
	}
	items, err := t.entries()
	if err != nil {
		return err
	}
	if !s.Bool("force") {
		there, err := s.api.TaskConfiguration(s.ctx(), t.manifest.Workspace, t.manifest.Collection.Name)
		if err != nil && !isMissing(err) {
			return err
		}
		if err := t.descends(s.ctx(), there.Collection.Data["git_commit"]); err != nil {
			return err
		}
	}
	u := api.TaskConfigurationUpdate{Collection: t.manifest.Collection, Items: items, DryRun: s.Bool("dry-run")}
	if u.Collection.Data, err = t.commit(s.ctx()); err != nil {
		return err
	}
	s.note("pushing %d entries to %s@%s of workspace %s", len(items), u.Collection.Name, debusine.CategoryTaskConfiguration, t.manifest.Workspace)
	counts, err := s.api.ReplaceTaskConfiguration(s.ctx(), t.manifest.Workspace, u.Collection.Name, u)
	if err != nil {
		return err
	}
	return s.out.print(counts, func() error { return s.countsLine(counts) })
}

func isMissing(err error) bool { return errors.As(err, new(debusine.Missing)) }

func taskConfigExplainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "tell which entries apply to some work, in order, and what each changes", ArgsUsage: "WORK_REQUEST | TASK [SUBJECT [CONTEXT]]",
		Description: "For a work request that is there: what configured it. For a task: what would.\n\n" +
			"Example: debusine task-config explain 42\n" +
			"         debusine task-config explain sbuild linux trixie --set backend=unshare\n" +
			"         debusine task-config explain --workflow sbuild grub jessie",
		Flags: append(dataFlags("parameters as the user gives them"), workspaceFlag(),
			&cli.BoolFlag{Name: "workflow", Usage: "TASK is a workflow"},
			&cli.StringFlag{Name: "collection", Usage: "the task configuration `NAME`", Value: "default"},
			&cli.StringSliceFlag{Name: "provides", Usage: "the work provides the `TAG`"},
			&cli.StringSliceFlag{Name: "requires", Usage: "the work requires the `TAG`"}),
		Action: talk(taskConfigExplain),
	}
}

func taskConfigExplain(s *session) error {
	if s.NArg() == 1 {
		if _, err := strconv.ParseInt(s.Args().First(), 10, 64); err == nil {
			return s.explainWorkRequest()
		}
	}
	if s.NArg() < 1 || s.NArg() > 3 {
		return wrong(s, "TASK", "SUBJECT", "CONTEXT")
	}
	given, err := s.data()
	if err != nil {
		return err
	}
	q := api.TaskConfigurationQuestion{TaskType: string(debusine.WorkerTask), TaskName: taskName(s.Args().Get(0)), Subject: s.Args().Get(1), Context: s.Args().Get(2),
		TagsProvided: s.StringSlice("provides"), TagsRequired: s.StringSlice("requires")}
	if s.Bool("workflow") {
		q.TaskType = string(debusine.WorkflowTask)
	}
	if q.TaskData, err = raws(given); err != nil {
		return err
	}
	answer, err := s.api.ExplainTaskConfiguration(s.ctx(), s.place(), s.String("collection"), q)
	if err != nil {
		return err
	}
	return s.out.print(answer, func() error { return s.explain(answer) })
}

func (s *session) explainWorkRequest() error {
	id, err := s.id("a work request")
	if err != nil {
		return err
	}
	w, err := s.api.WorkRequest(s.ctx(), id)
	if err != nil {
		return err
	}
	var dynamic struct {
		Steps []api.TaskConfigurationStep `json:"configured_by"`
	}
	if len(w.DynamicTaskData) > 0 {
		if err := json.Unmarshal(w.DynamicTaskData, &dynamic); err != nil {
			return fmt.Errorf("reading the dynamic data of work request %d: %w", id, err)
		}
	}
	return s.out.print(dynamic.Steps, func() error { return s.explainSteps(dynamic.Steps) })
}

func (s *session) explain(a api.TaskConfigurationAnswer) error {
	if err := s.explainSteps(a.Steps); err != nil || len(a.Steps) == 0 {
		return err
	}
	raw, err := json.Marshal(a.TaskData)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out.to)
	return s.out.pairs([2]string{"Parameters", indented(raw)}, [2]string{"Provides", strings.Join(a.ProvideTags, ", ")}, [2]string{"Requires", strings.Join(a.RequireTags, ", ")})
}

func (s *session) explainSteps(steps []api.TaskConfigurationStep) error {
	if len(steps) == 0 {
		_, err := fmt.Fprintln(s.out.to, "no entry of a task configuration applies")
		return err
	}
	for i, step := range steps {
		fmt.Fprintf(s.out.to, "%d. %s\n", i+1, oneLine(step.Where))
		if len(step.Via) > 0 {
			fmt.Fprintf(s.out.to, "   used by %s\n", oneLine(strings.Join(step.Via, " > ")))
		}
		if step.Comment != "" {
			fmt.Fprintf(s.out.to, "   %s\n", oneLine(step.Comment))
		}
		for _, c := range step.Changes {
			line := c.Does + " " + c.Key
			if len(c.Value) > 0 {
				line += " = " + string(c.Value)
			}
			if c.Lost != "" {
				line += "   (without effect: " + c.Lost + ")"
			}
			fmt.Fprintf(s.out.to, "   %s\n", oneLine(line))
		}
		for _, tag := range step.Tags {
			fmt.Fprintf(s.out.to, "   tag %s\n", oneLine(tag))
		}
	}
	return nil
}
