package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

const (
	aKey       = "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"
	makeSigned = `{"binary_artifacts": [1], "signing_template_artifacts": [2], "vendor": "debian", "codename": "trixie", "purpose": "uefi", "key": "` + aKey + `"}`
)

// shim are the packages of a source that has a template for two architectures.
func shim() task.SigningFacts {
	b := func(id int64, name, arch string) task.Binary {
		return task.Binary{Artifact: id, Package: name, Architecture: arch, Source: "shim", Version: "15.8-1"}
	}
	return task.SigningFacts{
		Binaries:     []task.Binary{b(11, "shim-unsigned", "amd64"), b(12, "shim-unsigned", "arm64"), b(13, "shim-doc", "all"), b(14, "shim-unsigned", "riscv64")},
		Templates:    []task.Binary{b(22, "shim-arm64-signed-template", "arm64"), b(21, "shim-amd64-signed-template", "amd64"), b(23, "shim-i386-signed-template", "i386")},
		Environments: []string{"amd64"},
	}
}

// signingHouse has facts, and makes one artifact a step.
func signingHouse(t *testing.T, facts task.SigningFacts) *house {
	t.Helper()
	h := newHouse(t)
	h.source = task.Source{Artifact: 300, Name: "shim-signed", Version: "1", Architectures: "any", Environments: []string{"amd64", "arm64"}}
	task.FactsForSigning.DoneBy(h, func(context.Context, task.SourceQuestion) (task.SigningFacts, error) { return facts, nil })
	task.Outputs.DoneBy(h, func(_ context.Context, q task.OutputQuestion) ([]task.Output, error) {
		return []task.Output{{Artifact: 1000 + q.ID, Package: "shim-unsigned"}}, nil
	})
	return h
}

func (h *house) stepOf(t *testing.T, name string, data any) (task.Step, int64) {
	t.Helper()
	for i, s := range h.planned {
		if s.Name == name {
			if err := json.Unmarshal(s.Data, data); err != nil {
				t.Fatal(err)
			}
			return s, int64(100 + i)
		}
	}
	t.Fatalf("no step %s in %+v", name, h.planned)
	return task.Step{}, 0
}

func TestASignedSourceIsMadeOfEachTemplate(t *testing.T) {
	h := signingHouse(t, shim())
	if o := h.run(t, "make_signed_source", makeSigned); o.Result != debusine.Success {
		t.Fatalf("outcome %+v, %+v", o, h.conclusion)
	}
	for arch, of := range map[string]struct {
		binaries []string
		template string
	}{"amd64": {[]string{"11@artifacts", "13@artifacts"}, "21@artifacts"}, "arm64": {[]string{"12@artifacts", "13@artifacts"}, "22@artifacts"}} {
		name := arch + "-shim-" + arch + "-signed-template"
		var extract task.ExtractForSigningData
		step, extracted := h.stepOf(t, "extract-for-signing-"+name, &extract)
		if texts(extract.Input.BinaryArtifacts) != strings.Join(of.binaries, " ") || extract.Input.TemplateArtifact.String() != of.template ||
			extract.Environment.String() != "debian/match:codename=trixie" || extract.BuildArchitecture != "amd64" || step.TaskName != "extractforsigning" {
			t.Errorf("extract %+v, %+v", step, extract)
		}
		isNamed(t, step, "extracted-for-signing-"+arch+"-{binary_package_name}", "debusine:signing-input")
		var sign task.SignData
		step, signed := h.stepOf(t, "sign-"+name, &sign)
		if texts(sign.Unsigned) != debusine.LookupID(1000+extracted).String() || sign.Key != aKey || sign.Purpose != "uefi" || step.TaskName != "sign" {
			t.Errorf("sign %+v, %+v", step, sign)
		}
		isNamed(t, step, "signed-"+name+"-{binary_package_name}", "debusine:signing-output")
		var assemble task.AssembleSignedSourceData
		step, assembled := h.stepOf(t, "assemble-signed-source-"+name, &assemble)
		if texts(assemble.Signed) != debusine.LookupID(1000+signed).String() || assemble.Template.String() != of.template || step.TaskName != "assemblesignedsource" {
			t.Errorf("assemble %+v, %+v", step, assemble)
		}
		isNamed(t, step, "signed-source-"+name, "debian:upload")
		var build task.SbuildWorkflowData
		step, _ = h.stepOf(t, "sbuild-"+name, &build)
		if step.Kind != debusine.WorkflowTask || step.TaskName != "sbuild" || build.Prefix != "signed-source-"+name+"|" || build.Input.SourceArtifact != debusine.LookupOf(debusine.LookupID(1000+assembled).String()) ||
			texts(build.Input.ExtraBinaryArtifacts) != strings.Join(of.binaries, " ") || !slices.Equal(build.Architectures, []string{arch, "all"}) || build.TargetDistribution != "debian:trixie" {
			t.Errorf("build %+v, %+v", step, build)
		}
		h.stepOf(t, "signed-source-"+name+"|build-"+arch, &task.SbuildData{})
	}
	if dropped := h.conclusion.Output.Dropped; len(dropped) != 1 || dropped[0].Architecture != "i386" {
		t.Errorf("left out %+v", dropped)
	}
}

