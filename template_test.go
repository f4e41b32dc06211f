package debusine

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestRuntimeParametersAreReadAndWrittenAlike(t *testing.T) {
	for name, c := range map[string]struct{ raw, written string }{
		"nothing":                  {``, `{}`},
		"null":                     {`null`, `{}`},
		"an empty object":          {`{}`, `{}`},
		"everything":               {` "any" `, `"any"`},
		"any value of one":         {`{"source_artifact": "any"}`, `{"source_artifact":"any"}`},
		"a list of values":         {`{"codename": ["forky", "sid"]}`, `{"codename":["forky","sid"]}`},
		"a list that allows none":  {`{"codename": []}`, `{"codename":[]}`},
		"the empty string allowed": {`{"codename": [""]}`, `{"codename":[""]}`},
		"a parameter called any":   {`{"any": ["any"]}`, `{"any":["any"]}`},
	} {
		r, err := ParseRuntimeParameters(json.RawMessage(c.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if written, err := json.Marshal(r); err != nil || string(written) != c.written {
			t.Errorf("%s: written as %s, %v", name, written, err)
		}
	}
}

func TestMalformedRuntimeParametersAreRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"a number":             `7`,
		"a list":               `["codename"]`,
		"another word":         `"all"`,
		"a value that is true": `{"codename": true}`,
		"a null value":         `{"codename": null}`,
		"numbers in a list":    `{"codename": [1]}`,
		"null in a list":       `{"codename": ["sid", null]}`,
		"an object as values":  `{"codename": {"sid": 1}}`,
		"another word inside":  `{"codename": "sid"}`,
		"half of an object":    `{"codename": `,
		"two values":           `{} {}`,
		"depth without end":    strings.Repeat("[", 100_000),
	} {
		if _, err := ParseRuntimeParameters(json.RawMessage(raw)); !as[Invalid](err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// upload is the template of the worked example in Debusine's documentation.
func upload() WorkflowTemplate {
	return WorkflowTemplate{Name: "upload-to-forky",
		Static: map[string]json.RawMessage{"vendor": json.RawMessage(`"debian"`), "codename": json.RawMessage(`"forky"`), "nested": json.RawMessage(`{"a": 1, "b": 2}`)},
		Runtime: RuntimeParameters{Allowed: map[string]RuntimeValues{
			"source_artifact": {Any: true}, "nested": {Any: true}, "codename": {List: []string{"forky", "sid"}}, "arch": {List: []string{""}}}}}
}

func TestTheStartersValuesWinWhereTheTemplateOpensThem(t *testing.T) {
	template := upload()
	data, err := template.Merge(map[string]json.RawMessage{"source_artifact": json.RawMessage(`421`), "codename": json.RawMessage(`"sid"`),
		"nested": json.RawMessage(`{"b": 3}`)})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"vendor": `"debian"`, "codename": `"sid"`, "source_artifact": `421`,
		"nested": `{"b": 3}`} { // whole top-level keys, no deep merge
		if string(data[key]) != want {
			t.Errorf("%s is %s", key, data[key])
		}
	}
	if string(template.Static["codename"]) != `"forky"` {
		t.Error("merging changed the template")
	}
}

func TestATemplateWithoutParametersGivesItsOwn(t *testing.T) {
	data, err := WorkflowTemplate{}.Merge(nil)
	if err != nil || data == nil || len(data) != 0 {
		t.Errorf("%v, %v", data, err)
	}
	everything := WorkflowTemplate{Runtime: RuntimeParameters{Anything: true}}
	if data, err = everything.Merge(map[string]json.RawMessage{"x": json.RawMessage(`null`)}); err != nil || string(data["x"]) != "null" {
		t.Errorf("%v, %v", data, err)
	}
}

func TestWhatATemplateDoesNotOpenIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want, hint string }{
		"a parameter that is not open":    {"upload_target", `"x"`, `does not let the parameter "upload_target" be set`, "arch, codename, nested, source_artifact"},
		"one that is set in stone":        {"vendor", `"ubuntu"`, `"vendor" is set in stone`, "it takes"},
		"a value that is not listed":      {"codename", `"bookworm"`, `may not be "bookworm"`, "forky, sid"},
		"a list where a word is wanted":   {"codename", `["sid"]`, "may not be", "forky, sid"},
		"null where the empty is allowed": {"arch", `null`, "may not be null", ""},
		"no value at all":                 {"codename", ``, "may not be", ""},
		"the name in another case":        {"Codename", `"sid"`, "does not let", ""},
		"a huge name":                     {strings.Repeat("x", 1<<20), `1`, "does not let", ""},
		"a huge value":                    {"codename", `"` + strings.Repeat("x", 1<<20) + `"`, "may not be", ""},
		"a name with control characters":  {"a\x00\x1b[2J", `1`, `"a\x00\x1b[2J"`, ""},
	} {
		_, err := upload().Merge(map[string]json.RawMessage{c.key: json.RawMessage(c.value)})
		var invalid Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(invalid.Hint, c.hint) || len(invalid.Per) != 1 {
			t.Errorf("%s: %.200v, hint %q", name, err, invalid.Hint)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
	}
	_, err := WorkflowTemplate{Name: "closed"}.Merge(map[string]json.RawMessage{"x": nil})
	var invalid Invalid
	if !errors.As(err, &invalid) || invalid.Hint != "it takes no parameters" {
		t.Errorf("a closed template: %v, hint %q", err, invalid.Hint)
	}
}
