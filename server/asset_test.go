package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/api"
	"debusine/store"
)

const testKey = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// signingMachine is an enabled signing worker.
func (w *world) signingMachine() string {
	secret := debusine.NewSecret()
	w.must(w.db.Register(w.Context(), store.Registration{Secret: secret, Name: "signer", Exact: true, Enabled: true, Signing: true}))
	return secret
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.db.Pool().Exec(context.Background(), sql, args...)
	w.ok(err)
}

// withKey lets olga and mike sign.
func (w *world) withKey() {
	w.Helper()
	space, err := w.db.Workspace(w.Context(), "debusine", "System")
	w.ok(err)
	w.must(w.db.PutAsset(w.Context(), debusine.Asset{WorkspaceID: space.ID, Data: debusine.SigningKeyData{Purpose: "openpgp", Fingerprint: testKey,
		PublicKey: base64.StdEncoding.EncodeToString([]byte("x"))}}))
	w.ok(w.db.CreateGroup(w.Context(), "debusine", "Signers"))
	w.must(w.db.ChangeMembers(w.Context(), "debusine", "Signers", []string{"olga", "mike"}, nil))
	w.ok(w.db.GrantAsset(w.Context(), testKey, "debusine", "System", "Signers", "signer"))
}

// upload is one of olga's.
func (w *world) upload() (id int64) {
	w.Helper()
	a := w.artifact(w.owner, map[string]string{"hello.changes": "x"})
	w.exec(`UPDATE artifacts SET category = 'debian:upload' WHERE id = $1`, a.ID)
	return a.ID
}

func (w *world) debsign(upload int64) (made api.WorkRequest) {
	w.Helper()
	w.want(200, w.owner, "POST", "work-request/", api.WorkRequestCreate{TaskName: "debsign", Workspace: "System",
		TaskData: json.RawMessage(fmt.Sprintf(`{"unsigned": %d, "key": %q}`, upload, testKey))}, &made)
	return made
}

func TestASigningWorkerAsksForEachSignature(t *testing.T) {
	w := newWorld(t)
	w.withKey()
	machine, upload := w.signingMachine(), w.upload()
	request := w.debsign(upload)
	if request.TaskType != "Signing" {
		t.Errorf("task_type %s", request.TaskType)
	}
	begin := fmt.Sprintf("work-request/%d/begin/", request.ID)
	external, _ := w.worker("builder")
	w.want(200, machine, "PUT", "worker/dynamic-metadata/", map[string]any{}, nil)
	var b api.BeginAnswer
	w.want(200, machine, "POST", begin, api.Begin{TaskToken: []byte("t"), Delivery: 1}, &b)
	if b.Decision != api.Run || b.TaskName != "debsign" {
		t.Fatalf("%+v", b)
	}
	sign := "asset/debusine:signing-key/" + testKey + "/sign_with/"
	var p api.SigningPermit
	w.want(200, b.Token, "POST", sign, api.SignWith{Artifact: upload}, &p)
	if p.User != "olga" || p.Files["hello.changes"] != sum("x") || p.Now.IsZero() {
		t.Errorf("%+v", p)
	}
	w.want(200, b.Token, "POST", sign, api.SignWith{Artifact: upload, File: "hello.changes"}, &p)
	w.want(404, b.Token, "POST", sign, api.SignWith{Artifact: upload, File: "hello.dsc"}, nil)
	for who, token := range map[string]string{"its owner": w.owner, "the machine itself": machine, "a build machine": external} {
		if a := w.call(token, "POST", sign, api.SignWith{Artifact: upload}); a.status < 400 {
			t.Errorf("%s got leave to sign", who)
		}
	}
	w.want(403, b.Token, "POST", sign, api.SignWith{Artifact: upload + 1000}, nil)
	w.want(403, b.Token, "POST", "asset/", api.AssetCreate{Category: debusine.CategorySigningKey}, nil) // it is no generatekey
	var heard api.Heard
	w.want(200, b.Token, "POST", fmt.Sprintf("work-request/%d/heard/", request.ID), nil, &heard)
	w.ok(w.db.RevokeAsset(t.Context(), testKey, "debusine", "System", "Signers", "signer"))
	w.want(403, b.Token, "POST", sign, api.SignWith{Artifact: upload}, nil)
	if !strings.Contains(w.logged.String(), "refused: a signature") {
		t.Error("the refusal is not logged")
	}
}

