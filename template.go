package debusine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RuntimeParameters says which parameters the starter of a workflow may give:
// Debusine's {"name": "any" | [strings]}, or the string "any" for all.
type RuntimeParameters struct {
	Anything bool
	Allowed  map[string]RuntimeValues
}

// RuntimeValues are the values allowed for one parameter.
type RuntimeValues struct {
	Any  bool
	List []string
}

// ParseRuntimeParameters reads Debusine's JSON; empty input allows nothing.
func ParseRuntimeParameters(raw json.RawMessage) (RuntimeParameters, error) {
	var r RuntimeParameters
	if len(raw) == 0 {
		return r, nil
	}
	if !json.Valid(raw) {
		return r, Invalidf("runtime_parameters are not JSON")
	}
	return r, r.UnmarshalJSON(raw)
}

// UnmarshalJSON reads "any", or an object of "any" and lists of strings.
func (r *RuntimeParameters) UnmarshalJSON(raw []byte) error {
	*r = RuntimeParameters{Allowed: map[string]RuntimeValues{}}
	if string(bytes.TrimSpace(raw)) == `"any"` {
		r.Anything = true
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return Invalidf(`runtime_parameters must be "any" or an object`)
	}
	for name, v := range object {
		if string(v) == `"any"` {
			r.Allowed[name] = RuntimeValues{Any: true}
			continue
		}
		var list []*string // a null among them must not pass for an empty string
		if err := json.Unmarshal(v, &list); err != nil || list == nil || slices.Contains(list, nil) {
			return Invalidf(`runtime_parameters: %.80q must be "any" or a list of strings`, name)
		}
		values := RuntimeValues{List: make([]string, len(list))}
		for i, s := range list {
			values.List[i] = *s
		}
		r.Allowed[name] = values
	}
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (r RuntimeParameters) MarshalJSON() ([]byte, error) {
	if r.Anything {
		return []byte(`"any"`), nil
	}
	object := map[string]any{}
	for name, v := range r.Allowed {
		if v.Any {
			object[name] = "any"
		} else {
			object[name] = v.List
		}
	}
	return json.Marshal(object)
}

// Merge gives the data of a workflow started from the template: the static
// parameters, updated by what the starter gave, whole top-level keys at a time.
// A parameter that the template does not open is refused, and so is a value
// that it does not list.
func (t WorkflowTemplate) Merge(given map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	data := maps.Clone(t.Static)
	if data == nil {
		data = map[string]json.RawMessage{}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := t.allow(name, given[name]); err != nil {
			return nil, err
		}
		data[name] = given[name]
	}
	return data, nil
}

func (t WorkflowTemplate) allow(name string, value json.RawMessage) error {
	if t.Runtime.Anything {
		return nil
	}
	values, open := t.Runtime.Allowed[name]
	if !open {
		what := fmt.Sprintf("workflow template %q does not let the parameter %.80q be set", t.Name, name)
		if _, set := t.Static[name]; set {
			what = fmt.Sprintf("parameter %.80q is set in stone by the workflow template %q", name, t.Name)
		}
		return Invalid{What: what, Hint: t.openHint(), Per: map[string]string{fmt.Sprintf("%.80s", name): "may not be set"}}
	}
	if values.Any {
		return nil
	}
	var s *string
	if err := json.Unmarshal(value, &s); err != nil || s == nil || !slices.Contains(values.List, *s) {
		return Invalid{What: fmt.Sprintf("parameter %q may not be %.80s in the workflow template %q", name, value, t.Name),
			Hint: "allowed: " + strings.Join(values.List, ", "), Per: map[string]string{name: "value not allowed"}}
	}
	return nil
}

func (t WorkflowTemplate) openHint() string {
	if len(t.Runtime.Allowed) == 0 {
		return "it takes no parameters"
	}
	return "it takes: " + strings.Join(slices.Sorted(maps.Keys(t.Runtime.Allowed)), ", ")
}
