package task

import (
	"fmt"
	"strconv"
	"strings"
)

// WorkflowID is the Temporal id of a root work request's workflow; run counts
// how often it was retried in place.
func WorkflowID(installation string, root int64, run int) string {
	id := fmt.Sprintf("wf/%s/%d", installation, root)
	if run > 0 {
		id += fmt.Sprintf("~%d", run)
	}
	return id
}

// ActivityID is the Temporal id of a work request's activity, within a workflow
// or standing alone.
func ActivityID(installation string, workRequest int64) string {
	return fmt.Sprintf("wr/%s/%d", installation, workRequest)
}

// ParseActivityID gives the work request of an activity id of this
// installation; anything else is not ours.
func ParseActivityID(installation, id string) (workRequest int64, ok bool) {
	number, found := strings.CutPrefix(id, "wr/"+installation+"/")
	if !found {
		return 0, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil && n > 0 && number == strconv.FormatInt(n, 10)
}
