package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/task"
)

func TestAWorkRequestLivesFromCommitToEnd(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	starts, err := w.Outbox(t.Context(), id, 0)
	w.must(err)
	if len(starts) != 1 || starts[0].TemporalID != task.ActivityID("test", id) || starts[0].Queue != "build/amd64/noop" {
		t.Fatalf("outbox: %+v", starts)
	}
	w.must(w.MarkStarted(t.Context(), id, task.ActivityID("test", id), "r"))
	if again, _ := w.Outbox(t.Context(), id, 0); len(again) != 0 {
		t.Fatalf("still in the outbox: %+v", again)
	}
	b := w.begin(w.deliver(id, 0))
	if b.Verdict != store.RunIt || b.Number != 1 || b.TaskName != "noop" {
		t.Fatalf("begin: %+v", b)
	}
	w.wants(id, "running:")
	c, err := w.Complete(t.Context(), b.AttemptID, debusine.Success, json.RawMessage(`{"runtime_statistics": {"duration": 3}}`))
	w.must(err)
	if !c.First || c.Worker != "one" || c.Number != 1 {
		t.Error("the first complete did not record")
	}
	c, err = w.Complete(t.Context(), b.AttemptID, debusine.Failure, nil)
	w.must(err)
	if c.First {
		t.Error("the same attempt completed twice")
	}
	w.wants(id, "completed:success")
	untold, err := w.Untold(t.Context(), id, 0)
	w.must(err)
	if len(untold) != 1 || untold[0].Result != debusine.Success {
		t.Fatalf("untold: %+v", untold)
	}
	w.must(w.MarkTold(t.Context(), []int64{id}, []int64{b.AttemptID}))
	if untold, _ = w.Untold(t.Context(), 0, 0); len(untold) != 0 {
		t.Fatalf("told, and still: %+v", untold)
	}
}

func TestBadDataLeaveNoTrace(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ task, data, want string }{
		"an unknown task":             {"sbild", `{}`, "unknown"},
		"an unknown parameter":        {"noop", `{"resutl": true}`, "resutl"},
		"an unknown architecture":     {"noop", `{"build_architecture": "amd46"}`, "amd46"},
		"a wrong type":                {"sleep", `{"seconds": "long"}`, "seconds"},
		"data that are not JSON":      {"noop", `{`, "JSON"},
		"two values":                  {"noop", `{} {}`, "more than one"},
		"an artifact that is not":     {"sbuild", `{"input": {"source_artifact": 99}, "environment": "debian/match:codename=sid", "build_architecture": "amd64"}`, "artifact 99 not found"},
		"a collection that is not":    {"sbuild", `{"input": {"source_artifact": "x@debian:suite/y"}, "environment": 1, "build_architecture": "amd64"}`, "not found"},
		"a backend that is not there": {"sbuild", `{"input": {"source_artifact": 1}, "environment": 1, "build_architecture": "amd64", "backend": "docker"}`, "docker"},
		"a negative number":           {"sbuild", `{"input": {"source_artifact": -1}, "environment": 1, "build_architecture": "amd64"}`, "-1"},
		"an option for a package":     {"mmdebstrap", `{"bootstrap_options": {"architecture": "amd64", "extra_packages": ["--hook=x"]}, "bootstrap_repositories": [{"mirror": "http://m/", "suite": "sid"}]}`, "--hook"},
		"a keyring outside":           {"mmdebstrap", `{"bootstrap_options": {"architecture": "amd64"}, "bootstrap_repositories": [{"mirror": "http://m/", "suite": "sid", "keyring": {"url": "file:///etc/shadow"}}]}`, "outside"},
	} {
		_, err := w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkerTask, TaskName: c.task, Data: json.RawMessage(c.data)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, wanted words about %q", name, err, c.want)
		}
	}
	var n int
	w.one(`SELECT count(*) FROM work_requests`, &n)
	if n != 0 {
		t.Errorf("%d work requests were left behind", n)
	}
}

