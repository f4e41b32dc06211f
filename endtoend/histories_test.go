package endtoend

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"debusine/stack"
)

// recordEnv names the folder to record histories into; `make histories` sets it.
const recordEnv = "DEBUSINE_RECORD_HISTORIES"

// keepEnv names the folder to record histories into that installations of tests
// have, each at its end. scripts/histories says of which.
const keepEnv = "DEBUSINE_RECORD_TESTS"

// record keeps the newest closed workflow of each type and ending, as it ran on
// the installation in DEBUSINE_STATE.
func record(to string) error {
	running, err := stack.Attach(os.Getenv("DEBUSINE_STATE"))
	if err != nil {
		return err
	}
	return recordOf(running, to)
}

// recordOf keeps those of an installation that runs.
func recordOf(running *stack.Stack, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := running.Client(ctx, stack.Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: `ExecutionStatus != "Running"`, PageSize: 500})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, w := range list.Executions {
		name := fmt.Sprintf("%s-%s.json", w.Type.Name, strings.ToLower(w.Status.String()))
		if seen[name] || strings.HasPrefix(w.Type.Name, "temporal-") {
			continue
		}
		seen[name] = true
		if err := keep(ctx, c, w.Execution.WorkflowId, w.Execution.RunId, filepath.Join(to, name)); err != nil {
			return fmt.Errorf("recording %s: %w", w.Execution.WorkflowId, err)
		}
		fmt.Println("recorded", name, "from", w.Execution.WorkflowId)
	}
	return nil
}

func keep(ctx context.Context, c client.Client, id, run, path string) error {
	events := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var history historypb.History
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return err
		}
		history.Events = append(history.Events, e)
	}
	raw, err := protojson.MarshalOptions{Indent: " "}.Marshal(&history)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
