package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"debusine"
	"debusine/api"
	"debusine/client"
)

// The pace of waiting. Work goes on while the server is away, so who waits for
// it is more patient than who asks.
const (
	lookPause  = 500 * time.Millisecond
	drawPause  = 100 * time.Millisecond // of the spinner
	longWait   = 12 * time.Hour
	quickPause = 50 * time.Millisecond // at first: a noop takes no half second
)

// wait follows a work request, with all below it if it is a workflow, until it
// has ended; then it prints it.
func (s *session) wait(root api.WorkRequest) error {
	s.api = s.api.WithPatience(longWait, s.away())
	view := s.newView()
	started := time.Now()
	for {
		tree, err := s.look(root)
		if err != nil {
			view.end()
			return s.interrupted(root, err)
		}
		root = tree[0]
		view.show(tree)
		if debusine.Status(root.Status).Ended() {
			break
		}
		pause := lookPause
		if time.Since(started) < time.Second {
			pause = quickPause
		}
		if !view.pause(s.ctx(), pause) {
			view.end()
			return s.interrupted(root, s.ctx().Err())
		}
	}
	view.end()
	if s.out.machine() {
		if err := s.out.print(root, nil); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(s.out.to, "%s %d  %s  %s  %s\n", kindOf(root), root.ID, title(root), standing(root), took(root, time.Now())); err != nil {
		return err
	}
	return s.verdict(root)
}

// look reads the root and all below it; the root comes first.
func (s *session) look(root api.WorkRequest) ([]api.WorkRequest, error) {
	// The root is read after the others: when it has ended, they had.
	var below []api.WorkRequest
	if root.TaskType == string(debusine.WorkflowTask) {
		var err error
		if below, err = client.Collect(s.api.WorkRequests(s.ctx(), client.WorkRequestFilter{Root: root.ID}), 0); err != nil {
			return nil, err
		}
	}
	now, err := s.api.WorkRequest(s.ctx(), root.ID)
	if err != nil {
		return nil, err
	}
	ended := debusine.Status(now.Status).Ended() && !debusine.Status(root.Status).Ended()
	if ended && len(below) > 0 {
		return s.look(now) // once more, for how the last of them ended
	}
	below = slices.DeleteFunc(below, func(w api.WorkRequest) bool { return w.ID == now.ID })
	slices.SortFunc(below, func(a, b api.WorkRequest) int { return int(a.ID - b.ID) })
	return append([]api.WorkRequest{now}, below...), nil
}

// away tells that the server is away, and once it is back no more.
func (s *session) away() func(error, time.Duration) {
	var last time.Time
	return func(err error, _ time.Duration) {
		if time.Since(last) > time.Minute {
			s.note("%v; the work goes on, trying again", err)
			last = time.Now()
		}
	}
}

// interrupted says that what goes on on the server does so without us.
func (s *session) interrupted(w api.WorkRequest, err error) error {
	if s.ctx().Err() == nil {
		return err
	}
	return stopped{what: fmt.Sprintf("not waiting any more; %s %d goes on", kindOf(w), w.ID),
		hint: fmt.Sprintf("debusine work-request wait %d waits again, debusine work-request abort %d stops it", w.ID, w.ID)}
}

// verdict is nil for success.
func (s *session) verdict(w api.WorkRequest) error {
	hint := fmt.Sprintf("debusine work-request show %d tells more", w.ID)
	switch {
	case w.HasLog || w.LogArtifact != nil:
		hint = fmt.Sprintf("debusine work-request log %d shows its log", w.ID)
	case w.TaskType == string(debusine.WorkflowTask):
		hint = fmt.Sprintf("debusine work-request list --workflow %d shows what it consists of; debusine work-request log ID the log of one", w.ID)
	}
	switch {
	case w.Status == string(debusine.Aborted):
		by := ""
		if w.AbortedBy != "" {
			by = " by " + w.AbortedBy
		}
		return failed{what: fmt.Sprintf("%s %d was aborted%s", kindOf(w), w.ID, by), hint: hint}
	case w.Result == string(debusine.Success) || w.Result == string(debusine.Skipped):
		return nil
	}
	return failed{what: fmt.Sprintf("%s %d ended with: %s%s", kindOf(w), w.ID, w.Result, reasons(w)), hint: hint}
}

func kindOf(w api.WorkRequest) string {
	if w.TaskType == string(debusine.WorkflowTask) {
		return "workflow"
	}
	return "work request"
}

// reasons are the messages of output_data.errors.
func reasons(w api.WorkRequest) string {
	output, err := outputOf(w)
	if err != nil {
		return ""
	}
	var all []string
	for _, e := range output.Errors {
		all = append(all, oneLine(e.Message))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

var errNoOutput = errors.New("no output data")
