package lookup_test

import (
	"encoding/json"
	"strings"
	"testing"

	"debusine/lookup"
)

func TestFiltersChooseArtifacts(t *testing.T) {
	data := json.RawMessage(`{"architecture": "amd64", "deb_fields": {"Section": "python", "Depends": "libc6, libpython3.12"}, "size": 12, "ok": true, "list": [1]}`)
	for name, c := range map[string]struct {
		filters map[string]any
		holds   bool
		wrong   string
	}{
		"none hold always":           {nil, true, ""},
		"the category":               {map[string]any{"category": "debian:binary-package"}, true, ""},
		"another category":           {map[string]any{"category": "debian:upload"}, false, ""},
		"one of some categories":     {map[string]any{"category__in": []string{"debian:upload", "debian:binary-package"}}, true, ""},
		"the beginning of one":       {map[string]any{"category__startswith": "debian:"}, true, ""},
		"data":                       {map[string]any{"data__architecture": "amd64"}, true, ""},
		"a number":                   {map[string]any{"data__size": 12}, true, ""},
		"a boolean":                  {map[string]any{"data__ok": true}, true, ""},
		"data within data":           {map[string]any{"data__deb_fields__Section": "python", "data__deb_fields__Depends__contains": "libpython3.12"}, true, ""},
		"the end":                    {map[string]any{"data__deb_fields__Section__endswith": "thon"}, true, ""},
		"one of two does not":        {map[string]any{"data__architecture": "amd64", "data__deb_fields__Section": "perl"}, false, ""},
		"data that are not there":    {map[string]any{"data__colour": "red"}, false, ""},
		"data that are a list":       {map[string]any{"data__list": "[1]"}, false, ""},
		"data within what is a text": {map[string]any{"data__architecture__x": "amd64"}, false, ""},
		"an empty list":              {map[string]any{"data__architecture__in": []string{}}, false, ""},
		"another field":              {map[string]any{"created_by__is_superuser": true}, false, "unknown"},
		"a key that is missing":      {map[string]any{"data__": "x"}, false, "unknown"},
		"no list":                    {map[string]any{"category__in": "x"}, false, "must be a list"},
		"an object":                  {map[string]any{"category": map[string]any{}}, false, "must be a text"},
		"a regular expression":       {map[string]any{"category__regex": "(a+)+$"}, false, "unknown"},
	} {
		filters, err := lookup.ParseFilters(c.filters)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil && filters.Hold("debian:binary-package", data) != c.holds {
			t.Errorf("%s: holds is not %v", name, c.holds)
		}
	}
}
