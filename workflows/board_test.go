package workflows

import (
	"strings"
	"testing"

	"debusine"
	"debusine/task"
)

func TestTheBoardTellsHowAWorkflowStands(t *testing.T) {
	b := &board{root: 12, about: "Building hello 2.10-3 for debian:trixie",
		children: []task.Child{{ID: 13, Summary: "Build hello_2.10-3 on amd64", Queue: "build/amd64"}, {ID: 15, Step: "build-i386", Summary: "i386", Queue: "build/i386"}, {ID: 14, Summary: "Build hello_2.10-3 on all"}},
		outcomes: []task.Outcome{{}, {}, {Status: debusine.Completed, Result: debusine.Failure}},
		lacks:    map[string]string{"build-i386": "no enabled worker"},
		left:     []debusine.DroppedArchitecture{{Architecture: "i386", Reason: "there is no environment"}}}
	for _, want := range []string{"**Building hello 2.10-3 for debian:trixie**", "1 of 3 ended, 1 of them without success",
		"- Build hello_2.10-3 on amd64: **asked for on queue build/amd64** (work request 13)", "- Build hello_2.10-3 on all: **failure** (work request 14)",
		"asked for on queue build/i386; no enabled worker**", "- left out i386: there is no environment"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b)
		}
	}
	if strings.Contains(b.String(), "Result") {
		t.Errorf("a result before the end:\n%s", b)
	}
	b.end = verdict(debusine.Error, debusine.OutputData{Errors: []debusine.TaskError{{Message: "artifact 12 not found"}}})
	if !strings.Contains(b.String(), "Result: **error: artifact 12 not found**") {
		t.Errorf("the end is not in\n%s", b)
	}
}

func TestTheBoardSaysWhatABuildFailedOf(t *testing.T) {
	b := &board{children: []task.Child{{ID: 13, Summary: "Build x on amd64"}, {ID: 14, Summary: "Build x on i386"}},
		outcomes: []task.Outcome{{Status: debusine.Completed, Result: debusine.Failure, Class: debusine.FailedTestSuite},
			{Status: debusine.Completed, Result: debusine.Failure, Class: "[x](http://evil.example)"}}}
	if text := b.String(); !strings.Contains(text, "amd64: **failure (test-suite)**") || !strings.Contains(text, "i386: **failure** ") {
		t.Error(text)
	}
}

func TestTheBoardOfAnAbortedWorkflowAsksForNothing(t *testing.T) {
	b := &board{about: "Doing nothing", end: aborted, children: []task.Child{{ID: 13, Summary: "Noop 1 of 1", Queue: "build/amd64"}}, outcomes: make([]task.Outcome, 1)}
	if text := b.String(); strings.Contains(text, "asked for") || !strings.Contains(text, "- Noop 1 of 1: **aborted**") {
		t.Error(text)
	}
}

func TestTheBoardListsAsManyAsAPersonReads(t *testing.T) {
	b := &board{root: 12, about: "Doing nothing", children: make([]task.Child, 1000), outcomes: make([]task.Outcome, 1000)}
	if text := b.String(); strings.Count(text, "\n") > 60 || !strings.Contains(text, "and 950 more: `debusine work-request list --parent 12`") {
		t.Errorf("%d bytes:\n%.300s", len(text), text)
	}
}

func TestTheBoardShowsNamesAsText(t *testing.T) {
	b := &board{about: "Building [x](http://evil.example) <script> for debian:trixie"}
	if text := b.String(); strings.ContainsAny(text, "[]<>()") {
		t.Errorf("%s", text)
	}
}
