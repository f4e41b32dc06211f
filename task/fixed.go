package task

import "debusine"

// fixed are the parameters that decide what is signed, with which key, and where
// what was signed goes. Work signs with the right of who started it, so nobody else
// may choose these for them: whoever writes the task configuration could borrow that
// right. Signing tasks themselves are not configured at all.
var fixed = map[debusine.TaskType]map[string][]string{
	debusine.WorkflowTask: {
		PackageUploadWorkflow: {"source_artifact", "binary_artifacts", "merge_uploads", "since_version", "target_distribution",
			"key", "binary_key", "require_signature", "target", "delayed_days"},
		MakeSignedSourceWorkflow: {"binary_artifacts", "signing_template_artifacts", "architectures", "purpose", "key"},
	},
	debusine.WorkerTask: { // steps of these workflows, whose outputs are signed next
		"makesourcepackageupload": {"input", "since_version", "target_distribution"},
		"mergeuploads":            {"input"},
		"extractforsigning":       {"input"},
		"assemblesignedsource":    {"template", "signed"},
	},
}

// Fixed are the parameters of a task or workflow that no task configuration
// changes; none for most.
func Fixed(taskType debusine.TaskType, name string) []string { return fixed[taskType][Canonical(name)] }
