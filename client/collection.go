package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"debusine/api"
)

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

// CollectionWithStats gives one with the numbers of its items, active and removed.
func (c *Client) CollectionWithStats(ctx context.Context, workspace, category, name string) (o api.Collection, err error) {
	return o, c.do(ctx, call{method: http.MethodGet, path: escaped("collection", workspace, category, name), query: url.Values{"stats": {"1"}}, into: &o})
}

// UpdateCollection changes name and retention of one; ID chooses which.
func (c *Client) UpdateCollection(ctx context.Context, workspace string, n api.Collection) (o api.Collection, err error) {
	return o, c.do(ctx, call{method: http.MethodPatch, path: escaped("collection", workspace, number(n.ID)), body: n, into: &o})
}

// DeleteCollection removes one with all that is known of its items; artifacts stay.
func (c *Client) DeleteCollection(ctx context.Context, workspace string, id int64) error {
	return c.do(ctx, call{method: http.MethodDelete, path: escaped("collection", workspace, number(id)), once: true})
}

// Items lists what a collection holds, and if removed says so also what it held.
func (c *Client) Items(ctx context.Context, workspace, category, name string, removed bool) iter.Seq2[api.CollectionItem, error] {
	query := url.Values{}
	if removed {
		query.Set("removed", "1")
	}
	return pages[api.CollectionItem](ctx, c, escaped("collection", workspace, category, name, "item"), query)
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

// LookupMultiple resolves a lookup of many results.
func (c *Client) LookupMultiple(ctx context.Context, l api.LookupMultiple) (r []api.LookupResult, err error) {
	return r, c.do(ctx, call{method: http.MethodPost, path: "lookup/multiple/", body: l, into: &r})
}
