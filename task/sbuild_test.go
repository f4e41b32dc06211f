package task

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/debian"
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

func TestABuildHasTheOptionsOfItsParameters(t *testing.T) {
	for name, c := range map[string]struct {
		data              string
		profiles, options string
		log, context      string
	}{
		"nothing":           {``, "", "", "arm64", "any:arm64:arm64"},
		"a profile":         {`"build_profiles": ["stage1"],`, "stage1", "", "arm64", "any:arm64:arm64"},
		"without tests":     {`"build_profiles": ["nocheck", "nodoc"], "build_options": "noopt  parallel=4",`, "nocheck,nodoc", "noopt parallel=4 nocheck nodoc", "arm64", ""},
		"a cross build":     {`"host_architecture": "armhf", "build_profiles": ["nodoc"],`, "nodoc,cross,nocheck", "nocheck nodoc", "armhf", ""},
		"its own machine":   {`"host_architecture": "arm64",`, "", "", "arm64", "any:arm64:arm64"},
		"the source itself": {`"build_components": ["source"],`, "", "", "source", "source:arm64:arm64"},
	} {
		d := parsed[*SbuildData](t, "sbuild", strings.Replace(goodBuild, `{"input"`, `{`+c.data+`"input"`, 1))
		if got := strings.Join(d.Profiles(), ","); got != c.profiles || d.Options() != c.options || d.LogArchitecture() != c.log {
			t.Errorf("%s: profiles %q, options %q, log of %s", name, got, d.Options(), d.LogArchitecture())
		}
		if got := d.Describe(nil).RuntimeContext; got != c.context {
			t.Errorf("%s: context %q", name, got)
		}
	}
}

