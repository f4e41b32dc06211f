package task

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"debusine"
)

func TestTheTasksThatMakeUploads(t *testing.T) {
	m := parsed[*MakeSourcePackageUploadData](t, "makesourcepackageupload", `{"input": {"source_artifact": 5}, "since_version": "1:1.0~rc1-1", "target_distribution": "trixie-security", "environment": "debian/match:codename=forky"}`)
	g := parsed[*MergeUploadsData](t, "mergeuploads", `{"input": {"uploads": [5, "internal@collections/name:x"]}}`)
	if tags := m.Requires(); m.Backend != "unshare" || m.BuildArchitecture != "amd64" || !slices.Contains(tags, "worker:cap:sbuild") {
		t.Errorf("%+v requires %v", m, tags)
	}
	if tags := g.Requires(); slices.Contains(tags, "worker:cap:sbuild") || !slices.Contains(tags, "worker:build-arch:amd64") {
		t.Errorf("merging requires %v", tags)
	}
	if name := QueueName(m.Requires(), nil); name != "build/amd64/makesourcepackageupload" {
		t.Errorf("queue %s", name)
	}
	for _, needs := range [][]Need{m.Needs(), g.Needs()} {
		for _, n := range needs {
			if n.Field != "environment_id" && !strings.HasPrefix(n.Field, "input_") {
				t.Errorf("an attempt may not see %s", n.Field)
			}
		}
	}
	source := debusine.Artifact{Data: json.RawMessage(`{"name": "hello", "version": "2.10-3"}`)}
	if about := m.Describe(map[string][]debusine.Artifact{"input_source_artifact_id": {source}}); about.Subject != "hello" || about.ParameterSummary != "hello_2.10-3" {
		t.Errorf("%+v", about)
	}
	upload := debusine.Artifact{Data: json.RawMessage(`{"changes_fields": {"Source": "hello (2.10-3)", "Version": "2.10-3+b1", "Architecture": "arm64"}}`)}
	if about := g.Describe(map[string][]debusine.Artifact{"input_uploads_ids": {upload}}); about.Source != "hello" || about.ParameterSummary != "hello_2.10-3+b1" || about.RuntimeContext != "arm64" {
		t.Errorf("%+v", about)
	}
	if about := DescribeUpload(nil); about != (Description{}) {
		t.Errorf("%+v", about)
	}
}

func TestTheTasksThatMakeUploadsRefuse(t *testing.T) {
	tests := []struct{ name, task, data, want string }{
		{"no source", "makesourcepackageupload", `{"environment": 9}`, "input.source_artifact"},
		{"no environment", "makesourcepackageupload", `{"input": {"source_artifact": 5}}`, "environment"},
		{"a version that is none", "makesourcepackageupload", `{"input": {"source_artifact": 5}, "environment": 9, "since_version": "1 -DX=y"}`, "since_version"},
		{"a distribution like an option", "makesourcepackageupload", `{"input": {"source_artifact": 5}, "environment": 9, "target_distribution": "-x"}`, "target_distribution"},
		{"a distribution that leads out", "makesourcepackageupload", `{"input": {"source_artifact": 5}, "environment": 9, "target_distribution": "../x"}`, "target_distribution"},
		{"nothing to merge", "mergeuploads", `{"input": {"uploads": []}}`, "input.uploads"},
		{"a machine that nobody has", "mergeuploads", `{"input": {"uploads": [5]}, "build_architecture": "pdp11"}`, "pdp11"},
	}
	for _, test := range tests {
		d, err := WorkerTask(test.task)
		if err == nil {
			_, err = d.Parse(json.RawMessage(test.data))
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
