package api

import (
	"encoding/json"
	"time"
)

// Schedule starts a workflow template again and again.
type Schedule struct {
	ID           int64                      `json:"id"`
	Name         string                     `json:"name"`
	Scope        string                     `json:"scope"`
	Workspace    string                     `json:"workspace"`
	TemplateName string                     `json:"template_name"`
	TaskData     map[string]json.RawMessage `json:"task_data"`
	Every        string                     `json:"every,omitempty"` // 12h, 7d
	Cron         string                     `json:"cron,omitempty"`  // five fields, UTC
	Paused       bool                       `json:"paused"`
	CreatedBy    string                     `json:"created_by"` // on whose behalf it runs
	CreatedAt    time.Time                  `json:"created_at"`
	LastRun      *ScheduleRun               `json:"last_run"`
	Runs         []ScheduleRun              `json:"runs,omitempty"`      // newest first
	NextRuns     []time.Time                `json:"next_runs,omitempty"` // as Temporal counts them
	Problem      string                     `json:"problem,omitempty"`   // why it does not run
}

// ScheduleRun is what came of one moment of a schedule.
type ScheduleRun struct {
	ScheduledAt time.Time `json:"scheduled_at"`
	Outcome     string    `json:"outcome"` // started, skipped, failed
	Message     string    `json:"message,omitempty"`
	Manual      bool      `json:"manual"` // a person asked for it
	WorkRequest *int64    `json:"work_request"`
	Status      string    `json:"status,omitempty"` // of the work request
	Result      string    `json:"result,omitempty"`
}

// ScheduleCreate is the body of POST schedule/WORKSPACE/: with either every or cron.
type ScheduleCreate struct {
	Name         string                     `json:"name"`
	TemplateName string                     `json:"template_name"`
	TaskData     map[string]json.RawMessage `json:"task_data,omitempty"`
	Every        string                     `json:"every,omitempty"`
	Cron         string                     `json:"cron,omitempty"`
	Paused       bool                       `json:"paused,omitempty"`
}

// SchedulePatch is the body of PATCH schedule/WORKSPACE/NAME/.
type SchedulePatch struct {
	Paused *bool `json:"paused"`
}
