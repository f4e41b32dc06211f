package taskconfig_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"debusine"
	"debusine/taskconfig"
)

// entries reads entries as administrators write them.
func entries(t testing.TB, text string) (list []taskconfig.Entry) {
	t.Helper()
	var raw []map[string]any
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	for i, r := range raw {
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		e, err := taskconfig.Parse(encoded)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		e.ID = int64(i + 1)
		list = append(list, e)
	}
	if err := taskconfig.CheckAll(list); err != nil {
		t.Fatal(err)
	}
	return list
}

func object(t testing.TB, text string) map[string]json.RawMessage {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func data(t testing.TB, c taskconfig.Configured) string {
	t.Helper()
	text, err := json.Marshal(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sbuild(source, codename string) taskconfig.Target {
	return taskconfig.Target{TaskType: debusine.WorkerTask, TaskName: "sbuild", Subject: source, Context: codename}
}

func workflow(source, codename string) taskconfig.Target {
	return taskconfig.Target{TaskType: debusine.WorkflowTask, TaskName: "sbuild", Subject: source, Context: codename}
}

// The examples of the mail in which the mechanism was offered to Debian, as one
// configuration.
func TestTheExamplesOfTheOffer(t *testing.T) {
	text, err := os.ReadFile("testdata/offer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := entries(t, string(text))
	for name, c := range map[string]struct {
		target   taskconfig.Target
		given    string
		want     string
		requires string
	}{
		"jessie is built with schroot":              {sbuild("hello", "jessie"), `{}`, `{"backend":"schroot"}`, ""},
		"others are not":                            {sbuild("hello", "trixie"), `{"backend":"unshare"}`, `{"backend":"unshare"}`, ""},
		"linux needs a big worker":                  {sbuild("linux", "trixie"), `{}`, `{}`, "worker:class:big"},
		"grub in jessie never on riscv64":           {workflow("grub", "jessie"), `{}`, `{"architectures_denylist":["riscv64"],"environment_variant":"essential"}`, ""},
		"grub elsewhere everywhere":                 {workflow("grub", "trixie"), `{}`, `{"environment_variant":"essential"}`, ""},
		"silo on sparc and sparc64 only":            {workflow("silo", "trixie"), `{"architectures_allowlist":["amd64"]}`, `{"architectures_allowlist":["sparc","sparc64"],"environment_variant":"essential"}`, ""},
		"rust23 in forky is a stage1 build":         {sbuild("rust23", "forky"), `{"build_profiles":["nodoc"]}`, `{"build_profiles":["stage1"]}`, ""},
		"rust23 in trixie is not":                   {sbuild("rust23", "trixie"), `{"build_profiles":["nodoc"]}`, `{"build_profiles":["nodoc"]}`, ""},
		"bullseye has chroots of variant buildd":    {workflow("hello", "bullseye"), `{}`, `{"environment_variant":"buildd"}`, ""},
		"bookworm too, whatever the user asked for": {workflow("hello", "bookworm"), `{"environment_variant":"minbase"}`, `{"environment_variant":"buildd"}`, ""},
		"elsewhere the user's variant counts":       {workflow("hello", "forky"), `{"environment_variant":"minbase"}`, `{"environment_variant":"minbase"}`, ""},
		"and essential where there is none":         {workflow("hello", "forky"), `{"environment_variant":null}`, `{"environment_variant":"essential"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := taskconfig.Apply(all, c.target, object(t, c.given))
			if err != nil {
				t.Fatal(err)
			}
			if data(t, got) != c.want || strings.Join(got.RequireTags, " ") != c.requires {
				t.Errorf("%s requiring %v, not %s requiring %q", data(t, got), got.RequireTags, c.want, c.requires)
			}
		})
	}
}

func TestTheMostSpecificEntryWinsUnlessABroaderOneLocked(t *testing.T) {
	all := entries(t, `
- {task_type: Worker, task_name: sbuild, subject: linux, override_values: {backend: incus-vm}, require_tags: ["worker:class:big"]}
- {task_type: Worker, task_name: sbuild, context: forky, override_values: {backend: qemu}, lock_values: [backend]}
- {task_type: Worker, task_name: sbuild, default_values: {backend: unshare}}
`)
	for name, c := range map[string]struct {
		target      taskconfig.Target
		given, want string
		tags        int
	}{
		"a lock holds, tags are added all the same": {sbuild("linux", "forky"), `{"backend":null}`, `{"backend":"qemu"}`, 1},
		"without the lock the package wins":         {sbuild("linux", "trixie"), `{}`, `{"backend":"incus-vm"}`, 1},
		"what the user gave stays before a default": {sbuild("foo", "trixie"), `{"backend":"incus-lxc"}`, `{"backend":"incus-lxc"}`, 0},
		"null is not given":                         {sbuild("foo", "trixie"), `{"backend":null,"x":null}`, `{"backend":"unshare","x":null}`, 0},
		"another task is left alone":                {taskconfig.Target{TaskType: debusine.WorkerTask, TaskName: "mmdebstrap", Subject: "linux"}, `{}`, `{}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			given := object(t, c.given)
			got, err := taskconfig.Apply(all, c.target, given)
			if err != nil {
				t.Fatal(err)
			}
			if data(t, got) != c.want || len(got.RequireTags) != c.tags {
				t.Errorf("%s, %v", data(t, got), got.RequireTags)
			}
			if again, _ := json.Marshal(given); string(again) != string(must(json.Marshal(object(t, c.given)))) {
				t.Error("what was given has changed")
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestFilesAndPositionsComeBeforeWhatIsSpecific(t *testing.T) {
	all := entries(t, `
- {task_type: Worker, task_name: sbuild, override_values: {v: last}, path: b/z.yaml}
- {task_type: Worker, task_name: sbuild, subject: s, context: c, override_values: {v: second}, path: a.yaml, position: 1}
- {task_type: Worker, task_name: sbuild, subject: s, override_values: {v: first}, path: a.yaml}
- {task_type: Worker, task_name: sbuild, context: c, override_values: {v: none}}
`)
	list, err := taskconfig.Matching(all, sbuild("s", "c"))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, e := range list {
		order = append(order, string(e.OverrideValues["v"]))
	}
	if got := strings.Join(order, " "); got != `"none" "first" "second" "last"` {
		t.Error(got)
	}
}

func TestTemplatesFollowTheEntryThatUsesThem(t *testing.T) {
	all := entries(t, `
- {task_type: Worker, task_name: sbuild, override_values: {a: entry, b: entry, c: entry}, lock_values: [c], use_templates: [outer]}
- {task_type: Worker, task_name: sbuild, subject: s, delete_values: [b], default_values: {a: late}}
- {template: outer, override_values: {a: outer, b: outer, c: outer}, use_templates: [inner]}
- {template: inner, override_values: {b: inner}}
`)
	got, err := taskconfig.Apply(all, sbuild("s", "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":"outer","c":"entry"}`; data(t, got) != want {
		t.Errorf("%s, not %s", data(t, got), want)
	}
	if len(got.Steps) != 4 || strings.Join(got.Steps[2].Via, " ") != "Worker:sbuild:: template:outer" {
		t.Errorf("%+v", got.Steps)
	}
}

func TestEachChangeSaysWhatBecameOfIt(t *testing.T) {
	all := entries(t, `
- {task_type: Worker, task_name: sbuild, default_values: {kept: 1, given: 1, late: 1}, lock_values: [shut], comment: why}
- {task_type: Worker, task_name: sbuild, subject: s, override_values: {late: 2, shut: 2}, provide_tags: [], require_tags: ["worker:cap:x"]}
`)
	got, err := taskconfig.Apply(all, sbuild("s", ""), object(t, `{"given":0}`))
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, s := range got.Steps {
		for _, c := range s.Changes {
			text += fmt.Sprintf("%s %s %s: %s\n", c.Does, c.Key, c.Value, c.Lost)
		}
	}
	want := `default given 1: the parameter was given
default kept 1: 
default late 1: a later entry decides
lock shut : 
override late 2: 
override shut 2: locked by an earlier entry
`
	if text != want || got.Steps[0].Comment != "why" || !slices.Equal(got.Steps[1].Tags, []string{"worker:cap:x"}) {
		t.Errorf("%s%+v", text, got.Steps)
	}
}

func TestTheEntryThatMakesParametersInvalidIsNamed(t *testing.T) {
	all := entries(t, `
- {task_type: Worker, task_name: sbuild, default_values: {fine: 1}, path: a.yaml}
- {task_type: Worker, task_name: sbuild, subject: s, override_values: {wrong: 1}, path: b.yaml, position: 4}
- {task_type: Worker, task_name: sbuild, context: c, override_values: {fine: 2}, path: c.yaml}
`)
	check := func(d map[string]json.RawMessage) error {
		if _, wrong := d["wrong"]; wrong {
			return errors.New("wrong")
		}
		return nil
	}
	if got := taskconfig.Culprit(all, sbuild("s", "c"), nil, check); got != "Worker:sbuild:s: (b.yaml, entry 5)" {
		t.Error(got)
	}
	if got := taskconfig.Culprit(all, sbuild("s", "c"), object(t, `{"wrong":1}`), check); got != "" {
		t.Errorf("%s is blamed for the user's own fault", got)
	}
}

func TestConditionsOnTags(t *testing.T) {
	tags := []string{"task:source-package:linux", "worker:build-arch:riscv64"}
	for text, want := range map[string]bool{
		"":                          true,
		"task:source-package:linux": true,
		"task:source-package:hello": false,
		"task:source-package:linux and worker:build-arch:riscv64":      true,
		"task:source-package:linux & !worker:build-arch:riscv64":       false,
		"not (a or b) && (worker:build-arch:riscv64 || x)":             true,
		"a or b and c or worker:build-arch:riscv64":                    true,
		"(a or worker:build-arch:riscv64) and c":                       false,
		"a or worker:build-arch:riscv64 and task:source-package:linux": true,
		"not not worker:build-arch:riscv64":                            true,
	} {
		c, err := taskconfig.ParseCondition(text)
		if err != nil || c.Holds(tags) != want {
			t.Errorf("%q: %v, %v", text, !want, err)
		}
	}
	for _, text := range []string{"and", "a and", "a b", "(a", "a)", "not", "a or or b", "()", "!", "a\x00b", strings.Repeat("(", 200) + "a" + strings.Repeat(")", 200),
		strings.Repeat("not ", 100) + "a", strings.Repeat("a or ", 1000) + "a"} {
		if _, err := taskconfig.ParseCondition(text); err == nil {
			t.Errorf("%.60q is taken", text)
		}
	}
}

func TestAConditionIsWrittenAsItWasRead(t *testing.T) {
	for _, raw := range []string{`["a","b"]`, `"a and not b"`} {
		var c taskconfig.Condition
		if err := json.Unmarshal([]byte(raw), &c); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(c)
		if err != nil || string(again) != raw || c.IsZero() {
			t.Errorf("%s became %s: %v", raw, again, err)
		}
	}
}

func TestHostileEntriesAreRefused(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, raw := range map[string]string{
		"no task":                    `{}`,
		"no name":                    `{"task_type":"Worker"}`,
		"another type":               `{"task_type":"Server","task_name":"packageupload"}`,
		"a key that does not exist":  `{"task_type":"Worker","task_name":"sbuild","overide_values":{}}`,
		"two values":                 `{"task_type":"Worker","task_name":"sbuild"} {}`,
		"a template that matches":    `{"template":"x","task_name":"sbuild"}`,
		"a template with conditions": `{"template":"x","tags_required":["a"]}`,
		"a subject with a newline":   `{"task_type":"Worker","task_name":"sbuild","subject":"a\nb"}`,
		"a long subject":             `{"task_type":"Worker","task_name":"sbuild","subject":"` + long + `"}`,
		"another configuration":      `{"task_type":"Worker","task_name":"sbuild","override_values":{"task_configuration":"other"}}`,
		"a tag that only we say":     `{"task_type":"Worker","task_name":"sbuild","provide_tags":["task:workspace:debian:security"]}`,
		"a type of worker":           `{"task_type":"Worker","task_name":"sbuild","require_tags":["worker:type:signing"]}`,
		"a misspelt tag":             `{"task_type":"Worker","task_name":"sbuild","require_tags":["worker:clas:big"]}`,
		"a number as condition":      `{"task_type":"Worker","task_name":"sbuild","tags_provided":4}`,
		"a list of nonsense":         `{"task_type":"Worker","task_name":"sbuild","tags_provided":["a b"]}`,
		"a negative position":        `{"task_type":"Worker","task_name":"sbuild","position":-1}`,
		"an empty key":               `{"task_type":"Worker","task_name":"sbuild","lock_values":[""]}`,
		"too much":                   `{"task_type":"Worker","task_name":"sbuild","comment":"` + strings.Repeat("x", 70_000) + `"}`,
		"another's key to sign with": `{"task_type":"Workflow","task_name":"package_upload","override_values":{"key":"00"}}`,
		"what another signs":         `{"task_type":"Worker","task_name":"extractforsigning","default_values":{"input":{}}}`,
		"a list":                     `[]`,
	} {
		if _, err := taskconfig.Parse([]byte(raw)); !errors.As(err, new(debusine.Invalid)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCirclesTwinsAndMissingTemplatesAreRefused(t *testing.T) {
	worker := taskconfig.Entry{TaskType: debusine.WorkerTask, TaskName: "sbuild"}
	using := func(names ...string) taskconfig.Entry { e := worker; e.UseTemplates = names; return e }
	template := func(name string, uses ...string) taskconfig.Entry {
		return taskconfig.Entry{Template: name, UseTemplates: uses}
	}
	var doubling []taskconfig.Entry
	for i := range 30 {
		doubling = append(doubling, template(fmt.Sprint(i), fmt.Sprint(i+1), fmt.Sprint(i+1)))
	}
	for name, c := range map[string]struct {
		list []taskconfig.Entry
		says string
	}{
		"a template of itself":  {[]taskconfig.Entry{template("a", "a")}, "template:a > template:a"},
		"a circle of three":     {[]taskconfig.Entry{using("a"), template("a", "b"), template("b", "c"), template("c", "a")}, "uses itself"},
		"one that is not there": {[]taskconfig.Entry{using("gone")}, `"gone", which does not exist`},
		"twins":                 {[]taskconfig.Entry{worker, worker}, "two entries are for the same"},
		"templates that double": {append(doubling, template("30")), "more than 1000"},
	} {
		err := taskconfig.CheckAll(c.list)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesOfItems(t *testing.T) {
	for want, raw := range map[string]string{
		"Worker:sbuild::":                      `{"task_type":"Worker","task_name":"sbuild"}`,
		"Worker:sbuild:linux:forky":            `{"task_type":"Worker","task_name":"sbuild","subject":"linux","context":"forky"}`,
		"Worker:mmdebstrap::a%3Ab%20c%2Fd":     `{"task_type":"Worker","task_name":"mmdebstrap","context":"a:b c/d"}`,
		"template:x":                           `{"template":"x"}`,
		"Worker:sbuild:::required=a%20and%20b": `{"task_type":"Worker","task_name":"sbuild","tags_required":["a","b"]}`,
	} {
		e, err := taskconfig.Parse([]byte(raw))
		if err != nil || e.Name() != want {
			t.Errorf("%s, not %s: %v", e.Name(), want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"task_type":"Worker","task_name":"sbuild","tags_required":"a and (b or not c)","override_values":{"x":[1]}}`))
	f.Add([]byte(`{"template":"x","use_templates":["x"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := taskconfig.Parse(raw)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := taskconfig.Parse(encoded)
		if err != nil || again.Name() != e.Name() {
			t.Fatalf("%s is read back as %v, %v", encoded, again.Name(), err)
		}
	})
}
