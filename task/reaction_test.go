package task_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine/task"
)

func TestActionsComeInTheirOrder(t *testing.T) {
	given := task.Reactions{OnFailure: []task.Reaction{{Action: task.RecordInTaskHistory}, {Action: task.RetryWithDelays}, {Action: task.UpdateCollectionWithData, Category: "a"},
		{Action: task.UpdateCollectionWithArtifacts, Category: "b"}, {Action: task.SendNotification, Channel: "1"}, {Action: task.SkipIfLookupResultChanged}, {Action: task.SendNotification, Channel: "2"}}}
	var got []string
	for _, r := range given.To(task.OnFailure) {
		got = append(got, r.Action+r.Category+r.Channel)
	}
	want := []string{"skip-if-lookup-result-changed", "send-notification1", "send-notification2", "update-collection-with-dataa", "update-collection-with-artifactsb",
		"retry-with-delays", "record-in-task-history"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if given.OnFailure[0].Action != task.RecordInTaskHistory || len(given.To(task.OnSuccess)) != 0 {
		t.Error("the reactions themselves were changed, or events were mixed")
	}
}

func TestUsersAskForNotificationsOfTheEndAlone(t *testing.T) {
	for name, c := range map[string]struct{ raw, wrong string }{
		"nothing":                 {``, ""},
		"null":                    {`null`, ""},
		"an empty object":         {`{}`, ""},
		"a notification":          {`{"on_success": [{"action": "send-notification", "channel": "team"}]}`, ""},
		"with its data":           {`{"on_failure": [{"action": "send-notification", "channel": "team", "data": {"cc": ["qa@example.org"], "subject": "$work_request_id"}}]}`, ""},
		"a list":                  {`[]`, "object"},
		"a misspelt event":        {`{"on_error": []}`, "on_error"},
		"an event before the end": {`{"on_creation": [{"action": "send-notification", "channel": "team"}]}`, "other events"},
		"on assignment":           {`{"on_assignment": [{"action": "send-notification", "channel": "team"}]}`, "other events"},
		"a collection update":     {`{"on_success": [{"action": "update-collection-with-data", "collection": "_@debian:package-build-logs"}]}`, "not for users"},
		"a skip":                  {`{"on_success": [{"action": "skip-if-lookup-result-changed", "lookup": "a@b"}]}`, "not for users"},
		"history":                 {`{"on_success": [{"action": "record-in-task-history"}]}`, "not for users"},
		"no channel":              {`{"on_success": [{"action": "send-notification"}]}`, "has a channel"},
		"other fields beside it":  {`{"on_success": [{"action": "send-notification", "channel": "team", "collection": "x@y"}]}`, "nothing else"},
		"unknown fields":          {`{"on_success": [{"action": "send-notification", "channel": "team", "bcc": []}]}`, "bcc"},
		"unknown data":            {`{"on_success": [{"action": "send-notification", "channel": "team", "data": {"bcc": ["a@example.org"]}}]}`, "bcc"},
		"a header in the subject": {`{"on_success": [{"action": "send-notification", "channel": "team", "data": {"subject": "a\r\nBcc: b@example.org"}}]}`, "subject"},
		"a header in an address":  {`{"on_success": [{"action": "send-notification", "channel": "team", "data": {"to": ["a@example.org\r\nBcc: b@example.org"]}}]}`, "no mail address"},
		"no address":              {`{"on_success": [{"action": "send-notification", "channel": "team", "data": {"to": ["everybody"]}}]}`, "no mail address"},
		"a key twice":             {`{"on_success": [{"action": "send-notification", "channel": "team", "channel": "other"}]}`, "twice"},
		"too many actions":        {`{"on_success": [` + strings.Repeat(`{"action": "send-notification", "channel": "team"},`, 5) + `{"action": "send-notification", "channel": "team"}]}`, "5 are allowed"},
		"hosts of recipients": {fmt.Sprintf(`{"on_success": [{"action": "send-notification", "channel": "team", "data": {"to": [%s"z@example.org"]}}]}`,
			strings.Repeat(`"a@example.org",`, 20)), "20 are allowed"},
	} {
		_, err := task.UserReactions(json.RawMessage(c.raw))
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, wanted %q", name, err, c.wrong)
		}
	}
}

