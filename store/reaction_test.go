package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// item is what a test reads of a collection's item.
type item struct {
	ID       int64
	Name     string
	Kind     string
	Artifact *int64
	Data     map[string]any
}

// items are the active items of the collection, oldest first.
func (w *world) items(category, name string) (items []item) {
	w.Helper()
	c, err := w.Collection(w.Context(), w.workspace, category, name)
	w.must(err)
	all, err := w.Items(w.Context(), c.ID, store.ItemFilter{}, 100)
	w.must(err)
	slices.Reverse(all)
	for _, i := range all {
		x := item{ID: i.ID, Name: i.Name, Kind: i.Kind, Artifact: i.ArtifactID}
		w.must(json.Unmarshal(i.Data, &x.Data))
		items = append(items, x)
	}
	return items
}

func (w *world) logs() []item {
	w.Helper()
	return w.items(debusine.CategoryPackageBuildLogs, "_")
}

// notes are the errors that a work request keeps in its output.
func (w *world) notes(id int64) (notes []debusine.TaskError) {
	w.Helper()
	w.one(`SELECT coalesce(output_data->'errors', '[]') FROM work_requests WHERE id = $1`, &notes, id)
	return notes
}

func (w *world) complete(attempt int64, result debusine.Result, output string) {
	w.Helper()
	c, err := w.Complete(w.Context(), attempt, result, json.RawMessage(output))
	w.must(err)
	if !c.First {
		w.Fatalf("attempt %d had ended before", attempt)
	}
}

// child plans one noop with the reactions.
func (w *world) child(r task.Reactions) (root, id int64) {
	w.Helper()
	root = w.workflow("noop", `{}`)
	planned, err := w.Plan(w.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop", Reactions: r}}})
	w.must(err)
	return root, planned.Children[0].ID
}

// logReactions are those of a build as the sbuild workflow asks for them.
func logReactions() task.Reactions {
	about := map[string]any{"vendor": "debian", "codename": "sid", "architecture": "amd64", "srcpkg_name": "hello", "srcpkg_version": "2.10-3"}
	keep := []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "_@debian:package-build-logs",
		Filters: map[string]any{"category": "debian:package-build-log"}, Variables: about}}
	return task.Reactions{OnSuccess: keep, OnFailure: keep,
		OnCreation: []task.Reaction{{Action: task.UpdateCollectionWithData, Collection: "_@debian:package-build-logs", Category: "debian:package-build-log", Data: about}}}
}

const aLog = `{"source": "hello", "version": "2.10-3", "architecture": "amd64", "filename": "hello.build"}`

func TestABuildLogIsAnnouncedAndThenThere(t *testing.T) {
	for _, result := range []debusine.Result{debusine.Success, debusine.Failure, debusine.TemporaryFailure, debusine.Error} {
		t.Run(string(result), func(t *testing.T) {
			w := newWorld(t)
			root, id := w.child(logReactions())
			name := fmt.Sprintf("debian_sid_amd64_hello_2.10-3_%d", id)
			announced := w.logs()
			if len(announced) != 1 || announced[0].Name != name || announced[0].Kind != "bare" || announced[0].Data["work_request_id"] != float64(id) || announced[0].Data["srcpkg_name"] != "hello" {
				t.Fatalf("announced %+v", announced)
			}
			lost := w.begin(w.deliver(id, 0))
			w.made(id, lost.AttemptID, "debian:package-build-log", aLog)
			b := w.begin(w.deliver(id, 1))
			log := w.made(id, b.AttemptID, "debian:package-build-log", aLog)
			w.made(id, b.AttemptID, "debusine:work-request-debug-logs", `{}`)
			w.complete(b.AttemptID, result, `{}`)
			kept := w.logs()
			if len(kept) != 1 || kept[0].Name != name || kept[0].Kind != "artifact" || kept[0].Artifact == nil || *kept[0].Artifact != log {
				t.Errorf("kept %+v, the log is artifact %d", kept, log)
			}
			if notes := w.notes(id); len(notes) != 0 {
				t.Errorf("noted %+v", notes)
			}
			var by, from int64
			w.one(`SELECT created_by FROM collection_items WHERE id = $1`, &by, kept[0].ID)
			w.one(`SELECT removed_by_workflow FROM collection_items WHERE id = $1`, &from, announced[0].ID)
			if by != w.user || from != root {
				t.Errorf("put there by user %d, the announcement removed by workflow %d", by, from)
			}
		})
	}
}

