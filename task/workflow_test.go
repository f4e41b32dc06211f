package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const goodWorkflow = `{"input": {"source_artifact": 421}, "target_distribution": "debian:bookworm", "architectures": ["amd64", "all"]}`

const goodTargets = `{"vendor": "debian", "targets": [{"codenames": ["bookworm", "sid"], "codename_aliases": {"sid": ["unstable"]}, "variants": ["sbuild", "autopkgtest"],
	"backends": ["unshare"], "architectures": ["amd64", "i386"],
	"mmdebstrap_template": {"bootstrap_options": {"variant": "minbase"}, "bootstrap_repositories": [{"mirror": "http://mirror/debian"}, {"mirror": "http://mirror/other", "suite": "y"}]}}]}`

func TestEveryWorkflowIsParsedByItsName(t *testing.T) {
	good := map[string]string{NoopWorkflow: `{"children": 1000}`, SbuildWorkflow: goodWorkflow, UpdateEnvironmentsWorkflow: goodTargets,
		PackageUploadWorkflow:    `{"source_artifact": 5, "binary_artifacts": [6], "target": "ftp://ftp.upload.debian.org/pub/UploadQueue/", "delayed_days": 3, "binary_key": "0123456789abcdef0123456789abcdef01234567"}`,
		MakeSignedSourceWorkflow: `{"binary_artifacts": [5], "signing_template_artifacts": [6], "vendor": "debian", "codename": "trixie", "purpose": "uefi", "key": ` + uefiKey + `}`}
	for _, name := range Workflows() {
		for _, written := range []string{name, strings.ReplaceAll(name, "_", "-")} {
			if _, err := ParseWorkflow(written, json.RawMessage(good[name])); err != nil {
				t.Errorf("%s: %v", written, err)
			}
		}
	}
	if !slices.IsSorted(Workflows()) {
		t.Errorf("%q", Workflows())
	}
	for _, name := range []string{"", "debian_pipeline", "noop\n", strings.Repeat("x", 1<<20)} {
		_, err := ParseWorkflow(name, nil)
		refused(t, "an unknown workflow", err, "is unknown")
	}
}

func TestTheSbuildWorkflowLooksForItsEnvironment(t *testing.T) {
	for variant, want := range map[string]string{
		``:                                 "debian/match:codename=bookworm",
		`"environment_variant": "", `:      "debian/match:codename=bookworm:variant=",
		`"environment_variant": "quick", `: "debian/match:codename=bookworm:variant=quick",
		`"environment_variant": null, `:    "debian/match:codename=bookworm",
	} {
		d, err := ParseWorkflow("sbuild", json.RawMessage("{"+variant+goodWorkflow[1:]))
		if err != nil {
			t.Fatal(err)
		}
		build := d.(*SbuildWorkflowData)
		if got := build.Environment().String(); got != want || build.Vendor() != "debian" || build.Codename() != "bookworm" || build.AllOn(Source{}) != "amd64" || build.AllOn(Source{AllOn: "arm64"}) != "arm64" {
			t.Errorf("%s: %q, %+v", variant, got, build)
		}
	}
}

