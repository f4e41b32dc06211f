package server

import (
	"errors"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/task"
)

// What the server or a person does is part of a workflow, whose owner has said how.
func TestServerTasksAreNotAskedForByThemselves(t *testing.T) {
	for _, name := range append(task.ServerTasks(), "externaldebsign", "PackageUpload") {
		for _, kind := range []string{"", "Server", "Wait", "Worker", "Signing"} {
			if got, err := standaloneType(nil, api.WorkRequestCreate{TaskName: name, TaskType: kind}, debusine.Workspace{}); err == nil {
				t.Errorf("%s as %q becomes a %s task", name, kind, got)
			}
		}
	}
	if _, err := standaloneType(nil, api.WorkRequestCreate{TaskName: "packageupload"}, debusine.Workspace{}); !errors.As(err, new(debusine.Forbidden)) {
		t.Errorf("%v", err)
	}
}
