package task

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestVariantsMayBeOneNoneOrMany(t *testing.T) {
	for raw, want := range map[string][]string{`"sbuild"`: {"sbuild"}, `null`: {""}, `[]`: {""}, `[null]`: {""}, `["a", null, "b"]`: {"a", "", "b"}} {
		var n Names
		if err := json.Unmarshal([]byte(raw), &n); err != nil || !slices.Equal(n.OrNone(), want) {
			t.Errorf("%s: %q, %v", raw, n, err)
		}
		again, err := json.Marshal(n)
		var back Names
		if err != nil || json.Unmarshal(again, &back) != nil || !slices.Equal(back.OrNone(), want) {
			t.Errorf("%s was written as %s: %v", raw, again, err)
		}
	}
	for raw, want := range map[string]string{`7`: "null, a string", `{}`: "null, a string", `[7]`: "null, a string", `""`: "not a word", `["a", ""]`: "not a word"} {
		var n Names
		refused(t, raw, json.Unmarshal([]byte(raw), &n), want)
	}
}

// The same codename twice is well, as long as what is made differs in its name.
func TestTargetsMayShareACodename(t *testing.T) {
	one := func(codename, more string) string {
		return `{"codenames": "` + codename + `", "architectures": ["amd64"], ` + more + `"mmdebstrap_template": {"bootstrap_options": {}, "bootstrap_repositories": [{"mirror": "http://m/"}]}}`
	}
	for name, c := range map[string]struct {
		second string
		fine   bool
	}{
		"a variant of its own":            {one("sid", `"variants": "big", `), true},
		"a backend of its own":            {one("sid", `"backends": [null, "unshare"], "variants": "big", `), true},
		"nothing of its own":              {one("sid", ``), false},
		"none set among others":           {one("sid", `"variants": ["big", null], `), false},
		"another codename with its alias": {one("forky", `"codename_aliases": {"forky": ["sid"]}, `), false},
		"another codename":                {one("forky", `"codename_aliases": {"trixie": ["sid"]}, `), true},
	} {
		_, err := ParseWorkflow(UpdateEnvironmentsWorkflow, json.RawMessage(`{"vendor": "debian", "targets": [`+one("sid", "")+`, `+c.second+`]}`))
		if c.fine && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.fine {
			refused(t, name, err, "is there twice")
		}
	}
}
