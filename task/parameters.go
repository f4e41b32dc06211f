package task

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"

	"debusine"
)

// parameters are the names that a pointer to a struct of ours reads from JSON, at
// its top level, sorted.
func parameters(to any) []string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(to).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && name != "" && name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// withNames puts the names that exist under the complaint about one that does
// not. encoding/json does not say how deep the name stood: only for the top level
// are we sure which names it should have been.
func withNames(err error, raw json.RawMessage, to any) error {
	var fault debusine.Invalid
	if t := reflect.TypeOf(to); !errors.As(err, &fault) || fault.Hint != "" || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return err
	}
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return err
	}
	known := parameters(to)
	unknown := slices.Sorted(maps.Keys(fault.Per)) //workflowcheck:ignore (sorted)
	for _, name := range unknown {
		if _, top := given[name]; top && fault.Per[name] == "unknown" && !slices.Contains(known, name) {
			return debusine.WithHint(err, "it takes: "+strings.Join(known, ", "))
		}
	}
	return err
}
