package task

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestATagMayBeSaidByFew(t *testing.T) {
	for _, c := range []struct {
		source Provenance
		kind   TagKind
		tag    string
		want   bool
	}{
		{FromWorker, WorkerProvided, "worker:build-arch:amd64", true},
		{FromWorker, WorkerProvided, "worker:executor:unshare", true},
		{FromWorker, WorkerProvided, "worker:cap:sbuild", true},
		{FromWorker, WorkerProvided, "worker:task:worker:noop:version:1", true},
		{FromWorker, WorkerProvided, "worker:type:worker", true},
		{FromWorker, WorkerProvided, "worker:type:signing", false},
		{FromWorker, WorkerProvided, "worker:class:big", false},
		{FromWorker, WorkerProvided, "task:workspace:debusine:security", false},
		{FromWorker, WorkerProvided, "worker:build-arch:", false},
		{FromWorker, WorkerProvided, "worker:cap:a b", false},
		{FromWorker, WorkerProvided, "worker:cap:a\n", false},
		{FromWorker, WorkerProvided, "worker:cap:" + strings.Repeat("x", 300), false},
		{FromWorker, WorkerProvided, "worker:colour:red", false},
		{FromWorker, WorkerProvided, "worker:cap:a,worker:class:big", false},
		{FromAdmin, WorkerProvided, "worker:class:a,b", false},
		{FromWorker, WorkerRequired, "task:scope:debusine", false},
		{FromAdmin, WorkerProvided, "worker:class:big", true},
		{FromAdmin, WorkerRequired, "task:workspace:debusine:security", true},
		{FromAdmin, WorkerRequired, "worker:class:big", false},
		{FromUser, TaskRequired, "worker:class:big", true},
		{FromUser, TaskRequired, "worker:type:signing", false},
		{FromUser, TaskProvided, "task:workspace:debusine:security", false},
		{FromWorkspace, TaskRequired, "worker:class:big", true},
		{FromWorkspace, TaskProvided, "task:source-package:linux", false},
		{FromSystem, TaskProvided, "task:source-package:linux", true},
		{FromSystem, TaskRequired, "worker:type:worker", true},
	} {
		if got := AllowedFrom(c.source, c.kind, c.tag); got != c.want {
			t.Errorf("%s says %q, %s: %v", c.source, c.tag, c.kind, got)
		}
	}
}

func TestAWorkersTagsAreTheUnionOfWhatEachMaySay(t *testing.T) {
	var dynamic, static map[string]any
	for text, to := range map[string]*map[string]any{
		`{"provided_tags": ["worker:cap:sbuild", "worker:class:big", "worker:build-arch:amd64", "worker:cap:sbuild", 7, null],
		  "required_tags": ["task:scope:other"], "cpu": 2}`: &dynamic,
		`{"provided_tags": ["worker:class:huge"], "required_tags": ["task:scope:debusine", "worker:cap:sbuild"]}`: &static,
	} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	provided, required, ignored := WorkerTags(dynamic, static)
	if want := []string{"worker:build-arch:amd64", "worker:cap:sbuild", "worker:class:huge"}; !slices.Equal(provided, want) {
		t.Errorf("provided %q, not %q", provided, want)
	}
	if want := []string{"task:scope:debusine"}; !slices.Equal(required, want) {
		t.Errorf("required %q, not %q", required, want)
	}
	if want := []string{"task:scope:other", "worker:cap:sbuild", "worker:class:big"}; !slices.Equal(ignored, want) {
		t.Errorf("ignored %q, not %q", ignored, want)
	}
}

func TestAWorkerThatReportsNonsenseHasNoTags(t *testing.T) {
	for _, nonsense := range []any{nil, "worker:cap:sbuild", 7.0, map[string]any{"a": 1}, []any{[]any{"worker:cap:sbuild"}}} {
		provided, required, ignored := WorkerTags(map[string]any{"provided_tags": nonsense}, nil)
		if len(provided)+len(required)+len(ignored) > 0 {
			t.Errorf("%v: %q %q %q", nonsense, provided, required, ignored)
		}
	}
}

