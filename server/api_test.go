package server

import (
	"fmt"
	"strings"
	"testing"

	"debusine/api"
)

func TestAnArtifactIsAnnouncedUploadedShownAndDownloaded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	content := map[string]string{"a.txt": "first", "sub/b c.txt": "second", "empty": ""}
	var made api.Artifact
	w.want(201, w.maker, "POST", "artifact/", testArtifact(content), &made)
	if fmt.Sprint(made.FilesToUpload) != "[a.txt sub/b c.txt]" || made.Complete {
		t.Fatalf("to upload %v, complete %v", made.FilesToUpload, made.Complete)
	}
	address := fmt.Sprintf("artifact/%d/", made.ID)
	w.want(404, w.viewer, "GET", address, nil, nil) // not complete: nobody else sees it
	w.want(201, w.maker, "PUT", address+"files/a.txt/", "first", nil)
	w.want(201, w.maker, "PUT", address+"files/sub/b%20c.txt/", "second", nil)
	w.want(200, w.viewer, "GET", address, nil, &made)
	if !made.Complete || len(made.FilesToUpload) != 0 || made.CreatedBy != "mike" {
		t.Fatalf("%+v", made)
	}
	a := w.want(200, w.viewer, "GET", made.Files["sub/b c.txt"].URL, nil, nil)
	if string(a.body) != "second" || a.header.Get("ETag") != `"`+sum("second")+`"` || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(a.header.Get("Content-Disposition"), `"b c.txt"`) {
		t.Errorf("%q %v", a.body, a.header)
	}
	if a = w.want(206, w.viewer, "GET", made.Files["a.txt"].URL, nil, nil, "Range", "bytes=2-"); string(a.body) != "rst" {
		t.Errorf("range: %q", a.body)
	}
	w.want(304, w.viewer, "GET", made.Files["a.txt"].URL, nil, nil, "If-None-Match", `"`+sum("first")+`"`)
	if a = w.want(200, w.viewer, "GET", made.Files["empty"].URL, nil, nil); len(a.body) != 0 {
		t.Errorf("empty: %q", a.body)
	}
	w.want(404, w.other, "GET", address, nil, nil)
	w.want(404, "", "GET", address, nil, nil)
	w.want(404, w.viewer, "GET", address+"files/none", nil, nil)
}

func TestAWorkRequestIsCreatedListedAndAborted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var one api.WorkRequest
	w.want(200, w.maker, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, &one)
	if one.Status != "pending" || one.CreatedBy != "mike" || one.Workspace != "System" || one.Queue == "" {
		t.Fatalf("%+v", one)
	}
	if len(one.MissingTags) == 0 || !strings.Contains(one.WaitingReason, "no enabled worker can take this") {
		t.Errorf("missing %v, reason %q", one.MissingTags, one.WaitingReason)
	}
	if !strings.HasPrefix(one.TemporalURL, "http://ui.invalid/namespaces/debusine/") {
		t.Errorf("url %q", one.TemporalURL)
	}
	address := fmt.Sprintf("work-request/%d/", one.ID)
	w.want(200, w.viewer, "GET", address, nil, nil)
	w.want(404, w.other, "GET", address, nil, nil)
	w.want(403, w.viewer, "POST", address+"abort/", nil, nil)
	w.want(409, w.maker, "POST", address+"retry/", nil, nil)
	w.want(200, w.maker, "POST", address+"abort/", map[string]any{}, &one)
	if one.Status != "aborted" || one.AbortedBy != "mike" {
		t.Errorf("%+v", one)
	}
	var list api.Page[api.WorkRequest]
	w.want(200, w.viewer, "GET", "work-request/?status=aborted&task_type=Worker", nil, &list)
	if len(list.Results) != 1 {
		t.Errorf("%+v", list)
	}
	w.want(200, w.other, "GET", "work-request/", nil, &list)
	if len(list.Results) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
}

func TestListsGoOnFromTheirCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.want(200, w.maker, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, nil)
	}
	var seen []int64
	next := "work-request/?page_size=2"
	for pages := 0; next != ""; pages++ {
		var page api.Page[api.WorkRequest]
		w.want(200, w.viewer, "GET", next, nil, &page)
		for _, r := range page.Results {
			seen = append(seen, r.ID)
		}
		next = ""
		if page.Next != nil {
			next = *page.Next
		}
		if pages > 5 {
			t.Fatal("the list does not end")
		}
	}
	if fmt.Sprint(seen) != "[5 4 3 2 1]" {
		t.Error(seen)
	}
	w.want(400, w.viewer, "GET", "work-request/?cursor=nonsense", nil, nil)
	w.want(400, w.viewer, "GET", "work-request/?page_size=0", nil, nil)
}

func TestATemplateHoldsItsParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	template := `{"name": "small", "task_name": "noop", "static_parameters": {"children": 2}, "runtime_parameters": {"build_architecture": ["amd64"]}, "extra_groups": []}`
	w.want(403, w.maker, "POST", "workflow-template/System/", template, nil)
	for _, unknown := range []string{strings.Replace(template, "children", "childern", 1), strings.Replace(template, "build_arch", "bulid_arch", 1)} {
		if a := w.call(w.owner, "POST", "workflow-template/System/", unknown); a.status != 400 || !strings.Contains(string(a.body), "it takes: ") {
			t.Errorf("a template with a parameter that no workflow has: %d %s", a.status, a.body)
		}
	}
	var made api.WorkflowTemplate
	w.want(201, w.owner, "POST", "workflow-template/System/", template, &made)
	w.want(409, w.owner, "POST", "workflow-template/System/", template, nil)
	start := func(token, data string) answer {
		return w.call(token, "POST", "workflow/", fmt.Sprintf(`{"template_name": "small", "workspace": "System", "task_data": %s}`, data))
	}
	cases := []struct {
		name, token, data string
		status            int
	}{
		{"a contributor starts it", w.maker, `{}`, 201},
		{"an open parameter is taken", w.maker, `{"build_architecture": "amd64"}`, 201},
		{"a value that is not listed is refused", w.maker, `{"build_architecture": "i386"}`, 400},
		{"a parameter that is set in stone is refused", w.maker, `{"children": 3}`, 400},
		{"a parameter that does not exist is refused", w.maker, `{"colour": 3}`, 400},
		{"a viewer may not start it", w.viewer, `{}`, 403},
		{"a stranger does not find it", w.other, `{}`, 404},
	}
	for _, c := range cases {
		if a := start(c.token, c.data); a.status != c.status {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
	w.want(403, w.maker, "POST", "workflow/", `{"task_name": "noop", "task_data": {}}`, nil)
	w.want(201, w.owner, "POST", "workflow/", `{"task_name": "noop", "task_data": {}}`, nil)
	w.want(400, w.owner, "POST", "workflow/", `{"task_name": "noop", "template_name": "small", "task_data": {}}`, nil)
	w.want(200, w.owner, "PATCH", fmt.Sprintf("workflow-template/System/%d/", made.ID), `{"restricted": true, "links": {}}`, &made)
	if !made.Restricted || string(made.StaticParameters["children"]) != "2" {
		t.Errorf("%+v", made)
	}
	if a := start(w.maker, `{}`); a.status != 403 {
		t.Errorf("a restricted template was started by a contributor: %d", a.status)
	}
	w.want(400, w.owner, "PATCH", "workflow-template/System/small/", `{"colour": 1}`, nil)
	w.want(403, w.owner, "PATCH", "workflow-template/System/small/", `{"priority": 1}`, nil)
	w.want(403, w.owner, "POST", "workflow-template/System/", `{"name": "first", "task_name": "noop", "static_parameters": {}, "runtime_parameters": "any", "priority": 10}`, nil)
	w.want(204, w.owner, "DELETE", "workflow-template/System/small/", nil, nil)
	w.want(404, w.owner, "GET", "workflow-template/System/small/", nil, nil)
}

func TestCollectionsTakeWhatTheirCategorySays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want(403, w.maker, "POST", "collection/System/", `{"name": "mine", "category": "debian:environments", "data": {}}`, nil)
	w.want(201, w.owner, "POST", "collection/System/", `{"name": "mine", "category": "debian:environments", "data": {}, "full_history_retention_period": null}`, nil)
	w.want(400, w.owner, "POST", "collection/System/", `{"name": "mine", "category": "debian:colours", "data": {}}`, nil)
	test := w.artifact(w.maker, map[string]string{"x": "y"})
	w.want(400, w.owner, "POST", "collection/System/debian:environments/mine/item/", api.CollectionItemCreate{Artifact: test.ID}, nil)
	data := `{"filename": "t.tar.xz", "vendor": "debian", "codename": "forky", "mirror": "http://mirror.invalid/debian", "components": ["main"], "pkglist": {}, "architecture": "amd64", "with_dev": true, "with_init": false}`
	tarball := testArtifact(map[string]string{"t.tar.xz": "not really"})
	tarball.Category, tarball.Data = "debian:system-tarball", []byte(data)
	var made api.Artifact
	w.want(201, w.owner, "POST", "artifact/", tarball, &made)
	in := api.CollectionItemCreate{Artifact: made.ID, Variables: map[string]any{"backend": "unshare"}}
	w.want(409, w.owner, "POST", "collection/System/debian:environments/mine/item/", in, nil) // not complete
	w.want(201, w.owner, "PUT", fmt.Sprintf("artifact/%d/files/t.tar.xz/", made.ID), "not really", nil)
	var item api.CollectionItem
	w.want(201, w.owner, "POST", "collection/System/debian:environments/mine/item/", in, &item)
	if item.Name != "tarball:forky:amd64::unshare" {
		t.Errorf("name %q", item.Name)
	}
	w.want(409, w.owner, "POST", "collection/System/debian:environments/mine/item/", in, nil)
	w.want(201, w.owner, "POST", "collection/System/debian:environments/mine/item/?replace=1", in, nil)
	var found api.LookupResult
	w.want(200, w.viewer, "POST", "lookup/single/", `{"lookup": "mine/match:codename=forky:architecture=amd64", "workspace": "System", "default_category": "debian:environments", "expect_type": "artifact"}`, &found)
	if found.Artifact == nil || *found.Artifact != made.ID {
		t.Errorf("%+v", found)
	}
	w.want(404, w.viewer, "POST", "lookup/single/", `{"lookup": "mine@debian:environments/match:codename=sid", "workspace": "System"}`, nil)
	w.want(400, w.viewer, "POST", "lookup/single/", `{"lookup": {"a": 1}, "workspace": "System"}`, nil)
	w.want(200, w.viewer, "GET", "collection/System/debian:environments/mine/item/tarball:forky:amd64::unshare/", nil, nil)
	w.want(204, w.owner, "DELETE", "collection/System/debian:environments/mine/item/tarball:forky:amd64::unshare/", nil, nil)
	w.want(404, w.owner, "DELETE", "collection/System/debian:environments/mine/item/tarball:forky:amd64::unshare/", nil, nil)
	w.want(404, w.other, "GET", "collection/System/", nil, nil)
}

func TestRelationsJoinWhatMayBeSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.artifact(w.maker, map[string]string{"a": "1"}), w.artifact(w.maker, map[string]string{"b": "2"})
	in := api.Relation{Artifact: a.ID, Target: b.ID, Type: "relates-to"}
	w.want(403, w.viewer, "POST", "artifact-relation/", in, nil)
	var made api.Relation
	w.want(201, w.maker, "POST", "artifact-relation/", in, &made)
	w.want(200, w.maker, "POST", "artifact-relation/", in, nil)
	w.want(400, w.maker, "POST", "artifact-relation/", api.Relation{Artifact: a.ID, Target: b.ID, Type: "loves"}, nil)
	w.want(400, w.maker, "POST", "artifact-relation/", api.Relation{Artifact: a.ID, Target: a.ID, Type: "extends"}, nil)
	w.want(404, w.maker, "POST", "artifact-relation/", api.Relation{Artifact: a.ID, Target: 999, Type: "extends"}, nil)
	var list []api.Relation
	w.want(200, w.viewer, "GET", fmt.Sprintf("artifact-relation/?target_artifact=%d", b.ID), nil, &list)
	if len(list) != 1 || list[0] != made {
		t.Errorf("%+v", list)
	}
	w.want(404, w.other, "GET", fmt.Sprintf("artifact-relation/?artifact=%d", a.ID), nil, nil)
	w.want(400, w.viewer, "GET", "artifact-relation/", nil, nil)
	w.want(403, w.maker, "DELETE", fmt.Sprintf("artifact-relation/%d/", made.ID), nil, nil)
	w.want(204, w.owner, "DELETE", fmt.Sprintf("artifact-relation/%d/", made.ID), nil, nil)
}