func texts(all []debusine.Lookup) string {
	var words []string
	for _, l := range all {
		words = append(words, l.String())
	}
	return strings.Join(words, " ")
}

func isNamed(t *testing.T, s task.Step, name, category string) {
	t.Helper()
	r := s.Reactions.OnSuccess
	if len(r) != 1 || r[0].NameTemplate != name || r[0].Filters["category"] != category || r[0].Collection != "internal@collections" || r[0].Action != task.UpdateCollectionWithArtifacts {
		t.Errorf("%s: %+v", s.Name, r)
	}
}

// A step that fails ends the source that it is of, and no other.
func TestWhatIsNotSignedIsNotBuilt(t *testing.T) {
	for failing, steps := range map[string]int{"extract-for-signing": 1, "sign": 2, "assemble-signed-source": 3} {
		t.Run(failing, func(t *testing.T) {
			h := signingHouse(t, shim())
			h.results[failing+"-arm64-shim-arm64-signed-template"] = debusine.Failure
			if o := h.run(t, "make_signed_source", makeSigned); o.Result != debusine.Failure {
				t.Errorf("outcome %+v", o)
			}
			n := 0
			for _, s := range h.planned {
				if strings.HasSuffix(s.Name, "-arm64-shim-arm64-signed-template") {
					n++
				}
			}
			if n != steps {
				t.Errorf("%d steps were planned, not %d", n, steps)
			}
			h.stepOf(t, "signed-source-amd64-shim-amd64-signed-template|build-amd64", &task.SbuildData{})
		})
	}
}

func TestAFailedBuildWithinIsOneOfTheSignedSource(t *testing.T) {
	h := signingHouse(t, shim())
	h.results["signed-source-amd64-shim-amd64-signed-template|build-amd64"] = debusine.Failure
	if o := h.run(t, "make_signed_source", makeSigned); o.Result != debusine.Failure {
		t.Errorf("outcome %+v", o)
	}
}

func TestNothingToSignIsAnError(t *testing.T) {
	facts := shim()
	facts.Templates = facts.Templates[2:]
	h := signingHouse(t, facts)
	if o := h.run(t, "make_signed_source", makeSigned); o.Result != debusine.Error || len(h.planned) > 0 || !strings.Contains(h.conclusion.Output.Errors[0].Message, "i386: none of binary_artifacts") {
		t.Errorf("outcome %+v, %+v", o, h.conclusion)
	}
}

func TestMakingSignedSourcesCanBeAborted(t *testing.T) {
	h := signingHouse(t, shim())
	h.RegisterDelayedCallback(h.CancelWorkflow, 0)
	h.ExecuteWorkflow("make_signed_source", task.WorkflowStart{ID: 7, Data: json.RawMessage(makeSigned)})
	if err := h.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v", err)
	}
}

func TestWhichSignedSourcesAreMade(t *testing.T) {
	for name, c := range map[string]struct {
		archs   []string
		change  func(*task.SigningFacts)
		want    string
		dropped string
	}{
		"all that have both":                    {nil, nil, "amd64@amd64:11,13 arm64@amd64:12,13", "i386"},
		"those that were asked for":             {[]string{"arm64", "all", "riscv64"}, nil, "arm64@amd64:12,13", "amd64 i386 riscv64"},
		"on their own architecture where it is": {[]string{"arm64"}, func(f *task.SigningFacts) { f.Environments = []string{"arm64"} }, "arm64@arm64:12,13", "amd64 i386"},
		"two templates of one architecture": {[]string{"amd64"}, func(f *task.SigningFacts) {
			f.Templates = append(f.Templates[1:2:2], task.Binary{Artifact: 29, Package: "a-signed-template", Architecture: "amd64"})
		}, "amd64@amd64:11,13 amd64@amd64:11,13", ""},
		"no template for all": {nil, func(f *task.SigningFacts) {
			f.Templates = []task.Binary{{Artifact: 29, Package: "x", Architecture: "all"}}
		}, "", "all"},
	} {
		facts := shim()
		if c.change != nil {
			c.change(&facts)
		}
		sources, left := workflows.SignedSources(task.MakeSignedSourceData{Architectures: c.archs}, facts)
		var got, dropped []string
		for _, s := range sources {
			got = append(got, s.Arch+"@"+s.On+":"+strings.ReplaceAll(strings.ReplaceAll(texts(s.Binaries), "@artifacts", ""), " ", ","))
		}
		for _, d := range left {
			dropped = append(dropped, d.Architecture)
		}
		slices.Sort(dropped)
		if strings.Join(got, " ") != c.want || strings.Join(dropped, " ") != c.dropped {
			t.Errorf("%s: made %v, left out %v", name, got, dropped)
		}
	}
}
