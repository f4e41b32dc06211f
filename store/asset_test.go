package store_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
	"debusine/task"
)

const testKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// office is a world with a key, alice and bob who may sign with it, carol who may
// not, and an upload that alice made.
type office struct {
	*world
	bob, carol, upload int64
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{world: newWorld(t)}
	for name, id := range map[string]*int64{"bob": &o.bob, "carol": &o.carol} {
		o.one(`INSERT INTO users (username) VALUES ($1) RETURNING id`, id, name)
	}
	o.must(o.CreateGroup(t.Context(), "debusine", "Signers"))
	_, err := o.ChangeMembers(t.Context(), "debusine", "Signers", []string{"alice", "bob"}, nil)
	o.must(err)
	_, err = o.PutAsset(t.Context(), debusine.Asset{WorkspaceID: o.workspace, Data: keyData("openpgp", testKey)})
	o.must(err)
	o.must(o.GrantAsset(t.Context(), strings.ToLower(testKey), "debusine", "System", "Signers", "signer"))
	o.upload = o.uploadBy(o.user, 0)
	return o
}

func keyData(purpose, fingerprint string) debusine.SigningKeyData {
	return debusine.SigningKeyData{Purpose: purpose, Fingerprint: fingerprint, PublicKey: base64.StdEncoding.EncodeToString([]byte("public"))}
}

func (o *office) uploadBy(user, workRequest int64) (id int64) {
	o.Helper()
	o.one(`INSERT INTO artifacts (category, workspace_id, data, created_by, created_by_work_request, complete)
		VALUES ('debian:upload', $1, '{"type": "dpkg", "changes_fields": {"Source": "hello", "Version": "1"}}', nullif($2, 0), nullif($3, 0), true) RETURNING id`,
		&id, o.workspace, user, workRequest)
	o.exec(`INSERT INTO artifact_files (artifact_id, path, sha256, size) VALUES ($1, 'hello.changes', sha256('x'), 1)`, id)
	return id
}

// signing is a debsign of an upload for a user, begun; and its attempt.
func (o *office) signing(user, upload int64) (workRequest, attempt int64) {
	o.Helper()
	id := o.debsign(user, upload)
	b := o.begin(o.deliver(id, 0))
	if b.Verdict != store.RunIt {
		o.Fatalf("begin: %+v", b)
	}
	return id, b.AttemptID
}

func (o *office) debsign(user, upload int64) int64 {
	o.Helper()
	id, err := o.Create(o.Context(), store.New{WorkspaceID: o.workspace, CreatedBy: user, TaskType: debusine.SigningTask, TaskName: "debsign",
		Data: json.RawMessage(fmt.Sprintf(`{"unsigned": %d, "key": %q}`, upload, testKey))})
	o.must(err)
	return id
}