func TestALateBeginIsRefused(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	first, second := w.deliver(id, 0), w.deliver(id, 1)
	b := w.begin(second)
	if late := w.begin(first); late.Verdict != store.No {
		t.Errorf("the older delivery began: %+v", late)
	}
	if again := w.begin(second); again.Verdict != store.RunIt || again.AttemptID != b.AttemptID || again.Secret == b.Secret {
		t.Errorf("a repeated begin: %+v after %+v", again, b)
	}
	other := w.create("noop", `{}`)
	void := w.deliver(other, 0)
	w.exec(`INSERT INTO voided_deliveries (delivery, work_request_id) VALUES ($1, $2)`, void.ID(), other)
	if b := w.begin(void); b.Verdict != store.No {
		t.Errorf("a void delivery began: %+v", b)
	}
}

func TestAnAttemptThatWasReplacedRecordsNothing(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	old := w.begin(w.deliver(id, 0))
	newer := w.begin(w.deliver(id, 1))
	var conflict debusine.Conflict
	if _, err := w.Complete(t.Context(), old.AttemptID, debusine.Success, nil); !errors.As(err, &conflict) {
		t.Errorf("the void attempt completed: %v", err)
	}
	if err := w.AppendLog(t.Context(), id, old.AttemptID, 0, []byte("late")); !errors.As(err, &conflict) {
		t.Errorf("the void attempt wrote a log: %v", err)
	}
	w.wants(id, "running:")
	_, err := w.Complete(t.Context(), newer.AttemptID, debusine.Failure, nil)
	w.must(err)
	w.wants(id, "completed:failure")
}

func TestTheSecondMachineThatIsLostMakesAnError(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	for i, want := range []string{"pending:", "completed:error"} {
		b := w.begin(w.deliver(id, i))
		w.silence(b.AttemptID)
		lost, err := w.LoseSilent(t.Context())
		w.must(err)
		if len(lost) != 1 || lost[0].WorkRequest != id {
			t.Fatalf("lost: %+v", lost)
		}
		w.wants(id, want)
	}
	var words string
	w.one(`SELECT output_data->'errors'->0->>'message' FROM work_requests WHERE id = $1`, &words, id)
	if !strings.Contains(words, "2 different workers were lost") {
		t.Errorf("the reason is %q", words)
	}
}

func TestTheThirdLossOfOneMachineMakesAnError(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	for _, want := range []string{"pending:", "pending:", "completed:error"} {
		b := w.begin(w.deliver(id, 0))
		if b.Verdict != store.RunIt {
			t.Fatalf("begin: %+v", b)
		}
		w.silence(b.AttemptID)
		_, err := w.LoseSilent(t.Context())
		w.must(err)
		w.wants(id, want)
	}
	if b := w.begin(w.deliver(id, 0)); b.Verdict != store.AlreadyEnded {
		t.Errorf("begin after the end: %+v", b)
	}
}

func TestNobodyIsJudgedAfterAnOutageOfOurs(t *testing.T) {
	w := newWorld(t)
	may, err := w.Beat(t.Context())
	w.must(err)
	if !may {
		t.Error("a new installation may not judge")
	}
	w.exec(`UPDATE presence SET beat_at = now() - interval '2 minutes'`)
	if may, _ = w.Beat(t.Context()); may {
		t.Error("workers are judged right after an outage")
	}
	w.exec(`UPDATE presence SET grace_until = now()`)
	if may, _ = w.Beat(t.Context()); !may {
		t.Error("workers are not judged when the grace is over")
	}
}

