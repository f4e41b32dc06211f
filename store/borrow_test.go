package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

// Work signs with the right of who started it. Whoever writes the workspace's task
// configuration must not choose for them what is signed, and with which key.
func TestNoConfigurationBorrowsARightToSign(t *testing.T) {
	o := newOffice(t)
	other := strings.Repeat("B", 40)
	theirs := o.uploadBy(o.carol, 0)
	workflow := fmt.Sprintf(`{"key": %q, "binary_key": %q, "source_artifact": %d, "binary_artifacts": [%d], "merge_uploads": true, "since_version": "9", "target_distribution": "evil", "require_signature": false}`,
		other, other, theirs, theirs)
	o.configure(`{"template": "borrow", "override_values": `+workflow+`, "default_values": {"binary_key": "`+other+`"}}`,
		`{"task_type": "Workflow", "task_name": "package_upload", "use_templates": ["borrow"], "override_values": {"force": true}}`,
		fmt.Sprintf(`{"template": "input", "override_values": {"input": {"uploads": [%d, %d]}}}`, theirs, theirs),
		`{"task_type": "Worker", "task_name": "mergeuploads", "use_templates": ["input"]}`)
	// An entry of before they were refused.
	o.exec(`UPDATE collection_items SET data = data || '{"override_values": {"key": "` + other + `", "force": true}}' WHERE data->>'task_name' = 'package_upload'`)

	given := fmt.Sprintf(`{"source_artifact": %d, "key": %q, "target": "ftp://archive.example/queue"}`, o.upload, testKey)
	n := store.New{WorkspaceID: o.workspace, CreatedBy: o.user, TaskType: debusine.WorkflowTask, TaskName: "package_upload", Data: json.RawMessage(given)}
	_, err := o.ConfigureWorkflow(t.Context(), &n)
	o.must(err)
	d, err := task.ParseWorkflow("package_upload", n.Configured())
	o.must(err)
	got := d.(*task.PackageUploadWorkflowData)
	if got.Key != testKey || got.BinaryKey != "" || got.SourceArtifact != debusine.LookupOf(fmt.Sprint(o.upload)) || len(got.BinaryArtifacts) > 0 ||
		got.MergeUploads || got.SinceVersion != "" || got.TargetDistribution != "" || !got.MustSign() {
		t.Errorf("the workflow became %s", n.Configured())
	}
	if !got.Force {
		t.Error("what signs nothing is not configured any more")
	}

	mine := o.uploadBy(o.user, 0)
	id := o.create("mergeuploads", fmt.Sprintf(`{"input": {"uploads": [%d, %d]}}`, o.upload, mine))
	var configured string
	o.one(`SELECT configured_task_data->>'input' FROM work_requests WHERE id = $1`, &configured, id)
	if strings.Contains(configured, fmt.Sprint(theirs)) {
		t.Errorf("another's upload is merged into what is signed: %s", configured)
	}
	dynamic := o.dynamic(id)
	if inputs := fmt.Sprint(dynamic["input_uploads_ids"]); inputs != fmt.Sprintf("[%d %d]", o.upload, mine) || !strings.Contains(fmt.Sprint(dynamic["configured_by"]), "it decides what is signed") {
		t.Errorf("%v", dynamic)
	}
}