func TestSbuildWorkflowsThatMakeNoSenseAreRefused(t *testing.T) {
	long := strings.Repeat("x", 500)
	for name, c := range map[string]struct{ old, new, want string }{
		"no source":                         {`"source_artifact": 421`, ``, "input.source_artifact is missing"},
		"a target without a vendor":         {`debian:bookworm`, `bookworm`, "vendor:codename"},
		"a target with two colons":          {`debian:bookworm`, `debian:book:worm`, "vendor:codename"},
		"a codename with a slash":           {`debian:bookworm`, `debian:bookworm/updates`, "vendor:codename"},
		"a codename with an equals sign":    {`debian:bookworm`, `debian:codename=x`, "vendor:codename"},
		"a vendor that is another category": {`debian:bookworm`, `_@debian:bookworm`, "vendor:codename"},
		"a target with a newline":           {`debian:bookworm`, `debian:bookworm\n`, "vendor:codename"},
		"a huge codename":                   {`debian:bookworm`, `debian:` + long, "vendor:codename"},
		"no architecture":                   {`["amd64", "all"]`, `[]`, "architectures is missing"},
		"an architecture twice":             {`["amd64", "all"]`, `["amd64", "all", "amd64"]`, "amd64 is given twice"},
		"all twice":                         {`["amd64", "all"]`, `["all", "all"]`, "all is given twice"},
		"a wildcard":                        {`["amd64", "all"]`, `["any"]`, `"any" is unknown`},
		"an architecture that is null":      {`["amd64", "all"]`, `[null]`, "architectures is missing"},
		"one word for a list":               {`["amd64", "all"]`, `"amd64"`, "architectures must be a list"},
		"all built on all":                  {`{"input"`, `{"arch_all_build_architecture": "all", "input"`, `"all" is unknown`},
		"a backend that is not there":       {`{"input"`, `{"backend": "qemu\u001b", "input"`, `qemu\x1b`},
		"cross built on all":                {`{"input"`, `{"cross_build_architecture": "all", "input"`, `"all" is unknown`},
		"neither wait nor drop":             {`{"input"`, `{"without_worker": "retry", "input"`, "without_worker cannot be"},
		"a profile with a comma":            {`{"input"`, `{"build_profiles": ["a,b"], "input"`, "not a build profile"},
		"options with a command":            {`{"input"`, `{"build_options": "$(id)", "input"`, "build option"},
		"a path that leads up":              {`{"input"`, `{"build_path": "/build/../etc", "input"`, "build path"},
		"a rebuild without a suffix":        {`{"input"`, `{"binnmu": {"changelog": "x"}, "input"`, "binnmu.suffix is missing"},
		"a repository from a file":          {`{"input"`, `{"extra_repositories": [{"url": "file:///etc", "suite": "x", "components": ["y"]}], "input"`, "not an address"},
		"a template of no package":          {`{"input"`, `{"signing_template_names": {"amd64": ["../x"]}, "input"`, "not the name of a package"},
		"templates of no architecture":      {`{"input"`, `{"signing_template_names": {"any": ["xy"]}, "input"`, `"any" is unknown`},
		"a rebuild with a huge changelog":   {`{"input"`, `{"binnmu": {"suffix": "+b1", "changelog": "` + strings.Repeat("x", 600_000) + `"}, "input"`, "too long a list"},
		"a variant with a colon":            {`{"input"`, `{"environment_variant": "x:format=image", "input"`, "not a word"},
		"a variant with a slash":            {`{"input"`, `{"environment_variant": "x/y", "input"`, "not a word"},
		"a prefix with a slash":             {`{"input"`, `{"prefix": "a/b", "input"`, "prefix"},
		"a prefix with a NUL byte":          {`{"input"`, `{"prefix": "a\u0000", "input"`, "prefix"},
		"a huge prefix":                     {`{"input"`, `{"prefix": "` + long + `", "input"`, "prefix"},
		"retries on something else":         {`{"input"`, `{"retry_on": "tuesdays", "input"`, "retry_on must be"},
		"a delay of words":                  {`{"input"`, `{"retry_delays": ["soon"], "input"`, "a delay must be"},
		"extra packages without end":        {`421`, `421, "extra_binary_artifacts": [` + strings.Repeat("1,", 2000) + `1]`, "too long"},
		"extra packages with long names":    {`421`, `421, "extra_binary_artifacts": ["` + strings.Repeat("x", 600_000) + `"]`, "too long"},
	} {
		raw := strings.Replace(goodWorkflow, c.old, c.new, 1)
		if raw == goodWorkflow {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := ParseWorkflow("sbuild", json.RawMessage(raw))
		refused(t, name, err, c.want)
	}
	if _, err := ParseWorkflow("sbuild", json.RawMessage(`{"prefix": "reference|build-", `+goodWorkflow[1:])); err != nil {
		t.Errorf("a good prefix: %v", err)
	}
}

func TestUpdateEnvironmentsFillsItsTemplate(t *testing.T) {
	d, err := ParseWorkflow("update_environments", json.RawMessage(goodTargets))
	if err != nil {
		t.Fatal(err)
	}
	target := d.(*UpdateEnvironmentsData).Targets[0]
	for _, arch := range []string{"i386", "amd64"} {
		made, err := target.Bootstrap("tarball", "sid", arch)
		if err != nil || made.Task != "mmdebstrap" || made.Category != "debian:system-tarball" {
			t.Fatalf("%+v, %v", made, err)
		}
		raw := made.Data
		b := parsed[*MmdebstrapData](t, "mmdebstrap", string(raw))
		if b.BootstrapOptions.Architecture != arch || b.BootstrapRepositories[0].Suite != "sid" || b.BootstrapRepositories[1].Suite != "y" {
			t.Errorf("%s", raw)
		}
	}
	if template := target.MmdebstrapTemplate; template.BootstrapRepositories[0].Suite != "" || template.BootstrapOptions.Architecture != "" {
		t.Errorf("filling changed the template: %+v", template)
	}
	names := target.AllCodenames()
	slices.Sort(names)
	if !slices.Equal(names, []string{"bookworm", "sid", "unstable"}) {
		t.Errorf("codenames %q", names)
	}
}

func TestACodenameMayBeASingleWord(t *testing.T) {
	for raw, want := range map[string]Words{`"sid"`: {"sid"}, `["sid", "forky"]`: {"sid", "forky"}, `[]`: {}} {
		var w Words
		if err := json.Unmarshal([]byte(raw), &w); err != nil || !slices.Equal(w, want) {
			t.Errorf("%s: %q, %v", raw, w, err)
		}
	}
	for _, raw := range []string{`7`, `{}`, `[7]`, `true`, `[[]]`} {
		var w Words
		refused(t, raw, json.Unmarshal([]byte(raw), &w), "a string or a list of strings")
	}
}

func TestTargetsThatMakeNoSenseAreRefused(t *testing.T) {
	many := make([]string, 600)
	for i := range many {
		many[i] = fmt.Sprintf(`"a%d"`, i)
	}
	list := "[" + strings.Join(many, ",") + "]"
	for name, c := range map[string]struct{ old, new, want string }{
		"no vendor":                     {`"vendor": "debian", `, ``, "vendor must be"},
		"a vendor with an at sign":      {`"vendor": "debian"`, `"vendor": "x@debian"`, "vendor must be"},
		"no target":                     {`"targets": [`, `"targets": [], "x": [`, "unknown"},
		"no codename":                   {`["bookworm", "sid"]`, `[]`, "codenames"},
		"a codename that is null":       {`["bookworm", "sid"]`, `null`, "not a suite's name"},
		"a codename twice":              {`["bookworm", "sid"]`, `["sid", "sid"]`, "sid is given twice"},
		"a codename with a colon":       {`["bookworm", "sid"]`, `["sid:i386"]`, "not a suite's name"},
		"a codename with a slash":       {`["bookworm", "sid"]`, `"bookworm/updates"`, "not a suite's name"},
		"a huge codename":               {`["bookworm", "sid"]`, `"` + strings.Repeat("x", 1<<19) + `"`, "not a suite's name"},
		"an alias with an equals sign":  {`["unstable"]`, `["a=b"]`, "not a suite's name"},
		"a variant with a colon":        {`"autopkgtest"`, `"a:b"`, "not a word"},
		"an empty backend":              {`["unshare"]`, `[""]`, "not a word"},
		"no architecture":               {`["amd64", "i386"]`, `[]`, "architectures"},
		"an architecture twice":         {`["amd64", "i386"]`, `["i386", "i386"]`, "twice"},
		"an unknown architecture":       {`["amd64", "i386"]`, `["amd64", "all"]`, `"all" is unknown`},
		"a template with a bad mirror":  {`http://mirror/debian`, `mirror debian`, "not an address"},
		"a template with a wrong key":   {`"variant": "minbase"`, `"variants": "minbase"`, `"variants" is unknown`},
		"an image template":             {`{"codenames"`, `{"simplesystemimagebuild_template": {}, "codenames"`, "bootstrap_repositories is missing"},
		"an alias that is a codename":   {`["unstable"]`, `["bookworm"]`, "is there twice"},
		"a variant twice":               {`["sbuild", "autopkgtest"]`, `["sbuild", "sbuild"]`, "is there twice"},
		"a template that is null":       {`"mmdebstrap_template": {`, `"mmdebstrap_template": null, "variants2": {`, "unknown"},
		"more than a plan can hold":     {`["bookworm", "sid"]`, list, "too many to be planned"},
		"more names than a plan holds":  {`["sbuild", "autopkgtest"]`, strings.ReplaceAll(list[:len(list)-1]+","+list[1:], "x", "y"), "too many"},
		"a script for every one of all": {`{"bootstrap_options"`, `{"customization_script": "` + strings.Repeat("#", 300_000) + `", "bootstrap_options"`, "too many"},
	} {
		raw := strings.Replace(goodTargets, c.old, c.new, 1)
		if raw == goodTargets {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := ParseWorkflow("update_environments", json.RawMessage(raw))
		refused(t, name, err, c.want)
	}
	_, err := ParseWorkflow("update_environments", json.RawMessage(`{"vendor": "debian", "targets": []}`))
	refused(t, "no target at all", err, "targets is missing")
	_, err = ParseWorkflow("update_environments", json.RawMessage(`{"vendor": "debian", "targets": [{"codenames": "sid", "architectures": ["amd64"]}]}`))
	refused(t, "no template", err, "mmdebstrap_template is missing")
}

func TestTheNoopWorkflowHasBounds(t *testing.T) {
	for raw, want := range map[string]string{`{"children": -1}`: "between 0 and 1000", `{"children": 1001}`: "between 0 and 1000",
		`{"children": 99999999999999999999}`: "children", `{"build_architecture": "vax\n"}`: "unknown", `{"children": 1, "CHILDREN": 1}`: "unknown"} {
		_, err := ParseWorkflow("noop", json.RawMessage(raw))
		refused(t, raw, err, want)
	}
}

// Whatever arrives, ParseWorkflow answers with data that read as the same when
// they come back out of the database, or with an Invalid.
func FuzzParseWorkflow(f *testing.F) {
	for i, seed := range seeds {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		name := Workflows()[int(which)%len(Workflows())]
		data, err := ParseWorkflow(name, raw)
		if err != nil {
			if _, ok := asInvalid(err); !ok {
				t.Errorf("%s %q: %v", name, raw, err)
			}
			return
		}
		written, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseWorkflow(name, written); err != nil {
			t.Errorf("%s %q was written as %s, which is refused: %v", name, raw, written, err)
		}
	})
}
