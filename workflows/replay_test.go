package workflows_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

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
			if err := replayer.ReplayWorkflowHistoryFromJSONFile(temporallog.NewStructuredLogger(slog.New(slog.DiscardHandler)), file); err != nil {
				t.Error(err)
			}
		})
	}
}