func TestAbortEndsTheTreeAndKeepsTheLog(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{"children": 2}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop"}, {Name: "b", TaskName: "noop"}}})
	w.must(err)
	b := w.begin(w.deliver(planned.Children[0].ID, 0))
	ended, err := w.Abort(t.Context(), root, w.user)
	w.must(err)
	if len(ended) != 3 {
		t.Fatalf("ended %v", ended)
	}
	w.must(w.AppendLog(t.Context(), planned.Children[0].ID, b.AttemptID, 0, []byte("Killed\n")))
	_, err = w.Complete(t.Context(), b.AttemptID, debusine.Failure, json.RawMessage(`{"errors": []}`))
	w.must(err)
	w.wants(planned.Children[0].ID, "aborted:")
	log, err := w.LiveLog(t.Context(), planned.Children[0].ID, b.AttemptID, 2, 100)
	w.must(err)
	if string(log) != "lled\n" {
		t.Errorf("log %q", log)
	}
	if again, err := w.Abort(t.Context(), root, w.user); err != nil || len(again) != 0 {
		t.Errorf("a second abort: %v %v", again, err)
	}
}

func TestPlanningTwiceMakesEachStepOnce(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	req := task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "good", TaskName: "noop"}, {Name: "bad", TaskName: "nope"}}}
	first, err := w.Plan(t.Context(), req)
	w.must(err)
	second, err := w.Plan(t.Context(), req)
	w.must(err)
	if first.Children[0].ID != second.Children[0].ID || first.Children[1].ID != second.Children[1].ID {
		t.Errorf("planned %+v, then %+v", first, second)
	}
	if bad := second.Children[1]; bad.Ended == nil || bad.Ended.Result != debusine.Error {
		t.Errorf("a step of an unknown task: %+v", bad)
	}
}

func TestARetriedWorkflowKeepsWhatSucceeded(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	req := task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "good", TaskName: "noop"}, {Name: "bad", TaskName: "noop"}}}
	planned, err := w.Plan(t.Context(), req)
	w.must(err)
	for i, result := range []debusine.Result{debusine.Success, debusine.Failure} {
		b := w.begin(w.deliver(planned.Children[i].ID, 0))
		_, err := w.Complete(t.Context(), b.AttemptID, result, nil)
		w.must(err)
	}
	if _, err := w.Retry(t.Context(), root, w.user); err == nil {
		t.Error("a running workflow was retried")
	}
	_, _, err = w.Conclude(t.Context(), task.Conclusion{ID: root, Result: debusine.Failure})
	w.must(err)
	retried, err := w.Retry(t.Context(), root, w.user)
	w.must(err)
	starts, err := w.Outbox(t.Context(), root, 0)
	w.must(err)
	if retried != root || len(starts) != 1 || starts[0].TemporalID != task.WorkflowID("test", root, "noop", task.Description{})+"~1" {
		t.Fatalf("retried %d, outbox %+v", retried, starts)
	}
	_, late, err := w.Conclude(t.Context(), task.Conclusion{ID: root, Result: debusine.Failure, Execution: task.WorkflowID("test", root, "noop", task.Description{})})
	w.must(err)
	if late {
		t.Error("the run before, saying its end again, ended the new one")
	}
	again, err := w.Plan(t.Context(), req)
	w.must(err)
	if again.Children[0].ID != planned.Children[0].ID || again.Children[0].Ended == nil {
		t.Errorf("what succeeded is done again: %+v", again.Children[0])
	}
	if again.Children[1].ID == planned.Children[1].ID || again.Children[1].Ended != nil {
		t.Errorf("what failed is not done again: %+v", again.Children[1])
	}
}

// Debian's versions have "~" in them, as the ids of retried runs do.
func TestTheIdOfARetriedWorkflowKeepsTheVersionInIt(t *testing.T) {
	w := newWorld(t)
	about := task.Description{ParameterSummary: "hello_2.10~rc1"}
	raw, err := json.Marshal(about)
	w.must(err)
	root, err := w.Create(t.Context(), store.New{WorkspaceID: w.workspace, CreatedBy: w.user, TaskType: debusine.WorkflowTask, TaskName: "noop", Dynamic: raw})
	w.must(err)
	for _, suffix := range []string{"", "~1", "~2"} {
		starts, err := w.Outbox(t.Context(), root, 0)
		w.must(err)
		if want := task.WorkflowID("test", root, "noop", about) + suffix; len(starts) != 1 || starts[0].TemporalID != want || starts[0].About != about {
			t.Fatalf("not %s: %+v", want, starts)
		}
		_, err = w.Abort(t.Context(), root, w.user)
		w.must(err)
		_, err = w.Retry(t.Context(), root, w.user)
		w.must(err)
	}
}

