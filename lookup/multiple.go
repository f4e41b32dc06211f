package lookup

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"debusine"
)

// The bounds of a multiple lookup. They keep what one question may cost in
// proportion; those who need more ask twice.
const (
	largest      = 256 << 10 // bytes of its JSON
	mostElements = 1000      // in all its lists together
	mostFilters  = 100       // dictionaries among them
	deepest      = 4         // lookups within the filters of lookups
	mostResults  = 100_000
)

// Multiple is a parsed multiple lookup: its elements in order.
type Multiple struct{ elements []element }

// element is one of a list: a single lookup, or a choice among items.
type element struct {
	one  Query
	many *choice
}

// choice is a parsed dictionary.
type choice struct {
	collection Query
	conditions Conditions
	beside     *Multiple // lookup__same_work_request
	siblings   *Multiple // lookup__same_workflow
	mustFind   bool      // error_on_empty
}

// ParseMultiple reads a multiple lookup: a JSON object, or a list of numbers,
// strings and objects.
func ParseMultiple(raw json.RawMessage, expect Expect) (Multiple, error) {
	if len(raw) > largest {
		return Multiple{}, debusine.Invalidf("a lookup has at most %d bytes, not %d", largest, len(raw))
	}
	if err := expect.check(); err != nil {
		return Multiple{}, err
	}
	p := &parser{}
	if text := strings.TrimSpace(string(raw)); text == "" || (text[0] != '[' && text[0] != '{') {
		return Multiple{}, debusine.Invalidf("a lookup of many results must be a dictionary or a list, not %.80s", raw)
	}
	return p.multiple(raw, expect, 1)
}

// parser counts what it has read.
type parser struct{ elements, filters int }

// multiple reads a list, or one element as a list of one.
func (p *parser) multiple(raw json.RawMessage, expect Expect, depth int) (m Multiple, err error) {
	if depth > deepest {
		return m, debusine.Invalidf("lookups lie within one another more than %d deep", deepest)
	}
	list := []json.RawMessage{raw}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		if err := json.Unmarshal(raw, &list); err != nil {
			return m, debusine.Invalidf("the lookup is not JSON: %v", err)
		}
	}
	if p.elements += len(list); p.elements > mostElements {
		return m, debusine.Invalidf("a lookup has at most %d elements", mostElements)
	}
	m.elements = make([]element, len(list))
	for i, each := range list {
		if m.elements[i], err = p.element(each, expect, depth); err != nil {
			return Multiple{}, err
		}
	}
	return m, nil
}

func (p *parser) element(raw json.RawMessage, expect Expect, depth int) (e element, err error) {
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, "{") {
		if p.filters++; p.filters > mostFilters {
			return e, debusine.Invalidf("a lookup has at most %d dictionaries", mostFilters)
		}
		e.many, err = p.choice(raw, expect, depth)
		return e, err
	}
	var l debusine.Lookup
	if strings.HasPrefix(text, "[") || text == "null" {
		return e, debusine.Invalidf("an element of a lookup must be a number, a string or a dictionary, not %.80s", text)
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return e, err
	}
	e.one, err = Parse(l, expect)
	return e, err
}

// Resolve finds all results in order. A part that finds nothing where it must
// is Missing, and fails the whole. Environment filters do not apply here.
func (m Multiple) Resolve(ctx context.Context, src Source) ([]Result, error) {
	results := []Result{}
	for _, e := range m.elements {
		if e.many == nil {
			r, err := e.one.Resolve(ctx, src, nil)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
			continue
		}
		found, err := e.many.resolve(ctx, src, mostResults-len(results)+1)
		if err != nil {
			return nil, err
		}
		if results = append(results, found...); len(results) > mostResults {
			return nil, debusine.WithHint(debusine.Invalidf("the lookup has more than %d results", mostResults), "narrow it, for example with category or name__startswith")
		}
	}
	return results, nil
}

func (c *choice) resolve(ctx context.Context, src Source, limit int) ([]Result, error) {
	within, err := c.collection.Resolve(ctx, src, nil)
	if err != nil {
		return nil, err
	}
	conditions := c.conditions
	if c.beside != nil {
		if conditions.Beside, err = c.beside.artifacts(ctx, src, "lookup__same_work_request", *within.Collection, debusine.CategoryPackageBuildLogs, debusine.CategoryTaskHistory); err != nil {
			return nil, err
		}
	}
	if c.siblings != nil {
		if conditions.Siblings, err = c.siblings.artifacts(ctx, src, "lookup__same_workflow", *within.Collection, debusine.CategoryTaskHistory); err != nil {
			return nil, err
		}
	}
	found, err := src.Matching(ctx, within.Collection.ID, conditions, limit)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && c.mustFind {
		return nil, debusine.Missing{What: "lookup in " + c.collection.text + ": no item that fits",
			Hint: "error_on_empty is set; see what there is: debusine collection show " + c.collection.parent()}
	}
	for i := range found {
		found[i].Parent = c.collection.parent()
	}
	return found, nil
}

// artifacts are those whose work requests a filter asks for, in a collection of
// one of the categories.
func (m Multiple) artifacts(ctx context.Context, src Source, filter string, in debusine.Collection, categories ...string) ([]int64, error) {
	if !slices.Contains(categories, in.Category) {
		return nil, debusine.Invalidf("%s looks into %s alone, not into %s", filter, strings.Join(categories, " and "), in.Category)
	}
	results, err := m.Resolve(ctx, src)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(results))
	for _, r := range results {
		ids = append(ids, r.Artifact.ID)
	}
	return ids, nil
}
