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

// Collections lists the collections of a workspace.
func (c *Client) Collections(ctx context.Context, workspace string) iter.Seq2[api.Collection, error] {
	return pages[api.Collection](ctx, c, escaped("collection", workspace), nil)
}

// Collection gives one.
func (c *Client) Collection(ctx context.Context, workspace, category, name string) (o api.Collection, err error) {
	return o, c.do(ctx, call{method: http.MethodGet, path: escaped("collection", workspace, category, name), into: &o})
}

// CreateCollection makes an empty one.
func (c *Client) CreateCollection(ctx context.Context, workspace string, n api.Collection) (o api.Collection, err error) {
	return o, c.do(ctx, call{method: http.MethodPost, path: escaped("collection", workspace), body: n, into: &o, once: true})
}

// Items lists what a collection holds.
func (c *Client) Items(ctx context.Context, workspace, category, name string) iter.Seq2[api.CollectionItem, error] {
	return pages[api.CollectionItem](ctx, c, escaped("collection", workspace, category, name, "item"), nil)
}

// AddItem puts an artifact into a collection. With replace it takes the place
// of an item of the same name, which is a Conflict otherwise.
func (c *Client) AddItem(ctx context.Context, workspace, category, name string, n api.CollectionItemCreate, replace bool) (i api.CollectionItem, err error) {
	var query url.Values
	if replace {
		query = url.Values{"replace": {"1"}}
	}
	return i, c.do(ctx, call{method: http.MethodPost, path: escaped("collection", workspace, category, name, "item"), query: query, body: n, into: &i, once: true})
}

// RemoveItem takes an item out of a collection; the artifact stays.
func (c *Client) RemoveItem(ctx context.Context, workspace, category, name, item string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: escaped("collection", workspace, category, name, "item", item), once: true})
}

// Lookup resolves a single lookup.
func (c *Client) Lookup(ctx context.Context, l api.LookupSingle) (r api.LookupResult, err error) {
	return r, c.do(ctx, call{method: http.MethodPost, path: "lookup/single/", body: l, into: &r})
}

// escaped joins segments to a path that ends with a slash.
func escaped(segments ...string) string {
	path := ""
	for _, s := range segments {
		path += url.PathEscape(s) + "/"
	}
	return path
}
