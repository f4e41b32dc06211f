package task

import (
	"time"

	"go.temporal.io/sdk/temporal"

	"debusine"
)

// ScheduledStart is the workflow that Temporal's schedules start. It is no work
// request: it asks the server for one.
const ScheduledStart = "scheduled_start"

// FireSchedule starts what a schedule is for, once for each of its moments.
var FireSchedule = Task[ScheduleFiring, ScheduleOutcome]{Name: "fire_schedule", Limit: quick}

// ScheduledAt is where Temporal says which moment it starts a workflow for.
var ScheduledAt = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// ScheduleStart is the input of ScheduledStart.
type ScheduleStart struct {
	Schedule int64 `json:"schedule"`
}

// ScheduleFiring is a moment of a schedule.
type ScheduleFiring struct {
	Schedule int64     `json:"schedule"`
	At       time.Time `json:"at"`   // the moment
	Told     time.Time `json:"told"` // when Temporal came to it; later, when it was away
}

// ScheduleOutcome is what came of it.
type ScheduleOutcome struct {
	Outcome     debusine.RunOutcome `json:"outcome"`
	WorkRequest *int64              `json:"work_request,omitempty"`
	Message     string              `json:"message,omitempty"`
}
