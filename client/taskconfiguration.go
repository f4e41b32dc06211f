package client

import (
	"context"
	"net/http"

	"debusine/api"
)

// TaskConfiguration gives all entries of a task configuration.
func (c *Client) TaskConfiguration(ctx context.Context, workspace, name string) (t api.TaskConfiguration, err error) {
	return t, c.do(ctx, call{method: http.MethodGet, path: escaped("task-configuration", workspace, name), into: &t})
}

// ReplaceTaskConfiguration puts other entries in place of all.
func (c *Client) ReplaceTaskConfiguration(ctx context.Context, workspace, name string, u api.TaskConfigurationUpdate) (n api.TaskConfigurationCounts, err error) {
	return n, c.do(ctx, call{method: http.MethodPost, path: escaped("task-configuration", workspace, name), body: u, into: &n})
}

// ExplainTaskConfiguration tells which entries apply to some work.
func (c *Client) ExplainTaskConfiguration(ctx context.Context, workspace, name string, q api.TaskConfigurationQuestion) (a api.TaskConfigurationAnswer, err error) {
	return a, c.do(ctx, call{method: http.MethodPost, path: escaped("task-configuration", workspace, name, "explain"), body: q, into: &a})
}
