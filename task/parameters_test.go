package task

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"debusine"
)

func TestAnUnknownParameterIsAnsweredWithTheKnownOnes(t *testing.T) {
	for _, c := range []struct{ what, task, data, hint string }{
		{"at the top", "sleep", `{"secs": 3}`, "it takes: build_architecture, class, seconds, task_configuration"},
		{"further down, where we do not know which", "sbuild", `{"input": {"source": 3}}`, ""},
		{"of the wrong type", "sleep", `{"seconds": "x"}`, ""},
	} {
		d, err := WorkerTask(c.task)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Parse(json.RawMessage(c.data))
		var fault debusine.Invalid
		if !errors.As(err, &fault) || fault.Hint != c.hint {
			t.Errorf("%s: %v, hint %q, wanted %q", c.what, err, fault.Hint, c.hint)
		}
	}
}

func TestEachWorkflowNamesItsParameters(t *testing.T) {
	for _, name := range Workflows() {
		if len(WorkflowParameters(name)) == 0 {
			t.Errorf("%s has none", name)
		}
	}
	names := WorkflowParameters("sbuild")
	for _, want := range []string{"input", "architectures", "target_distribution", "task_configuration"} {
		if !slices.Contains(names, want) {
			t.Errorf("sbuild lacks %s: %v", want, names)
		}
	}
	if names := WorkflowParameters("nonsense"); names != nil {
		t.Errorf("a workflow that does not exist has %v", names)
	}
}
