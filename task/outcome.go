package task

import "debusine"

// WorkRequest is all that travels to a worker: which work request to do. The
// rest it asks for when it begins.
type WorkRequest struct {
	ID int64 `json:"work_request"`
}

// Outcome is how a work request ended, as recorded in the database. The gateway
// fills it in; what a worker says here is ignored.
type Outcome struct {
	ID     int64           `json:"work_request"`
	Status debusine.Status `json:"status"` // completed or aborted
	Result debusine.Result `json:"result,omitempty"`
	// Class is what a build failed of, and Mends whether time may mend it.
	Class debusine.FailureClass `json:"failure_class,omitempty"`
	Mends bool                  `json:"mends_with_time,omitempty"`
}

// Succeeded says that the work was done or rightly skipped.
func (o Outcome) Succeeded() bool {
	return o.Status == debusine.Completed && (o.Result == debusine.Success || o.Result == debusine.Skipped)
}