func TestARetryOfWhatStandsAloneSupersedesIt(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	b := w.begin(w.deliver(id, 0))
	_, err := w.Complete(t.Context(), b.AttemptID, debusine.Failure, nil)
	w.must(err)
	retried, err := w.Retry(t.Context(), id, w.user)
	w.must(err)
	w.wants(retried, "pending:")
	if _, err := w.Retry(t.Context(), id, w.user); err == nil {
		t.Error("it was retried twice")
	}
}

func TestWhatTemporalEndedIsEndedHere(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop"}}})
	w.must(err)
	w.must(w.EndByDecree(t.Context(), root, "wf/test/another", false, "Temporal says so"))
	w.wants(root, "running:")
	w.must(w.EndByDecree(t.Context(), root, task.WorkflowID("test", root, "noop", task.Description{}), false, "Temporal says so"))
	w.wants(root, "completed:error")
	w.wants(planned.Children[0].ID, "aborted:")
	underWay, err := w.UnderWay(t.Context(), 0, -time.Hour, 10)
	w.must(err)
	if len(underWay) != 0 {
		t.Errorf("still under way: %+v", underWay)
	}
}

func TestWhatTemporalForgotBeginsAnew(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	w.must(w.MarkStarted(t.Context(), id, task.ActivityID("test", id), "r"))
	w.deliver(id, 0) // Temporal's first, which is lost
	b := w.begin(w.deliver(id, 0))
	w.silence(b.AttemptID)
	_, err := w.LoseSilent(t.Context())
	w.must(err)
	w.must(w.Unmark(t.Context(), id))
	if starts, err := w.Outbox(t.Context(), id, 0); err != nil || len(starts) != 1 {
		t.Fatalf("outbox: %+v %v", starts, err)
	}
	first := store.Delivery{WorkRequest: id, Worker: w.workers[0], TaskToken: []byte("new"), Attempt: 1}
	if b := w.begin(first); b.Verdict != store.RunIt || b.Number != 2 {
		t.Errorf("the first delivery of a new Temporal: %+v", b)
	}
}

func TestWhatWasAbortedWhileItWasStartedIsToldAgain(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	_, err := w.Abort(t.Context(), id, w.user)
	w.must(err)
	w.must(w.MarkTold(t.Context(), []int64{id}, nil)) // Temporal did not know it yet
	w.must(w.MarkStarted(t.Context(), id, task.ActivityID("test", id), "run"))
	untold, err := w.Untold(t.Context(), id, 0)
	w.must(err)
	if len(untold) != 1 || untold[0].RunID != "run" {
		t.Errorf("untold %+v", untold)
	}
}

func TestAChildThatWasAbortedSaysWhetherItsWorkflowLives(t *testing.T) {
	w := newWorld(t)
	root := w.workflow("noop", `{"children": 1}`)
	planned, err := w.Plan(t.Context(), task.PlanRequest{Parent: root, Steps: []task.Step{{Name: "a", TaskName: "noop"}}})
	w.must(err)
	for _, id := range []int64{planned.Children[0].ID, root} {
		_, err = w.Abort(t.Context(), id, w.user)
		w.must(err)
		untold, err := w.Untold(t.Context(), planned.Children[0].ID, 0)
		w.must(err)
		if len(untold) != 1 || untold[0].RootLives != (id != root) {
			t.Errorf("after the abort of %d: %+v", id, untold)
		}
	}
}
