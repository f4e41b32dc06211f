package client

import (
	"context"
	"iter"
	"net/http"

	"debusine/api"
)

// Schedules lists the schedules of a workspace.
func (c *Client) Schedules(ctx context.Context, workspace string) iter.Seq2[api.Schedule, error] {
	return pages[api.Schedule](ctx, c, escaped("schedule", workspace), nil)
}

// Schedule gives one with its last and next runs.
func (c *Client) Schedule(ctx context.Context, workspace, name string) (s api.Schedule, err error) {
	return s, c.do(ctx, call{method: http.MethodGet, path: escaped("schedule", workspace, name), into: &s})
}

// CreateSchedule makes a new one.
func (c *Client) CreateSchedule(ctx context.Context, workspace string, n api.ScheduleCreate) (s api.Schedule, err error) {
	return s, c.do(ctx, call{method: http.MethodPost, path: escaped("schedule", workspace), body: n, into: &s, once: true})
}

// PauseSchedule stops one, or lets it go on.
func (c *Client) PauseSchedule(ctx context.Context, workspace, name string, paused bool) (s api.Schedule, err error) {
	return s, c.do(ctx, call{method: http.MethodPatch, path: escaped("schedule", workspace, name), body: api.SchedulePatch{Paused: &paused}, into: &s})
}

// DeleteSchedule removes one. What it started stays.
func (c *Client) DeleteSchedule(ctx context.Context, workspace, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: escaped("schedule", workspace, name), once: true})
}

// RunSchedule starts now what it is for, and gives the work request.
func (c *Client) RunSchedule(ctx context.Context, workspace, name string) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: escaped("schedule", workspace, name, "run"), into: &w, once: true})
}
