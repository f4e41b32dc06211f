package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// channel makes a notification channel for all.
func (w *world) channel(name string, change func(*debusine.NotificationChannel)) {
	w.Helper()
	c := debusine.NotificationChannel{Name: name, Method: "email", Message: debusine.Message{From: "Builds <builds@example.org>", To: []string{"team@example.org"}}}
	if change != nil {
		change(&c)
	}
	w.must(w.CreateNotificationChannel(w.Context(), c))
}

// mails are all mails of the outbox, first made first, none of them taken.
func (w *world) mails() (all []store.Mail) {
	w.Helper()
	for {
		m, err := w.NextMail(w.Context(), time.Hour)
		var missing debusine.Missing
		if errors.As(err, &missing) {
			break
		}
		w.must(err)
		all = append(all, m)
	}
	w.exec(`UPDATE mails SET due = now(), tries = 0 WHERE ended_at IS NULL`)
	return all
}

func notification(channel string, data map[string]any) task.Reaction {
	return task.Reaction{Action: task.SendNotification, Channel: channel, Data: data}
}

func TestANotificationIsCommittedWithTheEnd(t *testing.T) {
	w := newWorld(t)
	w.channel("team", func(c *debusine.NotificationChannel) { c.CC = []string{"qa@example.org", "team@example.org"} })
	reactions := task.Reactions{OnFailure: []task.Reaction{notification("team", map[string]any{"subject": "WR ${work_request_id}: $work_request_result", "from": "Me <me@example.net>"})},
		OnSuccess: []task.Reaction{notification("team", nil)}}
	_, failed := w.child(reactions)
	b := w.begin(w.deliver(failed, 0))
	if got := w.mails(); len(got) != 0 {
		t.Fatalf("before the end: %+v", got)
	}
	w.complete(b.AttemptID, debusine.Failure, `{"errors": [{"message": "gcc: \u001b[2J no\nsuch file", "code": "x"}]}`)
	if _, err := w.Complete(t.Context(), b.AttemptID, debusine.Failure, nil); err != nil { // said again
		t.Fatal(err)
	}
	_, well := w.child(reactions)
	w.complete(w.begin(w.deliver(well, 0)).AttemptID, debusine.Success, `{}`)
	got := w.mails()
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	m := got[0]
	if m.WorkRequest != failed || m.Sender != "builds@example.org" || !slices.Equal(m.Recipients, []string{"team@example.org", "qa@example.org"}) ||
		m.Message.From != "Me <me@example.net>" || m.Message.Subject != fmt.Sprintf("WR %d: failure", failed) {
		t.Errorf("%+v", m)
	}
	if !strings.HasPrefix(m.MessageID, fmt.Sprintf("debusine.test.%d.", failed)) || !strings.HasSuffix(m.MessageID, "@example.org") || m.MessageID == got[1].MessageID {
		t.Errorf("Message-ID %q, and %q", m.MessageID, got[1].MessageID)
	}
	for _, want := range []string{fmt.Sprintf("Work request: %d", failed), "Result:       failure", "Task:         noop", "debusine/System", "no such file"} {
		if !strings.Contains(m.Body, want) || strings.Contains(m.Body, "\x1b") {
			t.Errorf("no %q in %q", want, m.Body)
		}
	}
	if got[1].Message.Subject != fmt.Sprintf("Work request %d ended: success", well) {
		t.Errorf("%+v", got[1])
	}
}

