package task

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"debusine"
)

// Event is a moment in a work request's life on which things may happen
// (spec §5.2).
type Event string

// The events.
const (
	OnCreation   Event = "on_creation"
	OnUnblock    Event = "on_unblock"    // it became pending
	OnAssignment Event = "on_assignment" // a worker is about to begin it
	OnSuccess    Event = "on_success"
	OnFailure    Event = "on_failure" // also temporary failures and errors
)

// Reactions are what happens on a work request's events.
type Reactions struct {
	OnCreation   []Reaction `json:"on_creation,omitempty"`
	OnUnblock    []Reaction `json:"on_unblock,omitempty"`
	OnAssignment []Reaction `json:"on_assignment,omitempty"`
	OnSuccess    []Reaction `json:"on_success,omitempty"`
	OnFailure    []Reaction `json:"on_failure,omitempty"`
}

// To are the actions on an event in the order in which they are done: skip,
// notifications, collections, retry, history; as they were given within each.
func (r Reactions) To(e Event) []Reaction {
	all := map[Event][]Reaction{OnCreation: r.OnCreation, OnUnblock: r.OnUnblock, OnAssignment: r.OnAssignment, OnSuccess: r.OnSuccess, OnFailure: r.OnFailure}[e]
	return slices.SortedStableFunc(slices.Values(all), func(a, b Reaction) int { return a.turn() - b.turn() })
}

// The actions (spec §5.3).
const (
	SkipIfLookupResultChanged     = "skip-if-lookup-result-changed"
	SendNotification              = "send-notification"
	UpdateCollectionWithArtifacts = "update-collection-with-artifacts"
	UpdateCollectionWithData      = "update-collection-with-data"
	RetryWithDelays               = "retry-with-delays" // its place in the order alone
	RecordInTaskHistory           = "record-in-task-history"
)

// Reaction is one action on an event. Which fields count depends on the action.
type Reaction struct {
	Action string `json:"action"`

	// Of the two that change a collection.
	Collection   string         `json:"collection,omitempty"` // single lookup
	Category     string         `json:"category,omitempty"`
	NameTemplate string         `json:"name_template,omitempty"`    // the item's name, where the collection's category does not make it; {variable} stands for one
	Filters      map[string]any `json:"artifact_filters,omitempty"` // category, data__KEY, both also with a suffix such as __in
	Variables    map[string]any `json:"variables,omitempty"`        // a name that begins with $ has a path into the artifact's data
	CreatedAt    *time.Time     `json:"created_at,omitempty"`       // of the item; default: now

	Data map[string]any `json:"data,omitempty"` // of the item; of a notification: from, to, cc, subject

	Channel string `json:"channel,omitempty"` // of a notification

	// Of skip-if-lookup-result-changed.
	Lookup      debusine.Lookup `json:"lookup,omitzero"`
	Item        *int64          `json:"collection_item_id,omitempty"` // what the lookup came to; null: nothing
	PromiseName string          `json:"promise_name,omitempty"`

	// Of record-in-task-history, in place of what the task says of itself.
	Subject string `json:"subject,omitempty"`
	Context string `json:"context,omitempty"`
}

// turn is the action's place in the order.
func (r Reaction) turn() int {
	switch r.Action {
	case SkipIfLookupResultChanged:
		return 0
	case SendNotification:
		return 1
	case RetryWithDelays:
		return 3
	case RecordInTaskHistory:
		return 4
	}
	return 2
}

// Message is the mail that a notification asks for, as far as it does.
func (r Reaction) Message() (m debusine.Message, err error) {
	raw, err := json.Marshal(r.Data)
	if err != nil {
		return m, err
	}
	if string(raw) != "null" {
		err = decode(raw, &m)
	}
	if err == nil {
		err = m.Check()
	}
	return m, err
}

// mostActions is how many a user may ask for on one event.
const mostActions = 5

// UserReactions reads what a user asks for with a work request: notifications on
// its end, and nothing else.
func UserReactions(raw json.RawMessage) (r Reactions, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return r, nil
	}
	refuse := func(what, hint string) (Reactions, error) {
		return Reactions{}, debusine.Invalid{What: what, Hint: hint, Per: map[string]string{"event_reactions": "not allowed"}}
	}
	if err := decode(raw, &r); err != nil {
		return Reactions{}, fmt.Errorf("event_reactions: %w", err)
	}
	const hint = "users may ask for send-notification in on_success and on_failure"
	if len(r.OnCreation)+len(r.OnUnblock)+len(r.OnAssignment) > 0 {
		return refuse("event_reactions on other events than the end are not for users to give", hint)
	}
	for _, event := range [][]Reaction{r.OnSuccess, r.OnFailure} {
		if len(event) > mostActions {
			return refuse(fmt.Sprintf("an event has %d actions, %d are allowed", len(event), mostActions), "")
		}
		for _, one := range event {
			if one.Action != SendNotification {
				return refuse(fmt.Sprintf("the action %.80q is not for users to give", one.Action), hint)
			}
			if !reflect.DeepEqual(one, Reaction{Action: one.Action, Channel: one.Channel, Data: one.Data}) || one.Channel == "" {
				return refuse("a notification has a channel and data (from, to, cc, subject), and nothing else", "")
			}
			if _, err := one.Message(); err != nil {
				return Reactions{}, fmt.Errorf("event_reactions: channel %.80q: %w", one.Channel, err)
			}
		}
	}
	return r, nil
}

// VariablesFor gives the variables of a reaction for an artifact's data: those
// that are paths come to what the path finds, which must be one thing.
func (r Reaction) VariablesFor(data json.RawMessage) (map[string]any, error) {
	variables := map[string]any{}
	for key, value := range r.Variables {
		name, isPath := strings.CutPrefix(key, "$")
		if !isPath {
			variables[key] = value
			continue
		}
		if _, twice := r.Variables[name]; twice {
			return nil, debusine.Invalidf("variable %.80q is given twice, with a path and without", name)
		}
		text, ok := value.(string)
		if !ok {
			return nil, debusine.Invalidf("variable %.80q: the path must be a string", key)
		}
		found, err := onlyMatch(text, data)
		if err != nil {
			return nil, fmt.Errorf("variable %.80q: %w", key, err)
		}
		variables[name] = found
	}
	return variables, nil
}

// longestName of an item that a template makes, in bytes.
const longestName = 500

// ExpandName puts variables into a name: {package}_{version}. Two braces stand
// for one.
func ExpandName(template string, variables map[string]any) (string, error) {
	var b strings.Builder
	for rest := template; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		brace := rest[at]
		rest = rest[at+1:]
		if rest != "" && rest[0] == brace {
			b.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if brace == '}' || !closed {
			return "", debusine.Invalidf("name_template %.80q has a brace that is alone", template)
		}
		value, known := variables[name]
		if !known {
			return "", debusine.Invalidf("name_template %.80q: there is no variable %.80q", template, name)
		}
		word, err := wordOf(value)
		if err != nil {
			return "", debusine.Invalidf("name_template %.80q: variable %.80q is neither a text nor a number", template, name)
		}
		b.WriteString(word)
		rest = after
		if b.Len() > longestName {
			return "", debusine.Invalidf("name_template %.80q makes a name of more than %d bytes", template, longestName)
		}
	}
	return b.String(), nil
}

// wordOf writes a text, a number or a boolean as JSON data have it.
func wordOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case nil, map[string]any, []any:
		return "", debusine.Invalidf("not a word")
	default:
		raw, err := json.Marshal(v)
		return string(raw), err
	}
}
