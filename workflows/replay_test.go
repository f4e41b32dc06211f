package workflows_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"debusine/workflows"
)

// Recorded lives must replay for ever: a workflow that runs while we are
// upgraded goes on with the new code. `make histories` records new ones.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/histories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded histories (%v); hint: make histories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			replayer := worker.NewWorkflowReplayer()
			workflows.Register(replayer)
			raw, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			history, err := client.HistoryFromJSON(raw, client.HistoryJSONOptions{})
			if err != nil {
				t.Fatal(err)
			}
			// What a workflow runs within it is named after its own id.
			id := history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowId()
			err = replayer.ReplayWorkflowHistoryWithOptions(temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
				worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id}})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// names collects what is registered.
type names struct {
	worker.WorkflowRegistry
	all []string
}

func (n *names) RegisterWorkflowWithOptions(_ any, options workflow.RegisterOptions) {
	n.all = append(n.all, options.Name)
}

// A workflow of which nothing is recorded could change without anybody seeing it.
func TestEachWorkflowHasARecordedHistory(t *testing.T) {
	var registered names
	workflows.Register(&registered)
	if len(registered.all) == 0 {
		t.Fatal("nothing is registered")
	}
	for _, name := range registered.all {
		if _, err := os.Stat(filepath.Join("testdata", "histories", name+"-completed.json")); err != nil {
			t.Errorf("%v; hint: make histories", err)
		}
	}
}
