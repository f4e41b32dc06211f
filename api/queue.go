package api

import "time"

// Queue is a queue with what waits in it, of GET queue/ (ours).
type Queue struct {
	Name          string   `json:"queue"`
	TagsRequired  []string `json:"tags_required"`            // of the machine
	Waiting       int      `json:"waiting"`                  // how many work requests
	Workers       int      `json:"workers"`                  // enabled machines that may take them
	MissingTags   []string `json:"missing_tags,omitempty"`   // when there is none: what the nearest one lacks
	WaitingReason string   `json:"waiting_reason,omitempty"` // in a sentence, when nothing can begin
	WorkRequests  []Queued `json:"work_requests"`            // those that the caller may see, next first
}

// Queued is a work request that waits for a machine.
type Queued struct {
	ID            int64      `json:"id"`
	TaskType      string     `json:"task_type"`
	TaskName      string     `json:"task_name"`
	About         string     `json:"about,omitempty"` // hello_2.10-3
	Architecture  string     `json:"architecture,omitempty"`
	Scope         string     `json:"scope"`
	Workspace     string     `json:"workspace"`
	Priority      int        `json:"priority"`
	Position      int        `json:"position"` // in the queue, 1 is next
	PendingAt     time.Time  `json:"pending_at"`
	Start         *time.Time `json:"estimated_start"`    // null: no machine will take it
	Duration      float64    `json:"estimated_duration"` // seconds
	EstimatedFrom string     `json:"estimated_from"`     // what the duration is taken from
}
