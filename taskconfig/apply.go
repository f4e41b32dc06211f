package taskconfig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"debusine"
	"debusine/task"
)

// Target is the work that is to be configured. For workflows the context is the
// codename of the distribution that they are for.
type Target struct {
	TaskType     debusine.TaskType
	TaskName     string
	Subject      string   // mostly the source package
	Context      string   // mostly the codename
	TagsProvided []string // without those of the configuration itself
	TagsRequired []string
}

// Configured is what entries make of parameters.
type Configured struct {
	Data        map[string]json.RawMessage
	ProvideTags []string // sorted, of workspace provenance
	RequireTags []string
	Steps       []Step // in the order of application
}

// Step is what one entry did.
type Step struct {
	Entry   string   `json:"entry"`         // its item's name
	Where   string   `json:"where"`         // for people
	Via     []string `json:"via,omitempty"` // names of the entry and templates that used it
	Comment string   `json:"comment,omitempty"`
	Changes []Change `json:"changes,omitempty"`
	Tags    []string `json:"tags,omitempty"` // that it adds, provided and required
}

// Change is what an entry did, or tried to do, to one key. Value is what it gave.
type Change struct {
	Key   string          `json:"key"`
	Does  Does            `json:"does"`
	Value json.RawMessage `json:"value,omitempty"`
	Lost  Lost            `json:"lost,omitempty"` // why it is without effect in the end
}

// Does is the kind of a change.
type Does string

// The kinds of changes.
const (
	Defaults  Does = "default"  // where nobody gave a value
	Overrides Does = "override" // whatever was given
	Deletes   Does = "delete"   // what entries before it set
	Locks     Does = "lock"     // against entries behind it
)

// Lost is why a change has no effect.
type Lost string

// The reasons.
const (
	LostToLock  Lost = "locked by an earlier entry"
	LostToGiven Lost = "the parameter was given"
	LostToLater Lost = "a later entry decides"
	LostToFixed Lost = "it decides what is signed, which who starts the work says alone"
)

// Matching are the entries for the target in the order of application, templates
// expanded (spec §6.2).
func Matching(entries []Entry, t Target) ([]Entry, error) {
	list, err := matching(entries, t)
	all := make([]Entry, len(list))
	for i, e := range list {
		all[i] = e.Entry
	}
	return all, err
}

func matching(entries []Entry, t Target) ([]expanded, error) {
	var chosen []Entry
	for _, e := range entries {
		if e.Template == "" && e.TaskType == t.TaskType && e.TaskName == t.TaskName && (e.Subject == "" || e.Subject == t.Subject) &&
			(e.Context == "" || e.Context == t.Context) && e.TagsProvided.Holds(t.TagsProvided) && e.TagsRequired.Holds(t.TagsRequired) {
			chosen = append(chosen, e)
		}
	}
	slices.SortStableFunc(chosen, before)
	templates := templatesOf(entries)
	var list []expanded
	for _, e := range chosen {
		more, err := expand(e, templates, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// before is by path and position; then broad before specific: neither, context
// only, subject only, both; then by age.
func before(a, b Entry) int {
	specific := func(e Entry) int {
		n := 0
		if e.Context != "" {
			n++
		}
		if e.Subject != "" {
			n += 2
		}
		return n
	}
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Position, b.Position), cmp.Compare(specific(a), specific(b)), cmp.Compare(a.ID, b.ID))
}

// Apply configures the parameters (a JSON object; null counts as not given) of the
// target with the entries. data is left as it is.
func Apply(entries []Entry, t Target, data map[string]json.RawMessage) (Configured, error) {
	list, err := matching(entries, t)
	if err != nil {
		return Configured{}, err
	}
	return apply(list, data, task.Fixed(t.TaskType, t.TaskName)), nil
}

// setting is the newest word on a key, and which change said it.
type setting struct {
	value      json.RawMessage
	step, from int
}

// apply leaves the fixed keys as they are.
func apply(list []expanded, data map[string]json.RawMessage, fixed []string) Configured {
	c := Configured{Data: maps.Clone(data)}
	if c.Data == nil {
		c.Data = map[string]json.RawMessage{}
	}
	defaults, overrides, locked := map[string]setting{}, map[string]setting{}, map[string]bool{}
	for i, e := range list {
		step := Step{Entry: e.Name(), Where: e.Where(), Via: e.via, Comment: e.Comment, Tags: append(slices.Clone(e.ProvideTags), e.RequireTags...)}
		note := func(key string, does Does, value json.RawMessage) (at int, open bool) {
			change := Change{Key: key, Does: does, Value: value}
			switch {
			case slices.Contains(fixed, key):
				change.Lost = LostToFixed
			case locked[key]:
				change.Lost = LostToLock
			}
			step.Changes = append(step.Changes, change)
			return len(step.Changes) - 1, change.Lost == ""
		}
		for _, key := range e.DeleteValues {
			if _, open := note(key, Deletes, nil); open {
				delete(defaults, key)
				delete(overrides, key)
			}
		}
		for _, of := range []struct {
			does   Does
			values map[string]json.RawMessage
			into   map[string]setting
		}{{Defaults, e.DefaultValues, defaults}, {Overrides, e.OverrideValues, overrides}} {
			for _, key := range slices.Sorted(maps.Keys(of.values)) {
				if at, open := note(key, of.does, of.values[key]); open {
					of.into[key] = setting{of.values[key], i, at}
				}
			}
		}
		for _, key := range e.LockValues {
			note(key, Locks, nil)
			locked[key] = true
		}
		c.Steps = append(c.Steps, step)
		c.ProvideTags, c.RequireTags = append(c.ProvideTags, e.ProvideTags...), append(c.RequireTags, e.RequireTags...)
	}
	c.settle(data, defaults, overrides)
	c.ProvideTags, c.RequireTags = set(c.ProvideTags), set(c.RequireTags)
	return c
}

// settle puts what remains into the parameters, and marks what came to nothing.
func (c *Configured) settle(given map[string]json.RawMessage, defaults, overrides map[string]setting) {
	won := map[[2]int]bool{}
	kept := map[[2]int]bool{}
	for key, s := range defaults {
		if _, decided := overrides[key]; decided {
			continue
		}
		if absent(given[key]) {
			c.Data[key], won[[2]int{s.step, s.from}] = s.value, true
		} else {
			kept[[2]int{s.step, s.from}] = true
		}
	}
	for key, s := range overrides {
		c.Data[key], won[[2]int{s.step, s.from}] = s.value, true
	}
	for i := range c.Steps {
		for j := range c.Steps[i].Changes {
			change, at := &c.Steps[i].Changes[j], [2]int{i, j}
			switch {
			case change.Lost != "" || won[at] || change.Does == Deletes || change.Does == Locks:
			case kept[at]:
				change.Lost = LostToGiven
			default:
				change.Lost = LostToLater
			}
		}
	}
}

func absent(value json.RawMessage) bool {
	value = bytes.TrimSpace(value)
	return len(value) == 0 || string(value) == "null"
}

func set(tags []string) []string {
	slices.Sort(tags)
	return slices.Compact(tags)
}

// Culprit is the first entry after which check fails, for parameters that all of
// them make invalid; "" when they are invalid without any.
func Culprit(entries []Entry, t Target, data map[string]json.RawMessage, check func(map[string]json.RawMessage) error) string {
	list, err := matching(entries, t)
	if err != nil || check(data) != nil {
		return ""
	}
	for n := range list {
		if check(apply(list[:n+1], data, task.Fixed(t.TaskType, t.TaskName)).Data) != nil {
			return list[n].Where()
		}
	}
	return ""
}