func TestASigningWorkerBeginsNoBuilds(t *testing.T) {
	w := newWorld(t)
	var build api.WorkRequest
	w.want(200, w.owner, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop", Workspace: "System", TaskData: json.RawMessage(`{}`)}, &build)
	w.want(403, w.signingMachine(), "POST", fmt.Sprintf("work-request/%d/begin/", build.ID), api.Begin{TaskToken: []byte("t"), Delivery: 1}, nil)
}

func TestASecondPersonApproves(t *testing.T) {
	w := newWorld(t)
	w.withKey()
	w.ok(w.db.SetTwoPersons(t.Context(), testKey, true))
	machine, request := w.signingMachine(), w.debsign(w.upload())
	begin := func() (b api.BeginAnswer) {
		w.want(200, machine, "POST", fmt.Sprintf("work-request/%d/begin/", request.ID), api.Begin{TaskToken: []byte("t"), Delivery: 1}, &b)
		return b
	}
	if b := begin(); b.Decision != api.Wait || !strings.Contains(b.Reason, "debusine asset approve") {
		t.Errorf("%+v", b)
	}
	approve := "asset/debusine:signing-key/" + testKey + "/approve/"
	body := api.Approve{WorkRequest: request.ID}
	w.want(403, w.owner, "POST", approve, body, nil)
	w.want(403, w.viewer, "POST", approve, body, nil)
	w.want(404, w.other, "POST", approve, body, nil)
	w.want(204, w.maker, "POST", approve, body, nil)
	if b := begin(); b.Decision != api.Run {
		t.Errorf("%+v", b)
	}
}

func TestGeneratedKeysBecomeAssets(t *testing.T) {
	w := newWorld(t)
	data := json.RawMessage(`{"purpose": "openpgp", "description": "uploads"}`)
	ask := api.WorkRequestCreate{TaskType: "Signing", TaskName: "generatekey", Workspace: "System", TaskData: data}
	w.want(403, w.maker, "POST", "work-request/", ask, nil)
	var request api.WorkRequest
	w.want(200, w.owner, "POST", "work-request/", ask, &request)
	var b api.BeginAnswer
	w.want(200, w.signingMachine(), "POST", fmt.Sprintf("work-request/%d/begin/", request.ID), api.Begin{TaskToken: []byte("t"), Delivery: 1}, &b)
	in := api.AssetCreate{Category: debusine.CategorySigningKey, Data: api.SigningKey{Purpose: "openpgp", Fingerprint: testKey, PublicKey: "eA=="}}
	for range 2 {
		w.want(201, b.Token, "POST", "asset/", in, nil)
	}
	var list api.Page[api.Asset]
	w.want(200, w.viewer, "GET", "asset/?workspace=System", nil, &list)
	if len(list.Results) != 1 || list.Results[0].Data.Fingerprint != testKey || len(list.Results[0].Grants) != 0 || list.Results[0].CreatedBy != "olga" {
		t.Errorf("%+v", list)
	}
	w.want(200, w.other, "GET", "asset/", nil, &list)
	if len(list.Results) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
	w.want(403, w.owner, "POST", "asset/", in, nil) // who enrolls a key says who uses it: administrators alone
}

func TestAdministratorsSayWhoSigns(t *testing.T) {
	takeSteps(t, []step{
		{"user create olga", "made the user olga"},
		{"group create debusine Signers", ""},
		{"key grant " + testKey + " Signers --workspace debusine/System", "!not found"},
		{"key grant " + testKey + " Signers", "!in which workspace?"},
		{"key enroll /nonexistent --workspace debusine/System", "!reading the certificate"},
		{"key enroll /etc/hostname --workspace debusine/System", "!not exactly one OpenPGP key"},
		{"key two-persons " + testKey, "!not found"},
	})
}
