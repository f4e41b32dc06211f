package workeract_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
)

// force puts an artifact on the shelf that no server would take.
func (s *shelf) force(id int64, category string, data string, names ...string) {
	files := map[string]api.File{}
	for _, name := range names {
		files[name] = api.File{}
	}
	s.artifacts[id] = api.Artifact{ID: id, Category: category, Data: json.RawMessage(data), Files: files}
}

func TestInputsThatNoMachineCanUseAreAnError(t *testing.T) {
	const source, tarball = `{"name":"hello","version":"1"}`, `{"codename":"trixie"}`
	doer := newDoer(t)
	tests := []struct {
		name    string
		prepare func(*shelf)
		want    string
	}{
		{"a source that is gone", func(s *shelf) { delete(s.artifacts, 1) }, "artifact 1 not found"},
		{"a source without a .dsc", func(s *shelf) { s.force(1, "debian:source-package", source) }, "no .dsc"},
		{"a name that leads outside", func(s *shelf) { s.force(1, "debian:source-package", source, "../../etc/passwd") }, "artifact 1"},
		{"a source without a name", func(s *shelf) { s.force(1, "debian:source-package", `{}`) }, "which source package"},
		{"an environment that is no tarball", func(s *shelf) { s.force(2, "debian:system-image", tarball, "image.qcow2") }, "not one tar file"},
		{"an environment without a codename", func(s *shelf) { s.force(2, "debian:system-tarball", `{}`, "s.tar") }, "codename"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newShelf(t)
			dsc := s.put(t, "debusine:test", object{}, map[string]string{"hello_1.dsc": "x"})
			tar := s.put(t, "debusine:test", object{}, map[string]string{"system.tar": "x"})
			s.artifacts[1] = withData(s.artifacts[dsc], source)
			s.artifacts[2] = withData(s.artifacts[tar], tarball)
			test.prepare(s)
			outcome, err := doer.Do(t.Context(), job(t, "sbuild",
				object{"input": object{"source_artifact": 1}, "build_architecture": "amd64", "environment": "trixie"},
				object{"input_source_artifact_id": 1, "environment_id": 2}), s)
			if err != nil || outcome.Result != debusine.Error || codesOf(outcome) != "execute-failed" {
				t.Fatalf("got %+v, %v", outcome, err)
			}
			if message := outcome.OutputData.Errors[0].Message; !strings.Contains(message, test.want) {
				t.Errorf("message %q", message)
			}
			if len(s.all("debusine:work-request-debug-logs")) != 1 {
				t.Error("no debug logs")
			}
		})
	}
}

func withData(a api.Artifact, data string) api.Artifact {
	a.Data = json.RawMessage(data)
	return a
}

func TestChrootThatIsNoneIsAnErrorWithItsLog(t *testing.T) {
	s := newShelf(t)
	source := s.source(t, nil, nil)
	tar := s.put(t, "debusine:test", object{}, map[string]string{"system.tar": "x"})
	s.artifacts[tar] = withData(s.artifacts[tar], `{"codename":"trixie"}`)
	outcome, err := newDoer(t).Do(t.Context(), sbuildJob(t, source.ID, tar), s)
	if err != nil || outcome.Result != debusine.Error || codesOf(outcome) != "environment-failed" {
		t.Fatalf("got %+v, %v", outcome, err)
	}
	logs := s.all("debian:package-build-log")
	if len(logs) != 1 || s.text(t, logs[0]) == "" || string(s.log) != s.text(t, logs[0]) {
		t.Errorf("%d logs, live %q", len(logs), s.log)
	}
	if end := outcome.OutputData.Command; end == nil || end.FailStage != "create-session" || end.ExitCode == 0 {
		t.Errorf("the command ended with %+v", end)
	}
	t.Logf("%s\n%+v", s.log, outcome.OutputData.Errors)
}

func TestSourceThatIsNotWhatItSaysIsAFailureWithItsLog(t *testing.T) {
	s := newShelf(t)
	source := s.source(t, nil, func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, "tiny_1.0.tar.xz"), []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	tar := s.put(t, "debusine:test", object{}, map[string]string{"system.tar": "x"})
	s.artifacts[tar] = withData(s.artifacts[tar], `{"codename":"trixie"}`)
	outcome, err := newDoer(t).Do(t.Context(), sbuildJob(t, source.ID, tar), s)
	if err != nil || outcome.Result != debusine.Failure || codesOf(outcome) != "bad-source" {
		t.Fatalf("got %+v, %v", outcome, err)
	}
	logs := s.all("debian:package-build-log")
	if len(logs) != 1 || s.text(t, logs[0]) != "E: "+outcome.OutputData.Errors[0].Message+"\n" || string(s.log) != s.text(t, logs[0]) {
		t.Errorf("%d logs, live %q", len(logs), s.log)
	}
}

func TestMirrorThatIsAwayIsATemporaryFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("apt tries again for seven seconds")
	}
	s := newShelf(t)
	outcome, err := newDoer(t).Do(t.Context(), job(t, "mmdebstrap", object{
		"bootstrap_options":      object{"architecture": "amd64"},
		"bootstrap_repositories": []object{{"mirror": "http://10.0.2.2:9/debian", "suite": "trixie"}},
	}, nil), s)
	if err != nil || outcome.Result != debusine.TemporaryFailure || codesOf(outcome) != "mirror-failed" ||
		!strings.Contains(outcome.OutputData.Errors[0].Message, "a mirror could not be used: http://10.0.2.2:9/debian/dists/trixie/InRelease") {
		t.Errorf("got %+v, %v", outcome, err)
	}
	if logs := s.all("debusine:work-request-debug-logs"); len(logs) != 1 || len(logs[0].Files) != 2 {
		t.Errorf("debug logs %v", logs)
	}
}
