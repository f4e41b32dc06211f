package server

import (
	"strings"
	"testing"

	"debusine/api"
)

func TestSchedulesThroughTheAPI(t *testing.T) {
	w := newWorld(t)
	w.want(201, w.owner, "POST", "workflow-template/System/", api.WorkflowTemplate{Name: "nothing", TaskName: "noop"}, nil)
	var made api.Schedule
	w.want(201, w.owner, "POST", "schedule/System/", api.ScheduleCreate{Name: "weekly", TemplateName: "nothing", Every: "1w"}, &made)
	if made.Every != "7d" || made.CreatedBy != "olga" || made.Workspace != "System" || made.LastRun != nil {
		t.Errorf("%+v", made)
	}
	w.want(409, w.owner, "POST", "schedule/System/", api.ScheduleCreate{Name: "weekly", TemplateName: "nothing", Cron: "0 3 * * *"}, nil)
	var list api.Page[api.Schedule]
	w.want(200, w.viewer, "GET", "schedule/System/", nil, &list)
	if len(list.Results) != 1 || list.Results[0].Name != "weekly" {
		t.Errorf("%+v", list)
	}
	for _, token := range []string{w.viewer, w.maker} {
		w.want(403, token, "POST", "schedule/System/", api.ScheduleCreate{Name: "mine", TemplateName: "nothing", Every: "1w"}, nil)
		w.want(403, token, "PATCH", "schedule/System/weekly/", `{"paused": true}`, nil)
		w.want(403, token, "POST", "schedule/System/weekly/run/", nil, nil)
		w.want(403, token, "DELETE", "schedule/System/weekly/", nil, nil)
	}
	for _, token := range []string{w.other, ""} { // who does not see the workspace learns nothing
		w.want(404, token, "GET", "schedule/System/weekly/", nil, nil)
		w.want(404, token, "POST", "schedule/System/", api.ScheduleCreate{Name: "x", TemplateName: "nothing", Every: "1w"}, nil)
	}
	w.want(200, w.owner, "PATCH", "schedule/System/weekly/", `{"paused": true}`, &made)
	if !made.Paused {
		t.Error("it is not paused")
	}
	w.want(400, w.owner, "PATCH", "schedule/System/weekly/", `{}`, nil)
	w.want(400, w.owner, "PATCH", "schedule/System/weekly/", `{"every": "1d"}`, nil)
	if a := w.want(409, w.owner, "POST", "schedule/System/weekly/run/", nil, nil); !strings.Contains(string(a.body), "nothing was started: no engine") {
		t.Errorf("%s", a.body)
	}
	w.want(204, w.owner, "DELETE", "schedule/System/weekly/", nil, nil)
	w.want(404, w.owner, "GET", "schedule/System/weekly/", nil, nil)
}

func TestSchedulesThatMakeNoSenseLeaveNoTrace(t *testing.T) {
	w := newWorld(t)
	w.want(201, w.owner, "POST", "workflow-template/System/", api.WorkflowTemplate{Name: "nothing", TaskName: "noop"}, nil)
	for body, words := range map[string]string{
		`{"name": "a", "template_name": "nothing"}`:                                               "either every or cron",
		`{"name": "a", "template_name": "nothing", "every": "7d", "cron": "0 3 * * *"}`:           "either every or cron",
		`{"name": "a", "template_name": "nothing", "every": "59s"}`:                               "a minute or more",
		`{"name": "a", "template_name": "nothing", "every": "soon"}`:                              "is not an interval",
		`{"name": "a", "template_name": "nothing", "cron": "0 3 * *"}`:                            "five fields",
		`{"name": "a", "template_name": "nothing", "cron": "0 0 30 2 *"}`:                         "never comes",
		`{"name": "", "template_name": "nothing", "every": "7d"}`:                                 "name must have",
		`{"name": "a/b", "template_name": "nothing", "every": "7d"}`:                              "not acceptable",
		`{"name": "1\n", "template_name": "nothing", "every": "7d"}`:                              "not acceptable",
		`{"name": "a", "every": "7d"}`:                                                            "template_name is missing",
		`{"name": "a", "template_name": "other", "every": "7d"}`:                                  "not found",
		`{"name": "a", "template_name": "nothing", "every": "7d", "task_data": {"children": 3}}`:  "children",
		`{"name": "a", "template_name": "nothing", "every": "7d", "created_by": "root"}`:          "unknown",
		`{"name": "` + strings.Repeat("a", 101) + `", "template_name": "nothing", "every": "7d"}`: "name must have",
	} {
		a := w.call(w.owner, "POST", "schedule/System/", body)
		if a.status != 400 && a.status != 404 || !strings.Contains(string(a.body), words) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	var list api.Page[api.Schedule]
	w.want(200, w.owner, "GET", "schedule/System/", nil, &list)
	if len(list.Results) != 0 {
		t.Errorf("left %+v", list.Results)
	}
}
