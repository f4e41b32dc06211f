package task

import (
	"encoding/json"
	"strings"
	"testing"

	"debusine"
)

// A name that is misspelt here would leave a parameter open.
func TestFixedParametersAreThere(t *testing.T) {
	for taskType, tasks := range fixed {
		for name, parameters := range tasks {
			for _, parameter := range parameters {
				unknown := strings.ReplaceAll(refusal(t, taskType, name, "no-such-parameter"), "no-such-parameter", parameter)
				if got := refusal(t, taskType, name, parameter); got == unknown {
					t.Errorf("%s %s has no parameter %s: %s", taskType, name, parameter, got)
				}
			}
		}
	}
	if Fixed(debusine.WorkerTask, "sbuild") != nil || Fixed(debusine.WorkflowTask, "make_signed_source") == nil {
		t.Error("the wrong tasks have fixed parameters")
	}
}

// refusal is what is said of a parameter with a value of no parameter's type.
func refusal(t *testing.T, taskType debusine.TaskType, name, parameter string) string {
	t.Helper()
	raw := json.RawMessage(`{"` + parameter + `": 7.5}`)
	_, err := ParseWorkflow(name, raw)
	if taskType == debusine.WorkerTask {
		d, missing := DefinitionOf(taskType, name)
		if missing != nil {
			t.Fatal(missing)
		}
		_, err = d.Parse(raw)
	}
	if err == nil {
		t.Fatalf("%s %s takes %s", taskType, name, raw)
	}
	return err.Error()
}