func TestABuildThatLeavesNoLogLeavesItsAnnouncement(t *testing.T) {
	w := newWorld(t)
	_, id := w.child(logReactions())
	b := w.begin(w.deliver(id, 0))
	w.complete(b.AttemptID, debusine.Error, `{}`)
	if logs := w.logs(); len(logs) != 1 || logs[0].Kind != "bare" {
		t.Errorf("%+v", logs)
	}
}

func TestAnEnvironmentGoesByAllItsNames(t *testing.T) {
	w := newWorld(t)
	add := func(variables map[string]any) task.Reaction {
		return task.Reaction{Action: task.UpdateCollectionWithArtifacts, Collection: "debian@debian:environments",
			Filters: map[string]any{"category": "debian:system-tarball"}, Variables: variables}
	}
	reactions := task.Reactions{OnSuccess: []task.Reaction{
		add(map[string]any{"codename": "sid"}), add(map[string]any{"codename": "unstable"}),
		add(map[string]any{"codename": "sid", "variant": "sbuild", "backend": "unshare"}), add(nil)}}
	var names []string
	for range 2 { // the second takes the places of the first
		_, id := w.child(reactions)
		b := w.begin(w.deliver(id, 0))
		tar := w.made(id, b.AttemptID, "debian:system-tarball", `{"codename": "trixie", "architecture": "amd64", "variant": "buildd"}`)
		w.made(id, b.AttemptID, "debusine:work-request-debug-logs", `{}`)
		w.complete(b.AttemptID, debusine.Success, `{}`)
		names = nil
		for _, i := range w.items(debusine.CategoryEnvironments, "debian") {
			names = append(names, i.Name)
			if i.Artifact == nil || *i.Artifact != tar || i.Data["architecture"] != "amd64" {
				t.Errorf("%+v, the tarball is artifact %d", i, tar)
			}
		}
		if notes := w.notes(id); len(notes) != 0 {
			t.Errorf("noted %+v", notes)
		}
	}
	if want := []string{"tarball:sid:amd64", "tarball:unstable:amd64", "tarball:sid:amd64:sbuild:unshare", "tarball:trixie:amd64"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	id, err := w.sbuild(w.source("hello", "2.10-3", "any"), "debian/match:codename=unstable", "amd64")
	w.must(err)
	if got := w.dynamic(id)["environment_id"]; got == nil {
		t.Error("a build does not find it")
	}
}

func TestAReactionThatCannotWorkIsNotedAndChangesNothingElse(t *testing.T) {
	bare := func(collection string, data map[string]any) task.Reaction {
		return task.Reaction{Action: task.UpdateCollectionWithData, Collection: collection, Category: "debian:package-build-log", Data: data}
	}
	const logs = "_@debian:package-build-logs"
	w := newWorld(t)
	var elsewhere int64
	w.one(`INSERT INTO workspaces (scope_id, name) SELECT id, 'other' FROM scopes WHERE name = 'debusine' RETURNING id`, &elsewhere)
	w.must(w.CreateCollection(t.Context(), debusine.Collection{WorkspaceID: elsewhere, Category: debusine.CategoryPackageBuildLogs, Name: "_"}))
	other, err := w.Collection(t.Context(), elsewhere, debusine.CategoryPackageBuildLogs, "_")
	w.must(err)
	good := logReactions()
	for name, c := range map[string]struct {
		reaction task.Reaction
		want     string
	}{
		"an unknown action":                {task.Reaction{Action: "send-pigeon", Collection: logs}, "send-pigeon is unknown"},
		"no collection":                    {bare("", nil), "names no category"},
		"a collection that is not":         {bare("ubuntu@debian:environments", nil), "not found"},
		"an artifact as the collection":    {bare(fmt.Sprintf("%d@artifacts", w.artifact("debusine:test", `{}`)), nil), "not collection"},
		"an item as the collection":        {bare("debian@debian:environments/name:x", nil), "not found"},
		"a collection of another place":    {bare(fmt.Sprintf("%d@collections", other.ID), good.OnCreation[0].Data), "work's own workspace"},
		"no data":                          {bare(logs, nil), "needs vendor"},
		"data with a colon":                {bare(logs, map[string]any{"vendor": "a:b"}), "must be a word"},
		"data that the category knows not": {bare(logs, map[string]any{"colour": "red"}), `no variable "colour"`},
		"a bare environment":               {bare("debian@debian:environments", nil), "takes no bare"},
	} {
		reactions := task.Reactions{OnSuccess: []task.Reaction{c.reaction, good.OnCreation[0]}}
		_, id := w.child(reactions)
		b := w.begin(w.deliver(id, 0))
		w.complete(b.AttemptID, debusine.Success, `{"errors": [{"message": "the task's own", "code": "x"}], "runtime_statistics": {"duration": 3}}`)
		w.wants(id, "completed:success")
		notes := w.notes(id)
		if len(notes) != 2 || notes[0].Message != "the task's own" || notes[1].Code != "reaction-failed" ||
			!strings.Contains(notes[1].Message, c.want) || !strings.HasPrefix(notes[1].Message, c.reaction.Action+": ") {
			t.Errorf("%s: noted %+v", name, notes)
		}
		var duration int
		w.one(`SELECT (output_data->'runtime_statistics'->>'duration')::int FROM work_requests WHERE id = $1`, &duration, id)
		items := w.logs()
		if last := items[len(items)-1]; duration != 3 || last.Data["work_request_id"] != float64(id) {
			t.Errorf("%s: the output or the next reaction was lost: %d, %+v", name, duration, last)
		}
	}
	if items, err := w.Items(t.Context(), other.ID, store.ItemFilter{}, 10); err != nil || len(items) != 0 {
		t.Errorf("in the other workspace: %+v, %v", items, err)
	}
}

func TestAReactionOnCreationThatCannotWorkMakesTheStepAllTheSame(t *testing.T) {
	w := newWorld(t)
	_, id := w.child(task.Reactions{OnCreation: []task.Reaction{{Action: task.UpdateCollectionWithData, Collection: "_@debian:package-build-logs", Category: "debian:package-build-log"}}})
	w.wants(id, "pending:")
	if notes := w.notes(id); len(notes) != 1 || notes[0].Code != "reaction-failed" {
		t.Errorf("noted %+v", notes)
	}
	b := w.begin(w.deliver(id, 0))
	w.complete(b.AttemptID, debusine.Success, `{}`)
	if notes := w.notes(id); len(notes) != 1 {
		t.Errorf("after the end: %+v", notes)
	}
}

func TestAHostileArtifactBreaksNoReactionButItsOwn(t *testing.T) {
	for name, data := range map[string]string{
		"a version with a slash":     `{"source": "hello", "version": "1/../2", "filename": "x"}`,
		"a source that is a number":  `{"source": 7, "version": "1"}`,
		"a source that is not there": `{}`,
		"a huge source":              `{"source": "` + strings.Repeat("x", 100_000) + `", "version": "1"}`,
		"an escape sequence":         `{"source": "\u001b[2J", "version": "1"}`,
		"data that are null":         `null`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := logReactions().OnSuccess[0]
			r.Variables = map[string]any{"vendor": "debian", "codename": "sid", "architecture": "amd64"} // the rest is the artifact's word
			_, id := w.child(task.Reactions{OnSuccess: []task.Reaction{r}})
			b := w.begin(w.deliver(id, 0))
			w.made(id, b.AttemptID, "debian:package-build-log", data)
			w.complete(b.AttemptID, debusine.Success, `{}`)
			w.wants(id, "completed:success")
			notes := w.notes(id)
			if len(notes) != 1 || notes[0].Code != "reaction-failed" || len(notes[0].Message) > 500 {
				t.Errorf("noted %.500v", notes)
			}
			if logs := w.logs(); len(logs) != 0 {
				t.Errorf("items %.500v", logs)
			}
		})
	}
}

