package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/task"
)

// execution is the Temporal id of a workflow's newest run.
func (w *world) execution(root int64) (id string) {
	w.Helper()
	w.one(`SELECT temporal_id FROM work_requests WHERE id = $1`, &id, root)
	return id
}

func (w *world) plan(parent int64, execution string, steps ...task.Step) []task.Child {
	w.Helper()
	planned, err := w.Plan(w.Context(), task.PlanRequest{Parent: parent, Execution: execution, Steps: steps})
	w.must(err)
	return planned.Children
}

// kinds are a step of each kind.
func (w *world) kinds() []task.Step {
	upload := w.artifact("debian:upload", `{"type": "dpkg", "changes_fields": {"Source": "hello", "Version": "1"}}`)
	wait, err := json.Marshal(task.ExternalDebsignData{Unsigned: debusine.LookupID(upload)})
	w.must(err)
	return []task.Step{{Name: "build", TaskName: "noop"}, {Name: "serve", TaskName: "servernoop"},
		{Name: "wait", TaskName: "externaldebsign", Data: wait}, {Name: "within", Kind: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{"children": 1}`)}}
}

func TestChildrenOfEachKindArePlannedForWhereTheyRun(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	execution := w.execution(root)
	for range 2 { // the second time finds the same
		children := w.plan(root, execution, w.kinds()...)
		for i, want := range []struct {
			kind             debusine.TaskType
			state, queue, in string
		}{
			{debusine.WorkerTask, "pending:", "build/amd64/noop", execution}, {debusine.ServerTask, "pending:", "server", execution},
			{debusine.WaitTask, "running:", "", execution}, {debusine.WorkflowTask, "running:", "", execution + "/within"},
		} {
			c := children[i]
			w.wants(c.ID, want.state)
			var in string
			w.one(`SELECT execution_id FROM work_requests WHERE id = $1`, &in, c.ID)
			if c.Kind != want.kind || c.Queue != want.queue || in != want.in || c.Ended != nil {
				t.Errorf("%s: %+v, runs in %s", want.kind, c, in)
			}
		}
		if within := children[3]; within.Execution != execution+"/within" || string(within.Data) != `{"children": 1}` {
			t.Errorf("the workflow within is %+v", within)
		}
	}
	var n int
	w.one(`SELECT count(*) FROM work_requests WHERE parent_id = $1`, &n, root)
	if n != 4 {
		t.Errorf("%d children", n)
	}
}

func TestAnotherTryIsMadeOnceForEachThatFailed(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	step := task.Step{Name: "build", TaskName: "noop"}
	first := w.plan(root, "", step)[0].ID
	step.Supersedes = first
	if c := w.plan(root, "", step)[0]; c.ID != first {
		t.Fatalf("what has not failed is superseded by %d", c.ID)
	}
	w.endAs(first, "failure")
	second := w.plan(root, "", step)[0].ID
	if again := w.plan(root, "", step)[0].ID; second == first || again != second {
		t.Errorf("tries %d, %d, %d", first, second, again)
	}
	w.endAs(second, "success")
	step.Supersedes = second
	if c := w.plan(root, "", step)[0]; c.ID != second || !c.Ended.Succeeded() {
		t.Errorf("what succeeded is superseded: %+v", c)
	}
}

func (w *world) endAs(id int64, result string) {
	w.Helper()
	w.exec(`UPDATE work_requests SET status = 'completed', result = $2, completed_at = now() WHERE id = $1`, id, result)
}

func TestAWorkflowWithinGoesOnAsItselfWhenItIsRetried(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	within := task.Step{Name: "within", Kind: debusine.WorkflowTask, TaskName: "noop"}
	sub := w.plan(root, w.execution(root), within)[0]
	steps := []task.Step{{Name: "good", TaskName: "noop"}, {Name: "bad", TaskName: "noop"}}
	children := w.plan(sub.ID, sub.Execution, steps...)
	w.endAs(children[0].ID, "success")
	w.endAs(children[1].ID, "failure")
	if o, _, err := w.Conclude(t.Context(), task.Conclusion{ID: sub.ID, Result: debusine.Failure, Execution: sub.Execution}); err != nil || o.Result != debusine.Failure {
		t.Fatalf("%+v, %v", o, err)
	}
	w.endAs(root, "failure")
	old := sub.Execution
	if _, err := w.Retry(t.Context(), children[1].ID, w.user); err != nil {
		t.Fatal(err)
	}
	again := w.plan(root, w.execution(root), within)[0]
	if again.ID != sub.ID || again.Ended != nil || again.Execution != w.execution(root)+"/within" || again.Execution == old {
		t.Fatalf("after %+v came %+v", sub, again)
	}
	// A plan or an end from the run before is too late.
	if _, err := w.Plan(t.Context(), task.PlanRequest{Parent: sub.ID, Execution: old, Steps: steps}); err == nil || !strings.Contains(err.Error(), "was retried") {
		t.Errorf("the old run plans: %v", err)
	}
	if _, recorded, err := w.Conclude(t.Context(), task.Conclusion{ID: sub.ID, Result: debusine.Success, Execution: old}); err != nil || recorded {
		t.Errorf("the old run concludes: %v", err)
	}
	next := w.plan(sub.ID, again.Execution, steps...)
	if next[0].ID != children[0].ID || next[0].Ended == nil {
		t.Errorf("what succeeded is done again: %+v", next[0])
	}
	if next[1].ID == children[1].ID || next[1].Ended != nil {
		t.Errorf("what failed is not done again: %+v", next[1])
	}
}

func TestAWorkflowWithinIsConfiguredBeforeItDecides(t *testing.T) {
	w := newWorld(t)
	w.configure(`{"task_type": "Workflow", "task_name": "noop", "override_values": {"children": 3}}`)
	root := w.workflow("noop", `{}`)
	c := w.plan(root, w.execution(root), task.Step{Name: "within", Kind: debusine.WorkflowTask, TaskName: "noop", Data: json.RawMessage(`{"children": 1}`)})[0]
	if !strings.Contains(string(c.Data), "3") {
		t.Errorf("it runs with %s", c.Data)
	}
	w.configure(`{"task_type": "Workflow", "task_name": "noop", "override_values": {"children": "many"}}`)
	c = w.plan(root, w.execution(root), task.Step{Name: "other", Kind: debusine.WorkflowTask, TaskName: "noop"})[0]
	if c.Ended == nil || c.Ended.Result != debusine.Error {
		t.Errorf("misconfigured, it is %+v", c)
	}
	if notes := w.notes(c.ID); len(notes) != 1 || notes[0].Code != "configure-failed" {
		t.Errorf("%+v", notes)
	}
}

func TestWhatWaitsForASignatureEndsOnceAndIsTold(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	steps := w.kinds()
	steps[2].Reactions.OnSuccess = []task.Reaction{{Action: task.UpdateCollectionWithArtifacts, Collection: "internal@collections", NameTemplate: "signed",
		Filters: map[string]any{"category": "debian:upload"}}}
	children := w.plan(root, w.execution(root), steps...)
	wait := children[2].ID
	var unsigned, others, public int64
	w.one(`SELECT (dynamic_task_data->>'unsigned_id')::bigint FROM work_requests WHERE id = $1`, &unsigned, wait)
	upload := func() int64 {
		return w.artifact("debian:upload", `{"type": "dpkg", "changes_fields": {"Source": "hello", "Version": "1"}}`)
	}
	first, second, foreign, used := upload(), upload(), upload(), upload()
	w.one(`INSERT INTO users (username) VALUES ('mallory') RETURNING id`, &others)
	w.one(`INSERT INTO workspaces (scope_id, name, public) SELECT id, 'shared', true FROM scopes WHERE name = 'debusine' RETURNING id`, &public)
	w.exec(`UPDATE artifacts SET created_by = $1`, w.user)
	w.exec(`UPDATE artifacts SET workspace_id = $1 WHERE id = $2`, public, foreign)
	w.exec(`UPDATE artifacts SET created_by_work_request = $1 WHERE id = $2`, root, used)
	for name, c := range map[string]struct{ id, user, artifact int64 }{
		"an artifact of another user":      {wait, others, first},
		"an artifact of another workspace": {wait, w.user, foreign},
		"the output of other work":         {wait, w.user, used},
		"a build that waits for nothing":   {children[0].ID, w.user, first},
	} {
		if err := w.ProvideSignature(t.Context(), c.id, c.user, unsigned, c.artifact, debusine.OutputData{}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	w.wants(wait, "running:")
	w.must(w.ProvideSignature(t.Context(), wait, w.user, unsigned, first, debusine.OutputData{SignedBy: []string{"AB"}}))
	w.wants(wait, "completed:success")
	if err := w.ProvideSignature(t.Context(), wait, w.user, unsigned, second, debusine.OutputData{}); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("signed twice: %v", err)
	}
	var n int
	w.one(`SELECT count(*) FROM collection_items i JOIN collections c ON c.id = i.collection_id WHERE i.name = 'signed' AND i.artifact_id = $1 AND c.root_id = $2`, &n, first, root)
	if n != 1 {
		t.Error("the signed upload is not found by its name")
	}
	w.one(`SELECT count(*) FROM artifact_relations WHERE artifact_id = $1 AND target_id = $2 AND type = 'relates-to'`, &n, first, unsigned)
	if n != 1 {
		t.Error("it does not relate to what was to be signed")
	}
	untold, err := w.Untold(t.Context(), wait, 0)
	w.must(err)
	if len(untold) != 1 || untold[0].RootID != w.execution(root) || !untold[0].RootLives || untold[0].TaskType != debusine.WaitTask {
		t.Errorf("%+v", untold)
	}
}

func TestAServerTaskIsDoneByOneAtATime(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	id := w.plan(root, w.execution(root), w.kinds()...)[1].ID
	entered, leave := make(chan int, 2), make(chan struct{})
	for i := range 2 {
		go func() {
			_ = w.OneAtATime(context.Background(), id, func(context.Context) error {
				entered <- i
				<-leave
				return nil
			})
		}()
	}
	<-entered
	select {
	case <-entered:
		t.Error("two do it at once")
	case <-time.After(300 * time.Millisecond):
	}
	close(leave)
	select {
	case <-entered:
	case <-time.After(20 * time.Second):
		t.Error("the second never came to it")
	}
	job, err := w.BeginServerTask(t.Context(), id)
	w.must(err)
	if job.TaskName != "servernoop" || job.Workspace != w.workspace || job.User != w.user || job.Ended != nil {
		t.Errorf("%+v", job)
	}
	w.wants(id, "running:")
	if o, err := w.EndServerTask(t.Context(), id, debusine.Failure, debusine.OutputData{}); err != nil || o.Result != debusine.Failure {
		t.Errorf("%+v, %v", o, err)
	}
	if job, err = w.BeginServerTask(t.Context(), id); err != nil || job.Ended == nil || job.Ended.Result != debusine.Failure {
		t.Errorf("begun again: %+v, %v", job, err)
	}
	untold, err := w.Untold(t.Context(), id, 0)
	w.must(err)
	if len(untold) != 0 {
		t.Errorf("its activity answers by itself: %+v", untold)
	}
	if _, err := w.BeginServerTask(t.Context(), w.plan(root, "", task.Step{Name: "build", TaskName: "noop"})[0].ID); err == nil {
		t.Error("the server begins a build")
	}
}

func TestALockThatIsLostEndsTheWork(t *testing.T) {
	w := newWorld(t)
	err := w.OneAtATime(t.Context(), 7, func(ctx context.Context) error {
		w.exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7`)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Second):
			return nil
		}
	})
	if err == nil || !strings.Contains(err.Error(), "is lost") {
		t.Errorf("it went on: %v", err)
	}
}