func TestABinNMUHasOneEntryOnAllArchitectures(t *testing.T) {
	d := parsed[*SbuildData](t, "sbuild", strings.Replace(goodBuild, `{"input"`, `{"binnmu": {"changelog": "Rebuild against libfoo2.\n\n * And more", "suffix": "+deb12u1",
		"timestamp": "2026-11-22T12:00:00+01:00"}, "input"`, 1))
	version, err := debian.ParseVersion("1:1.0~rc1-2")
	if err != nil {
		t.Fatal(err)
	}
	d.KnownAs("debusine.example.org")
	entry, err := d.BinNMU.Entry("hello", version, "forky", time.Now())
	want := "hello (1:1.0~rc1-2+deb12u1) forky; urgency=low, binary-only=yes\n\n  * Binary-only non-maintainer upload; no source changes.\n" +
		"  * Rebuild against libfoo2.\n  * And more\n\n -- Debusine <noreply@debusine.example.org>  Sun, 22 Nov 2026 11:00:00 +0000\n"
	if err != nil || entry.String() != want {
		t.Errorf("%s, %v", entry.String(), err)
	}
	if read, err := debian.ParseChangelogTop(strings.NewReader(want)); err != nil || !read.BinaryOnly || read.Version.String() != "1:1.0~rc1-2+deb12u1" {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestARepositoryIsWrittenForApt(t *testing.T) {
	key := "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
	r := ExtraRepository{URL: "https://repo.example/debian", Suite: "forky", Components: []string{"main", "contrib"}, SigningKey: key, Architectures: []string{"amd64"}}
	if err := CheckRepositories([]ExtraRepository{r}); err != nil {
		t.Fatal(err)
	}
	head := "Types: deb\nURIs: https://repo.example/debian\nSuites: forky\nComponents: main contrib\nArchitectures: amd64\n"
	want := head + "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n =abcd\n -----END PGP PUBLIC KEY BLOCK-----\n"
	if got := r.Sources(""); got != want {
		t.Errorf("%s", got)
	}
	if got := r.Sources("/etc/apt/keyrings/x.asc"); got != head+"Signed-By: /etc/apt/keyrings/x.asc\n" {
		t.Errorf("%s", got)
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
		"an unknown backend":                 {`{"input"`, `{"backend": "docker", "input"`, `"docker" is not supported`},
		"a backend with an escape sequence":  {`{"input"`, `{"backend": "\u001b[2J", "input"`, `\x1b[2J`},
		"a huge backend":                     {`{"input"`, `{"backend": "` + strings.Repeat("x", 1<<19) + `", "input"`, "not supported"},
		"an unknown component":               {`{"input"`, `{"build_components": ["arch"], "input"`, `"arch" is not supported`},
		"a component twice":                  {`{"input"`, `{"build_components": ["any", "any"], "input"`, "twice"},
		"a component that is null":           {`{"input"`, `{"build_components": [null], "input"`, "not supported"},
		"a binNMU of packages of all":        {`{"input"`, `{"build_components": ["any", "all"], "binnmu": {"changelog": "x", "suffix": "+b1"}, "input"`, "Architecture: all"},
		"a binNMU without a reason":          {`{"input"`, `{"binnmu": {"changelog": " ", "suffix": "+b1"}, "input"`, "binnmu.changelog is missing"},
		"a binNMU without a suffix":          {`{"input"`, `{"binnmu": {"changelog": "x"}, "input"`, "binnmu.suffix is missing"},
		"a suffix that is no version":        {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+b1 y"}, "input"`, "cannot follow a version"},
		"a suffix with a path":               {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+../../x"}, "input"`, "cannot follow a version"},
		"a suffix that makes a revision":     {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "-2"}, "input"`, "cannot follow a version"},
		"a changelog with escape sequences":  {`{"input"`, `{"binnmu": {"changelog": "\u001b[2J", "suffix": "+b1"}, "input"`, "not a text"},
		"a maintainer with a second line":    {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+b1", "maintainer": "A\n <a@b.c>"}, "input"`, "not a maintainer"},
		"a maintainer without an address":    {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+b1", "maintainer": "A"}, "input"`, "not a maintainer"},
		"a rebuild in the year zero":         {`{"input"`, `{"binnmu": {"changelog": "x", "suffix": "+b1", "timestamp": "0001-01-01T00:00:00Z"}, "input"`, "out of range"},
		"a profile that is an option":        {`{"input"`, `{"build_profiles": ["--help"], "input"`, "not a build profile"},
		"two profiles in one word":           {`{"input"`, `{"build_profiles": ["a,b"], "input"`, "not a build profile"},
		"a profile twice":                    {`{"input"`, `{"build_profiles": ["nodoc", "nodoc"], "input"`, "twice"},
		"a build option with a quote":        {`{"input"`, `{"build_options": "nocheck x='y'", "input"`, "DEB_BUILD_OPTIONS"},
		"a build path that goes up":          {`{"input"`, `{"build_path": "/build/../etc", "input"`, "build path"},
		"a build path that is relative":      {`{"input"`, `{"build_path": "build", "input"`, "build path"},
		"an unknown resolver":                {`{"input"`, `{"build_dep_resolver": "dselect", "input"`, "dselect"},
		"criteria that are an option":        {`{"input"`, `{"aspcud_criteria": "--x y", "input"`, "criteria"},
		"a cross build of all":               {`{"input"`, `{"host_architecture": "armhf", "build_components": ["all"], "input"`, "Architecture: all"},
		"a host architecture of nobody":      {`{"input"`, `{"host_architecture": "pdp11", "input"`, "pdp11"},
		"a repository of local files":        {`{"input"`, `{"extra_repositories": [{"url": "file:///etc", "suite": "x/"}], "input"`, "http or https"},
		"a repository with a password":       {`{"input"`, `{"extra_repositories": [{"url": "http://a:b@c/", "suite": "x/"}], "input"`, "http or https"},
		"a repository with a second line":    {`{"input"`, `{"extra_repositories": [{"url": "http://c/\nTrusted: yes", "suite": "x/"}], "input"`, "http or https"},
		"a suite with a second line":         {`{"input"`, `{"extra_repositories": [{"url": "http://c/", "suite": "x\nTrusted: yes", "components": ["main"]}], "input"`, "not the name of a suite"},
		"a suite without components":         {`{"input"`, `{"extra_repositories": [{"url": "http://c/", "suite": "x"}], "input"`, "components is missing"},
		"a flat repository with components":  {`{"input"`, `{"extra_repositories": [{"url": "http://c/", "suite": "x/", "components": ["main"]}], "input"`, "flat"},
		"a key that is none":                 {`{"input"`, `{"extra_repositories": [{"url": "http://c/", "suite": "x/", "signing_key": "yes\nTrusted: yes"}], "input"`, "ASCII armour"},
		"a repository that is not checked":   {`{"input"`, `{"extra_repositories": [{"url": "http://c/", "suite": "x/", "trusted": true}], "input"`, "unknown"},
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
