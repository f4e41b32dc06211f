package debusine

import (
	"fmt"
	"time"
)

// Retry is how a step stands that its workflow tries again after delays. Beyond
// Debusine's.
type Retry struct {
	Stands string     `json:"stands"`        // trying, waiting or over
	Number int        `json:"number"`        // of retries begun; of the next one while it waits
	Of     int        `json:"of"`            // how many delays there are
	Due    *time.Time `json:"due,omitempty"` // of the next one, while it waits
	Reason string     `json:"reason,omitempty"`
	Delays []string   `json:"delays"`
	On     string     `json:"retry_on,omitempty"`
}

// Waits says that a next try is due at some time.
func (r *Retry) Waits() bool { return r != nil && r.Stands == "waiting" && r.Due != nil }

// String tells it in a sentence without its end.
func (r *Retry) String() string {
	switch {
	case r == nil:
		return ""
	case r.Waits():
		return fmt.Sprintf("retry %d of %d is due at %s, after %s", r.Number, r.Of, r.Due.UTC().Format("2006-01-02 15:04:05 MST"), r.Reason)
	case r.Stands == "over" && r.Reason != "":
		return fmt.Sprintf("no further retry after %d of %d: %s", r.Number, r.Of, r.Reason)
	case r.Number > 0:
		return fmt.Sprintf("this is retry %d of %d", r.Number, r.Of)
	}
	return ""
}
