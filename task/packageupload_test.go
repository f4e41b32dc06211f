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
	if about := g.Describe(map[string][]debusine.Artifact{"input_uploads_ids": {upload}}); about.Source != "hello" || about.ParameterSummary != "hello_2.10-3+b1" || about.Architecture != "amd64" {
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

func TestUploadsGoToWhatLooksLikeAQueue(t *testing.T) {
	d, err := DefinitionOf(debusine.ServerTask, "packageupload")
	if err != nil || TypeOf("packageupload") != debusine.ServerTask {
		t.Fatal(err)
	}
	tests := []struct{ name, data, want string }{
		{"Debian's", `{"input": {"upload": 5}, "target": "ftp://ftp.upload.debian.org/pub/UploadQueue/", "delayed_days": 3}`, ""},
		{"one's own", `{"input": {"upload": 5}, "target": "sftp://me@[::1]:2222/~/queue", "require_signature": false}`, ""},
		{"no upload", `{"target": "ftp://host/q"}`, "input.upload"},
		{"no target", `{"input": {"upload": 5}}`, "target"},
		{"another scheme", `{"input": {"upload": 5}, "target": "https://host/q"}`, "target"},
		{"a password", `{"input": {"upload": 5}, "target": "ftp://me:secret@host/q"}`, "target"},
		{"a query", `{"input": {"upload": 5}, "target": "ftp://host/q?x"}`, "target"},
		{"days that are none", `{"input": {"upload": 5}, "target": "ftp://host/q", "delayed_days": -1}`, "delayed_days"},
	}
	for _, test := range tests {
		_, err := d.Parse(json.RawMessage(test.data))
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret@")) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestPackageUploadIsRefusedWhereItCannotWork(t *testing.T) {
	good := `"source_artifact": 5, "target": "ftp://host/queue"`
	for name, c := range map[string]struct{ data, want string }{
		"nothing to upload":                 {`{"target": "ftp://host/queue"}`, "source_artifact or binary_artifacts"},
		"a key that is no fingerprint":      {`{` + good + `, "key": "0xdeadbeef"}`, "key must be a fingerprint"},
		"a binary key that is none":         {`{` + good + `, "binary_key": "ana@example.org"}`, "binary_key must be a fingerprint"},
		"a codename that leads elsewhere":   {`{` + good + `, "vendor": "debian", "codename": "sid:backend=qemu"}`, "codename"},
		"a machine that nobody has":         {`{` + good + `, "arch_all_build_architecture": "pdp11"}`, "pdp11"},
		"a version that is none":            {`{` + good + `, "since_version": "none"}`, "since_version"},
		"a target that is none":             {`{"source_artifact": 5, "target": "host:/queue"}`, "target"},
		"a parameter that is of the future": {`{` + good + `, "rsync": true}`, "rsync"},
	} {
		if _, err := ParseWorkflow(PackageUploadWorkflow, json.RawMessage(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := ParseWorkflow(PackageUploadWorkflow, json.RawMessage(`{`+good+`, "binary_key": "0123456789abcdef0123456789abcdef01234567"}`))
	if err != nil {
		t.Fatal(err)
	}
	data := d.(*PackageUploadWorkflowData)
	if source, both := data.KeyFor(Uploadable{HasSource: true}), data.KeyFor(Uploadable{HasSource: true, HasBinaries: true}); source != "" || both != "0123456789ABCDEF0123456789ABCDEF01234567" || !data.MustSign() {
		t.Errorf("keys %q, %q", source, both)
	}
}