// Both replace what is there: none of them may fail because the other was first.
func TestTwoThatEndAtOnceBothReplace(t *testing.T) {
	w := newWorld(t)
	reactions := task.Reactions{OnSuccess: []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "debian@debian:environments",
		Filters: map[string]any{"category": "debian:system-tarball"}, Variables: map[string]any{"codename": "sid"}}}}
	var ids, attempts []int64
	for i := range 8 {
		_, id := w.child(reactions)
		b := w.begin(w.deliver(id, i%3))
		w.made(id, b.AttemptID, "debian:system-tarball", `{"codename": "sid", "architecture": "amd64"}`)
		ids, attempts = append(ids, id), append(attempts, b.AttemptID)
	}
	var all sync.WaitGroup
	failed := make(chan error, len(attempts))
	for _, attempt := range attempts {
		all.Go(func() {
			_, err := w.Complete(t.Context(), attempt, debusine.Success, nil)
			failed <- err
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		w.must(err)
	}
	for _, id := range ids {
		if notes := w.notes(id); len(notes) != 0 {
			t.Errorf("work request %d: noted %+v", id, notes)
		}
	}
	var removed int
	w.one(`SELECT count(*) FROM collection_items WHERE removed_at IS NOT NULL`, &removed)
	if items := w.items(debusine.CategoryEnvironments, "debian"); len(items) != 1 || removed != len(ids)-1 {
		t.Errorf("active %+v, removed %d", items, removed)
	}
}

func TestAUserWhoLostTheWorkspaceChangesNoCollection(t *testing.T) {
	w := newWorld(t)
	_, id := w.child(logReactions())
	b := w.begin(w.deliver(id, 0))
	w.made(id, b.AttemptID, "debian:package-build-log", aLog)
	w.exec(`DELETE FROM group_members WHERE user_id = $1`, w.user)
	w.complete(b.AttemptID, debusine.Success, `{}`)
	if notes := w.notes(id); len(notes) != 1 || !strings.Contains(notes[0].Message, "not found") {
		t.Errorf("noted %+v", notes)
	}
	if logs := w.logs(); len(logs) != 1 || logs[0].Kind != "bare" {
		t.Errorf("%+v", logs)
	}
}

func TestAnOutputThatPostgreSQLRefusesRecordsNothing(t *testing.T) {
	w := newWorld(t)
	_, id := w.child(logReactions())
	b := w.begin(w.deliver(id, 0))
	_, err := w.Complete(t.Context(), b.AttemptID, debusine.Success, json.RawMessage(`{"skip_reason": "\u0000"}`))
	var invalid debusine.Invalid
	if !errors.As(err, &invalid) {
		t.Errorf("%v", err)
	}
	w.wants(id, "running:")
	w.complete(b.AttemptID, debusine.Failure, `{}`)
}

func TestAnOutputIsTheArtifactThatTheFiltersTake(t *testing.T) {
	w := newWorld(t)
	root, id := w.child(task.Reactions{OnSuccess: []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections",
		NameTemplate: "signing-template-amd64-b", Filters: map[string]any{"category": "debian:binary-package", "data__deb_fields__Package": "b"}}}})
	b := w.begin(w.deliver(id, 0))
	var want int64
	for _, name := range []string{"a", "b", "c"} {
		if made := w.made(id, b.AttemptID, "debian:binary-package", fmt.Sprintf(`{"deb_fields": {"Package": %q}}`, name)); name == "b" {
			want = made
		}
	}
	w.complete(b.AttemptID, debusine.Success, `{}`)
	if got := w.items(debusine.CategoryWorkflowInternal, fmt.Sprintf("workflow-%d", root)); len(got) != 1 || *got[0].Artifact != want {
		t.Errorf("%+v, wanted artifact %d", got, want)
	}
}
