package store_test

import (
	"errors"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
)

// A certificate is public: whoever posts it first must not keep its key from who
// has it.
func TestWhatAnOwnerPostedGivesWay(t *testing.T) {
	fingerprint := strings.Repeat("D", 40)
	for name, c := range map[string]struct {
		granted bool
		machine bool // a signing worker made the key
		person  bool // another owner posts it again
		refused string
	}{
		"to an administrator":                  {},
		"to the signing worker that made it":   {machine: true},
		"not to another owner":                 {person: true, refused: "exists"},
		"not while a group may sign":           {granted: true, refused: "alice has posted key " + fingerprint},
		"not to a machine while a group may":   {granted: true, machine: true, refused: "alice has posted"},
		"to an owner while a group may: never": {granted: true, person: true, refused: "exists"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			var other int64
			o.one(`INSERT INTO workspaces (scope_id, name) SELECT id, 'Other' FROM scopes RETURNING id`, &other)
			squatter, err := o.PutAsset(t.Context(), debusine.Asset{WorkspaceID: other, Data: keyData("openpgp", fingerprint), CreatedBy: "alice"})
			o.must(err)
			if c.granted {
				o.must(o.GrantAsset(t.Context(), fingerprint, "debusine", "Other", "Signers", "signer"))
			}
			a := debusine.Asset{WorkspaceID: o.workspace, Data: keyData("openpgp", strings.ToLower(fingerprint))}
			if c.machine {
				a.WorkRequest = o.debsign(o.user, o.upload)
			}
			if c.person {
				a.CreatedBy = "carol"
			}
			made, err := o.PutAsset(t.Context(), a)
			if c.refused != "" {
				var conflict debusine.Conflict
				if !errors.As(err, &conflict) || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%+v, %v", made, err)
				}
				if strings.HasPrefix(c.refused, "alice") && !strings.Contains(conflict.Hint, "key revoke "+fingerprint+" --workspace debusine/Other --role signer Signers") {
					t.Errorf("hint %q", conflict.Hint)
				}
				return
			}
			o.must(err)
			list, err := o.Assets(t.Context(), 0, store.AssetFilter{Fingerprint: fingerprint})
			o.must(err)
			if len(list) != 1 || list[0].ID == squatter.ID || list[0].Workspace != "System" || len(list[0].Grants) > 0 {
				t.Errorf("%+v", list)
			}
			// An owner does not get it back.
			if _, err := o.PutAsset(t.Context(), debusine.Asset{WorkspaceID: other, Data: a.Data, CreatedBy: "alice"}); !errors.As(err, new(debusine.Conflict)) {
				t.Errorf("posted again: %v", err)
			}
		})
	}
}

func TestOnlyGrantsOfVisibleWorkspacesAreShown(t *testing.T) {
	o := newOffice(t)
	o.exec(`INSERT INTO workspaces (scope_id, name) SELECT id, 'Embargoed' FROM scopes`)
	o.must(o.CreateGroup(t.Context(), "debusine", "Security"))
	o.must(o.GrantAsset(t.Context(), testKey, "debusine", "Embargoed", "Security", "signer"))
	o.exec(`INSERT INTO workspace_roles (workspace_id, group_id, role) SELECT $1, id, 'viewer' FROM groups WHERE name = 'Signers'`, o.workspace)
	for name, c := range map[string]struct {
		user int64
		want int
	}{"an administrator": {0, 2}, "who sees the key's workspace alone": {o.bob, 1}} {
		list, err := o.Assets(t.Context(), c.user, store.AssetFilter{})
		o.must(err)
		if len(list) != 1 || len(list[0].Grants) != c.want || list[0].Grants[len(list[0].Grants)-1].Workspace != "debusine/System" {
			t.Errorf("%s sees %+v", name, list)
		}
	}
	o.exec(`UPDATE users SET is_superuser = true WHERE id = $1`, o.bob)
	list, err := o.Assets(t.Context(), o.bob, store.AssetFilter{})
	if err != nil || len(list[0].Grants) != 2 {
		t.Errorf("a superuser sees %+v, %v", list, err)
	}
}
