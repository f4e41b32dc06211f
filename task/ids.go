package task

import (
	"strconv"
	"strings"
)

// WorkflowID is the Temporal id of a root work request's workflow: the number
// makes it unique, what follows tells readers of the Web UI's lists what it is
// about. A retry in place adds "~1", "~2" and so on.
func WorkflowID(installation string, root int64, name string, about Description) string {
	before, after := AroundWorkflowID(installation, name, about)
	return before + strconv.FormatInt(root, 10) + after
}

// AroundWorkflowID is what stands before and after the number in a WorkflowID,
// for the database, which alone knows the number.
func AroundWorkflowID(installation, name string, about Description) (before, after string) {
	after = "/" + idWord(name)
	if about.ParameterSummary != "" {
		after += "/" + idWord(about.ParameterSummary)
	}
	return "wf/" + installation + "/", after
}

// longestIDWord bounds what uploaded names add to an id, in bytes; Temporal takes
// ids of 1000.
const longestIDWord = 200

// idWord keeps of a text what is plain in an id, in an address and in a query.
func idWord(text string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+,-.:_~", r) {
			return r
		}
		return '-'
	}, text)
	return word[:min(len(word), longestIDWord)]
}

// ActivityID is the Temporal id of a work request's activity, within a workflow
// or standing alone.
func ActivityID(installation string, workRequest int64) string {
	return ActivityPrefix(installation) + strconv.FormatInt(workRequest, 10)
}

// ActivityPrefix is what stands before the number in an ActivityID.
func ActivityPrefix(installation string) string { return "wr/" + installation + "/" }

// ParseActivityID gives the work request of an activity id of this
// installation; anything else is not ours.
func ParseActivityID(installation, id string) (workRequest int64, ok bool) {
	number, found := strings.CutPrefix(id, ActivityPrefix(installation))
	if !found {
		return 0, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil && n > 0 && number == strconv.FormatInt(n, 10)
}

// ScheduleID is the Temporal id of a schedule.
func ScheduleID(installation string, id int64, name string) string {
	return SchedulePrefix(installation) + strconv.FormatInt(id, 10) + "/" + idWord(name)
}

// SchedulePrefix is what all ScheduleIDs of an installation begin with.
func SchedulePrefix(installation string) string { return "schedule/" + installation + "/" }

// ScheduledStartID is what the ids of the workflows that a schedule starts begin
// with: Temporal adds the moment.
func ScheduledStartID(installation string, id int64, name string) string {
	return "fire/" + installation + "/" + strconv.FormatInt(id, 10) + "/" + idWord(name)
}
