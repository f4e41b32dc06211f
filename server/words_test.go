package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/task"
)

func impliedAnd(tags ...string) []string { return append(task.Implied(), tags...) }

func TestOnlyHarmlessTypesAreSent(t *testing.T) {
	for given, want := range map[string]string{
		"text/plain; charset=utf-8":       "text/plain; charset=utf-8",
		"text/html":                       "application/octet-stream",
		"image/svg+xml":                   "application/octet-stream",
		"text/plain; x=y":                 "text/plain",
		"":                                "application/octet-stream",
		"nonsense;;":                      "application/octet-stream",
		"application/json":                "application/json",
		"text/plain\r\nX: y":              "application/octet-stream",
		"application/x-xz; charset=\"a\"": "application/x-xz; charset=a",
	} {
		if got := safeType(debusine.ArtifactFile{ContentType: given}); got != want {
			t.Errorf("%q is sent as %q, wanted %q", given, got, want)
		}
	}
	if d := disposition(`a"b;c.deb`); !strings.HasPrefix(d, "attachment; filename=") {
		t.Error(d)
	}
	if d := disposition("ä.deb"); !strings.Contains(d, "filename*=utf-8''") {
		t.Error(d)
	}
}

func TestAWaitingWorkRequestSaysForWhat(t *testing.T) {
	pending := debusine.WorkRequest{Status: debusine.Pending, TaskType: debusine.WorkerTask}
	lacks, kept, nobody, none, running, workflow := pending, pending, pending, pending, pending, pending
	lacks.NoWorkerCanTake, lacks.MissingTags = true, []string{"worker:class:big"}
	kept.NoWorkerCanTake, kept.UnmetWorkerDemand = true, []string{"task:workspace:debusine:security"}
	nobody.NoWorkerCanTake = true
	none.NoWorkerCanTake, none.NoWorkerEnabled, none.MissingTags = true, true, []string{"worker:type:worker"}
	running.Status = debusine.Running
	workflow.TaskType = debusine.WorkflowTask
	for _, c := range []struct {
		w    debusine.WorkRequest
		want string
	}{
		{pending, "waits for a worker to be free"},
		{lacks, "no enabled worker can take this: the nearest one lacks worker:class:big"},
		{kept, "no enabled worker can take this: the nearest one is kept for other work"},
		{nobody, "no enabled worker can take this"},
		{none, "no enabled worker can take this: none is enabled"},
		{running, ""},
		{workflow, ""},
	} {
		if got := waitingReason(c.w); got != c.want {
			t.Errorf("%q, wanted %q", got, c.want)
		}
	}
}

func TestTheNearestWorkerCounts(t *testing.T) {
	w := newWorld(t)
	s := New(w.db, w.disk, nil, Options{}, nil)
	one := debusine.WorkRequest{Status: debusine.Pending, TaskType: debusine.WorkerTask, TagsRequired: []string{"worker:build-arch:amd64", "worker:class:big"}}
	s.machines.read = time.Now().Add(time.Hour)
	all := append([]string{}, "worker:build-arch:amd64", "worker:class:big")
	for _, c := range []struct {
		name    string
		list    []debusine.Worker
		missing string
		nobody  bool
	}{
		{"a disabled machine does not count", []debusine.Worker{{TagsProvided: all}}, "", true},
		{"the nearest one's tags are named", []debusine.Worker{{Enabled: true}, {Enabled: true, TagsProvided: impliedAnd("worker:build-arch:amd64")}}, "worker:class:big", true},
		{"one that can take it is enough", []debusine.Worker{{Enabled: true}, {Enabled: true, TagsProvided: impliedAnd(all...)}}, "", false},
	} {
		s.machines.list = c.list
		got := one
		w.ok(s.missingTags(t.Context(), &got))
		if none := !slices.ContainsFunc(c.list, func(w debusine.Worker) bool { return w.Enabled }); got.NoWorkerEnabled != none {
			t.Errorf("%s: none is enabled: %v", c.name, got.NoWorkerEnabled)
		}
		if got.NoWorkerCanTake != c.nobody || (c.missing != "" && strings.Join(got.MissingTags, " ") != c.missing) {
			t.Errorf("%s: %v %v", c.name, got.NoWorkerCanTake, got.MissingTags)
		}
	}
}

func TestATokenIsRememberedForASecondAndNoLonger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, id := w.worker("builder")
	w.want(200, w.maker, "GET", "whoami/", nil, nil)
	w.want(200, worker, "GET", "worker/", nil, nil)
	off := false
	w.ok(w.db.SetUser(t.Context(), "mike", &off, nil))
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE workers SET enabled = false WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	w.want(423, worker, "GET", "worker/", nil, nil) // machines are never remembered
	time.Sleep(rememberCaller + 50*time.Millisecond)
	w.want(401, w.maker, "GET", "whoami/", nil, nil)
}

func TestAddressesAreMadeOfWhatTheThingIsCalled(t *testing.T) {
	s := &Server{options: Options{UIURL: "http://ui/", Namespace: "debusine"}}
	w := debusine.WorkRequest{TemporalID: "wf/test/7~1", TemporalRunID: "r"}
	if got := s.temporalURL(w); got != "http://ui/namespaces/debusine/workflows/wf%2Ftest%2F7~1/r" {
		t.Error(got)
	}
	if got := escape("a b/ä?#.deb"); got != "a%20b/%C3%A4%3F%23.deb" {
		t.Error(got)
	}
}
