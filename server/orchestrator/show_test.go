package orchestrator

import (
	"strings"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

func TestTheSummaryNamesTheWork(t *testing.T) {
	for want, s := range map[string]store.Start{
		"sbuild hello_2.10-3 for trixie, work request 12": {ID: 12, TaskName: "sbuild", About: task.Description{ParameterSummary: "hello_2.10-3", Source: "hello", Suite: "trixie"}},
		"mmdebstrap trixie amd64, work request 13":        {ID: 13, TaskName: "mmdebstrap", About: task.Description{ParameterSummary: "trixie amd64", Suite: "trixie"}},
		"noop, work request 14":                           {ID: 14, TaskName: "noop"},
	} {
		if got := summary(s); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// The Web UI only shows: it says where the rest is.
func TestTheDetailsSayHowToGoOn(t *testing.T) {
	s := store.Start{ID: 12, TaskType: debusine.WorkflowTask, Scope: "debian", Workspace: "System"}
	if text := details(s); !strings.Contains(text, "**debian/System**") || !strings.Contains(text, "`debusine work-request list --parent 12`") || strings.Contains(text, " log ") {
		t.Error(text)
	}
	s.TaskType = debusine.WorkerTask
	if text := details(s); !strings.Contains(text, "`debusine work-request log 12`") || strings.Contains(text, "--parent") {
		t.Error(text)
	}
}
