package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"debusine/api"
)

// Whoami says to whom the token belongs.
func (c *Client) Whoami(ctx context.Context) (w api.Whoami, err error) {
	return w, c.do(ctx, call{method: http.MethodGet, path: "whoami/", into: &w})
}

// ServiceStatus gives the overview of queues and workers.
func (c *Client) ServiceStatus(ctx context.Context) (s api.ServiceStatus, err error) {
	return s, c.do(ctx, call{method: http.MethodGet, path: "service-status/", into: &s})
}

// WorkRequestFilter chooses work requests. Zero values choose all.
type WorkRequestFilter struct {
	IDs       []int64
	Workspace string
	Status    string // pending, running …
	Result    string
	TaskType  string
	TaskName  string
	RootOnly  bool  // none that a workflow made
	Parent    int64 // children of a workflow
	Root      int64 // all below a root workflow
}

func (f WorkRequestFilter) query() url.Values {
	q := url.Values{}
	if len(f.IDs) > 0 {
		ids := make([]string, len(f.IDs))
		for i, id := range f.IDs {
			ids[i] = number(id)
		}
		q.Set("ids", strings.Join(ids, ","))
	}
	for key, value := range map[string]string{"workspace": f.Workspace, "status": f.Status, "result": f.Result,
		"task_type": f.TaskType, "task_name": f.TaskName} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.RootOnly {
		q.Set("root_only", "true")
	}
	if f.Parent != 0 {
		q.Set("parent", number(f.Parent))
	}
	if f.Root != 0 {
		q.Set("workflow_root", number(f.Root))
		q.Set("page_size", "200") // a tree is wanted whole
	}
	return q
}

// WorkRequests lists work requests, newest first.
func (c *Client) WorkRequests(ctx context.Context, f WorkRequestFilter) iter.Seq2[api.WorkRequest, error] {
	return pages[api.WorkRequest](ctx, c, "work-request/", f.query())
}

// WorkRequest gives one work request.
func (c *Client) WorkRequest(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodGet, path: workRequestPath(id, ""), into: &w})
}

// CreateWorkRequest asks for work.
func (c *Client) CreateWorkRequest(ctx context.Context, n api.WorkRequestCreate) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: "work-request/", body: n, into: &w, once: true})
}

// Abort stops a work request, and a workflow with all below it.
func (c *Client) Abort(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(id, "abort/"), into: &w, once: true})
}

// Retry does an ended work request again; the answer is the new one, or the
// same workflow under way anew.
func (c *Client) Retry(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(id, "retry/"), into: &w, once: true})
}

// RetryNow ends the waiting for the next try of a step, or of all that wait below a
// workflow.
func (c *Client) RetryNow(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(id, "retry-now/"), into: &w, once: true})
}

// GiveUp has a step, or all that wait below a workflow, not tried again.
func (c *Client) GiveUp(ctx context.Context, id int64) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(id, "give-up/"), into: &w, once: true})
}

// SetRetryDelays gives a step, or all that wait below a workflow, other delays.
func (c *Client) SetRetryDelays(ctx context.Context, id int64, delays []string) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: workRequestPath(id, "retry-delays/"), body: api.RetryDelays{Delays: delays}, into: &w, once: true})
}

// Patch changes what may be changed: the priority.
func (c *Client) Patch(ctx context.Context, id int64, p api.WorkRequestPatch) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPatch, path: workRequestPath(id, ""), body: p, into: &w})
}

// StartWorkflow starts a workflow from a template, or (for owners) a task by
// its name.
func (c *Client) StartWorkflow(ctx context.Context, n api.WorkflowCreate) (w api.WorkRequest, err error) {
	return w, c.do(ctx, call{method: http.MethodPost, path: "workflow/", body: n, into: &w, once: true})
}

// Workers lists the build machines.
func (c *Client) Workers(ctx context.Context) iter.Seq2[api.Worker, error] {
	return pages[api.Worker](ctx, c, "worker/", nil)
}

func workRequestPath(id int64, rest string) string {
	return fmt.Sprintf("work-request/%d/%s", id, rest)
}
