package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
	"debusine/taskconfig"
)

// configure pushes entries, written as JSON.
func (w *world) configure(entries ...string) store.Replaced {
	w.Helper()
	counts, err := w.ReplaceTaskConfiguration(w.Context(), w.replacement(entries...))
	w.must(err)
	return counts
}

func (w *world) replacement(entries ...string) store.Replacement {
	w.Helper()
	r := store.Replacement{Workspace: w.workspace, User: w.user, Name: "default"}
	for _, raw := range entries {
		e, err := taskconfig.Parse([]byte(raw))
		w.must(err)
		r.Entries = append(r.Entries, e)
	}
	return r
}

const bigLinux = `{"task_type": "Worker", "task_name": "sbuild", "subject": "linux", "context": "sid", "require_tags": ["worker:class:big"], "override_values": {"build_components": ["any", "all"]}}`

func TestWorkIsConfiguredWhenItBecomesPending(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", "", "")
	w.configure(bigLinux)
	id, err := w.sbuild(w.source("linux", "6.12-1", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	var queue, given, components string
	w.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, id)
	w.one(`SELECT coalesce(task_data->>'build_components', '') FROM work_requests WHERE id = $1`, &given, id)
	w.one(`SELECT configured_task_data->>'build_components' FROM work_requests WHERE id = $1`, &components, id)
	if queue != "build/amd64+class:big" || components != `["any", "all"]` || given == components {
		t.Errorf("queue %s, components %s, given %s", queue, components, given)
	}
	if steps := fmt.Sprint(w.dynamic(id)["configured_by"]); !strings.Contains(steps, "Worker:sbuild:linux:sid") {
		t.Errorf("what configured it is not kept: %s", steps)
	}
	other, err := w.sbuild(w.source("hello", "2.10-3", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	w.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, other)
	if queue != "build/amd64" || w.dynamic(other)["configured_by"] != nil {
		t.Errorf("another package is configured too: %s", queue)
	}
}

func TestAnEntryThatMakesParametersInvalidEndsTheWorkRequest(t *testing.T) {
	w := newWorld(t)
	w.configure(`{"task_type": "Worker", "task_name": "sleep", "default_values": {"seconds": 1}}`,
		`{"task_type": "Worker", "task_name": "sleep", "override_values": {"seconds": -5}, "path": "naps.yaml", "position": 2}`)
	id := w.create("sleep", `{"seconds": 2}`)
	w.wants(id, "completed:error")
	notes := w.notes(id)
	if len(notes) != 1 || notes[0].Code != "configure-failed" || !strings.Contains(notes[0].Message, "naps.yaml, entry 3") {
		t.Errorf("%+v", notes)
	}
	root := w.workflow("noop", `{}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "nap", TaskName: "sleep", Data: json.RawMessage(`{}`)}}})
	w.must(err)
	if c := planned.Children[0]; c.Ended == nil || c.Ended.Result != debusine.Error || w.notes(c.ID)[0].Code != "configure-failed" {
		t.Errorf("%+v", c)
	}
}

func TestAConfiguredEnvironmentThatDoesNotExistIsTheConfigurationsFault(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", "", "")
	w.configure(`{"task_type": "Worker", "task_name": "sbuild", "override_values": {"environment": "debian/match:codename=jessie"}}`)
	id, err := w.sbuild(w.source("hello", "2.10-3", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	if notes := w.notes(id); len(notes) != 1 || notes[0].Code != "configure-failed" {
		t.Errorf("%+v", notes)
	}
}

func TestWorkflowsAreConfiguredByTheirTarget(t *testing.T) {
	w := newWorld(t)
	w.configure(`{"task_type": "Workflow", "task_name": "sbuild", "subject": "grub", "context": "jessie", "override_values": {"architectures_denylist": ["riscv64"]}}`)
	data := func(source string) json.RawMessage {
		id := w.artifact("debian:source-package", fmt.Sprintf(`{"name": %q, "version": "1"}`, source))
		return json.RawMessage(fmt.Sprintf(`{"input": {"source_artifact": %d}, "target_distribution": "debian:jessie", "architectures": ["amd64"]}`, id))
	}
	for source, want := range map[string]bool{"grub": true, "hello": false} {
		n := store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkflowTask, TaskName: "sbuild", Data: data(source)}
		about, err := w.ConfigureWorkflow(t.Context(), &n)
		w.must(err)
		if about.Subject != source || about.ConfigurationContext != "jessie" {
			t.Errorf("%s is about %+v", source, about)
		}
		if got := strings.Contains(string(n.Configured()), "riscv64"); got != want {
			t.Errorf("%s: %s", source, n.Configured())
		}
		id, err := w.Create(t.Context(), n)
		w.must(err)
		if _, kept := w.dynamic(id)["configured_by"]; kept != want {
			t.Errorf("%s: what configured it is kept: %v", source, kept)
		}
	}
	n := store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkflowTask, TaskName: "sbuild", Data: data("grub")}
	w.configure(`{"task_type": "Workflow", "task_name": "sbuild", "override_values": {"architectures_denylist": "all of them"}}`)
	_, err := w.ConfigureWorkflow(t.Context(), &n)
	w.must(err)
	id, err := w.Create(t.Context(), n)
	w.must(err)
	w.wants(id, "completed:error")
}

func TestAReplacementIsWholeOrNothing(t *testing.T) {
	w := newWorld(t)
	const a, b, b2, c = `{"template": "a"}`, `{"template": "b"}`, `{"template": "b", "comment": "more"}`, `{"template": "c"}`
	if n := w.configure(a, b); n != (store.Replaced{Added: 2}) {
		t.Errorf("%+v", n)
	}
	dry := w.replacement(b2, c)
	dry.DryRun = true
	if n, err := w.ReplaceTaskConfiguration(t.Context(), dry); err != nil || n != (store.Replaced{Added: 1, Updated: 1, Removed: 1}) {
		t.Errorf("%+v, %v", n, err)
	}
	for name, bad := range map[string][]string{"twins": {a, a}, "a circle": {`{"template": "x", "use_templates": ["x"]}`}} {
		if _, err := w.ReplaceTaskConfiguration(t.Context(), w.replacement(bad...)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if n := w.configure(a, b); n != (store.Replaced{Unchanged: 2}) {
		t.Errorf("a dry run or a refused one has changed something: %+v", n)
	}
	if n := w.configure(b2, c); n != (store.Replaced{Added: 1, Updated: 1, Removed: 1}) {
		t.Errorf("%+v", n)
	}
	var history int
	w.one(`SELECT count(*) FROM collection_items WHERE category = 'debusine:task-configuration' AND removed_at IS NOT NULL`, &history)
	if history != 2 {
		t.Errorf("%d removed entries are kept, not 2", history)
	}
	missing := w.replacement()
	missing.Name = "_"
	if _, err := w.ReplaceTaskConfiguration(t.Context(), missing); err == nil {
		t.Error("a singleton's name is taken")
	}
}

func TestReplacementsAtOnceFollowOneAnother(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	for i := range 8 {
		r := w.replacement(fmt.Sprintf(`{"template": "t%d"}`, i%2), `{"template": "both"}`)
		group.Go(func() {
			if _, err := w.ReplaceTaskConfiguration(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, entries, err := w.TaskConfiguration(t.Context(), w.workspace, "default")
	w.must(err)
	if len(entries) != 2 {
		t.Errorf("%d entries are left, not 2", len(entries))
	}
}

func TestANamedConfigurationMustExist(t *testing.T) {
	w := newWorld(t)
	w.create("noop", `{}`)
	_, err := w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: "noop",
		Data: json.RawMessage(`{"task_configuration": "mine@debusine:task-configuration"}`)})
	w.missing("a configuration that is not there", err)
}

func TestAWorkflowThatIsRetriedIsConfiguredAnew(t *testing.T) {
	w := newWorld(t)
	const entry = `{"task_type": "Workflow", "task_name": "noop", "comment": "%s", "override_values": {"children": %s}}`
	children := func(id int64) (n string) {
		w.one(`SELECT coalesce(configured_task_data->>'children', 'as given') FROM work_requests WHERE id = $1`, &n, id)
		return n
	}
	root := w.workflow("noop", `{"children": 1}`)
	within := task.Step{Name: "within", Kind: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{"children": 1}`)}
	sub := w.plan(root, w.execution(root), within)[0]
	again := func() {
		t.Helper()
		w.endAs(sub.ID, "failure")
		w.endAs(root, "failure")
		_, err := w.Retry(t.Context(), root, w.user)
		w.must(err)
	}
	w.configure(fmt.Sprintf(entry, "first", "7"))
	again()
	c := w.plan(root, w.execution(root), within)[0]
	if children(root) != "7" || children(sub.ID) != "7" || c.ID != sub.ID || string(c.Data) != `{"children":7}` {
		t.Errorf("root %s, within %s, planned %+v", children(root), children(sub.ID), c)
	}
	if steps := fmt.Sprint(w.dynamic(root)["configured_by"], w.dynamic(sub.ID)["configured_by"]); strings.Count(steps, "first") != 2 {
		t.Errorf("configured by %s", steps)
	}
	// What the configuration says no longer is forgotten.
	w.configure()
	again()
	w.plan(root, w.execution(root), within)
	if children(root) != "as given" || children(sub.ID) != "as given" || w.dynamic(root)["configured_by"] != nil {
		t.Errorf("root %s, within %s", children(root), children(sub.ID))
	}
	// A workflow within that an entry makes invalid ends so, and names it.
	again()
	w.configure(fmt.Sprintf(entry, "bad", "-1"))
	if c = w.plan(root, w.execution(root), within)[0]; c.Ended == nil || c.Ended.Result != debusine.Error {
		t.Errorf("%+v", c)
	}
	if notes := w.notes(sub.ID); len(notes) != 1 || notes[0].Code != "configure-failed" || !strings.Contains(notes[0].Message, "Workflow:noop::") {
		t.Errorf("%+v", notes)
	}
	// A root is not even begun, and keeps the end that it had.
	w.endAs(root, "failure")
	if _, err := w.Retry(t.Context(), root, w.user); err == nil || !strings.Contains(err.Error(), "Workflow:noop::") {
		t.Errorf("retried with a configuration that makes it invalid: %v", err)
	}
	w.wants(root, "completed:failure")
}

func TestAWorkspaceSortsItsWorkForMachinesThatAreKeptForIt(t *testing.T) {
	w := newWorld(t)
	w.environment("sid", "amd64", "", "")
	w.configure(`{"task_type": "Worker", "task_name": "sbuild", "subject": "linux", "provide_tags": ["task:class:long"]}`)
	queueOf := func(source string) (queue string) {
		t.Helper()
		id, err := w.sbuild(w.source(source, "1", "any"), "debian/match:codename=sid", "amd64")
		w.must(err)
		w.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, id)
		return queue
	}
	if got := queueOf("linux"); got != "build/amd64" {
		t.Errorf("without a gate it is on %s", got)
	}
	w.must(w.SetGate(t.Context(), "task:class:long", true))
	if linux, hello := queueOf("linux"), queueOf("hello"); linux != "build/amd64~class:long" || hello != "build/amd64" {
		t.Errorf("linux on %s, hello on %s", linux, hello)
	}
	for _, tag := range []string{"task:workspace:debusine:System", "task:source-package:linux", "task:class:", "worker:class:big", "task:class:a b"} {
		if _, err := taskconfig.Parse([]byte(fmt.Sprintf(`{"task_type": "Worker", "task_name": "sbuild", "provide_tags": [%q]}`, tag))); err == nil {
			t.Errorf("a workspace may say %q of its work", tag)
		}
	}
}
