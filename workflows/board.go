package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/task"
)

// board is what the Web UI shows of a workflow as it stands ("current details"),
// in Temporal's Markdown. Showing it makes no command: it may change freely.
type board struct {
	root     int64
	about    string // "Building hello 2.10-3 for debian:trixie"
	children []task.Child
	outcomes []task.Outcome
	left     []debusine.DroppedArchitecture
	lacks    map[string]string // by step: why no enabled worker could take it when it was asked for
	end      string            // how it ended
	waits    *waits
	next     string // what it waits for
}

// aborted is the end of a workflow that a person aborted, and of its children.
const aborted = string(debusine.Aborted)

// longestBoard is how many children are listed; a person reads no more.
const longestBoard = 50

// add puts further children on the board, and gives the place of the first.
func (b *board) add(children []task.Child, outcomes []task.Outcome) (first int) {
	first = len(b.children)
	b.children = append(b.children, children...)
	b.outcomes = append(b.outcomes, outcomes...)
	return first
}

func (b *board) show(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, b.String()) }

// waiting notes why a step's work will wait; nothing without a reason.
func (b *board) waiting(step, why string) {
	if why == "" {
		return
	}
	if b.lacks == nil {
		b.lacks = map[string]string{}
	}
	b.lacks[step] = why
}

// lack is the end of a line that says why a child waits.
func (b *board) lack(c task.Child) string {
	if why := b.lacks[c.Step]; why != "" {
		return "; " + task.Plain(why)
	}
	return ""
}

// finish shows how it ended.
func (b *board) finish(ctx workflow.Context, end string) {
	b.end = end
	b.show(ctx)
}

// verdict is the result, with the words of what went wrong in the workflow itself.
func verdict(r debusine.Result, output debusine.OutputData) string {
	text := string(r)
	for _, e := range output.Errors {
		text += ": " + e.Message
	}
	return text
}

// String is the text of the board.
func (b *board) String() string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("**%s**\n", task.Plain(b.about)))
	if len(b.children) > 0 {
		text.WriteString(fmt.Sprintf("\n%s\n\n", b.count()))
	} else {
		text.WriteString("\n")
	}
	for i, c := range b.children {
		if i == longestBoard {
			text.WriteString(fmt.Sprintf("- and %d more: `debusine work-request list --parent %d`\n", len(b.children)-i, b.root))
			break
		}
		text.WriteString(fmt.Sprintf("- %s: **%s**%s\n", task.Plain(c.Summary), b.standing(c, b.outcomes[i]), numbered(c)))
	}
	for _, d := range b.left {
		text.WriteString(fmt.Sprintf("- left out %s: %s\n", task.Plain(d.Architecture), task.Plain(d.Reason)))
	}
	if b.next != "" && b.end == "" {
		text.WriteString(fmt.Sprintf("\n**%s**\n", task.Plain(b.next)))
	}
	if b.end != "" {
		text.WriteString(fmt.Sprintf("\nResult: **%s**\n", task.Plain(b.end)))
	}
	return text.String()
}

// numbered names a child's work request. One that is tried again has several, which
// its own workflow knows.
func numbered(c task.Child) string {
	if c.ID == 0 {
		return ""
	}
	return fmt.Sprintf(" (work request %d)", c.ID)
}

// count sums up the children: "2 of 3 ended, 1 of them without success".
func (b *board) count() string {
	ended, bad := 0, 0
	for _, o := range b.outcomes {
		if o.Status == "" {
			continue
		}
		ended++
		if !o.Succeeded() {
			bad++
		}
	}
	text := fmt.Sprintf("%d of %d ended", ended, len(b.children))
	if bad > 0 {
		text += fmt.Sprintf(", %d of them without success", bad)
	}
	return text
}

// standing is how a child stands, as far as its workflow knows.
func (b *board) standing(c task.Child, o task.Outcome) string {
	switch {
	case o.Status == "" && b.end == aborted:
		return aborted
	case o.Status == "" && c.Kind == debusine.WaitTask:
		return "needs input"
	case o.Status == "" && c.Kind == debusine.WorkflowTask:
		return "under way"
	case o.Status == "" && c.Task == task.RetryWorkflow:
		return "under way, with retries" + b.lack(c)
	case o.Status == "":
		return "asked for on queue " + task.Plain(c.Queue) + b.lack(c)
	case o.Status == debusine.Completed && o.Class.Known():
		return string(o.Result) + " (" + string(o.Class) + ")"
	case o.Status == debusine.Completed:
		return string(o.Result)
	}
	return string(o.Status)
}
