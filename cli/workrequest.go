package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"debusine"
	"debusine/api"
)

func workRequestCommand() *cli.Command {
	return &cli.Command{Name: "work-request", Usage: "work with work requests", Subcommands: []*cli.Command{
		workRequestListCommand(), workRequestShowCommand(), workRequestCreateCommand(), workRequestWaitCommand(), workRequestLogCommand(),
		workRequestAbortCommand(), workRequestRetryCommand(), workRequestRetryNowCommand(), workRequestGiveUpCommand(),
		workRequestRetryDelaysCommand(), workRequestManageCommand(), workRequestSignCommand(),
	}}
}

// standing says in one phrase how a work request stands.
func standing(w api.WorkRequest) string { return standingAt(w, time.Now()) }

func standingAt(w api.WorkRequest, now time.Time) string {
	switch {
	case w.Status == string(debusine.Completed) && w.Result != "":
		return w.Result + failureOf(w) + retrySoon(w, now)
	case w.RuntimeStatus == "waiting":
		return "waiting: " + waitingReason(w)
	case w.WaitingReason != "":
		return w.Status + ": " + waitingReason(w)
	case w.Status == string(debusine.Running) && w.WorkerName != "":
		return w.Status + " on " + w.WorkerName
	}
	return w.Status
}

// failureOf is the class of a failure in brackets.
func failureOf(w api.WorkRequest) string {
	if output, err := outputOf(w); err == nil && output.Failure != nil && output.Failure.Class != "" {
		return " (" + string(output.Failure.Class) + ")"
	}
	return ""
}

// retrySoon tells of a next try that is waited for.
func retrySoon(w api.WorkRequest, now time.Time) string {
	if w.Retry == nil || w.Retry.Due == nil {
		return ""
	}
	when := "now"
	if left := w.Retry.Due.Sub(now); left > 0 {
		when = "in " + span(left)
	}
	return fmt.Sprintf(", retry %d of %d %s", w.Retry.Number, w.Retry.Of, when)
}

// retried tells of the tries where none is waited for.
func retried(w api.WorkRequest) string {
	if w.Retry == nil || w.Retry.Due != nil {
		return ""
	}
	return oneLine((*debusine.Retry)(w.Retry).String())
}

// waitingReason is the server's sentence, with the tags where it has none.
func waitingReason(w api.WorkRequest) string {
	if w.WaitingReason == "" && len(w.MissingTags) > 0 {
		return "no enabled worker can take this: missing tags: " + strings.Join(w.MissingTags, ", ")
	}
	return w.WaitingReason
}

// stuck says that nothing will happen until an administrator, or a second person,
// does something.
func stuck(w api.WorkRequest) bool {
	return len(w.MissingTags) > 0 || strings.HasPrefix(w.WaitingReason, "no enabled worker") || strings.HasPrefix(w.WaitingReason, "waits until")
}

// took is how long a work request ran, or has been running.
func took(w api.WorkRequest, now time.Time) string {
	switch {
	case w.Duration != nil:
		return span(time.Duration(*w.Duration * float64(time.Second)))
	case w.StartedAt == nil:
		return ""
	case w.CompletedAt != nil:
		return span(w.CompletedAt.Sub(*w.StartedAt))
	}
	return span(now.Sub(*w.StartedAt))
}

// architecture is what the task is done for.
func architecture(w api.WorkRequest) string {
	var data struct {
		Build string `json:"build_architecture"`
		Host  string `json:"host_architecture"`
		Arch  string `json:"architecture"`
		Boot  struct {
			Arch string `json:"architecture"`
		} `json:"bootstrap_options"`
	}
	for _, raw := range []json.RawMessage{w.TaskData, w.ConfiguredTaskData} {
		_ = json.Unmarshal(raw, &data) // other tasks have other data
	}
	if all := allOnly(w.TaskData); all != "" {
		return all
	}
	for _, arch := range []string{data.Host, data.Build, data.Boot.Arch, data.Arch} {
		if arch != "" {
			return arch
		}
	}
	return ""
}

// allOnly is "all" for a build of the Architecture: all packages alone.
func allOnly(raw json.RawMessage) string {
	var data struct {
		Components []string `json:"build_components"`
	}
	if json.Unmarshal(raw, &data) == nil && len(data.Components) == 1 && data.Components[0] == "all" {
		return "all"
	}
	return ""
}

// title names a work request in a line of a list.
func title(w api.WorkRequest) string {
	if arch := architecture(w); arch != "" {
		return w.TaskName + " " + arch
	}
	if w.Template != "" {
		return w.TaskName + " (" + w.Template + ")"
	}
	return w.TaskName
}

func (s *session) printWorkRequest(w api.WorkRequest) error {
	return s.out.print(w, func() error {
		head := [][2]string{{"Work request", number(w.ID)}, {"Task", w.TaskType + " " + w.TaskName},
			{"Template", w.Template}, {"Status", w.Status}, {"Runtime status", w.RuntimeStatus}, {"Result", w.Result}, {"Waiting", waitingReason(w)},
			{"Retries", retried(w)}}
		place := [][2]string{{"Worker", w.WorkerName}, {"Attempt", positive(w.Attempt)}, {"Workspace", w.Workspace},
			{"Part of", optional(w.WorkflowRoot)}, {"Created", moment(&w.CreatedAt)}, {"By", w.CreatedBy},
			{"Started", moment(w.StartedAt)}, {"Ended", moment(w.CompletedAt)}, {"Duration", took(w, time.Now())},
			{"Aborted by", w.AbortedBy}, {"Queue", w.Queue}, {"Tags required", strings.Join(w.TagsRequired, " ")},
			{"Supersedes", optional(w.Supersedes)}, {"Superseded by", optional(w.SupersededBy)},
			{"Artifacts", numbers(w.Artifacts)}, {"Log", logOf(w)}, {"Temporal id", w.TemporalID}, {"Web UI", w.TemporalURL},
			{"Data", indented(w.TaskData)}, {"Output", indented(w.OutputData)}}
		return s.out.pairs(slices.Concat(head, outputPairs(w), place)...)
	})
}

func logOf(w api.WorkRequest) string {
	switch {
	case w.LogArtifact != nil:
		return fmt.Sprintf("debusine work-request log %d (artifact %d)", w.ID, *w.LogArtifact)
	case w.HasLog:
		return "debusine work-request log " + number(w.ID)
	}
	return ""
}

func numbers(ids []int64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = number(id)
	}
	return strings.Join(words, " ")
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return number(int64(n))
}

func (s *session) printWorkRequests(all []api.WorkRequest) error {
	return s.out.print(all, func() error {
		rows, now := [][]string{}, time.Now()
		for _, w := range all {
			rows = append(rows, []string{number(w.ID), title(w), w.Workspace, took(w, now), moment(&w.CreatedAt), standing(w)})
		}
		return s.out.table([]string{"ID", "TASK", "WORKSPACE", "TOOK", "CREATED", "STATUS"}, rows)
	})
}
