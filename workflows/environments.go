package workflows

import (
	"encoding/json"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// UpdateEnvironments makes build environments anew and puts them into the
// vendor's collection (spec §4.9).
func UpdateEnvironments(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	return runStory(ctx, start, "Making build environments", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		var data task.UpdateEnvironmentsData
		if err := read(start, &data); err != nil {
			return "", debusine.OutputData{}, err
		}
		b.about = "Making build environments of " + data.Describe(nil).ParameterSummary
		steps, err := environmentSteps(data)
		if err != nil {
			return "", debusine.OutputData{}, err
		}
		outcomes, err := runSteps(ctx, start, b, steps...)
		return summarize(outcomes), debusine.OutputData{}, err
	})
}

// environmentSteps is one bootstrap for each target, codename, architecture and
// template.
func environmentSteps(data task.UpdateEnvironmentsData) ([]task.Step, error) {
	var steps []task.Step
	for i, target := range data.Targets {
		for _, codename := range target.Codenames {
			for _, arch := range target.Architectures {
				for _, format := range target.Formats() {
					b, err := target.Bootstrap(format, codename, arch)
					if err != nil {
						return nil, fault(err.Error())
					}
					steps = append(steps, task.Step{Name: fmt.Sprintf("%s-%d-%s-%s", b.Task, i, codename, arch), TaskName: b.Task, Data: b.Data,
						Display: fmt.Sprintf("Environment %s on %s%s", codename, arch, asImage(b)), Group: codename,
						Reactions: task.Reactions{OnSuccess: environmentReactions(data.Vendor, codename, arch, b.Category, target)}})
				}
			}
		}
	}
	return steps, nil
}

// asImage tells an image from the tarball of the same name.
func asImage(b task.Bootstrap) string {
	if b.Category == debusine.CategorySystemImage {
		return ", for virtual machines"
	}
	return ""
}

// environmentReactions add what was made once for each name that it goes by.
func environmentReactions(vendor, codename, arch, category string, target task.EnvironmentTarget) []task.Reaction {
	var reactions []task.Reaction
	for _, name := range target.NamesOf(codename) {
		for _, variant := range target.Variants.OrNone() {
			for _, backend := range target.Backends.OrNone() {
				variables := map[string]any{"codename": name}
				if variant != "" {
					variables["variant"] = variant
				}
				if backend != "" {
					variables["backend"] = backend
				}
				reactions = append(reactions, task.Reaction{Action: task.UpdateCollectionWithArtifacts, Collection: vendor + "@debian:environments",
					Filters: map[string]any{"category": category, "data__architecture": arch}, Variables: variables})
			}
		}
	}
	return reactions
}

// Noop asks for some noops and waits for them: it measures the machinery.
func Noop(ctx workflow.Context, start task.WorkflowStart) (task.Outcome, error) {
	return runStory(ctx, start, "Doing nothing", func(ctx workflow.Context, b *board) (debusine.Result, debusine.OutputData, error) {
		var data task.NoopWorkflowData
		if err := read(start, &data); err != nil {
			return "", debusine.OutputData{}, err
		}
		steps, err := noopSteps(data)
		if err != nil || len(steps) == 0 {
			return debusine.Success, debusine.OutputData{}, err
		}
		outcomes, err := runRetried(ctx, start, b, data.Retries, steps...)
		return summarize(outcomes), debusine.OutputData{}, err
	})
}

func noopSteps(data task.NoopWorkflowData) (steps []task.Step, err error) {
	for _, kind := range []struct {
		of       int
		step     task.Step
		data     any
		what, as string
	}{
		{data.Children, task.Step{TaskName: "noop"}, task.NoopData{BuildArchitecture: data.BuildArchitecture, Result: failing(data.Failing)}, "Noop", "noop-%d"},
		{data.ServerChildren, task.Step{TaskName: "servernoop"}, task.ServerNoopData{}, "Noop of the server", "servernoop-%d"},
		{data.Workflows, task.Step{TaskName: task.NoopWorkflow, Kind: debusine.WorkflowTask},
			task.NoopWorkflowData{Children: data.Children, BuildArchitecture: data.BuildArchitecture}, "Noops within", "workflow-%d"},
	} {
		raw, err := json.Marshal(kind.data)
		if err != nil {
			return nil, err
		}
		for i := range kind.of {
			step := kind.step
			step.Name, step.Data, step.Display = fmt.Sprintf(kind.as, i), raw, fmt.Sprintf("%s %d of %d", kind.what, i+1, kind.of)
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// failing is the result of a noop that fails.
func failing(yes bool) *bool {
	if !yes {
		return nil
	}
	no := false
	return &no
}

// read takes the data of the start, which the server checked before.
func read(start task.WorkflowStart, into task.WorkflowData) error {
	if err := task.ReadWorkflow(start.Data, into); err != nil {
		return fault(err.Error())
	}
	return nil
}

// fault is an error that ends the work request with its words.
func fault(message string) error {
	return temporal.NewNonRetryableApplicationError(message, task.FaultType, nil)
}
