package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/store"
)

func TestTheListOfWorkersTellsNobodyOfWorkThatItMayNotSee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.ok(w.db.CreateWorkspace(ctx, "debusine", "Secret", false))
	secret, err := w.db.Workspace(ctx, "debusine", "Secret")
	w.ok(err)
	_, machine := w.worker("builder")
	w.must(w.db.CreateUser(ctx, "root", "", false))
	yes := true
	w.ok(w.db.SetUser(ctx, "root", nil, &yes))
	root, err := w.db.CreateUserToken(ctx, "root", "", nil)
	w.ok(err)
	w.must2(w.db.SetStaticMetadata(ctx, machine, map[string]any{"site": "bunker 7", "required_tags": []any{
		"task:workspace:debusine:Secret", "task:source-package:embargoed", "task:workspace:debusine:System"}}))
	id, err := w.db.Create(ctx, store.New{WorkspaceID: secret.ID, CreatedBy: 1, TaskType: debusine.WorkerTask, TaskName: "noop", Data: json.RawMessage(`{}`)})
	w.ok(err)
	w.must(w.db.Begin(ctx, store.Delivery{WorkRequest: id, Worker: machine, TaskToken: []byte("x"), Attempt: 1}))

	list := func(token string) (api.Worker, string) {
		var page api.Page[api.Worker]
		a := w.want(200, token, "GET", "worker/", nil, &page)
		return page.Results[0], string(a.body)
	}
	shown, body := list(w.viewer)
	if len(shown.Running) != 0 || shown.RunningCount != 1 {
		t.Errorf("a viewer of another workspace sees running %v of %d", shown.Running, shown.RunningCount)
	}
	for _, leak := range []string{"Secret", "embargoed", "bunker"} {
		if strings.Contains(body, leak) {
			t.Errorf("it sees %q", leak)
		}
	}
	if !slices.Equal(shown.TagsRequired, []string{"task:workspace:debusine:System"}) {
		t.Errorf("it sees the demands %q", shown.TagsRequired)
	}
	for name, token := range map[string]string{"an owner of the scope": w.owner, "a superuser": root} {
		if shown, _ = list(token); !slices.Equal(shown.Running, []int64{id}) {
			t.Errorf("%s sees running %v, not %d", name, shown.Running, id)
		}
	}
	if shown, body = list(root); len(shown.TagsRequired) != 3 || !strings.Contains(body, "bunker 7") {
		t.Errorf("a superuser does not see it all: %s", body)
	}
	var waits api.WorkRequest
	pending, err := w.db.Create(ctx, store.New{WorkspaceID: 1, CreatedBy: 1, TaskType: debusine.WorkerTask, TaskName: "noop", Data: json.RawMessage(`{}`)})
	w.ok(err)
	a := w.want(200, w.viewer, "GET", fmt.Sprintf("work-request/%d/", pending), nil, &waits)
	if strings.Contains(string(a.body), "Secret") || strings.Contains(string(a.body), "embargoed") {
		t.Errorf("what a work request waits for tells of others: %s", a.body)
	}
}