func TestLostMachinesAndConfigurationFaultsAreFailures(t *testing.T) {
	w := newWorld(t)
	w.channel("team", nil)
	reactions := task.Reactions{OnFailure: []task.Reaction{notification("team", nil)}}
	_, lost := w.child(reactions)
	for i := range store.MaxLostWorkers {
		b := w.begin(w.deliver(lost, i))
		w.silence(b.AttemptID)
		if _, err := w.LoseSilent(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.wants(lost, "completed:error")
	root := w.workflow("noop", `{}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop", Data: json.RawMessage(`{"colour": "red"}`), Reactions: reactions}}})
	w.must(err)
	if planned.Children[0].Ended == nil || planned.Children[0].Ended.Result != debusine.Error {
		t.Fatalf("%+v", planned)
	}
	var about []int64
	for _, m := range w.mails() {
		about = append(about, m.WorkRequest)
	}
	if !slices.Equal(about, []int64{lost, planned.Children[0].ID}) {
		t.Errorf("mails about %v", about)
	}
}

func TestChannelsOfOtherPlacesAreNotFound(t *testing.T) {
	w := newWorld(t)
	w.must(w.CreateScope(t.Context(), "other", "Other"))
	w.must(w.CreateWorkspace(t.Context(), "debusine", "elsewhere", false))
	w.channel("all", nil)
	w.channel("mine", func(c *debusine.NotificationChannel) { c.Scope, c.Workspace = "debusine", "System" })
	w.channel("scope", func(c *debusine.NotificationChannel) { c.Scope = "debusine" })
	w.channel("otherscope", func(c *debusine.NotificationChannel) { c.Scope = "other" })
	w.channel("otherspace", func(c *debusine.NotificationChannel) { c.Scope, c.Workspace = "debusine", "elsewhere" })
	w.channel("fixed", func(c *debusine.NotificationChannel) { c.Fixed = true })
	for name, c := range map[string]struct {
		reaction task.Reaction
		wrong    string
	}{
		"for all":                     {notification("all", nil), ""},
		"of the scope":                {notification("scope", nil), ""},
		"of the workspace":            {notification("mine", nil), ""},
		"of another scope":            {notification("otherscope", nil), "not found"},
		"of another workspace":        {notification("otherspace", nil), "not found"},
		"of nobody":                   {notification("nobody", nil), "not found"},
		"fixed, with a subject":       {notification("fixed", map[string]any{"subject": "x"}), ""},
		"fixed, to somebody else":     {notification("fixed", map[string]any{"to": []string{"x@example.org"}}), "fixes who gets"},
		"fixed, from somebody else":   {notification("fixed", map[string]any{"from": "x@example.org"}), "fixes who gets"},
		"to nobody":                   {notification("all", map[string]any{"to": []string{}}), "no recipient"},
		"to a host":                   {notification("all", map[string]any{"to": []string{strings.Repeat("a", 60) + "@x.org", "b@x.org\nQUIT"}}), "no mail address"},
		"data that a mail knows not":  {notification("all", map[string]any{"bcc": []string{"x@example.org"}}), "bcc"},
		"recipients that are no list": {notification("all", map[string]any{"to": "x@example.org"}), "to"},
	} {
		reactions := task.Reactions{OnSuccess: []task.Reaction{c.reaction}}
		err := w.CheckReactions(t.Context(), w.workspace, reactions)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s, when asked for: %v", name, err)
		}
		before := len(w.mails())
		_, id := w.child(reactions)
		w.complete(w.begin(w.deliver(id, 0)).AttemptID, debusine.Success, `{}`)
		notes, sent := w.notes(id), len(w.mails())-before
		if c.wrong == "" && (len(notes) != 0 || sent != 1) || c.wrong != "" && (sent != 0 || len(notes) != 1 || !strings.Contains(notes[0].Message, c.wrong)) {
			t.Errorf("%s, at the end: %d mails, notes %+v", name, sent, notes)
		}
		w.wants(id, "completed:success")
	}
}

func TestAWorkspaceFillsTheOutboxOnlySoFar(t *testing.T) {
	w := newWorld(t)
	w.channel("team", nil)
	_, id := w.child(task.Reactions{OnSuccess: []task.Reaction{notification("team", nil)}})
	w.exec(`INSERT INTO mails (channel, workspace_id, work_request_id, message_id, sender, recipients, headers, body)
		SELECT 'team', $1, $2, 'm' || n, 'a@b', '{a@b}', '{}', '' FROM generate_series(1, 1000) n`, w.workspace, id)
	w.complete(w.begin(w.deliver(id, 0)).AttemptID, debusine.Success, `{}`)
	if notes := w.notes(id); len(notes) != 1 || !strings.Contains(notes[0].Message, "1000 notifications") {
		t.Errorf("%+v", notes)
	}
	w.exec(`UPDATE mails SET created_at = now() - interval '6 days'`)
	w.must(w.Tidy(t.Context()))
	var failed int
	w.one(`SELECT count(*) FROM mails WHERE failed AND ended_at IS NOT NULL AND problem <> ''`, &failed)
	if n, err := w.WaitingMails(t.Context()); err != nil || n != 0 || failed != 1000 {
		t.Errorf("after days %d wait and %d are given up, %v", n, failed, err)
	}
}

// skipIf is the reaction of a work request that was made while the lookup came
// to item (0: nothing).
func skipIf(item int64, promise string) task.Reaction {
	r := task.Reaction{Action: task.SkipIfLookupResultChanged, Lookup: debusine.LookupOf("debian@debian:environments/name:tarball:sid:amd64"), PromiseName: promise}
	if item != 0 {
		r.Item = &item
	}
	return r
}

// tarball puts an environment into the collection and gives item and artifact.
func (w *world) tarball() (item, artifact int64) {
	w.Helper()
	artifact = w.artifact("debian:system-tarball", `{"codename": "sid", "architecture": "amd64"}`)
	c, err := w.Collection(w.Context(), w.workspace, debusine.CategoryEnvironments, "debian")
	w.must(err)
	i, err := w.AddArtifact(w.Context(), c, debusine.Artifact{ID: artifact, Category: "debian:system-tarball", Data: json.RawMessage(`{"codename": "sid", "architecture": "amd64"}`)}, nil, w.user, true)
	w.must(err)
	return i.ID, artifact
}

func TestWorkThatIsNotNeededAnyMoreIsSkippedWhenAWorkerComes(t *testing.T) {
	w := newWorld(t)
	w.channel("team", nil)
	root, id := w.child(task.Reactions{OnAssignment: []task.Reaction{notification("team", nil), skipIf(0, "env")}, OnSuccess: []task.Reaction{notification("team", nil)}})
	w.exec(`INSERT INTO collection_items (collection_id, name, child_type, category, data)
		SELECT id, 'env', 'bare', 'debusine:promise', '{"promise_work_request_id": 1, "codename": "sid"}' FROM collections WHERE root_id = $1`, root)
	item, artifact := w.tarball()
	b := w.begin(w.deliver(id, 0))
	if b.Verdict != store.AlreadyEnded || b.Transition != debusine.Completed || b.Secret != "" {
		t.Errorf("%+v", b)
	}
	w.wants(id, "completed:skipped")
	var reason string
	w.one(`SELECT output_data->>'skip_reason' FROM work_requests WHERE id = $1`, &reason, id)
	if !strings.Contains(reason, "tarball:sid:amd64") || !strings.Contains(reason, fmt.Sprintf("was nothing and is item %d", item)) {
		t.Errorf("reason %q", reason)
	}
	kept := w.items(debusine.CategoryWorkflowInternal, fmt.Sprintf("workflow-%d", root))
	if len(kept) != 1 || kept[0].Artifact == nil || *kept[0].Artifact != artifact || kept[0].Data["codename"] != "sid" || len(kept[0].Data) != 1 {
		t.Errorf("the promise is kept by %+v", kept)
	}
	// The notification of the assignment was not sent: there was none.
	if mails := w.mails(); len(mails) != 1 || !strings.HasSuffix(mails[0].Message.Subject, "skipped") {
		t.Errorf("%+v", mails)
	}
	if again := w.begin(w.deliver(id, 1)); again.Verdict != store.AlreadyEnded {
		t.Errorf("%+v", again)
	}
}

func TestWorkThatIsStillNeededIsNotSkipped(t *testing.T) {
	w := newWorld(t)
	w.channel("team", nil)
	item, _ := w.tarball()
	for name, c := range map[string]struct {
		r     task.Reaction
		noted string
	}{
		"the same item":     {skipIf(item, ""), ""},
		"a bad lookup":      {task.Reaction{Action: task.SkipIfLookupResultChanged, Lookup: debusine.LookupOf("x")}, "names no category"},
		"a collection":      {task.Reaction{Action: task.SkipIfLookupResultChanged, Lookup: debusine.LookupOf("debian@debian:environments")}, "within a collection"},
		"still nothing":     {task.Reaction{Action: task.SkipIfLookupResultChanged, Lookup: debusine.LookupOf("debian@debian:environments/name:none")}, ""},
		"a promise of none": {skipIf(item+1, "none"), "promise"},
	} {
		_, id := w.child(task.Reactions{OnAssignment: []task.Reaction{c.r, notification("team", nil)}, OnUnblock: []task.Reaction{c.r, notification("team", nil)}})
		w.wants(id, "pending:")
		b := w.begin(w.deliver(id, 0))
		if b.Verdict != store.RunIt {
			t.Errorf("%s: %+v", name, b)
		}
		notes := w.notes(id)
		if (c.noted == "") != (len(notes) == 0) || len(notes) > 0 && !strings.Contains(notes[0].Message, c.noted) {
			t.Errorf("%s: %+v", name, notes)
		}
	}
	if mails := w.mails(); len(mails) != 10 || !strings.HasSuffix(mails[0].Message.Subject, "pending") {
		t.Errorf("%d mails", len(mails))
	}
}

func TestWorkIsSkippedAsItBecomesPending(t *testing.T) {
	w := newWorld(t)
	item, _ := w.tarball()
	w.tarball() // takes its place
	root := w.workflow("noop", `{}`)
	request := task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop", Reactions: task.Reactions{OnUnblock: []task.Reaction{skipIf(item, "")}}}}}
	for range 2 { // planned again it is the same
		planned, err := w.Plan(t.Context(), request)
		w.must(err)
		if o := planned.Children[0].Ended; o == nil || o.Result != debusine.Skipped {
			t.Fatalf("%+v", planned)
		}
	}
	untold, err := w.Untold(t.Context(), 0, 0)
	if err != nil || len(untold) != 0 {
		t.Errorf("Temporal is to be told of %+v, %v", untold, err)
	}
	alone, err := w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: "noop",
		Reactions: task.Reactions{OnUnblock: []task.Reaction{skipIf(item, "")}}})
	w.must(err)
	w.wants(alone, "completed:skipped")
	if out, err := w.Outbox(t.Context(), alone, 0); err != nil || len(out) != 0 {
		t.Errorf("Temporal is to start %+v, %v", out, err)
	}
}

func TestArtifactsAreChosenAndNamedByTheirData(t *testing.T) {
	w := newWorld(t)
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	root, id := w.child(task.Reactions{OnSuccess: []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections", CreatedAt: &at,
		Filters:      map[string]any{"category": "debian:binary-package", "data__deb_fields__Section": "python", "data__deb_fields__Depends__contains": "libpython3"},
		NameTemplate: "{package}_{version}", Variables: map[string]any{"$package": "deb_fields.Package", "$version": "$.deb_fields.Version", "kind": "x"}}}})
	b := w.begin(w.deliver(id, 0))
	deb := func(section, name string) int64 {
		return w.made(id, b.AttemptID, "debian:binary-package", fmt.Sprintf(`{"deb_fields": {"Package": %q, "Version": "1.0", "Section": %q, "Depends": "libpython3.11"}}`, name, section))
	}
	deb("libs", "libhello1")
	wanted := deb("python", "python3-hello")
	w.made(id, b.AttemptID, "debian:upload", `{"deb_fields": {"Section": "python"}}`)
	w.complete(b.AttemptID, debusine.Success, `{}`)
	kept := w.items(debusine.CategoryWorkflowInternal, fmt.Sprintf("workflow-%d", root))
	if len(kept) != 1 || kept[0].Name != "python3-hello_1.0" || *kept[0].Artifact != wanted || kept[0].Data["kind"] != "x" || kept[0].Data["package"] != "python3-hello" {
		t.Errorf("%+v, noted %+v", kept, w.notes(id))
	}
	var made time.Time
	w.one(`SELECT created_at FROM collection_items WHERE id = $1`, &made, kept[0].ID)
	if !made.Equal(at) {
		t.Errorf("made at %s", made)
	}
}