func TestASignatureIsJudgedAtItsMoment(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*office, int64) // after the attempt began; gets the work request
		want   string
	}{
		"all is well": {func(*office, int64) {}, ""},
		"the grant was revoked while it waited": {func(o *office, _ int64) {
			o.must(o.RevokeAsset(o.Context(), testKey, "debusine", "System", "Signers", "signer"))
		}, "may not sign with key"},
		"its user left the group":         {func(o *office, _ int64) { o.exec(`DELETE FROM group_members WHERE user_id = $1`, o.user) }, "may not sign"},
		"its user is not active any more": {func(o *office, _ int64) { o.exec(`UPDATE users SET is_active = false WHERE id = $1`, o.user) }, "may not sign"},
		"being a superuser gives no right": {func(o *office, _ int64) {
			o.exec(`UPDATE users SET is_superuser = true`)
			o.exec(`DELETE FROM asset_usage_roles`)
		}, "may not sign"},
		"it was aborted":                {func(o *office, id int64) { _, err := o.Abort(o.Context(), id, o.user); o.must(err) }, "not running any more"},
		"the attempt was lost":          {func(o *office, _ int64) { o.exec(`UPDATE attempts SET ended_at = now(), ending = 'lost'`) }, "not running any more"},
		"the key's asset is gone":       {func(o *office, _ int64) { o.exec(`DELETE FROM assets`) }, "not found"},
		"the upload became incomplete":  {func(o *office, _ int64) { o.exec(`UPDATE artifacts SET complete = false`) }, "neither the output"},
		"the upload is of another user": {func(o *office, _ int64) { o.exec(`UPDATE artifacts SET created_by = $1`, o.carol) }, "neither the output"},
		"the upload is of another workspace": {func(o *office, _ int64) {
			o.exec(`INSERT INTO workspaces (scope_id, name) SELECT id, 'Other' FROM scopes`)
			o.exec(`UPDATE artifacts SET workspace_id = (SELECT id FROM workspaces WHERE name = 'Other')`)
		}, "neither the output"},
		"the right is for another workspace": {func(o *office, _ int64) {
			o.exec(`INSERT INTO workspaces (scope_id, name) SELECT id, 'Other' FROM scopes`)
			o.exec(`UPDATE asset_usages SET workspace_id = (SELECT id FROM workspaces WHERE name = 'Other')`)
		}, "may not sign"},
		"a repository signer signs no uploads": {func(o *office, _ int64) { o.exec(`UPDATE asset_usage_roles SET role = 'repository_signer'`) }, "may not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			id, attempt := o.signing(o.user, o.upload)
			c.change(o, id)
			p, err := o.SignWith(t.Context(), attempt, id, testKey, o.upload)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, not about %q", err, c.want)
				}
				return
			}
			o.must(err)
			if p.User != "alice" || p.MadeBy != 0 || len(p.Files) != 1 || len(p.Files["hello.changes"]) != 64 || p.Artifact != o.upload {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestOnlyWhatTheWorkRequestNamesIsSigned(t *testing.T) {
	o := newOffice(t)
	id, attempt := o.signing(o.user, o.upload)
	other := o.uploadBy(o.user, 0)
	for name, c := range map[string]struct {
		attempt, workRequest, artifact int64
		key                            string
	}{
		"another artifact":              {attempt, id, other, testKey},
		"another key":                   {attempt, id, o.upload, strings.Repeat("B", 40)},
		"another's attempt":             {attempt + 1, id, o.upload, testKey},
		"a work request of a machine":   {attempt, o.create("noop", `{}`), o.upload, testKey},
		"an artifact that is not there": {attempt, id, 4711, testKey},
	} {
		if _, err := o.SignWith(t.Context(), c.attempt, c.workRequest, c.key, c.artifact); err == nil {
			t.Errorf("%s may be signed", name)
		}
	}
}

func TestTheOutputOfAFailedBuildIsNotSigned(t *testing.T) {
	for result, may := range map[string]bool{"success": true, "failure": false, "error": false} {
		t.Run(result, func(t *testing.T) {
			o := newOffice(t)
			built := o.create("noop", `{}`)
			upload := o.uploadBy(0, built)
			id, attempt := o.signing(o.user, upload)
			o.exec(`UPDATE work_requests SET status = 'completed', completed_at = now(), result = $2 WHERE id = $1`, built, result)
			p, err := o.SignWith(t.Context(), attempt, id, testKey, upload)
			if (err == nil) != may || (may && p.MadeBy != built) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func TestTwoPersons(t *testing.T) {
	o := newOffice(t)
	o.must(o.SetTwoPersons(t.Context(), testKey, true))
	id := o.debsign(o.user, o.upload)
	reason, err := o.SigningWaits(t.Context(), id)
	o.must(err)
	if !strings.Contains(reason, fmt.Sprintf("debusine asset approve %s %d", testKey, id)) {
		t.Errorf("waits: %q", reason)
	}
	for name, c := range map[string]struct {
		user int64
		key  string
	}{"who asked": {o.user, testKey}, "who may not sign": {o.carol, testKey}, "with another key": {o.bob, strings.Repeat("B", 40)}} {
		if err := o.ApproveSigning(t.Context(), c.user, c.key, id); err == nil {
			t.Errorf("%s may approve", name)
		}
	}
	b := o.begin(o.deliver(id, 0))
	if _, err := o.SignWith(t.Context(), b.AttemptID, id, testKey, o.upload); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("signed without a second person: %v", err)
	}
	o.must(o.ApproveSigning(t.Context(), o.bob, testKey, id))
	p, err := o.SignWith(t.Context(), b.AttemptID, id, testKey, o.upload)
	if err != nil || len(p.Approvals) != 1 || p.Approvals[0] != "bob" {
		t.Errorf("%+v, %v", p, err)
	}
	// An approval counts only while its user could sign.
	o.exec(`DELETE FROM group_members WHERE user_id = $1`, o.bob)
	if _, err := o.SignWith(t.Context(), b.AttemptID, id, testKey, o.upload); err == nil {
		t.Error("the approval of who may not sign counts")
	}
}

// A template's extra groups lend their right to who starts it.
func TestExtraGroupsSignWithinTheirWorkflow(t *testing.T) {
	o := newOffice(t)
	_, err := o.ChangeMembers(t.Context(), "debusine", "Signers", nil, []string{"alice"})
	o.must(err)
	template, err := o.PutTemplate(t.Context(), debusine.WorkflowTemplate{WorkspaceID: o.workspace, Name: "upload", TaskName: "noop", ExtraGroups: []string{"Signers"}})
	o.must(err)
	got, err := o.Template(t.Context(), o.workspace, "upload")
	if err != nil || len(got.ExtraGroups) != 1 || got.ExtraGroups[0] != "Signers" {
		t.Errorf("%+v, %v", got, err)
	}
	id, attempt := o.signing(o.user, o.upload)
	if _, err := o.SignWith(t.Context(), attempt, id, testKey, o.upload); err == nil {
		t.Error("signed outside of the template's workflow")
	}
	o.exec(`UPDATE work_requests SET workflow_template_id = $2 WHERE id = $1`, id, template)
	if _, err := o.SignWith(t.Context(), attempt, id, testKey, o.upload); err != nil {
		t.Errorf("within it: %v", err)
	}
	var scope int64
	o.one(`SELECT scope_id FROM workspaces WHERE id = $1`, &scope, o.workspace)
	if err := o.CheckExtraGroups(t.Context(), o.user, scope, []string{"Signers"}); !errors.As(err, new(debusine.Forbidden)) {
		t.Errorf("alice lends a group that she is not in: %v", err)
	}
	o.must(o.CheckExtraGroups(t.Context(), o.bob, scope, []string{"Signers"}))
}

func TestAKeyHasOneAsset(t *testing.T) {
	o := newOffice(t)
	again := debusine.Asset{WorkspaceID: o.workspace, Data: keyData("openpgp", testKey)}
	if _, err := o.PutAsset(t.Context(), again); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("a second asset of one key: %v", err)
	}
	made := debusine.Asset{WorkspaceID: o.workspace, Data: keyData("openpgp", strings.Repeat("C", 40)), WorkRequest: o.debsign(o.user, o.upload)}
	first, err := o.PutAsset(t.Context(), made)
	o.must(err)
	second, err := o.PutAsset(t.Context(), made)
	o.must(err)
	if first.ID != second.ID {
		t.Errorf("one work request made %d and %d", first.ID, second.ID)
	}
	list, err := o.Assets(t.Context(), o.user, store.AssetFilter{Scope: "debusine", Workspace: "System"})
	if err != nil || len(list) != 2 || len(list[0].Grants) != 1 || list[0].Grants[0].Group != "Signers" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := o.Assets(t.Context(), o.carol, store.AssetFilter{}); err != nil || len(list) != 0 {
		t.Errorf("carol, who sees no workspace, sees %+v, %v", list, err)
	}
}

func TestSigningWorkIsOnAQueueThatNoMachineIsGiven(t *testing.T) {
	o := newOffice(t)
	id := o.debsign(o.user, o.upload)
	var queue string
	o.one(`SELECT queue FROM work_requests WHERE id = $1`, &queue, id)
	if queue != task.SigningQueue || task.MayPoll(queue) {
		t.Errorf("it is on %s", queue)
	}
	rows, err := o.ReadyRows(t.Context(), []string{task.SigningQueue}, nil, nil, 10)
	if err != nil || len(rows) != 0 {
		t.Errorf("the gateway is told of %+v, %v", rows, err)
	}
	// Not even a machine that says it has every tag that there could be.
	all := map[string]any{task.ProvidedTags: []any{"system:signing", "worker:type:signing", "signing", "queue:signing"}}
	w, ignored, err := o.TellMetadata(t.Context(), o.workers[0], all)
	o.must(err)
	queues, err := o.QueuesOf(t.Context(), w)
	if err != nil || len(queues) != 0 || len(ignored) != 4 {
		t.Errorf("a machine is entitled to %v, ignored %v, %v", queues, ignored, err)
	}
}
