package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/debian"
	"debusine/task"
)

// Sbuild builds a source package on each architecture that was asked for and
// that the package is for, "all" by itself, in parallel (spec §4.1).
func Sbuild(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	s := &sbuild{start: start}
	return runStory(ctx, start, "Building a source package", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		s.board = b
		if err := s.prepare(ctx); err != nil {
			return "", s.left, err
		}
		result, err := s.run(ctx)
		return result, s.left, err
	})
}

type sbuild struct {
	start  task.WorkflowStart
	data   task.SbuildWorkflowData
	source task.Source
	left   debusine.OutputData // what is told of it at its end
	board  *board
}

// prepare learns what is to be decided upon.
func (s *sbuild) prepare(ctx workflow.Context) (err error) {
	if err := read(s.start, &s.data); err != nil {
		return err
	}
	s.source, err = task.SourceFacts.OnServer(ctx, task.SourceQuestion{ID: s.start.ID})
	if err != nil {
		return err
	}
	if s.data.BinNMU != nil && s.data.BinNMU.Timestamp == nil && !s.source.Asked.IsZero() {
		s.data.BinNMU.Timestamp = &s.source.Asked // the same entry on every architecture, and of a retry
	}
	s.board.about = fmt.Sprintf("Building %s %s for %s", s.source.Name, s.source.Version, s.data.TargetDistribution)
	about := task.Description{Source: s.source.Name, Version: s.source.Version, Suite: s.data.Codename()}
	return workflow.UpsertTypedSearchAttributes(ctx, about.Attributes()...)
}

func (s *sbuild) run(ctx workflow.Context) (debusine.Result, error) {
	build, dropped := ArchesToBuild(s.data, s.source)
	s.left.Dropped, s.board.left = dropped, dropped
	if len(build) == 0 {
		return "", fault("no architecture is left to build on: " + Reasons(dropped))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, task.ArchitectureAttribute(build)); err != nil {
		return "", err
	}
	if s.data.WithoutWorker == task.WaitForWorker {
		for _, arch := range build {
			s.board.waiting(s.data.Prefix+"build-"+arch, s.source.NoWorker[arch])
		}
	}
	steps, err := s.steps(build)
	if err != nil {
		return "", err
	}
	outcomes, err := runRetried(ctx, s.start, s.board, s.data.Retries, steps...)
	return summarize(outcomes), err
}

// ArchesToBuild is requested ∩ allowed and not denied ∩ source ∩ accepted by the
// suite ∩ having an environment ∩, when data say so, having an enabled worker;
// sorted. All that is dropped is told with its reason. "all" is built in the
// environment that data and source name for it.
func ArchesToBuild(data task.SbuildWorkflowData, source task.Source) (build []string, dropped []debusine.DroppedArchitecture) {
	for _, a := range data.Architectures {
		if reason := whyNot(a, data, source); reason != "" {
			dropped = append(dropped, debusine.DroppedArchitecture{Architecture: a, Reason: reason})
		} else {
			build = append(build, a)
		}
	}
	slices.Sort(build)
	return build, dropped
}

func whyNot(arch string, data task.SbuildWorkflowData, source task.Source) string {
	needs := data.BuildsOn(arch, source)
	_, unfit := data.Makes(arch, source)
	_, unknown := debian.ParseArch(needs)
	switch {
	case len(data.ArchitecturesAllowlist) > 0 && !slices.Contains(data.ArchitecturesAllowlist, arch):
		return "it is not in architectures_allowlist"
	case slices.Contains(data.ArchitecturesDenylist, arch):
		return "it is in architectures_denylist"
	case arch == "all" && data.BinNMU != nil:
		return "a binNMU makes no packages of Architecture: all"
	case unfit != nil:
		return unfit.Error()
	case unknown != nil:
		return "the source's Build-Indep-Architecture is no architecture; name one as arch_all_build_architecture"
	case arch != "all" && source.Suite != nil && !slices.Contains(source.Suite, arch):
		return "the suite does not accept it: its Release file has " + strings.Join(source.Suite, " ")
	case !slices.Contains(source.Environments, needs):
		return "there is no environment of architecture " + needs + " for the target distribution"
	case data.WithoutWorker == task.DropWithoutWorkers && source.NoWorker[arch] != "":
		return source.NoWorker[arch]
	}
	return ""
}

// Reasons is why architectures are not built, in one line.
func Reasons(dropped []debusine.DroppedArchitecture) string {
	text := ""
	for i, d := range dropped {
		if i > 0 {
			text += "; "
		}
		text += d.Architecture + ": " + d.Reason
	}
	return text
}

// steps are the builds, one an architecture.
func (s *sbuild) steps(build []string) ([]task.Step, error) {
	steps := make([]task.Step, 0, len(build))
	for _, arch := range build {
		raw, err := json.Marshal(s.data.Build(arch, s.source))
		if err != nil {
			return nil, err
		}
		steps = append(steps, task.Step{Name: s.data.Prefix + "build-" + arch, TaskName: "sbuild", Data: raw,
			Display: fmt.Sprintf("Build %s_%s on %s", s.source.Name, s.source.Version, arch), Reactions: s.reactions(arch)})
	}
	return steps, nil
}

// reactions keep the build log collection: a bare entry announces the log, the
// log takes its place however the build ended. What was built, and the log, also
// go by name into the workflow's internal collection.
func (s *sbuild) reactions(arch string) task.Reactions {
	const logs = "_@debian:package-build-logs"
	about := map[string]any{"vendor": s.data.Vendor(), "codename": s.data.Codename(), "architecture": arch,
		"srcpkg_name": s.source.Name, "srcpkg_version": s.source.Version}
	keep := []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: logs, Filters: map[string]any{"category": debusine.CategoryPackageBuildLog}, Variables: about},
		s.output("buildlog-"+arch, debusine.CategoryPackageBuildLog, arch)}
	built := s.output("build-"+arch, debusine.CategoryUpload, arch)
	if names, _ := s.data.Makes(arch, s.source); names != nil && len(strings.Join(names, " "))*len(s.data.Architectures) < longestNames {
		built.Variables["binary_names"] = names
	}
	made := []task.Reaction{built}
	for _, name := range s.data.SigningTemplateNames[arch] {
		template := s.output("signing-template-"+arch+"-"+name, debusine.CategoryBinaryPackage, arch)
		template.Filters["data__deb_fields__Package"], template.Variables["binary_package_name"] = name, name
		made = append(made, template)
	}
	return task.Reactions{
		OnCreation: []task.Reaction{{Action: task.UpdateCollectionWithData, Collection: logs, Category: debusine.CategoryPackageBuildLog, Data: about}},
		OnSuccess:  append(made, keep...), OnFailure: keep,
	}
}

// longestNames bounds, in bytes, the names of packages that the plan carries: real
// sources have some tens of thousands.
const longestNames = 200_000

// output puts an artifact of the build by name into the internal collection.
func (s *sbuild) output(name, category, arch string) task.Reaction {
	return task.Reaction{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections", NameTemplate: s.data.Prefix + name,
		Filters: map[string]any{"category": category}, Variables: map[string]any{"architecture": arch, "source_package_name": s.source.Name}}
}