func TestBothSidesMustBeContent(t *testing.T) {
	missing, unmet := Entitled(
		[]string{"worker:build-arch:amd64"}, []string{"task:workspace:debusine:security"},
		[]string{"worker:class:big", "worker:build-arch:amd64"}, []string{"task:scope:debusine"})
	if !slices.Equal(missing, []string{"worker:class:big"}) || !slices.Equal(unmet, []string{"task:workspace:debusine:security"}) {
		t.Errorf("missing %q, unmet %q", missing, unmet)
	}
	missing, unmet = Entitled([]string{"a", "b"}, []string{"c"}, []string{"b"}, []string{"d", "c"})
	if len(missing)+len(unmet) > 0 {
		t.Errorf("missing %q, unmet %q", missing, unmet)
	}
}

func TestAMachineThatLacksAnImpliedTagIsNotEntitled(t *testing.T) {
	required := simpleTags("noop", "amd64", "")
	has := append(slices.DeleteFunc(Implied(), func(tag string) bool { return tag == "worker:executor:unshare" }), "worker:build-arch:amd64")
	missing, _ := Entitled(has, nil, QueueRequired(required), nil)
	if !slices.Equal(missing, []string{"worker:executor:unshare"}) {
		t.Errorf("missing %q", missing)
	}
}

func TestAnAdministratorSaysWhichTasksAMachineRuns(t *testing.T) {
	reports := map[string]any{"provided_tags": append(Implied(), "worker:build-arch:amd64"), "tasks_allowlist": []any{"noop"}}
	list := func(names ...any) []any { return names }
	for name, c := range map[string]struct {
		static map[string]any
		want   []string
	}{
		"nothing is said":                        {nil, []string{"mmdebstrap", "noop", "sbuild", "sleep"}},
		"a denied one":                           {map[string]any{TasksDenylist: list("mmdebstrap")}, []string{"noop", "sbuild", "sleep"}},
		"one that is allowed":                    {map[string]any{TasksAllowlist: list("sbuild")}, []string{"sbuild"}},
		"the allowlist wins":                     {map[string]any{TasksAllowlist: list("sbuild"), TasksDenylist: list("sbuild")}, []string{"sbuild"}},
		"an empty allowlist does not":            {map[string]any{TasksAllowlist: list(), TasksDenylist: list("sbuild")}, []string{"mmdebstrap", "noop", "sleep"}},
		"names are written in more than one way": {map[string]any{TasksAllowlist: list("SBuild")}, []string{"sbuild"}},
		"an unknown one allows nothing":          {map[string]any{TasksAllowlist: list("lintian")}, nil},
		"what is no list says nothing":           {map[string]any{TasksDenylist: "sbuild"}, []string{"mmdebstrap", "noop", "sbuild", "sleep"}},
	} {
		provided, _, _ := WorkerTags(reports, c.static)
		var may []string
		for _, does := range []string{"mmdebstrap", "noop", "sbuild", "sleep"} {
			required := QueueRequired([]string{"worker:build-arch:amd64", versionTag(does)})
			if missing, _ := Entitled(provided, nil, required, nil); len(missing) == 0 {
				may = append(may, does)
			}
		}
		if !slices.Equal(may, c.want) {
			t.Errorf("%s: it may run %q, not %q", name, may, c.want)
		}
	}
}

func TestWhyNobodyMayHaveTheWorkIsToldInWords(t *testing.T) {
	const arm, big = "worker:class:arm", "worker:class:big"
	for name, c := range map[string]struct {
		machines []Machine
		provided []string
		want     string
	}{
		"there is no machine":                   {nil, nil, "no worker is enabled"},
		"one may":                               {[]Machine{{}, {Provided: []string{arm, big}}}, nil, ""},
		"the nearest lacks one":                 {[]Machine{{}, {Provided: []string{arm}}}, nil, "no enabled worker provides " + big},
		"all lack all":                          {[]Machine{{}}, nil, "no enabled worker provides " + arm + ", " + big},
		"it is kept for other work":             {[]Machine{{Provided: []string{arm}}, {Provided: []string{arm, big}, Required: []string{"task:scope:x"}}}, nil, "every enabled worker that could is kept for other work"},
		"it is kept for this":                   {[]Machine{{Provided: []string{arm, big}, Required: []string{"task:scope:x"}}}, []string{"task:scope:x"}, ""},
		"of two that could one wants no others": {[]Machine{{Provided: []string{arm, big}, Required: []string{"task:scope:x"}}, {Provided: []string{arm, big}}}, nil, ""},
	} {
		if got := NobodyFor(c.machines, []string{arm, big}, c.provided); got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
