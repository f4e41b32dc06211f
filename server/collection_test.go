package server

import (
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
)

// environment makes the artifact of a system tarball and puts it into
// debian@debian:environments.
func (w *world) environment(codename string) (artifact int64, item api.CollectionItem) {
	w.Helper()
	tarball := testArtifact(map[string]string{"t.tar.xz": "not really"})
	tarball.Category = "debian:system-tarball"
	tarball.Data = fmt.Appendf(nil, `{"filename": "t.tar.xz", "vendor": "debian", "codename": %q, "mirror": "http://mirror.invalid/debian",
		"components": ["main"], "pkglist": {}, "architecture": "amd64", "with_dev": true, "with_init": false}`, codename)
	var made api.Artifact
	w.want(201, w.owner, "POST", "artifact/", tarball, &made)
	if len(made.FilesToUpload) > 0 {
		w.want(201, w.owner, "PUT", fmt.Sprintf("artifact/%d/files/t.tar.xz/", made.ID), "not really", nil)
	}
	w.want(201, w.owner, "POST", "collection/System/debian:environments/debian/item/", api.CollectionItemCreate{Artifact: made.ID}, &item)
	return made.ID, item
}

func TestALookupOfManyIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sid, _ := w.environment("sid")
	forky, _ := w.environment("forky")
	ask := func(lookup, more string) string {
		return `{"workspace": "System", "work_request": null, "expect_type": "any", "default_category": "debian:environments", "lookup": ` + lookup + more + `}`
	}
	var found []api.LookupResult
	w.want(200, w.viewer, "POST", "lookup/multiple/", ask(fmt.Sprintf(`["debian", {"collection": "debian", "data__codename": "sid"}, %d]`, forky), ""), &found)
	if len(found) != 3 || found[0].CollectionInfo == nil || found[0].CollectionInfo.Name != "debian" || *found[1].Artifact != sid ||
		found[1].CollectionItem.Name != "tarball:sid:amd64" || *found[1].ParentCollection != "debian@debian:environments" || *found[2].Artifact != forky {
		t.Errorf("%+v", found)
	}
	for _, r := range found {
		if r.Links["webui_self"] == "" || r.Links["webui_parent_collection"] == "" {
			t.Errorf("Debusine's client asks for links: %+v", r)
		}
	}
	w.want(200, w.viewer, "POST", "lookup/multiple/", ask(`[]`, ""), &found)
	if len(found) != 0 {
		t.Errorf("%+v", found)
	}
	for lookup, status := range map[string]int{
		`{"collection": "nothing"}`: 404,
		`["debian/sid"]`:            404,
		`{"collection": "debian", "error_on_empty": true, "name": "x"}`: 404,
		`"debian"`: 400,
		`{"collection": "debian", "name__regex": "(a*)*$"}`: 400,
		`[[]]`: 400,
		`[{"collection": "debian", "data__a": "\u0000"}]`: 400,
		strings.Repeat("[", 60) + strings.Repeat("]", 60): 400,
		`["` + strings.Repeat("x", 300_000) + `"]`:        400,
	} {
		if a := w.want(status, w.viewer, "POST", "lookup/multiple/", ask(lookup, ""), nil); a.problem().Title == "" && a.problem().Detail == "" {
			t.Errorf("%.60s: no words: %s", lookup, a.body)
		}
	}
	w.want(404, w.other, "POST", "lookup/multiple/", ask(`["debian"]`, ""), nil)
	w.want(404, w.viewer, "POST", "lookup/multiple/", strings.Replace(ask(`["debian"]`, ""), "null", "999", 1), nil)
	w.want(404, w.viewer, "POST", "lookup/single/", `{"lookup": "debian@debian:environments", "workspace": "System", "work_request": -1}`, nil)
}

func TestACollectionIsManagedByItsOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.environment("sid")
	var c api.Collection
	w.want(200, w.viewer, "GET", "collection/System/debian:environments/debian/?stats=1", nil, &c)
	if len(c.Stats) != 1 || c.Stats[0] != (api.CollectionCount{Active: true, Category: "debian:system-tarball", Type: "artifact", Count: 1}) {
		t.Errorf("%+v", c.Stats)
	}
	address := fmt.Sprintf("collection/System/%d/", c.ID)
	w.want(200, w.owner, "GET", address, nil, &c)
	c.FullHistory = new(int)
	*c.FullHistory = 30
	for _, token := range []string{w.viewer, w.maker} {
		w.want(403, token, "PATCH", address, c, nil)
		w.want(403, token, "DELETE", address, nil, nil)
	}
	w.want(404, w.other, "PATCH", address, c, nil)
	w.want(404, w.other, "DELETE", address, nil, nil)
	w.want(200, w.owner, "PATCH", address, c, &c) // the whole, as Debusine's client sends it
	w.want(200, w.owner, "PATCH", address, `{"name": "other"}`, &c)
	if c.Name != "other" || *c.FullHistory != 30 {
		t.Errorf("%+v", c)
	}
	w.want(200, w.owner, "PATCH", address, `{"full_history_retention_period": null}`, &c)
	for _, bad := range []string{`{"category": "debian:suite"}`, `{"id": 77}`, `{"workspace": "x"}`, `{"data": {"a": 1}}`, `{"name": "_"}`, `{"name": "a/b"}`,
		`{"full_history_retention_period": -1}`, `{"metadata_only_retention_period": "long"}`, `{"metadata_only_retention_period": 99999999}`} {
		w.want(400, w.owner, "PATCH", address, bad, nil)
	}
	w.want(404, w.owner, "PATCH", "collection/System/debian:environments/", `{}`, nil)
	w.want(204, w.owner, "DELETE", address, nil, nil)
	w.want(404, w.owner, "DELETE", address, nil, nil)
}

func TestHistoryIsShownToThoseWhoAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, item := w.environment("sid")
	w.want(204, w.owner, "DELETE", "collection/System/debian:environments/debian/item/"+item.Name+"/", nil, nil)
	var list api.Page[api.CollectionItem]
	w.want(200, w.viewer, "GET", "collection/System/debian:environments/debian/item/", nil, &list)
	if len(list.Results) != 0 {
		t.Errorf("%+v", list)
	}
	w.want(200, w.viewer, "GET", "collection/System/debian:environments/debian/item/?removed=1", nil, &list)
	if len(list.Results) != 1 || list.Results[0].RemovedBy != "olga" || list.Results[0].CreatedBy != "olga" || list.Results[0].RemovedAt == nil {
		t.Errorf("%+v", list)
	}
}

func TestAWorkspaceInheritsFromWhatItsOwnerSees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.db.CreateWorkspace(w.Context(), "debusine", "base", true))
	w.ok(w.db.CreateScope(w.Context(), "secret", "Secret"))
	w.ok(w.db.CreateWorkspace(w.Context(), "secret", "hidden", false))
	base, err := w.db.Workspace(w.Context(), "debusine", "base")
	w.ok(err)
	w.ok(w.db.CreateCollection(w.Context(), debusine.Collection{WorkspaceID: base.ID, Category: debusine.CategoryEnvironments, Name: "shared"}))
	const address = "workspace/System/inheritance/"
	w.want(403, w.maker, "POST", address, `{"chain": [{"workspace": "base"}]}`, nil)
	w.want(404, w.other, "GET", address, nil, nil)
	hidden := w.want(404, w.owner, "POST", address, `{"chain": [{"scope": "secret", "workspace": "hidden"}]}`, nil)
	absent := w.want(404, w.owner, "POST", address, `{"chain": [{"scope": "secret", "workspace": "absent"}]}`, nil)
	if hidden.problem().Title != absent.problem().Title {
		t.Errorf("what is hidden shows: %s, %s", hidden.body, absent.body)
	}
	for _, bad := range []string{`{"chain": [{"workspace": "System"}]}`, `{"chain": [{"workspace": "base"}, {"workspace": "base"}]}`, `{"chain": [{}]}`, `{"chain": 5}`} {
		w.want(400, w.owner, "POST", address, bad, nil)
	}
	var chain api.Inheritance
	w.want(200, w.owner, "POST", address, `{"chain": [{"id": null, "scope": null, "workspace": "base"}], "links": {}}`, &chain)
	if len(chain.Chain) != 1 || *chain.Chain[0].ID != base.ID || *chain.Chain[0].Scope != "debusine" {
		t.Errorf("%+v", chain)
	}
	w.want(200, w.viewer, "POST", "lookup/single/", `{"lookup": "shared@debian:environments", "workspace": "System"}`, nil)
	w.want(200, w.owner, "POST", address, `{"chain": []}`, &chain)
	w.want(404, w.viewer, "POST", "lookup/single/", `{"lookup": "shared@debian:environments", "workspace": "System"}`, nil)
	w.want(200, w.viewer, "POST", "lookup/single/", `{"lookup": "//workspace=base/shared@debian:environments", "workspace": "System"}`, nil)
}
