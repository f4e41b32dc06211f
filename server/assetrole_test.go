package server

import (
	"testing"

	"debusine"
	"debusine/api"
)

func TestOwnersOfAKeySayWhoSeesIt(t *testing.T) {
	w := newWorld(t)
	w.withKey()
	roles := "asset/debusine:signing-key/" + testKey + "/role/"
	w.ok(w.db.CreateGroup(t.Context(), "debusine", "Keepers"))
	w.ok(w.db.CreateGroup(t.Context(), "debusine", "Auditors"))
	w.must(w.db.ChangeMembers(t.Context(), "debusine", "Keepers", []string{"mike"}, nil))
	w.must(w.db.ChangeMembers(t.Context(), "debusine", "Auditors", []string{"nina"}, nil))
	outsider := w.other

	auditors := api.AssetGroup{Group: "Auditors", Role: "viewer"}
	for who, c := range map[string]struct {
		token string
		want  int
	}{"an owner of the workspace": {w.owner, 403}, "who may sign": {w.maker, 403}, "who sees the workspace": {w.viewer, 403}, "who sees nothing": {outsider, 404}, "nobody": {"", 403}, "a signing worker": {w.signingMachine(), 403}} {
		if a := w.call(c.token, "POST", roles, auditors); a.status != c.want {
			t.Errorf("%s: %d", who, a.status)
		}
	}
	w.want(404, outsider, "GET", roles, nil, nil)
	w.ok(w.db.SetAssetGroup(t.Context(), 0, testKey, debusine.AssetGroup{Group: "Keepers", Role: "owner"}, true))
	w.want(204, w.maker, "POST", roles, auditors, nil)
	w.want(204, w.maker, "POST", roles, auditors, nil)
	for name, wrong := range map[string]api.AssetGroup{"a right to sign": {Group: "Keepers", Role: "signer"}, "no role": {Group: "Keepers"}} {
		if a := w.call(w.maker, "POST", roles, wrong); a.status != 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	w.want(404, w.maker, "POST", roles, api.AssetGroup{Group: "Others", Role: "viewer"}, nil)

	var groups []api.AssetGroup
	w.want(200, outsider, "GET", "asset/debusine:signing-key/openpgp:"+testKey+"/role/", nil, &groups)
	if len(groups) != 2 || groups[0] != auditors || groups[1] != (api.AssetGroup{Group: "Keepers", Role: "owner"}) {
		t.Errorf("%+v", groups)
	}
	var seen []api.Asset
	w.want(200, outsider, "GET", "asset/", nil, &seen)
	if len(seen) != 1 || len(seen[0].Grants) != 0 {
		t.Errorf("an auditor sees %+v", seen)
	}
	w.want(403, outsider, "POST", roles, api.AssetGroup{Group: "Auditors", Role: "owner"}, nil)
	w.want(403, outsider, "DELETE", roles+"owner/Keepers/", nil, nil)
	w.want(204, w.maker, "DELETE", roles+"viewer/Auditors/", nil, nil)
	w.want(200, outsider, "GET", "asset/", nil, &seen)
	if len(seen) != 0 {
		t.Errorf("whose role was taken away sees %+v", seen)
	}
}
