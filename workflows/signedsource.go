package workflows

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// MakeSignedSource makes signed source packages of signing templates, and builds
// them (spec §4.6): for each template and its architecture what is to be signed is
// taken out of the packages, signed, and assembled to a source package. The
// templates do not wait for one another.
func MakeSignedSource(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	s := &signedSources{start: start}
	return runStory(ctx, start, "Making signed source packages", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		s.board = b
		if err := s.prepare(ctx); err != nil {
			return "", s.output, err
		}
		result, err := s.run(ctx)
		return result, s.output, err
	})
}

type signedSources struct {
	start  task.WorkflowStart
	data   task.MakeSignedSourceData
	facts  task.SigningFacts
	output debusine.OutputData
	board  *board
}

// prepare learns what is to be decided upon.
func (s *signedSources) prepare(ctx workflow.Context) (err error) {
	if err := read(s.start, &s.data); err != nil {
		return err
	}
	s.facts, err = task.FactsForSigning.OnServer(ctx, task.SourceQuestion{ID: s.start.ID})
	if err != nil {
		return err
	}
	about := task.Description{Suite: s.data.Codename}
	if len(s.facts.Templates) > 0 {
		about.Source, about.Version = s.facts.Templates[0].Source, s.facts.Templates[0].Version
	}
	s.board.about = fmt.Sprintf("Making signed sources of %s %s for %s", about.Source, about.Version, s.data.TargetDistribution())
	return workflow.UpsertTypedSearchAttributes(ctx, about.Attributes()...)
}

func (s *signedSources) run(ctx workflow.Context) (debusine.Result, error) {
	wanted, dropped := SignedSources(s.data, s.facts)
	s.output.Dropped, s.board.left = dropped, dropped
	if len(wanted) == 0 {
		return "", fault("there is nothing to sign: " + Reasons(dropped))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, task.ArchitectureAttribute(Architectures(wanted))); err != nil {
		return "", err
	}
	results := workflow.NewBufferedChannel(ctx, len(wanted))
	slots := workflow.NewSemaphore(ctx, window)
	for _, one := range wanted {
		one.signedSources = s
		workflow.Go(ctx, func(ctx workflow.Context) {
			err := slots.Acquire(ctx, 1)
			good := false
			if err == nil {
				good, err = one.run(ctx)
				slots.Release(1)
			}
			results.Send(ctx, ended{good, err})
		})
	}
	result := debusine.Success
	var failed error
	for range wanted {
		var e ended
		results.Receive(ctx, &e)
		failed = cmp.Or(failed, e.err)
		if !e.good {
			result = debusine.Failure
		}
	}
	return result, failed
}

// ended is how one signed source came out.
type ended struct {
	good bool
	err  error
}

// SignedSource is one that is to be made.
type SignedSource struct {
	*signedSources
	Arch     string
	On       string // architecture of the machine and environment that take packages apart and pack the source
	Template task.Binary
	Binaries []debusine.Lookup // of the architecture, and of all
}

// SignedSources are those to be made, sorted: one for each template of an
// architecture that was asked for and that has packages. What is left out is told
// with its reason.
func SignedSources(data task.MakeSignedSourceData, facts task.SigningFacts) (wanted []SignedSource, dropped []debusine.DroppedArchitecture) {
	left := map[string]bool{}
	leave := func(arch, reason string) {
		if !left[arch] {
			left[arch] = true
			dropped = append(dropped, debusine.DroppedArchitecture{Architecture: arch, Reason: reason})
		}
	}
	for _, t := range facts.Templates {
		switch {
		case t.Architecture == "all":
			leave(t.Architecture, "a signing template is for one architecture")
		case len(data.Architectures) > 0 && !slices.Contains(data.Architectures, t.Architecture):
			leave(t.Architecture, "it is not among the architectures that were asked for")
		case !slices.ContainsFunc(facts.Binaries, func(b task.Binary) bool { return b.Architecture == t.Architecture }):
			leave(t.Architecture, "none of binary_artifacts is of this architecture")
		default:
			wanted = append(wanted, SignedSource{Arch: t.Architecture, On: placeFor(t.Architecture, facts.Environments), Template: t, Binaries: of(t.Architecture, facts.Binaries)})
		}
	}
	for _, arch := range data.Architectures {
		if arch != "all" && !slices.ContainsFunc(facts.Templates, func(t task.Binary) bool { return t.Architecture == arch }) {
			leave(arch, "none of signing_template_artifacts is of this architecture")
		}
	}
	slices.SortStableFunc(wanted, func(a, b SignedSource) int {
		return cmp.Or(strings.Compare(a.Arch, b.Arch), strings.Compare(a.Template.Package, b.Template.Package))
	})
	return wanted, dropped
}

// placeFor is the architecture itself, where it has an environment, else amd64.
func placeFor(arch string, environments []string) string {
	if slices.Contains(environments, arch) {
		return arch
	}
	return "amd64"
}

