package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"

	"debusine/api"
)

// QueueFilter chooses what is shown of the queues. Zero values choose all; of
// each queue at most Limit work requests (0: as many as the server likes).
type QueueFilter struct {
	Queue     string
	Workspace string
	Limit     int
}

// Queues lists the queues in which something waits that the caller may see.
func (c *Client) Queues(ctx context.Context, f QueueFilter) iter.Seq2[api.Queue, error] {
	query := url.Values{}
	for key, value := range map[string]string{"queue": f.Queue, "workspace": f.Workspace} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return pages[api.Queue](ctx, c, "queue/", query)
}
