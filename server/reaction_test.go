package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
)

func TestUsersAskToBeNotified(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.ok(w.db.CreateWorkspace(ctx, "debusine", "elsewhere", false))
	for name, place := range map[string]string{"team": "", "hidden": "elsewhere"} {
		c := debusine.NotificationChannel{Name: name, Method: "email", Message: debusine.Message{From: "a@example.org", To: []string{"b@example.org"}}}
		if place != "" {
			c.Scope, c.Workspace = "debusine", place
		}
		w.ok(w.db.CreateNotificationChannel(ctx, c))
	}
	for name, c := range map[string]struct {
		token, reactions string
		status           int
		wrong            string
	}{
		"one of the channels":        {w.maker, `{"on_success": [{"action": "send-notification", "channel": "team", "data": {"cc": ["me@example.org"]}}]}`, 200, ""},
		"none at all":                {w.maker, `{"on_success": [], "on_failure": []}`, 200, ""},
		"a channel of another place": {w.maker, `{"on_success": [{"action": "send-notification", "channel": "hidden"}]}`, 400, `channel "hidden" not found`},
		"a channel of nobody":        {w.maker, `{"on_success": [{"action": "send-notification", "channel": "none"}]}`, 400, `channel "none" not found`},
		"another action":             {w.maker, `{"on_success": [{"action": "update-collection-with-data", "collection": "_@debian:package-build-logs"}]}`, 400, "not for users"},
		"another event":              {w.owner, `{"on_creation": [{"action": "send-notification", "channel": "team"}]}`, 400, "not for users"},
		"a hidden header":            {w.maker, `{"on_failure": [{"action": "send-notification", "channel": "team", "data": {"subject": "x\r\nBcc: a@example.org"}}]}`, 400, "subject"},
		"who may only look":          {w.viewer, `{"on_success": [{"action": "send-notification", "channel": "team"}]}`, 403, ""},
		"who may not even do that":   {w.other, `{"on_success": [{"action": "send-notification", "channel": "team"}]}`, 404, ""},
	} {
		a := w.call(c.token, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop", EventReactions: json.RawMessage(c.reactions)})
		if p := a.problem(); a.status != c.status || !strings.Contains(p.Title+p.Detail, c.wrong) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	var made int
	w.ok(w.db.Pool().QueryRow(ctx, `SELECT count(*) FROM work_requests`).Scan(&made))
	if made != 2 {
		t.Errorf("%d work requests were made, wanted the two good ones", made)
	}
}

func TestAdministratorsManageNotificationChannels(t *testing.T) {
	takeSteps(t, []step{
		{"notification-channel create team --from builds@example.org --to team@example.org --subject WR-$work_request_id", "made the notification channel team"},
		{"notification-channel create team --from builds@example.org --to team@example.org", "!already exists"},
		{"notification-channel create other --from builds@example.org", "!needs from and to"},
		{"notification-channel create other --from builds --to a@example.org", "!no mail address"},
		{"notification-channel create a-name-that-is-much-too-long --from a@example.org --to a@example.org", "!not acceptable"},
		{"notification-channel create here --from a@example.org --to a@example.org,b@example.org --workspace debusine/System --fixed", "made the notification channel here"},
		{"notification-channel create there --from a@example.org --to a@example.org --workspace debusine/None", "!not found"},
		{"notification-channel create there --from a@example.org --to a@example.org --workspace System", "!in which workspace?"},
		{"notification-channel list", "here  email   debusine/System  a@example.org       a@example.org,b@example.org      true   0        0"},
		{"notification-channel list", "team@example.org                 false  0        0       WR-$work_request_id"},
		{"notification-channel edit here --cc c@example.org --scope debusine --fixed=false", "changed the notification channel here"},
		{"notification-channel list", "here  email   debusine  a@example.org       a@example.org,b@example.org  c@example.org  false"},
		{"notification-channel edit here --workspace debusine", "!in which workspace?"},
		{"notification-channel edit here --name there --scope all", "changed the notification channel here"},
		{"notification-channel edit here", "!hint: debusine admin notification-channel list"},
		{"notification-channel list", "there  email   all"},
		{"notification-channel delete there", "removed the notification channel there"},
		{"notification-channel delete there", "!not found"},
	})
}

func TestOwnersSayHowMuchAHistoryKeeps(t *testing.T) {
	w := newWorld(t)
	var c api.Collection
	w.want(200, w.owner, "GET", "collection/System/debusine:task-history/_/", nil, &c)
	path := fmt.Sprintf("collection/System/%d/", c.ID)
	w.want(200, w.owner, "PATCH", path, `{"data": {"old_items_to_keep": 9}}`, &c)
	if string(c.Data) != `{"old_items_to_keep":9}` {
		t.Errorf("%s", c.Data)
	}
	for _, bad := range []string{`{"old_items_to_keep": -1}`, `{"old_items_to_keep": 1001}`, `{"old_items_to_keep": "9"}`, `{"old_items_to_keep": null}`, `{"other": 1}`, `[]`} {
		w.want(400, w.owner, "PATCH", path, `{"data": `+bad+`}`, nil)
	}
	w.want(403, w.maker, "PATCH", path, `{"data": {"old_items_to_keep": 9}}`, nil)
	w.want(200, w.owner, "PATCH", path, `{"full_history_retention_period": 1}`, &c)
	if string(c.Data) != `{"old_items_to_keep":9}` {
		t.Errorf("another change made them %s", c.Data)
	}
}
