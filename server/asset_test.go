package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

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
	if !p.HasPermission || p.UserID == 0 || p.Resource != (api.SignedResource{Artifact: upload, WorkRequest: request.ID, Workspace: "debusine/System"}) {
		t.Errorf("%+v", p)
	}
	w.want(200, b.Token, "POST", "asset/debusine:signing-key/openpgp:"+testKey+"/sign_with/", api.SignWith{Artifact: upload, WorkRequest: request.ID, Workspace: "System"}, nil)
	w.want(403, b.Token, "POST", sign, api.SignWith{Artifact: upload, WorkRequest: request.ID + 1}, nil)
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
	fingerprint, public := certificate(t)
	in := api.AssetCreate{Category: debusine.CategorySigningKey, Data: api.SigningKey{Purpose: "openpgp", Fingerprint: fingerprint, PublicKey: public}}
	lie := in
	lie.Data.Fingerprint = testKey
	w.want(400, b.Token, "POST", "asset/", lie, nil)
	for range 2 {
		w.want(201, b.Token, "POST", "asset/", in, nil)
	}
	var list []api.Asset
	w.want(200, w.viewer, "GET", "asset/?workspace=System", nil, &list)
	if len(list) != 1 || list[0].Data.Fingerprint != fingerprint || len(list[0].Grants) != 0 || list[0].CreatedBy != "olga" {
		t.Fatalf("%+v", list)
	}
	made := list[0]
	for query, found := range map[string]int{fmt.Sprintf("work_request=%d", request.ID): 1, fmt.Sprintf("asset=%d", made.ID): 1, "fingerprint=" + strings.ToLower(fingerprint): 1,
		fmt.Sprintf("work_request=%d", request.ID+1): 0, fmt.Sprintf("asset=%d", made.ID+1): 0, "fingerprint=" + testKey: 0} {
		w.want(200, w.viewer, "GET", "asset/?"+query, nil, &list)
		if len(list) != found {
			t.Errorf("%s: %+v", query, list)
		}
	}
	w.want(200, w.other, "GET", "asset/", nil, &list)
	if len(list) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
}

// certificate is that of a key that nobody has.
func certificate(t *testing.T) (fingerprint, public string) {
	t.Helper()
	entity, err := openpgp.NewEntity("test", "", "test@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := entity.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint), base64.StdEncoding.EncodeToString(out.Bytes())
}

func TestAnOwnerBringsAKeyWithWhichNobodyMaySign(t *testing.T) {
	w := newWorld(t)
	fingerprint, public := certificate(t)
	in := api.AssetCreate{Category: debusine.CategorySigningKey, Workspace: "System", Data: api.SigningKey{Purpose: "openpgp", Fingerprint: fingerprint, PublicKey: public}}
	w.want(403, w.maker, "POST", "asset/", in, nil)
	w.want(403, w.viewer, "POST", "asset/", in, nil)
	for what, change := range map[string]func(*api.AssetCreate){
		"another's fingerprint":         func(in *api.AssetCreate) { in.Data.Fingerprint = testKey },
		"a certificate that is none":    func(in *api.AssetCreate) { in.Data.PublicKey = "eA==" },
		"for a purpose of another form": func(in *api.AssetCreate) { in.Data.Purpose = "uefi" },
		"a purpose that is none":        func(in *api.AssetCreate) { in.Data.Purpose = "everything" },
		"a category that is none":       func(in *api.AssetCreate) { in.Category = "debian:apt-authentication" },
		"in a work request's name":      func(in *api.AssetCreate) { in.WorkRequest = 1 },
	} {
		wrong := in
		change(&wrong)
		if a := w.call(w.owner, "POST", "asset/", wrong); a.status != 400 && a.status != 403 {
			t.Errorf("%s: %d", what, a.status)
		}
	}
	var made api.Asset
	w.want(201, w.owner, "POST", "asset/", in, &made)
	if made.CreatedBy != "olga" || len(made.Grants) != 0 || made.CreatedByWorkRequest != nil {
		t.Errorf("%+v", made)
	}
	w.want(409, w.owner, "POST", "asset/", in, nil)
}

// Who asks is told what the signature waits for, with the command to copy.
func TestAWaitingSignatureSaysWhatItWaitsFor(t *testing.T) {
	w := newWorld(t)
	w.withKey()
	request := w.debsign(w.upload())
	path := fmt.Sprintf("work-request/%d/", request.ID)
	reason := func() string {
		var shown api.WorkRequest
		w.want(200, w.viewer, "GET", path, nil, &shown)
		return shown.WaitingReason
	}
	w.worker("builder") // it signs nothing
	if got := reason(); got != "no enabled worker can take this: no signing worker is enabled" {
		t.Errorf("without a signing worker: %q", got)
	}
	w.signingMachine()
	time.Sleep(1100 * time.Millisecond) // what machines are there is remembered for a second
	if got := reason(); got != "waits for a worker to be free" {
		t.Errorf("with one: %q", got)
	}
	w.ok(w.db.SetTwoPersons(t.Context(), testKey, true))
	if got, want := reason(), fmt.Sprintf("debusine asset approve %s %d", testKey, request.ID); !strings.Contains(got, want) {
		t.Errorf("with two persons: %q lacks %q", got, want)
	}
}

// A signing worker alone is no machine for builds.
func TestASigningWorkerIsNoBuildMachine(t *testing.T) {
	w := newWorld(t)
	w.signingMachine()
	var build, shown api.WorkRequest
	w.want(200, w.owner, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop", Workspace: "System", TaskData: json.RawMessage(`{}`)}, &build)
	w.want(200, w.owner, "GET", fmt.Sprintf("work-request/%d/", build.ID), nil, &shown)
	if shown.WaitingReason != "no enabled worker can take this: none is enabled" {
		t.Errorf("%q", shown.WaitingReason)
	}
}

func TestAdministratorsSayWhoSigns(t *testing.T) {
	takeSteps(t, []step{
		{"user create olga", "made the user olga"},
		{"group create debusine/Signers", ""},
		{"key grant " + testKey + " Signers --workspace debusine/System", "!not found"},
		{"key grant " + testKey + " Signers", "!in which workspace?"},
		{"key enroll /nonexistent --workspace debusine/System", "!reading the certificate"},
		{"key enroll /etc/hostname --workspace debusine/System", "!not exactly one OpenPGP key"},
		{"key two-persons " + testKey, "!not found"},
		{"key role " + testKey + " Signers", "!not found"},
		{"key role " + testKey, "!needs FINGERPRINT GROUP"},
	})
}

// What is not read must not look as if it had been.
func TestAdministratorsAreToldOfAnArgumentTooMany(t *testing.T) {
	takeSteps(t, []step{
		{"user create olga olga@example.org root", "!debusine admin … create takes NAME [EMAIL] alone: \"root\" is one too many\nhint: debusine admin … create --help"},
		{"user list olga", "!list takes no arguments"},
		{"key grant " + testKey + " Signers Others --workspace debusine/System", "!\"Others\" is one too many"},
		{"key list all", "!debusine admin key list takes no arguments"},
		{"group create debusine/Signers", ""},
	})
}