func TestPathsFindOneThing(t *testing.T) {
	data := json.RawMessage(`{"deb_fields": {"Package": "hello", "Size": 12, "odd key": true}, "names": ["a", {"b": "c"}], "one": ["x"], "nothing": null}`)
	for path, want := range map[string]string{
		"deb_fields.Package":         `hello`,
		"$.deb_fields.Package":       `hello`,
		"$['deb_fields'].Size":       `12`,
		`$["deb_fields"]['odd key']`: `true`,
		"$.names[0]":                 `a`,
		"names[1].b":                 `c`,
		"one[*]":                     `x`,
		"one.*":                      `x`,
		"$.nothing":                  `<nil>`,
		"names[*].b":                 `c`,
		"deb_fields.Version":         `!matches 0 times`,
		"names[*]":                   `!matches 2 times`,
		"names[7]":                   `!matches 0 times`,
		"names.a":                    `!matches 0 times`,
		"deb_fields.*":               `!matches 3 times`,
		"":                           `!is empty`,
		"$":                          `!is empty`,
		"$..Package":                 `!no path`,
		"$.names[?(@.b)]":            `!no path`,
		"$.names[-1]":                `!no path`,
		"$.names[0:1]":               `!no path`,
		"names[99999999999999]":      `!no path`,
		"a b":                        `!no path`,
		strings.Repeat("a.", 300):    `!too long`,
		strings.Repeat("[*]", 17):    `!too many steps`,
	} {
		got, err := task.Reaction{Variables: map[string]any{"$x": path}}.VariablesFor(data)
		if fault, wrong := strings.CutPrefix(want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%q: %v, %v; wanted %q", path, got, err, fault)
			}
			continue
		}
		if err != nil || fmt.Sprint(got["x"]) != want {
			t.Errorf("%q: %v, %v; wanted %s", path, got, err, want)
		}
	}
}

// Stars on stars look at each value once a step, whatever the data.
func TestAPathIsNoBomb(t *testing.T) {
	deep := `1`
	for range 9 {
		deep = `[` + strings.Repeat(deep+`,`, 2) + deep + `]`
	}
	began := time.Now()
	_, err := task.Reaction{Variables: map[string]any{"$x": strings.Repeat("[*]", 9)}}.VariablesFor(json.RawMessage(deep))
	if took := time.Since(began); err == nil || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestVariablesAreGivenOnce(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]any
		wrong string
	}{
		"plain ones":                 {map[string]any{"a": "b", "n": 3}, ""},
		"with a path and without":    {map[string]any{"a": "b", "$a": "x"}, "twice"},
		"a path that is no text":     {map[string]any{"$a": 3}, "must be a string"},
		"a path that leads nowhere":  {map[string]any{"$a": "y"}, "matches 0 times"},
		"a path to what is an array": {map[string]any{"$a": "x"}, ""},
	} {
		_, err := task.Reaction{Variables: c.given}.VariablesFor(json.RawMessage(`{"x": [1]}`))
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesAreMadeOfVariables(t *testing.T) {
	variables := map[string]any{"package": "hello", "version": "2.10-3", "n": float64(7), "list": []any{}, "long": strings.Repeat("x", 600)}
	for template, want := range map[string]string{
		"":                      "",
		"build-amd64":           "build-amd64",
		"{package}_{version}":   "hello_2.10-3",
		"{n}":                   "7",
		"{{{package}}}":         "{hello}",
		"{source}":              `!no variable "source"`,
		"{list}":                "!neither a text",
		"{package":              "!brace that is alone",
		"package}":              "!brace that is alone",
		"{package.__class__}":   "!no variable",
		"{package!r:>10000000}": "!no variable",
		"{long}":                "!more than 500 bytes",
	} {
		got, err := task.ExpandName(template, variables)
		if fault, wrong := strings.CutPrefix(want, "!"); wrong {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%q: %q, %v", template, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %q, %v", template, got, err)
		}
	}
}
