package task

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"debusine"
)

func TestTheTasksOfSignedSources(t *testing.T) {
	e := parsed[*ExtractForSigningData](t, "extractforsigning", `{"input": {"template_artifact": 5, "binary_artifacts": [6, 7]}, "environment": "debian/match:codename=forky"}`)
	a := parsed[*AssembleSignedSourceData](t, "assemblesignedsource", `{"template": 5, "signed": [8], "environment": 9, "backend": "auto", "build_architecture": "arm64"}`)
	if e.Backend != "unshare" || e.BuildArchitecture != "amd64" || a.Backend != "unshare" {
		t.Errorf("%+v, %+v", e, a)
	}
	if tags := a.Requires(); !slices.Contains(tags, "worker:build-arch:arm64") || !slices.Contains(tags, "worker:cap:sbuild") {
		t.Errorf("requires %v", tags)
	}
	if name := QueueName(e.Requires(), nil); name != "build/amd64/extractforsigning" {
		t.Errorf("queue %s", name)
	}
	for _, needs := range [][]Need{e.Needs(), a.Needs()} {
		for _, n := range needs {
			if n.Field != "environment_id" && !strings.HasPrefix(n.Field, "input_") {
				t.Errorf("an attempt may not see %s", n.Field)
			}
		}
	}
	template := debusine.Artifact{Data: json.RawMessage(`{"srcpkg_name": "shim", "srcpkg_version": "1", "deb_fields": {"Package": "shim-signed-template", "Version": "1", "Architecture": "amd64"}}`)}
	about := e.Describe(map[string][]debusine.Artifact{"input_template_artifact_id": {template}})
	if about.Source != "shim" || about.ParameterSummary != "shim-signed-template_1" || about.Architecture != "amd64" {
		t.Errorf("%+v", about)
	}
}

func TestTheTasksOfSignedSourcesRefuse(t *testing.T) {
	tests := []struct{ name, task, data, want string }{
		{"no template to extract for", "extractforsigning", `{"input": {"binary_artifacts": [6]}, "environment": 9}`, "input.template_artifact"},
		{"no packages", "extractforsigning", `{"input": {"template_artifact": 5}, "environment": 9}`, "input.binary_artifacts"},
		{"no environment", "extractforsigning", `{"input": {"template_artifact": 5, "binary_artifacts": [6]}}`, "environment"},
		{"no signatures", "assemblesignedsource", `{"template": 5, "environment": 9}`, "signed"},
		{"no template to assemble", "assemblesignedsource", `{"signed": [5], "environment": 9}`, "template"},
		{"an architecture that nobody has", "assemblesignedsource", `{"template": 5, "signed": [5], "environment": 9, "build_architecture": "pdp11"}`, "pdp11"},
		{"a backend that nobody has", "assemblesignedsource", `{"template": 5, "signed": [5], "environment": 9, "backend": "chroot"}`, "chroot"},
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
