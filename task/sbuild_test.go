package task

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"debusine"
)

const goodBuild = `{"input": {"source_artifact": 421}, "build_architecture": "arm64", "environment": "debian/match:codename=forky"}`

func TestABuildHasItsDefaults(t *testing.T) {
	d := parsed[*SbuildData](t, "sbuild", goodBuild)
	if d.Backend != "unshare" || !slices.Equal(d.BuildComponents, []string{"any"}) {
		t.Errorf("%+v", d)
	}
	raw, err := json.Marshal(d)
	want := `{"input":{"source_artifact":421},"build_architecture":"arm64","environment":"debian/match:codename=forky","backend":"unshare","build_components":["any"]}`
	if err != nil || string(raw) != want {
		t.Errorf("configured as %s, %v", raw, err)
	}
	auto := parsed[*SbuildData](t, "sbuild", strings.Replace(goodBuild, `{"input"`, `{"backend": "auto", "input"`, 1))
	if auto.Backend != "unshare" {
		t.Errorf("auto came to %q", auto.Backend)
	}
}

func TestABuildNeedsSourceExtraPackagesAndEnvironment(t *testing.T) {
	d := parsed[*SbuildData](t, "sbuild", `{"input": {"source_artifact": "421@artifacts", "extra_binary_artifacts": [5, "6@artifacts"]},
		"build_architecture": "arm64", "environment": "debian/match:codename=forky"}`)
	want := []Need{
		{Field: "input_source_artifact_id", Lookups: []debusine.Lookup{debusine.LookupID(421)}, Categories: []string{"debian:source-package"}},
		{Field: "environment_id", Lookups: []debusine.Lookup{debusine.LookupOf("debian/match:codename=forky")}, Categories: []string{"debian:system-tarball"},
			DefaultCategory: "debian:environments", Environment: &Environment{Architecture: "arm64", Format: "tarball", Backend: "unshare", Task: "sbuild"}},
		{Field: "input_extra_binary_artifacts_ids", Lookups: []debusine.Lookup{debusine.LookupOf("5"), debusine.LookupID(6)}, Many: true,
			Categories: []string{"debian:binary-package", "debian:upload"}},
	}
	if got := d.Needs(); !reflect.DeepEqual(got, want) {
		t.Errorf("needs %+v", got)
	}
}

func TestABuildGoesToAMachineThatCanBuild(t *testing.T) {
	d := parsed[*SbuildData](t, "sbuild", goodBuild)
	want := []string{"worker:build-arch:arm64", "worker:cap:sbuild", "worker:executor:unshare", "worker:task:worker:sbuild:version:1", "worker:type:worker"}
	if got := tagSet(d.Requires()); !slices.Equal(got, want) {
		t.Errorf("requires %q", got)
	}
	if queue := QueueName(d.Requires(), nil); queue != "build/arm64" {
		t.Errorf("queue %s", queue)
	}
}

func TestABuildIsDescribedByItsSource(t *testing.T) {
	found := map[string][]debusine.Artifact{
		"input_source_artifact_id": {{Data: json.RawMessage(`{"name": "rust23", "version": "1:1.0-1"}`)}},
		"environment_id":           {{Data: json.RawMessage(`{"codename": "forky"}`)}},
	}
	for components, want := range map[string][2]string{
		`["any"]`:        {"any:arm64:arm64", "arm64"},
		`["any", "all"]`: {"any+all:arm64:arm64", "arm64"},
		`["all"]`:        {"all:arm64:arm64", "all"},
	} {
		d := parsed[*SbuildData](t, "sbuild", strings.Replace(goodBuild, `{"input"`, `{"build_components": `+components+`, "input"`, 1))
		got := d.Describe(found)
		if got != (Description{Subject: "rust23", ParameterSummary: "rust23_1:1.0-1", RuntimeContext: want[0], ConfigurationContext: "forky",
			Architecture: want[1], Suite: "forky", Source: "rust23", Version: "1:1.0-1"}) {
			t.Errorf("%s: %+v", components, got)
		}
	}
}

func TestBuildsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"no source":                          {`"source_artifact": 421`, ``, "input.source_artifact is missing"},
		"a source that is null":              {`421`, `null`, "input.source_artifact is missing"},
		"a negative source":                  {`421`, `-421`, "-421"},
		"a source that is a dictionary":      {`421`, `{"collection": "x"}`, "number or a non-empty string"},
		"no environment":                     {`"debian/match:codename=forky"`, `null`, "environment is missing"},
		"no architecture":                    {`"arm64"`, `""`, "build_architecture is missing"},
		"the architecture all":               {`"arm64"`, `"all"`, `"all" is unknown`},
		"a wildcard":                         {`"arm64"`, `"linux-any"`, "is unknown"},
		"an architecture that is an option":  {`"arm64"`, `"--help"`, "is unknown"},
		"an architecture with a newline":     {`"arm64"`, `"arm64\n"`, `arm64\n`},
		"an unknown backend":                 {`{"input"`, `{"backend": "schroot", "input"`, `"schroot" is not supported`},
		"a backend with an escape sequence":  {`{"input"`, `{"backend": "\u001b[2J", "input"`, `\x1b[2J`},
		"a huge backend":                     {`{"input"`, `{"backend": "` + strings.Repeat("x", 1<<19) + `", "input"`, "not supported"},
		"an unknown component":               {`{"input"`, `{"build_components": ["arch"], "input"`, `"arch" is not supported`},
		"the source as a component":          {`{"input"`, `{"build_components": ["source"], "input"`, "not supported"},
		"a component twice":                  {`{"input"`, `{"build_components": ["any", "any"], "input"`, "twice"},
		"a component that is null":           {`{"input"`, `{"build_components": [null], "input"`, "not supported"},
		"a parameter not accepted yet":       {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+b1"}, "input"`, `"binnmu" is unknown`},
		"an unknown parameter of the input":  {`"source_artifact"`, `"dsc": 1, "source_artifact"`, `"dsc" is unknown`},
		"extra packages that are no list":    {`421`, `421, "extra_binary_artifacts": 5`, "must be a list"},
		"extra packages without end":         {`421`, `421, "extra_binary_artifacts": [` + strings.Repeat("1,", 1000) + `1]`, "1000 are allowed"},
		"two sources":                        {`421`, `421, "source_artifact": 422`, "twice"},
		"an environment that is a directory": {`"debian/match:codename=forky"`, `[]`, "lookup"},
	} {
		raw := strings.Replace(goodBuild, c.old, c.new, 1)
		if raw == goodBuild {
			t.Fatalf("%s: nothing was changed", name)
		}
		refused(t, name, parseFault(t, "sbuild", raw), c.want)
	}
}
