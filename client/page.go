package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"debusine/api"
)

// pages walks over all pages of a list. Of the server's address of the next
// page only the question is taken: a token goes to no address but ours.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for {
			var page api.Page[T]
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query, into: &page}); err != nil {
				yield(none, err)
				return
			}
			for _, each := range page.Results {
				if !yield(each, nil) {
					return
				}
			}
			if page.Next == nil || *page.Next == "" {
				return
			}
			next, err := url.Parse(*page.Next)
			if err != nil || next.RawQuery == query.Encode() {
				return
			}
			query = next.Query()
		}
	}
}

// Collect gathers at most limit elements of a list; all when limit is 0.
func Collect[T any](list iter.Seq2[T, error], limit int) ([]T, error) {
	all := []T{}
	for each, err := range list {
		if err != nil {
			return nil, err
		}
		if all = append(all, each); limit > 0 && len(all) == limit {
			break
		}
	}
	return all, nil
}