// of are the packages of an architecture and of all.
func of(arch string, binaries []task.Binary) (found []debusine.Lookup) {
	for _, b := range binaries {
		if b.Architecture == arch || b.Architecture == "all" {
			found = append(found, debusine.LookupID(b.Artifact))
		}
	}
	return found
}

// Architectures are those of some signed sources, sorted, each once.
func Architectures(sources []SignedSource) (all []string) {
	for _, one := range sources {
		all = append(all, one.Arch)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// name is what the steps and outputs of this source are called by.
func (s SignedSource) name(what string) string { return what + "-" + s.Arch + "-" + s.Template.Package }

// run goes on as long as each step succeeds.
func (s SignedSource) run(ctx workflow.Context) (good bool, err error) {
	inputs, err := s.do(ctx, s.extract(), debusine.CategorySigningInput)
	if err != nil || len(inputs) == 0 {
		return false, err
	}
	signed, err := s.do(ctx, s.sign(inputs), debusine.CategorySigningOutput)
	if err != nil || len(signed) == 0 {
		return false, err
	}
	uploads, err := s.do(ctx, s.assemble(signed), debusine.CategoryUpload)
	if err != nil || len(uploads) == 0 {
		return false, err
	}
	outcomes, err := runSteps(ctx, s.start, s.board, s.build(uploads[0]))
	return err == nil && summarize(outcomes) == debusine.Success, err
}

// do does a step and gives what it made; nothing when it did not succeed.
func (s SignedSource) do(ctx workflow.Context, step task.Step, category string) ([]task.Output, error) {
	outcomes, err := runSteps(ctx, s.start, s.board, step)
	if err != nil || summarize(outcomes) != debusine.Success {
		return nil, err
	}
	return task.Outputs.OnServer(ctx, task.OutputQuestion{ID: outcomes[0].ID, Category: category})
}

func (s SignedSource) environment() debusine.Lookup {
	return debusine.LookupOf(s.data.Vendor + "/match:codename=" + s.data.Codename)
}

// step makes one of this source's steps; data of ours can always be written.
func (s SignedSource) step(name, display string, data any, reactions ...task.Reaction) task.Step {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return task.Step{Name: s.name(name), TaskName: strings.ReplaceAll(name, "-", ""), Data: raw, Display: fmt.Sprintf("%s (%s on %s)", display, s.Template.Package, s.Arch),
		Group: s.Template.Package, Reactions: task.Reactions{OnSuccess: reactions}}
}

// named gives what a step made a name in the workflow's internal collection.
func (s SignedSource) named(name, category string, variables map[string]any) task.Reaction {
	variables["architecture"] = s.Arch
	return task.Reaction{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections", NameTemplate: name,
		Filters: map[string]any{"category": category}, Variables: variables}
}

// aboutPackage has the name of each output end with the package that it is about.
func (s SignedSource) aboutPackage(name, category string) task.Reaction {
	return s.named(name+"-{binary_package_name}", category, map[string]any{"$binary_package_name": "binary_package_name"})
}

func (s SignedSource) extract() task.Step {
	return s.step("extract-for-signing", "Extract what is to be signed",
		task.ExtractForSigningData{Input: task.ExtractForSigningInput{TemplateArtifact: debusine.LookupID(s.Template.Artifact), BinaryArtifacts: s.Binaries},
			Environment: s.environment(), BuildArchitecture: s.On},
		s.aboutPackage("extracted-for-signing-"+s.Arch, debusine.CategorySigningInput))
}

func (s SignedSource) sign(inputs []task.Output) task.Step {
	return s.step("sign", "Sign", task.SignData{Purpose: s.data.Purpose, Unsigned: ids(inputs), Key: s.data.Key},
		s.aboutPackage(s.name("signed"), debusine.CategorySigningOutput))
}

func (s SignedSource) assemble(signed []task.Output) task.Step {
	return s.step("assemble-signed-source", "Assemble the signed source",
		task.AssembleSignedSourceData{Template: debusine.LookupID(s.Template.Artifact), Signed: ids(signed), Environment: s.environment(), BuildArchitecture: s.On},
		s.named(s.name("signed-source"), debusine.CategoryUpload, map[string]any{"signing_template_name": s.Template.Package}))
}

func (s SignedSource) build(upload task.Output) task.Step {
	step := s.step("sbuild", "Build the signed source", task.SbuildWorkflowData{Prefix: s.name("signed-source") + "|",
		Input:              task.SbuildInput{SourceArtifact: debusine.LookupID(upload.Artifact), ExtraBinaryArtifacts: s.Binaries},
		TargetDistribution: s.data.TargetDistribution(), Backend: s.data.SbuildBackend, Architectures: []string{s.Arch, "all"}, ArchAllBuildArchitecture: s.On})
	step.Kind = debusine.WorkflowTask
	return step
}

func ids(outputs []task.Output) (all []debusine.Lookup) {
	for _, o := range outputs {
		all = append(all, debusine.LookupID(o.Artifact))
	}
	return all
}
