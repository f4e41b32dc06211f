package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"debusine/api"
)

// Templates lists the workflow templates of a workspace.
func (c *Client) Templates(ctx context.Context, workspace string) iter.Seq2[api.WorkflowTemplate, error] {
	return pages[api.WorkflowTemplate](ctx, c, escaped("workflow-template", workspace), nil)
}

// Template gives one by its name or its number.
func (c *Client) Template(ctx context.Context, workspace, name string) (t api.WorkflowTemplate, err error) {
	return t, c.do(ctx, call{method: http.MethodGet, path: escaped("workflow-template", workspace, name), into: &t})
}

// CreateTemplate makes a new one.
func (c *Client) CreateTemplate(ctx context.Context, workspace string, n api.WorkflowTemplate) (t api.WorkflowTemplate, err error) {
	return t, c.do(ctx, call{method: http.MethodPost, path: escaped("workflow-template", workspace), body: n, into: &t, once: true})
}

// UpdateTemplate replaces one; ID chooses which.
func (c *Client) UpdateTemplate(ctx context.Context, workspace string, n api.WorkflowTemplate) (t api.WorkflowTemplate, err error) {
	return t, c.do(ctx, call{method: http.MethodPatch, path: escaped("workflow-template", workspace, number(n.ID)), body: n, into: &t})
}

// DeleteTemplate removes one by its name or number. What it started stays.
func (c *Client) DeleteTemplate(ctx context.Context, workspace, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: escaped("workflow-template", workspace, name), once: true})
}

// escaped joins segments to a path that ends with a slash.
func escaped(segments ...string) string {
	path := ""
	for _, s := range segments {
		path += url.PathEscape(s) + "/"
	}
	return path
}
