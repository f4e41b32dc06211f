package lookup

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"debusine"
)

// Filters choose among artifacts by category and data, as the reactions to events
// write them: category, data__KEY, data__KEY__KEY within objects, each also with
// __contains, __startswith, __endswith or __in. All must hold.
type Filters []filter

type filter struct {
	path []string // into the data; nil: the category
	Match
}

// ParseFilters reads filters as JSON or Go have them.
func ParseFilters(given map[string]any) (Filters, error) {
	if len(given) > mostFilters {
		return nil, debusine.Invalidf("there are %d filters, %d are allowed", len(given), mostFilters)
	}
	var all Filters
	for _, key := range slices.Sorted(maps.Keys(given)) { //workflowcheck:ignore (sorted)
		raw, err := json.Marshal(given[key])
		if err != nil {
			return nil, debusine.Invalidf("filter %.80q cannot be read: %v", key, err)
		}
		f, err := parseFilter(key, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func parseFilter(key string, raw json.RawMessage) (f filter, err error) {
	parts := strings.Split(key, "__")
	if how := How(parts[len(parts)-1]); len(parts) > 1 && slices.Contains([]How{Contains, StartsWith, EndsWith, In}, how) {
		f.How, parts = how, parts[:len(parts)-1]
	}
	switch {
	case parts[0] == "data" && len(parts) > 1 && !slices.Contains(parts, ""):
		f.path = parts[1:]
	case len(parts) != 1 || parts[0] != "category":
		return f, debusine.WithHint(debusine.Invalidf("filter %.80q is unknown", key),
			"the filters are category and data__KEY, both also with __contains, __startswith, __endswith, __in")
	}
	list := []json.RawMessage{raw}
	if f.How == In {
		if json.Unmarshal(raw, &list) != nil || len(list) > mostElements {
			return f, debusine.Invalidf("filter %.80q must be a list of at most %d texts", key, mostElements)
		}
	}
	for _, each := range list {
		value, err := textOf(key, each)
		if err != nil {
			return f, err
		}
		f.Values = append(f.Values, value)
	}
	return f, nil
}

// Hold says whether an artifact passes all filters. What its data do not have
// passes none.
func (all Filters) Hold(category string, data json.RawMessage) bool {
	for _, f := range all {
		text, known := category, true
		if f.path != nil {
			text, known = textAt(data, f.path)
		}
		if !known || !f.holds(text) {
			return false
		}
	}
	return true
}

func (m Match) holds(text string) bool {
	switch m.How {
	case Contains:
		return strings.Contains(text, m.Values[0])
	case StartsWith:
		return strings.HasPrefix(text, m.Values[0])
	case EndsWith:
		return strings.HasSuffix(text, m.Values[0])
	}
	return slices.Contains(m.Values, text)
}

// textAt is the text, number or boolean at a place of the data.
func textAt(data json.RawMessage, path []string) (string, bool) {
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return "", false
		}
		data = object[key]
	}
	text, err := textOf("", data)
	return text, err == nil
}
