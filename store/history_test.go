package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
	"debusine/store"
	"debusine/task"
)

// build is a build of hello for amd64 that has ended.
func (w *world) build(result debusine.Result, output string) int64 {
	w.Helper()
	id, err := w.sbuild(w.source("hello", "2.10-3", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	w.complete(w.begin(w.deliver(id, 0)).AttemptID, result, output)
	return id
}

const helloSeries = "Worker:sbuild:hello:any%3Aamd64%3Aamd64"

func TestAHistoryKeepsTheLastSuccessTheLastFailureAndFiveMore(t *testing.T) {
	w := newWorld(t)
	w.tarball()
	var ids []int64
	for _, result := range []debusine.Result{debusine.Failure, debusine.Success, debusine.Success, debusine.Error, debusine.TemporaryFailure, debusine.Error, debusine.Error, debusine.Error, debusine.Error} {
		ids = append(ids, w.build(result, `{"runtime_statistics": {"duration": -3, "memory": 1000, "cpu_count": "many"}}`))
	}
	w.create("noop", `{}`) // says not what it is about
	var kept []float64
	for _, i := range w.items(debusine.CategoryTaskHistory, "_") {
		kept = append(kept, i.Data["work_request_id"].(float64))
		if want := fmt.Sprintf("%s:%v", helloSeries, i.Data["work_request_id"]); i.Name != want || i.Data["context"] != "any:amd64:amd64" || i.Data["task_type"] != "Worker" {
			t.Errorf("%q has %+v", i.Name, i.Data)
		}
		if s, _ := i.Data["runtime_statistics"].(map[string]any); s["memory"] != float64(1000) || s["cpu_count"] != nil || s["duration"] != float64(1) {
			t.Errorf("statistics %+v", s)
		}
	}
	if want := []float64{float64(ids[2]), float64(ids[4]), float64(ids[5]), float64(ids[6]), float64(ids[7]), float64(ids[8])}; !slices.Equal(kept, want) {
		t.Errorf("kept %v of %v", kept, ids)
	}
	for text, want := range map[string]int64{"last-entry": ids[8], "last-success": ids[2], "last-failure": ids[8]} {
		result, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, debusine.LookupOf("_@debusine:task-history/"+text+":"+helloSeries), lookup.Expect{Type: lookup.Bare})
		if err != nil || result.Item.Name != fmt.Sprintf("%s:%d", helloSeries, want) {
			t.Errorf("%s: %+v, %v", text, result.Item, err)
		}
	}
	w.exec(`UPDATE collections SET data = '{"old_items_to_keep": 1}' WHERE category = 'debusine:task-history'`)
	newest := w.build(debusine.Success, `{}`)
	if items := w.items(debusine.CategoryTaskHistory, "_"); len(items) != 2 || items[0].Data["work_request_id"] != float64(ids[8]) || items[1].Data["work_request_id"] != float64(newest) {
		t.Errorf("of one: %+v", items)
	}
}

func TestNoHistoryIsNoFault(t *testing.T) {
	w := newWorld(t)
	w.tarball()
	w.exec(`DELETE FROM collections WHERE category = 'debusine:task-history'`)
	id := w.build(debusine.Success, `{}`)
	if notes := w.notes(id); len(notes) != 0 {
		t.Errorf("%+v", notes)
	}
	for _, missing := range []string{"last-success:Worker:sbuild:hello", "last-success::a:b:c", "last-success:" + helloSeries + ":9"} {
		_, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, debusine.LookupOf("_@debusine:task-history/"+missing), lookup.Expect{})
		var invalid debusine.Invalid
		if !errors.As(err, &invalid) {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

func TestRunsAreFoundByArtifactsAndTheirWorkflow(t *testing.T) {
	w := newWorld(t)
	named := func(subject string) []task.Reaction {
		return []task.Reaction{{Action: task.RecordInTaskHistory, Subject: subject}}
	}
	root := w.workflow("noop", `{}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{
		{Name: "a", TaskName: "noop", Reactions: task.Reactions{OnSuccess: named("a")}}, {Name: "b", TaskName: "noop", Reactions: task.Reactions{OnSuccess: named("b")}}}})
	w.must(err)
	var made int64
	for i, c := range planned.Children {
		b := w.begin(w.deliver(c.ID, i))
		if i == 0 {
			made = w.made(c.ID, b.AttemptID, "debusine:test", `{}`)
		}
		w.complete(b.AttemptID, debusine.Success, `{}`)
	}
	_, other := w.child(task.Reactions{OnSuccess: named("c")})
	w.complete(w.begin(w.deliver(other, 0)).AttemptID, debusine.Success, `{}`)
	for filter, want := range map[string]string{
		fmt.Sprintf(`"lookup__same_work_request": %d`, made): "a",
		fmt.Sprintf(`"lookup__same_workflow": [%d]`, made):   "a b",
		`"lookup__same_workflow": []`:                        "",
		`"name__startswith": "Worker:noop:"`:                 "a b c",
	} {
		results, err := w.LookupMultiple(t.Context(), store.Asking{User: w.user, Workspace: w.workspace},
			json.RawMessage(`{"collection": "_@debusine:task-history", "child_type": "bare", `+filter+`}`), lookup.Expect{})
		w.must(err)
		var got []string
		for _, r := range results {
			var run debusine.HistoricalRun
			w.must(json.Unmarshal(r.Item.Data, &run))
			got = append(got, run.Subject)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, wanted %q", filter, got, want)
		}
	}
	_, err = w.LookupMultiple(t.Context(), store.Asking{User: w.user, Workspace: w.workspace}, json.RawMessage(`{"collection": "_@debian:package-build-logs", "lookup__same_workflow": 1}`), lookup.Expect{})
	if err == nil || !strings.Contains(err.Error(), "lookup__same_workflow looks into") {
		t.Errorf("%v", err)
	}
}

func TestWorkspacesHaveAHistory(t *testing.T) {
	w := newWorld(t)
	w.must(w.CreateWorkspace(t.Context(), "debusine", "new", false))
	var n int
	w.one(`SELECT count(*) FROM workspaces w JOIN collections c ON c.workspace_id = w.id WHERE c.category = 'debusine:task-history' AND c.name = '_'`, &n)
	if n != 2 {
		t.Errorf("%d of 2 workspaces have one", n)
	}
}
