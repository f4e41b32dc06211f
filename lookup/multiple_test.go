package lookup_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
)

func several() *shelf {
	return &shelf{artifacts: []int64{70, 71, 421}, items: []debusine.CollectionItem{item(5, 2, 70, "a"), item(6, 2, 0, "b"), item(7, 2, 71, "c")}}
}

// said are the lookups of all results, which say them again.
func said(results []lookup.Result) string {
	var words []string
	for _, r := range results {
		words = append(words, r.Lookup().String())
	}
	return strings.Join(words, " ")
}

func TestALookupOfManyIsJoinedInOrder(t *testing.T) {
	logs := `"collection": "_@debian:package-build-logs"`
	for name, c := range map[string]struct{ raw, want string }{
		"a dictionary":                  {`{` + logs + `}`, "_@debian:package-build-logs/name:a _@debian:package-build-logs/name:b _@debian:package-build-logs/name:c"},
		"a list of all forms":           {`[421, "1@collections", {"collection": "2@collections"}, "421@artifacts"]`, "421@artifacts 1@collections 2@collections/name:a 2@collections/name:b 2@collections/name:c 421@artifacts"},
		"an empty list":                 {` [ ] `, ""},
		"nothing found":                 {`{"collection": "debian@debian:environments"}`, ""},
		"the same thing twice":          {`["421", "421"]`, "421@artifacts 421@artifacts"},
		"items of another workspace":    {`["//scope=s:workspace=w/_@debian:package-build-logs/b"]`, "//scope=s:workspace=w/_@debian:package-build-logs/name:b"},
		"the internal collection":       {`{"collection": "internal@collections", "child_type": "artifact-or-promise"}`, ""},
		"logs beside artifacts by list": {`{` + logs + `, "lookup__same_work_request": ["421@artifacts", {` + logs + `}]}`, "_@debian:package-build-logs/name:a _@debian:package-build-logs/name:b _@debian:package-build-logs/name:c"},
		"logs beside one artifact":      {`{` + logs + `, "lookup__same_work_request": 421}`, "_@debian:package-build-logs/name:a _@debian:package-build-logs/name:b _@debian:package-build-logs/name:c"},
	} {
		s := several()
		if strings.Contains(name, "list") { // its inner dictionary must find artifacts alone
			s.items[1] = item(6, 2, 70, "b")
		}
		m, err := lookup.ParseMultiple(json.RawMessage(c.raw), lookup.Expect{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		results, err := m.Resolve(t.Context(), s)
		if err != nil || said(results) != c.want {
			t.Errorf("%s: %s, %v", name, said(results), err)
		}
	}
}

func TestADictionarySaysWhatItemsMustBe(t *testing.T) {
	for name, c := range map[string]struct {
		keys string
		want lookup.Conditions
	}{
		"artifacts if nothing is said": {``, lookup.Conditions{Type: "artifact"}},
		"another type":                 {`, "child_type": "any", "category": "debian:upload"`, lookup.Conditions{Type: "any", Category: "debian:upload"}},
		"a name":                       {`, "name": "x_1:2"`, lookup.Conditions{Type: "artifact", Matches: []lookup.Match{{Values: []string{"x_1:2"}}}}},
		"a part of a name":             {`, "name__contains": "%"`, lookup.Conditions{Type: "artifact", Matches: []lookup.Match{{How: lookup.Contains, Values: []string{"%"}}}}},
		"data as text": {`, "data__work_request_id": 5, "data__ok": true, "data__v__in": ["a", 1.50]`, lookup.Conditions{Type: "artifact", Matches: []lookup.Match{
			{Key: "ok", Values: []string{"true"}}, {Key: "v", How: lookup.In, Values: []string{"a", "1.50"}}, {Key: "work_request_id", Values: []string{"5"}}}}},
		"the ends of data": {`, "data__a__startswith": "", "data__b__endswith": "z"`, lookup.Conditions{Type: "artifact", Matches: []lookup.Match{
			{Key: "a", How: lookup.StartsWith, Values: []string{""}}, {Key: "b", How: lookup.EndsWith, Values: []string{"z"}}}}},
	} {
		s := several()
		m, err := lookup.ParseMultiple(json.RawMessage(`{"collection": "_@debian:package-build-logs"`+c.keys+`}`), lookup.Expect{})
		if err == nil {
			_, err = m.Resolve(t.Context(), s)
		}
		if err != nil || len(s.conditions) != 1 || !reflect.DeepEqual(s.conditions[0], c.want) {
			t.Errorf("%s: %+v, %v", name, s.conditions, err)
		}
	}
}

func TestMalformedLookupsOfManyAreInvalid(t *testing.T) {
	in := func(keys string) string { return `{"collection": "_@debian:package-build-logs", ` + keys + `}` }
	nested := `"421@artifacts"`
	for range 6 {
		nested = in(`"lookup__same_work_request": ` + nested)
	}
	for name, c := range map[string]struct{ raw, expect, want string }{
		"nothing":                            {``, "", "must be a dictionary or a list"},
		"null":                               {`null`, "", "must be a dictionary or a list"},
		"a string alone":                     {`"421@artifacts"`, "", "must be a dictionary or a list"},
		"a list within a list":               {`[["421@artifacts"]]`, "", "must be a number, a string or a dictionary"},
		"null within a list":                 {`[null]`, "", "must be a number, a string or a dictionary"},
		"a malformed element":                {`["421@artifacts", "x"]`, "", "names no category"},
		"a dictionary without a collection":  {`{"name": "x"}`, "", "needs the key collection"},
		"a collection that is a list":        {`{"collection": ["x@y"]}`, "", "must be a number or a non-empty string"},
		"an unknown key":                     {in(`"colour": "red"`), "", `"colour" of a dictionary is unknown`},
		"data without a key":                 {in(`"data__": "red"`), "", "is unknown"},
		"data that lie deeper":               {in(`"data__a__b": "red"`), "", "is unknown"},
		"two suffixes":                       {in(`"data__a__in__contains": ["red"]`), "", "is unknown"},
		"exact said in full":                 {in(`"name__exact": "red"`), "", "is unknown"},
		"a suffix on another key":            {in(`"category__in": ["red"]`), "", "is unknown"},
		"a pattern":                          {in(`"name__regex": "(a+)+$"`), "", "is unknown"},
		"two matches of one field":           {in(`"name": "a", "name__contains": "a"`), "", "compared by another key already"},
		"an unknown filter":                  {in(`"lookup__binaries": "x"`), "", "filter"},
		"a name that is null":                {in(`"name": null`), "", "must be a text"},
		"a name that is a list":              {in(`"name": ["a"]`), "", "must be a text"},
		"one of a text":                      {in(`"name__in": "a"`), "", "must be a list"},
		"one of objects":                     {in(`"name__in": [{}]`), "", "must be a text"},
		"NUL":                                {in(`"name": "\u0000"`), "", "without NUL"},
		"a huge text":                        {in(`"name": "` + strings.Repeat("x", 2000) + `"`), "", "at most 1000 bytes"},
		"error_on_empty that is a text":      {in(`"error_on_empty": "yes"`), "", "true or false"},
		"a child_type that does not exist":   {in(`"child_type": "file"`), "", "no type of a result"},
		"a child_type that is not expected":  {in(`"child_type": "bare"`), "artifact", "is expected here"},
		"any child_type where artifacts are": {in(`"child_type": "any"`), "artifact", "is expected here"},
		"artifacts where collections are":    {in(`"name": "x"`), "collection", "is expected here"},
		"lookups many levels deep":           {nested, "", "more than 4 deep"},
		"arrays many levels deep":            {strings.Repeat("[", 100_000), "", "not JSON"},
		"too many elements":                  {"[" + strings.Repeat(`"1@artifacts",`, 1000) + "1]", "", "at most 1000 elements"},
		"too many dictionaries":              {"[" + strings.Repeat(in(`"name": "x"`)+",", 100) + in(`"name": "x"`) + "]", "", "at most 100 dictionaries"},
		"too many values":                    {in(`"name__in": [1` + strings.Repeat(",1", 1000) + `]`), "", "at most 1000 texts"},
		"too many bytes":                     {"[" + strings.Repeat(" ", 300_000) + "]", "", "at most 262144 bytes"},
	} {
		_, err := lookup.ParseMultiple(json.RawMessage(c.raw), lookup.Expect{Type: c.expect})
		if !is[debusine.Invalid](err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

func TestWhatALookupOfManyCannotFind(t *testing.T) {
	for name, raw := range map[string]string{
		"an artifact of the list":        `["421@artifacts", "9@artifacts"]`,
		"the collection of a dictionary": `{"collection": "ubuntu@debian:environments"}`,
		"an item that must be there":     `{"collection": "debian@debian:environments", "error_on_empty": true}`,
	} {
		m, err := lookup.ParseMultiple(json.RawMessage(raw), lookup.Expect{})
		if err != nil {
			t.Fatal(err)
		}
		if results, err := m.Resolve(t.Context(), several()); !is[debusine.Missing](err) || results != nil {
			t.Errorf("%s: %v, %v", name, results, err)
		}
	}
	m, err := lookup.ParseMultiple(json.RawMessage(`{"collection": "debian@debian:environments", "lookup__same_work_request": 421}`), lookup.Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resolve(t.Context(), several()); !is[debusine.Invalid](err) {
		t.Errorf("a filter of another category: %v", err)
	}
}

func TestAResultMustBeOfTheTypeThatIsExpected(t *testing.T) {
	for kind, fits := range map[string]string{"artifact": "421@artifacts _@debian:package-build-logs/a", "collection": "1@collections", "bare": "_@debian:package-build-logs/b",
		"artifact-or-promise": "421@artifacts _@debian:package-build-logs/b", "any": "421@artifacts 1@collections", "": "1@collections"} {
		for _, text := range strings.Fields("421@artifacts 1@collections _@debian:package-build-logs/a _@debian:package-build-logs/b") {
			q, err := lookup.Parse(debusine.LookupOf(text), lookup.Expect{Type: kind})
			if err != nil {
				t.Fatal(err)
			}
			_, err = q.Resolve(t.Context(), several(), nil)
			wanted := strings.Contains(" "+fits+" ", " "+text+" ") || kind == "" || kind == "any" || (kind == "artifact-or-promise" && !strings.Contains(text, "collections"))
			if (err == nil) != wanted || (err != nil && !is[debusine.Invalid](err)) {
				t.Errorf("%s where %q is expected: %v", text, kind, err)
			}
		}
	}
}

func TestResultsHaveABound(t *testing.T) {
	s := &shelf{}
	for i := range int64(40_000) {
		s.items = append(s.items, item(i, 2, 1, fmt.Sprint(i)))
	}
	one := `{"collection": "2@collections"}`
	m, err := lookup.ParseMultiple(json.RawMessage("["+one+","+one+","+one+","+one+"]"), lookup.Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resolve(t.Context(), s); !is[debusine.Invalid](err) || len(s.conditions) != 3 {
		t.Errorf("%v after %d questions", err, len(s.conditions))
	}
}

// Whatever is given, ParseMultiple answers with a lookup that can be resolved
// or with an Invalid.
func FuzzParseMultiple(f *testing.F) {
	for _, seed := range []string{`[421, "x@y/z"]`, `{"collection": "internal@collections", "name__in": ["a", 1]}`, `[{"collection": 2, "data__a__contains": "' OR 1=1"}]`, `[[`, `{"lookup__": 1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := lookup.ParseMultiple(raw, lookup.Expect{})
		if err == nil {
			_, err = m.Resolve(t.Context(), &shelf{})
		}
		if err != nil && !is[debusine.Missing](err) && !is[debusine.Invalid](err) {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
