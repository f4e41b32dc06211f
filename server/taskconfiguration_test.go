package server

import (
	"strings"
	"testing"

	"debusine/api"
)

func TestATaskConfigurationIsPushedPulledAndExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const address = "task-configuration/System/default/"
	w.want(404, w.viewer, "GET", address, nil, nil)
	body := `{"collection": {"id": 0, "name": "default", "data": {"git_commit": "0123456789012345678901234567890123456789"}}, "dry_run": false, "items": [
		{"task_type": "Worker", "task_name": "sbuild", "subject": "linux", "require_tags": ["worker:class:big"], "path": "a.yaml", "template": null, "context": null, "tags_provided": []},
		{"template": "t"}]}`
	w.want(403, w.maker, "POST", address, body, nil)
	w.want(404, w.other, "POST", address, body, nil)
	var counts api.TaskConfigurationCounts
	w.want(200, w.owner, "POST", address, strings.Replace(body, `"dry_run": false`, `"dry_run": true`, 1), &counts)
	w.want(404, w.viewer, "GET", address, nil, nil)
	w.want(200, w.owner, "POST", address, body, &counts)
	if counts != (api.TaskConfigurationCounts{Added: 2}) {
		t.Errorf("%+v", counts)
	}
	var pulled api.TaskConfiguration
	w.want(200, w.viewer, "GET", address, nil, &pulled)
	if len(pulled.Items) != 2 || pulled.Collection.Name != "default" || pulled.Collection.Data["git_commit"] == "" {
		t.Errorf("%+v", pulled)
	}
	var explained api.TaskConfigurationAnswer
	w.want(200, w.viewer, "POST", address+"explain/", `{"task_name": "sbuild", "subject": "linux", "task_data": {"backend": null}}`, &explained)
	if len(explained.Steps) != 1 || !strings.Contains(explained.Steps[0].Where, "a.yaml, entry 1") || strings.Join(explained.RequireTags, "") != "worker:class:big" {
		t.Errorf("%+v", explained)
	}
	for name, bad := range map[string]string{
		"an unknown field":  `{"collection": {}, "items": [{"task_type": "Worker", "task_name": "sbuild", "override": {}}]}`,
		"another name":      `{"collection": {"name": "other"}, "items": []}`,
		"a path that leads": `{"collection": {}, "items": [{"template": "x", "path": "../x.yaml"}]}`,
		"no commit of git":  `{"collection": {"data": {"git_commit": "--upload-pack=x"}}, "items": []}`,
		"a circle":          `{"collection": {}, "items": [{"template": "x", "use_templates": ["x"]}]}`,
	} {
		if a := w.want(400, w.owner, "POST", address, bad, nil); a.problem().Title == "" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	w.want(200, w.viewer, "GET", address, nil, &pulled)
	if len(pulled.Items) != 2 {
		t.Errorf("what was refused has left a trace: %+v", pulled)
	}
}

func TestAScopeThatDoesNotExistIsNoEmptyList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, list := range []string{"artifact/", "work-request/"} {
		w.want(200, w.owner, "GET", list, nil, nil)
		if a := w.want(404, w.owner, "GET", list, nil, nil, "X-Debusine-Scope", "nope"); !strings.Contains(string(a.body), "nope") {
			t.Errorf("%s: %s", list, a.body)
		}
	}
}
