package lookup

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"debusine"
)

// Conditions are what items of a collection must be; all must hold. The zero
// value is held by every active item.
type Conditions struct {
	Type     string  // bare, artifact, artifact-or-promise, collection; empty: any
	Category string  // empty: any
	Matches  []Match // of names and data
	Beside   []int64 // artifacts: the item's work request must have made one of them; nil: any
	Siblings []int64 // artifacts: the item's work request has the parent of one that made one of them; nil: any
}

// Match compares one text of an item. Numbers and booleans of its data are
// compared as they are written in JSON.
type Match struct {
	Key    string // of the item's data; empty: its name
	How    How
	Values []string // one, or any number for In
}

// How a text is compared.
type How string

// The ways to compare.
const (
	Equals     How = ""
	Contains   How = "contains"
	StartsWith How = "startswith"
	EndsWith   How = "endswith"
	In         How = "in"
)

// choice reads a dictionary.
func (p *parser) choice(raw json.RawMessage, expect Expect, depth int) (*choice, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return nil, debusine.Invalidf("the lookup is not JSON: %v", err)
	}
	c := &choice{conditions: Conditions{Type: Artifact}}
	var l debusine.Lookup
	if err := json.Unmarshal(given["collection"], &l); len(given["collection"]) > 0 && err != nil {
		return nil, err
	}
	if l.IsZero() {
		return nil, debusine.WithHint(debusine.Invalidf("a dictionary needs the key collection"), "for example collection: _@debian:package-build-logs")
	}
	var err error
	if c.collection, err = Parse(l, Expect{DefaultCategory: expect.DefaultCategory, Type: Collection}); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := p.condition(c, key, given[key], depth); err != nil {
			return nil, err
		}
	}
	return c, c.conditions.fit(expect)
}

// condition reads one key beside the collection.
func (p *parser) condition(c *choice, key string, raw json.RawMessage, depth int) (err error) {
	switch key {
	case "collection":
		return nil
	case "child_type":
		c.conditions.Type, err = textOf(key, raw)
		return err
	case "category":
		c.conditions.Category, err = textOf(key, raw)
		return err
	case "error_on_empty":
		if json.Unmarshal(raw, &c.mustFind) != nil {
			return debusine.Invalidf("error_on_empty must be true or false")
		}
		return nil
	case "lookup__same_work_request":
		m, err := p.multiple(raw, Expect{Type: Artifact}, depth+1)
		c.beside = &m
		return err
	case "lookup__same_workflow":
		m, err := p.multiple(raw, Expect{Type: Artifact}, depth+1)
		c.siblings = &m
		return err
	}
	if strings.HasPrefix(key, "lookup__") {
		return debusine.WithHint(debusine.Invalidf("filter %.80q is unknown", key), "the filters are lookup__same_work_request and lookup__same_workflow")
	}
	m, err := match(key, raw)
	if err != nil {
		return err
	}
	for _, other := range c.conditions.Matches {
		if other.Key == m.Key {
			return debusine.Invalidf("%.80q: what it compares is compared by another key already", key)
		}
	}
	c.conditions.Matches = append(c.conditions.Matches, m)
	return nil
}

// match reads name, data__KEY and the forms of the two with a suffix.
func match(key string, raw json.RawMessage) (m Match, err error) {
	parts := strings.Split(key, "__")
	if parts[0] == "data" && len(parts) > 1 && parts[1] != "" {
		m.Key, parts = parts[1], parts[1:]
	} else if parts[0] != "name" {
		return m, unknownKey(key)
	}
	if len(parts) == 2 {
		m.How = How(parts[1])
	}
	if len(parts) > 2 || (len(parts) == 2 && !slices.Contains([]How{Contains, StartsWith, EndsWith, In}, m.How)) {
		return m, unknownKey(key)
	}
	list := []json.RawMessage{raw}
	if m.How == In {
		if json.Unmarshal(raw, &list) != nil || len(list) > mostElements {
			return m, debusine.Invalidf("%.80q must be a list of at most %d texts", key, mostElements)
		}
	}
	m.Values = make([]string, len(list))
	for i, each := range list {
		if m.Values[i], err = textOf(key, each); err != nil {
			return m, err
		}
	}
	return m, nil
}

func unknownKey(key string) error {
	return debusine.WithHint(debusine.Invalidf("key %.80q of a dictionary is unknown", key),
		"the keys are collection, child_type, category, error_on_empty, name, data__KEY (both also with __contains, __startswith, __endswith, __in), lookup__same_work_request and lookup__same_workflow")
}

// textOf reads a string, or the text of a number or a boolean.
func textOf(key string, raw json.RawMessage) (string, error) {
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", debusine.Invalidf("%.80q is not JSON: %v", key, err)
		}
		return text, checkText(key, text)
	}
	if text == "" || text == "null" || strings.ContainsAny(text[:1], "[{") {
		return "", debusine.Invalidf("%.80q must be a text, a number or a boolean, not %.80s", key, text)
	}
	return text, nil
}

func checkText(key, text string) error {
	if len(text) > longest || strings.ContainsRune(text, 0) {
		return debusine.Invalidf("%.80q must be a text of at most %d bytes without NUL", key, longest)
	}
	return nil
}

// fit asks whether the items can be of a type that is expected.
func (c Conditions) fit(expect Expect) error {
	if err := (Expect{Type: c.Type}).check(); err != nil {
		return err
	}
	fits := expect.Accepts(c.Type) || (c.Type == ArtifactOrPromise && expect.Type == ArtifactOrPromise)
	if c.Type == "" || !fits {
		return debusine.Invalidf("child_type %q is not the %s that is expected here", c.Type, expect.Type)
	}
	return nil
}
