package task

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
)

func asInvalid(err error) (debusine.Invalid, bool) {
	var invalid debusine.Invalid
	return invalid, errors.As(err, &invalid)
}

// refused checks that err is an Invalid with the words in it, short enough to
// be shown, and without control characters.
func refused(t *testing.T, name string, err error, want string) {
	t.Helper()
	if _, ok := asInvalid(err); !ok || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %.300v, wanted words about %q", name, err, want)
		return
	}
	if len(err.Error()) > 400 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
		t.Errorf("%s: no message to show: %.500q", name, err)
	}
}

// parsed reads good data of a worker task into its type.
func parsed[T Data](t *testing.T, name, raw string) (data T) {
	t.Helper()
	definition, err := WorkerTask(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := definition.Parse(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return d.(T)
}

func parseFault(t *testing.T, name, raw string) error {
	t.Helper()
	definition, err := WorkerTask(name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := definition.Parse(json.RawMessage(raw))
	if err != nil && d != nil {
		t.Errorf("%.100s was refused and given all the same", raw)
	}
	return err
}

func TestTheCatalogueKnowsItsTasks(t *testing.T) {
	if want := []string{"assemblesignedsource", "extractforsigning", "makesourcepackageupload", "mergeuploads", "mmdebstrap", "noop", "sbuild", "simplesystemimagebuild", "sleep"}; !slices.Equal(WorkerTasks(), want) {
		t.Errorf("the tasks are %q", WorkerTasks())
	}
	for _, name := range WorkerTasks() {
		d, err := WorkerTask(name)
		if err != nil || d.Name != name || d.About == "" || d.Limit <= 0 || d.Limit > 24*time.Hour {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if Canonical(name) != name {
			t.Errorf("%s is not written as Debusine writes it", name)
		}
	}
}

func TestADashMayStandForAnUnderscore(t *testing.T) {
	if got := Canonical("Update-Environments"); got != UpdateEnvironmentsWorkflow {
		t.Errorf("%q", got)
	}
	if d, err := WorkerTask("SBUILD"); err != nil || d.Name != "sbuild" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAnUnknownTaskIsAnsweredWithTheKnownOnes(t *testing.T) {
	for _, name := range []string{"", "sbild", "sbuild\x00", "\x1b[2J", strings.Repeat("x", 1<<20)} {
		_, err := WorkerTask(name)
		refused(t, "a task", err, "is unknown")
		if invalid, _ := asInvalid(err); invalid.Hint != "known: "+strings.Join(WorkerTasks(), ", ") {
			t.Errorf("the hint is %q", invalid.Hint)
		}
	}
}

func TestDataThatAreNotAnObjectOfKnownParametersAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ raw, want string }{
		"not JSON":                        {`{`, "JSON"},
		"two values":                      {`{} {}`, "more than one"},
		"something after it":              {`{}]`, "more than one"},
		"null":                            {`null`, "must be an object"},
		"a list":                          {`[]`, "must be an object"},
		"a string":                        {`"noop"`, "must be an object"},
		"an unknown parameter":            {`{"resutl": true}`, `parameter "resutl" is unknown`},
		"a parameter in another case":     {`{"Seconds": 1}`, `parameter "Seconds" is unknown`},
		"a parameter in look-alike case":  {`{"\u017feconds": 1}`, "is unknown"},
		"a parameter given twice":         {`{"seconds": 1, "seconds": 2}`, `"seconds" is given twice`},
		"the same twice, once escaped":    {`{"seconds": 1, "\u0073econds": 2}`, "twice"},
		"a wrong type":                    {`{"seconds": "long"}`, "seconds must be a number, not a JSON string"},
		"a list for a number":             {`{"seconds": [1]}`, "seconds must be a number"},
		"a number out of range":           {`{"seconds": 1e400}`, "seconds"},
		"a parameter with a control sign": {`{"\u001b[2J\u0000": 1}`, "unknown"},
		"a huge parameter":                {`{"` + strings.Repeat("x", 1<<19) + `": 1}`, "unknown"},
		"huge data":                       {`{"class": "` + strings.Repeat("x", 2<<20) + `"}`, "1048576 are allowed"},
		"depth without end":               {`{"class": ` + strings.Repeat("[", 200_000), "JSON"},
		"depth within the limit":          {`{"class": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "class must be a string"},
		"another lookup as configuration": {`{"task_configuration": "default@debian:environments"}`, "no collection of task configuration"},
		"a huge task configuration":       {`{"task_configuration": "` + strings.Repeat("x", 1<<19) + `"}`, "no collection of task configuration"},
	} {
		refused(t, name, parseFault(t, "sleep", c.raw), c.want)
	}
}

func TestEachKindOfParameterIsNamedInJSONsWords(t *testing.T) {
	for raw, want := range map[string]string{
		`{"bootstrap_options": 1}`:                                "bootstrap_options must be an object, not a JSON number",
		`{"bootstrap_options": {"use_signed_by": "yes"}}`:         "bootstrap_options.use_signed_by must be true or false",
		`{"bootstrap_options": {"extra_packages": "vim"}}`:        "bootstrap_options.extra_packages must be a list",
		`{"bootstrap_options": {"architecture": ["amd64"]}}`:      "bootstrap_options.architecture must be a string, not a JSON array",
		`{"bootstrap_options": {"archtiecture": "amd64"}}`:        `parameter "archtiecture" is unknown`,
		`{"bootstrap_options": {"variant": "-", "variant": "-"}}`: "twice",
	} {
		err := parseFault(t, "mmdebstrap", raw)
		refused(t, raw, err, want)
	}
	err := ReadWorkflow(json.RawMessage(`{"children": 1.5}`), &NoopWorkflowData{})
	refused(t, "half a child", err, "children must be a whole number")
	invalid, _ := asInvalid(err)
	if invalid.Per["children"] == "" {
		t.Errorf("no message for the field: %+v", invalid)
	}
}

func TestTheSameKeyMayStandInDifferentObjects(t *testing.T) {
	parsed[*MmdebstrapData](t, "mmdebstrap", `{"bootstrap_options": {"architecture": "amd64"}, "bootstrap_repositories": [
		{"mirror": "http://mirror/debian", "suite": "sid"}, {"mirror": "http://mirror/debian", "suite": "sid", "types": ["deb", "deb"]}]}`)
}

func TestAbsentDataAreAnEmptyObject(t *testing.T) {
	for _, raw := range []string{"", "{}", " { } \n", `{"task_configuration": null}`} {
		d := parsed[*NoopData](t, "noop", raw)
		if d.Result != nil || d.Exception {
			t.Errorf("%q: %+v", raw, d)
		}
	}
}

func TestSimpleTasksRunOnAMachineOfTheirArchitecture(t *testing.T) {
	for _, c := range []struct {
		task, raw, arch, queue string
	}{
		{"noop", `{}`, "amd64", "build/amd64/noop"},
		{"noop", `{"build_architecture": "riscv64", "result": false}`, "riscv64", "build/riscv64/noop"},
		{"noop", `{"class": "big"}`, "amd64", "build/amd64/noop+class:big"},
		{"sleep", `{"seconds": 0.5}`, "amd64", "build/amd64/sleep"},
		{"sleep", `{"seconds": 86400, "build_architecture": "arm64", "class": "big"}`, "arm64", "build/arm64/sleep+class:big"},
	} {
		data := parsed[Data](t, c.task, c.raw)
		if len(data.Needs()) != 0 {
			t.Errorf("%s %s needs %+v", c.task, c.raw, data.Needs())
		}
		if got := QueueName(data.Requires(), nil); got != c.queue {
			t.Errorf("%s %s goes to %s", c.task, c.raw, got)
		}
		if d := data.Describe(nil); d != (Description{Architecture: c.arch}) {
			t.Errorf("%s %s: %+v", c.task, c.raw, d)
		}
		for _, tag := range data.Requires() {
			if !AllowedFrom(FromSystem, TaskRequired, tag) {
				t.Errorf("%s requires %q, which nobody may say", c.task, tag)
			}
		}
	}
}

func TestSimpleTasksOutOfRangeAreRefused(t *testing.T) {
	for _, c := range []struct{ task, raw, want string }{
		{"sleep", `{"seconds": -1}`, "between 0 and 86400"},
		{"sleep", `{"seconds": 86400.5}`, "between 0 and 86400"},
		{"sleep", `{"seconds": 1e308}`, "between 0 and 86400"},
		{"noop", `{"build_architecture": "all"}`, "unknown"},
		{"noop", `{"build_architecture": "source"}`, "unknown"},
		{"noop", `{"build_architecture": "any"}`, "unknown"},
		{"noop", `{"build_architecture": "amd64\u0000"}`, "unknown"},
		{"noop", `{"build_architecture": "` + strings.Repeat("x", 1000) + `"}`, "unknown"},
		{"noop", `{"class": "big\n+cap:x"}`, "not a word"},
		{"noop", `{"class": "a:b"}`, "not a word"},
		{"sleep", `{"class": "` + strings.Repeat("x", 1000) + `"}`, "not a word"},
	} {
		refused(t, c.task+" "+c.raw[:min(60, len(c.raw))], parseFault(t, c.task, c.raw), c.want)
	}
}

// seeds are data of every kind for the fuzz tests.
var seeds = []string{``, `{}`, `null`, `[]`, `{"seconds": 1}`, `{"a": {"a": [{}, {"a": 1}]}}`, `{"": 1}`, `{"children": 7, "Children": 9}`,
	goodBuild, goodBootstrap, goodWorkflow, goodTargets, `{"input": {"source_artifact": -1}}`, `{"x": "\ud800"}`, `{"x": 1e999}`, `{"task_configuration": {}}`}

// Whatever arrives, Parse answers with data that can be used in full, or with an
// Invalid. What was parsed is written and read again as the same.
func FuzzDefinitionParse(f *testing.F) {
	for i, seed := range seeds {
		f.Add(uint8(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		name := WorkerTasks()[int(which)%len(workerTasks)]
		definition, err := WorkerTask(name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := definition.Parse(raw)
		if err != nil {
			if _, ok := asInvalid(err); !ok {
				t.Errorf("%s %q: %v", name, raw, err)
			}
			return
		}
		for _, need := range data.Needs() {
			if need.Field == "" || len(need.Categories) == 0 || (!need.Many && len(need.Lookups) != 1) {
				t.Errorf("%s %q needs %+v", name, raw, need)
			}
		}
		data.Describe(nil)
		if queue := QueueName(data.Requires(), nil); !MayPoll(queue) {
			t.Errorf("%s %q goes to %q", name, raw, queue)
		}
		written, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := definition.Parse(written); err != nil {
			t.Errorf("%s %q was written as %s, which is refused: %v", name, raw, written, err)
		}
	})
}
