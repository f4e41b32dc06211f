package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
)

func TestAWorkerRegistersAndWaitsForAnAdministrator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret := debusine.NewSecret()
	var made, again api.WorkerRegistered
	w.want(400, "", "POST", "worker/register/", api.WorkerRegister{Token: "short", FQDN: "m.example.org"}, nil)
	w.want(400, "", "POST", "worker/register/", api.WorkerRegister{Token: secret, FQDN: "???"}, nil)
	w.want(400, "", "POST", "worker/register/", api.WorkerRegister{Token: secret, FQDN: "m", WorkerType: "signing"}, nil)
	w.want(201, "", "POST", "worker/register/", api.WorkerRegister{Token: secret, FQDN: "M.example.org"}, &made)
	w.want(201, "", "POST", "worker/register/", api.WorkerRegister{Token: secret, FQDN: "M.example.org"}, &again)
	if made.Name != "m-example-org" || made.Enabled || again.ID != made.ID {
		t.Fatalf("%+v, then %+v", made, again)
	}
	w.want(201, "", "POST", "worker/register/", api.WorkerRegister{Token: debusine.NewSecret(), FQDN: "m.example.org"}, &again)
	if again.Name != "m-example-org-2" {
		t.Errorf("%+v", again)
	}
	w.want(423, secret, "PUT", "worker/dynamic-metadata/", `{}`, nil)
	w.want(423, secret, "POST", "work-request/1/begin/", api.Begin{}, nil)
	activation, err := w.db.CreateActivationToken(t.Context(), "", nil)
	w.ok(err)
	w.want(201, activation, "POST", "worker/register/", api.WorkerRegister{Token: debusine.NewSecret(), FQDN: "cloud"}, &made)
	if !made.Enabled {
		t.Error("an activation token did not enable its worker")
	}
	w.want(403, activation, "POST", "worker/register/", api.WorkerRegister{Token: debusine.NewSecret(), FQDN: "cloud"}, nil)
	w.want(401, activation, "GET", "work-request/", nil, nil)
}

func TestAWorkerIsToldWhichOfItsTagsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, _ := w.worker("builder")
	var hello api.WorkerHello
	w.want(200, secret, "PUT", "worker/dynamic-metadata/", `{"provided_tags": ["worker:build-arch:amd64", "worker:class:big"], "cpu_count": 4}`, &hello)
	if fmt.Sprint(hello.TagsProvided, hello.TagsIgnored) != "[worker:build-arch:amd64] [worker:class:big]" || hello.Gateway != "127.0.0.1:1" || hello.TaskQueue == "" {
		t.Errorf("%+v", hello)
	}
	w.want(400, secret, "PUT", "worker/dynamic-metadata/", `[1]`, nil)
	w.want(403, w.owner, "PUT", "worker/dynamic-metadata/", `{}`, nil)
	var list api.Page[api.Worker]
	w.want(200, w.viewer, "GET", "worker/", nil, &list)
	if len(list.Results) != 1 || list.Results[0].Dynamic["cpu_count"] != 4.0 {
		t.Errorf("%+v", list)
	}
	w.want(403, "", "GET", "worker/", nil, nil)
	for _, path := range []string{"work-request/", "artifact/"} {
		w.want(403, secret, "GET", path, nil, nil)
	}
}

// begun makes a noop and has a worker begin it.
func (w *world) begun(worker string, delivery string) (id int64, b api.BeginAnswer) {
	w.Helper()
	var one api.WorkRequest
	w.want(200, w.maker, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, &one)
	w.want(200, worker, "POST", fmt.Sprintf("work-request/%d/begin/", one.ID), api.Begin{TaskToken: []byte(delivery)}, &b)
	if b.Decision != api.Run || b.Token == "" || b.LimitSeconds == 0 {
		w.Fatalf("%+v", b)
	}
	return one.ID, b
}

func TestAnAttemptSeesItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	other, _ := w.begun(worker, "second")
	foreign := w.artifact(w.maker, map[string]string{"secret": "of others"})
	own := fmt.Sprintf("work-request/%d/", id)
	w.want(200, b.Token, "GET", own, nil, nil)
	w.want(404, b.Token, "GET", fmt.Sprintf("work-request/%d/", other), nil, nil)
	w.want(404, b.Token, "GET", fmt.Sprintf("artifact/%d/", foreign.ID), nil, nil)
	w.want(404, b.Token, "GET", fmt.Sprintf("artifact/%d/files/secret", foreign.ID), nil, nil)
	w.want(403, b.Token, "GET", "artifact/", nil, nil)
	w.want(403, b.Token, "POST", own+"abort/", nil, nil)
	w.want(403, b.Token, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, nil)
	w.want(403, b.Token, "PUT", "worker/dynamic-metadata/", `{}`, nil)

	// Knowing the hash of what it may not see opens nothing.
	guess := testArtifact(map[string]string{"guess": "of others"})
	var made api.Artifact
	w.want(201, b.Token, "POST", "artifact/", guess, &made)
	if fmt.Sprint(made.FilesToUpload) != "[guess]" {
		t.Error("an attempt was given bytes for their hash")
	}
	elsewhere := other
	guess.WorkRequest = &elsewhere
	w.want(404, b.Token, "POST", "artifact/", guess, nil)

	made = w.artifact(b.Token, map[string]string{"out": "result"})
	w.want(404, w.owner, "GET", "artifact/999/", nil, nil)
	w.want(404, w.viewer, "GET", fmt.Sprintf("artifact/%d/", made.ID), nil, nil) // its attempt has not completed
	w.want(204, b.Token, "POST", own+"log/?offset=0", "hello ", nil)
	w.want(204, b.Token, "POST", own+"log/?offset=6", "world", nil)
	w.want(409, b.Token, "POST", own+"log/?offset=600", "gap", nil)
	w.want(404, b.Token, "POST", fmt.Sprintf("work-request/%d/log/", other), "x", nil)
	if a := w.want(200, w.viewer, "GET", own+"log/?offset=3", nil, nil); string(a.body) != "lo world" || a.header.Get("Debusine-Log-Complete") != "false" {
		t.Errorf("%q %v", a.body, a.header)
	}
	w.want(400, b.Token, "PUT", own+"completed/", `{"result": "wonderful"}`, nil)
	w.want(400, b.Token, "PUT", own+"completed/", `{"result": "success", "output_data": [1]}`, nil)
	w.want(200, b.Token, "PUT", own+"completed/", `{"result": "success", "output_data": {"a": 1}}`, nil)
	w.want(200, b.Token, "PUT", own+"completed/", `{"result": "success"}`, nil) // said again, it changes nothing
	w.want(401, b.Token, "GET", own, nil, nil)
	w.want(200, w.viewer, "GET", fmt.Sprintf("artifact/%d/", made.ID), nil, nil)
	var shown api.WorkRequest
	w.want(200, w.viewer, "GET", own, nil, &shown)
	if fmt.Sprint(shown.Artifacts) != fmt.Sprint([]int64{made.ID}) || shown.Result != "success" || shown.WorkerName != "builder" {
		t.Errorf("%+v", shown)
	}
	if a := w.want(200, w.viewer, "GET", own+"log/?offset=11", nil, nil); a.header.Get("Debusine-Log-Complete") != "true" {
		t.Errorf("%v", a.header)
	}
}

func TestAnAbortedAttemptMayStillLeaveItsLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	own := fmt.Sprintf("work-request/%d/", id)
	w.want(200, w.maker, "POST", own+"abort/", nil, nil)
	w.want(409, b.Token, "POST", "artifact/", testArtifact(map[string]string{"x": "y"}), nil)
	log := testArtifact(map[string]string{"hello.build": "stopped"})
	log.Category, log.Data = "debian:package-build-log", []byte(`{"source": "hello", "version": "1", "filename": "hello.build"}`)
	var made api.Artifact
	w.want(201, b.Token, "POST", "artifact/", log, &made)
	w.want(201, b.Token, "PUT", fmt.Sprintf("artifact/%d/files/hello.build/", made.ID), "stopped", nil)
	w.want(204, b.Token, "POST", own+"log/?offset=0", "stopped", nil)
	w.want(200, b.Token, "PUT", own+"completed/", `{"result": "error"}`, nil)
	var shown api.WorkRequest
	w.want(200, w.viewer, "GET", own, nil, &shown)
	if shown.Status != "aborted" || shown.LogArtifact == nil || *shown.LogArtifact != made.ID {
		t.Errorf("%+v", shown)
	}
}

func TestAWorkerThoughtDeadIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, _ := w.worker("first")
	id, b := w.begun(first, "one")
	made := w.artifact(b.Token, map[string]string{"half": "done"})
	own := fmt.Sprintf("work-request/%d/", id)
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE attempts SET ended_at = now(), ending = 'lost'`); err != nil {
		t.Fatal(err)
	}
	w.want(401, b.Token, "GET", own, nil, nil)
	w.want(401, b.Token, "POST", own+"log/?offset=0", "late", nil)
	w.want(401, b.Token, "POST", "artifact/", testArtifact(map[string]string{"x": "y"}), nil)
	w.want(401, b.Token, "PUT", fmt.Sprintf("artifact/%d/files/half/", made.ID), "done", nil)
	if a := w.want(409, b.Token, "PUT", own+"completed/", `{"result": "success"}`, nil); !strings.Contains(a.problem().Detail, "void") {
		t.Errorf("%s", a.body)
	}
	w.want(404, w.viewer, "GET", fmt.Sprintf("artifact/%d/", made.ID), nil, nil)
	var list api.Page[api.Artifact]
	w.want(200, w.viewer, "GET", "artifact/", nil, &list)
	if len(list.Results) != 0 {
		t.Errorf("artifacts of a void attempt are listed: %+v", list)
	}
}

func TestADisabledWorkerLosesItsAttemptsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "one")
	if _, err := w.db.Pool().Exec(t.Context(), `UPDATE workers SET enabled = false`); err != nil {
		t.Fatal(err)
	}
	w.want(423, b.Token, "GET", fmt.Sprintf("work-request/%d/", id), nil, nil)
	w.want(423, worker, "GET", "worker/", nil, nil)
}

func TestTheClassOfAFailureIsCheckedAndShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	tests := []struct {
		name, result, failure string
		status                int
		want                  string // of output_data
	}{
		{"a known class", "failure", `{"class": "test-suite", "stage": "build", "mends_with_time": false, "evidence": "make: *** [check] Error 1"}`, 200,
			`{"failure":{"class":"test-suite","evidence":"make: *** [check] Error 1","mends_with_time":false,"stage":"build"}}`},
		{"a class of some other release", "failure", `{"class": "moon-phase", "mends_with_time": true}`, 200, `{"failure":{"class":"unknown","mends_with_time":false}}`},
		{"a failure of what succeeded", "success", `{"class": "disk", "mends_with_time": true}`, 200, `{}`},
		{"more than the fields", "failure", `{"class": "disk", "mends_with_time": true, "x": [1]}`, 200, `{"failure":{"class":"disk","mends_with_time":true}}`},
		{"evidence without end", "error", `{"class": "disk", "mends_with_time": true, "evidence": "` + strings.Repeat("ü", 2000) + `"}`, 200,
			`{"failure":{"class":"disk","evidence":"` + strings.Repeat("ü", 500) + `","mends_with_time":true}}`},
		{"nothing", "failure", `null`, 200, `{}`},
		{"a word", "failure", `"disk"`, 400, ""},
		{"a class that is no word", "failure", `{"class": 7}`, 400, ""},
		{"a time that is no truth", "failure", `{"class": "disk", "mends_with_time": "yes"}`, 400, ""},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id, b := w.begun(worker, fmt.Sprint("delivery ", i))
			own := fmt.Sprintf("work-request/%d/", id)
			w.want(test.status, b.Token, "PUT", own+"completed/", `{"result": "`+test.result+`", "output_data": {"failure": `+test.failure+`}}`, nil)
			var shown api.WorkRequest
			w.want(200, w.viewer, "GET", own, nil, &shown)
			var got map[string]any
			if test.status == 200 && json.Unmarshal(shown.OutputData, &got) != nil {
				t.Fatalf("%s", shown.OutputData)
			}
			if said, _ := json.Marshal(got); test.status == 200 && string(said) != test.want {
				t.Errorf("got  %s\nwant %s", said, test.want)
			}
			if test.status == 400 && shown.Status != "running" {
				t.Errorf("it is %s after a refusal", shown.Status)
			}
		})
	}
}
