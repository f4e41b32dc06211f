// Package taskconfig is what administrators tune without code: entries that say
// for which work they count and what they change of its parameters and tags
// (spec §6). Entries live as bare items in a collection of category
// debusine:task-configuration; here is what they mean, and nothing of where they
// are kept.
//
// Entries that match are put in order (Matching), templates expanded in place, and
// applied one after the other to the top-level keys of the parameters (Apply). The
// most specific entry comes last and wins, unless a broader one locked the key.
// What each entry did is kept, so that a maintainer can be told why a build was
// run the way it was.
package taskconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"slices"
	"strings"

	"debusine"
	"debusine/task"
)

// Entry is one entry of a task configuration: spec §6.1, field for field.
type Entry struct {
	TaskType debusine.TaskType `json:"task_type,omitempty"`
	TaskName string            `json:"task_name,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Context  string            `json:"context,omitempty"`

	TagsProvided Condition `json:"tags_provided,omitzero"`
	TagsRequired Condition `json:"tags_required,omitzero"`

	Template     string   `json:"template,omitempty"`
	UseTemplates []string `json:"use_templates,omitempty"`

	DeleteValues   []string                   `json:"delete_values,omitempty"`
	DefaultValues  map[string]json.RawMessage `json:"default_values,omitempty"`
	OverrideValues map[string]json.RawMessage `json:"override_values,omitempty"`
	LockValues     []string                   `json:"lock_values,omitempty"`
	ProvideTags    []string                   `json:"provide_tags,omitempty"`
	RequireTags    []string                   `json:"require_tags,omitempty"`

	Comment  string `json:"comment,omitempty"`
	Path     string `json:"path,omitempty"`     // of its file in the work tree, with slashes
	Position int    `json:"position,omitempty"` // in that file, from 0

	ID int64 `json:"-"` // of its collection item; breaks ties
}

// Bounds of an entry, so that a hostile configuration stays a small one.
const (
	LongestEntry = 64 << 10 // bytes of JSON
	MostEntries  = 20_000   // of a collection
	mostNames    = 100      // of a list in an entry
	longestName  = 200      // bytes of a subject, context, template or key
	longestItem  = 500      // bytes of an item's name
)

// Parse reads an entry and checks it. Every fault names the entry and the field.
func Parse(raw json.RawMessage) (e Entry, err error) {
	if len(raw) > LongestEntry {
		return e, debusine.Invalidf("an entry of task configuration has %d bytes, %d are allowed", len(raw), LongestEntry)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return e, readable(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return e, debusine.Invalidf("an entry of task configuration is followed by something else")
	}
	return e, e.Check()
}

func readable(err error) error {
	var fault debusine.Invalid
	if errors.As(err, &fault) {
		return fault
	}
	what := strings.TrimPrefix(err.Error(), "json: ")
	return debusine.Invalid{What: "an entry of task configuration cannot be read: " + what,
		Hint: "it takes task_type, task_name, subject, context, tags_provided, tags_required, template, use_templates, delete_values, default_values, override_values, lock_values, provide_tags, require_tags, comment"}
}

// Check says what is wrong with an entry.
func (e Entry) Check() error {
	wrong := func(field, why string) error {
		return debusine.Invalid{What: fmt.Sprintf("entry %s of the task configuration: %s %s", e.Name(), field, why), Per: map[string]string{field: why}}
	}
	switch {
	case e.Template != "" && (e.TaskType != "" || e.TaskName != "" || e.Subject != "" || e.Context != "" || !e.TagsProvided.IsZero() || !e.TagsRequired.IsZero()):
		return wrong("template", "is used by name and matches nothing by itself: leave out task_type, task_name, subject, context and tags")
	case e.Template == "" && e.TaskType != debusine.WorkerTask && e.TaskType != debusine.WorkflowTask:
		return wrong("task_type", fmt.Sprintf("is %.40q, not Worker or Workflow", e.TaskType))
	case e.Template == "" && e.TaskName == "":
		return wrong("task_name", "is missing")
	case e.Position < 0:
		return wrong("position", "is negative")
	case e.Path != "" && !IsPath(e.Path):
		return wrong("path", "is not the path of a .yaml file below the work tree")
	}
	for field, word := range map[string]string{"task_name": e.TaskName, "subject": e.Subject, "context": e.Context, "template": e.Template, "path": e.Path} {
		if len(word) > longestName || !plain(word) {
			return wrong(field, fmt.Sprintf("must be printable and have at most %d bytes", longestName))
		}
	}
	if err := e.checkKeys(wrong); err != nil {
		return err
	}
	return e.checkTags(wrong)
}

// IsPath says whether a file of entries may be called so: below the work tree, not
// hidden, ending in .yaml or .yml.
func IsPath(path string) bool {
	hidden := strings.HasPrefix(path, ".") || strings.Contains(path, "/.")
	return fs.ValidPath(path) && !hidden && !strings.Contains(path, `\`) && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml"))
}

func (e Entry) checkKeys(wrong func(field, why string) error) error {
	lists := map[string][]string{"use_templates": e.UseTemplates, "delete_values": e.DeleteValues, "lock_values": e.LockValues}
	for field, values := range map[string]map[string]json.RawMessage{"default_values": e.DefaultValues, "override_values": e.OverrideValues} {
		for key := range values {
			lists[field] = append(lists[field], key)
		}
	}
	for _, field := range []string{"use_templates", "delete_values", "default_values", "override_values", "lock_values"} {
		names := lists[field]
		if len(names) > mostNames {
			return wrong(field, fmt.Sprintf("has more than %d names", mostNames))
		}
		for _, name := range names {
			switch {
			case name == "" || len(name) > longestName || !plain(name):
				return wrong(field, "has a name that is empty, too long or not printable")
			case name == "task_configuration" && field != "use_templates":
				return wrong(field, "cannot change which configuration is used")
			case field != "use_templates" && slices.Contains(task.Fixed(e.TaskType, e.TaskName), name):
				return wrong(field, fmt.Sprintf("has %s, which %s", name, strings.TrimPrefix(string(LostToFixed), "it ")))
			}
		}
	}
	return nil
}

func (e Entry) checkTags(wrong func(field, why string) error) error {
	for field, given := range map[string]struct {
		kind task.TagKind
		tags []string
	}{"provide_tags": {task.TaskProvided, e.ProvideTags}, "require_tags": {task.TaskRequired, e.RequireTags}} {
		if len(given.tags) > mostNames {
			return wrong(field, fmt.Sprintf("has more than %d tags", mostNames))
		}
		for _, tag := range given.tags {
			if !task.AllowedFrom(task.FromWorkspace, given.kind, tag) {
				return wrong(field, fmt.Sprintf("has %.100q, which a workspace may not say (it may provide task:class:…, and require worker:class:…, worker:build-arch:…, worker:executor:… and worker:cap:…)", tag))
			}
		}
	}
	return nil
}

func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '�' })
}

// Name is the name of the entry's item: template:NAME, or PATH:POSITION of an
// entry that is kept in a file, else TYPE:NAME:SUBJECT:CONTEXT, all URL-encoded.
// Conditions on tags are part of what such an entry matches, so they stand behind
// it when there are any.
func (e Entry) Name() string {
	if e.Template != "" {
		return fit("template:" + escape(e.Template))
	}
	if e.Path != "" {
		return fit(fmt.Sprintf("%s:%d", escape(e.Path), e.Position))
	}
	name := strings.Join([]string{string(e.TaskType), e.TaskName, escape(e.Subject), escape(e.Context)}, ":")
	for _, c := range []struct {
		field string
		Condition
	}{{"provided", e.TagsProvided}, {"required", e.TagsRequired}} {
		if !c.IsZero() {
			name += ":" + c.field + "=" + escape(c.String())
		}
	}
	return fit(name)
}

// fit shortens a name that is too long for an item; what is cut off must still
// tell two apart.
func fit(name string) string {
	if len(name) > longestItem {
		name = fmt.Sprintf("%.300s:%x", name, sha256.Sum256([]byte(name)))
	}
	return name
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// Where is the entry's place for people: its name, and its file when it has one.
func (e Entry) Where() string {
	place := e
	place.Path = ""
	if e.Path == "" {
		return e.Name()
	}
	return fmt.Sprintf("%s (%s, entry %d)", place.Name(), e.Path, e.Position+1)
}

// CheckAll checks what single entries cannot know: that no two have one name, and
// that each template that is used is there and leads into no circle.
func CheckAll(entries []Entry) error {
	if len(entries) > MostEntries {
		return debusine.Invalidf("a task configuration has at most %d entries, not %d", MostEntries, len(entries))
	}
	seen := map[string]Entry{}
	for _, e := range entries {
		if other, twice := seen[e.Name()]; twice {
			return debusine.Invalid{What: "two entries are for the same: " + other.Where() + " and " + e.Where(), Hint: "join them, or give one a subject, a context or a condition on tags"}
		}
		seen[e.Name()] = e
	}
	templates := templatesOf(entries)
	for _, e := range entries {
		if _, err := expand(e, templates, nil); err != nil {
			return err
		}
	}
	return nil
}

func templatesOf(entries []Entry) map[string]Entry {
	templates := map[string]Entry{}
	for _, e := range entries {
		if e.Template != "" {
			templates[e.Template] = e
		}
	}
	return templates
}

// mostExpanded bounds what templates that use templates that use templates come to.
const mostExpanded = 1000

// expanded is an entry in the order of application, and how it came there.
type expanded struct {
	Entry
	via []string // names of the templates on the way, the entry itself first; nil for the entry
}

// expand is the entry followed by its templates, each followed by its own.
func expand(e Entry, templates map[string]Entry, via []string) ([]expanded, error) {
	list := []expanded{{e, via}}
	way := append(slices.Clone(via), e.Name())
	for _, name := range e.UseTemplates {
		t, ok := templates[name]
		if !ok {
			return nil, debusine.Invalid{What: fmt.Sprintf("entry %s of the task configuration uses template %.100q, which does not exist", e.Where(), name)}
		}
		if slices.Contains(way, t.Name()) {
			return nil, debusine.Invalidf("entry %s of the task configuration uses itself: %s", e.Where(), strings.Join(append(way, t.Name()), " > "))
		}
		more, err := expand(t, templates, way)
		if err != nil {
			return nil, err
		}
		if list = append(list, more...); len(list) > mostExpanded {
			return nil, debusine.Invalidf("entry %s of the task configuration comes to more than %d with its templates", e.Where(), mostExpanded)
		}
	}
	return list, nil
}
