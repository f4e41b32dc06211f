package server

import (
	"context"
	"fmt"

	"debusine"
	"debusine/api"
)

// retryNow ends the waiting for a next try.
func (s *Server) retryNow(c *call) error { return s.changeRetries(c, s.engine.RetryNow) }

// giveUpRetries has a step not tried again.
func (s *Server) giveUpRetries(c *call) error { return s.changeRetries(c, s.engine.GiveUpRetries) }

// setRetryDelays gives a step other delays.
func (s *Server) setRetryDelays(c *call) error {
	var in api.RetryDelays
	if err := c.bind(&in); err != nil {
		return err
	}
	if in.Delays == nil {
		return debusine.Invalid{What: "delays is missing", Hint: `for example {"delays": ["30m", "2h", "1d"]}; with [] it is given up`, Per: map[string]string{"delays": "missing"}}
	}
	return s.changeRetries(c, func(ctx context.Context, id, user int64) (int, error) {
		return s.engine.SetRetryDelays(ctx, id, user, in.Delays)
	})
}

func (s *Server) changeRetries(c *call, change func(ctx context.Context, id, user int64) (int, error)) error {
	w, err := s.workRequest(c)
	if err != nil {
		return err
	}
	if _, err := change(c.ctx(), w.ID, c.who.UserID); err != nil {
		return err
	}
	return s.replyWorkRequest(c, w.ID)
}

// retryReason says what a work request waits for that is tried again, or what the
// steps below a workflow wait for.
func retryReason(w debusine.WorkRequest) string {
	switch {
	case w.Retry.Waits():
		return w.Retry.String()
	case w.StepsToRetry > 0 && w.NextRetry != nil:
		steps := "a step waits"
		if w.StepsToRetry > 1 {
			steps = fmt.Sprintf("%d steps wait", w.StepsToRetry)
		}
		return fmt.Sprintf("%s to be tried again, the next at %s", steps, w.NextRetry.UTC().Format("2006-01-02 15:04:05 MST"))
	}
	return ""
}
