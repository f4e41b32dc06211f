package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/store"
)

// signingOf is a sign of several artifacts, begun; and its attempt.
func (o *office) signingOf(artifacts ...int64) (workRequest, attempt int64) {
	o.Helper()
	unsigned, err := json.Marshal(artifacts)
	o.must(err)
	id, err := o.Create(o.Context(), store.New{WorkspaceID: o.workspace, CreatedBy: o.user, TaskType: debusine.SigningTask, TaskName: "sign",
		Data: json.RawMessage(fmt.Sprintf(`{"purpose": "openpgp", "unsigned": %s, "key": %q}`, unsigned, testKey))})
	o.must(err)
	b := o.begin(o.deliver(id, 0))
	if b.Verdict != store.RunIt {
		o.Fatalf("begin: %+v", b)
	}
	return id, b.AttemptID
}

// inputBy is an artifact of two files that user made.
func (o *office) inputBy(user int64) (id int64) {
	o.Helper()
	o.one(`INSERT INTO artifacts (category, workspace_id, data, created_by, complete) VALUES ('debusine:signing-input', $1, '{}', $2, true) RETURNING id`, &id, o.workspace, user)
	o.exec(`INSERT INTO artifact_files (artifact_id, path, sha256, size) VALUES ($1, 'a.efi', sha256('a'), 1), ($1, 'b.efi', sha256('b'), 1)`, id)
	return id
}

func TestEachOfSeveralInputsIsJudgedByItself(t *testing.T) {
	o := newOffice(t)
	first, second, foreign, other := o.inputBy(o.user), o.inputBy(o.user), o.inputBy(o.carol), o.inputBy(o.user)
	id, attempt := o.signingOf(first, second, foreign)
	for _, c := range []struct {
		artifact int64
		paths    []string
		files    int
		want     string
	}{
		{first, nil, 2, ""},
		{second, []string{"b.efi"}, 1, ""},
		{second, []string{"c.efi"}, 0, "not found"},
		{second, []string{"../a.efi"}, 0, "not found"},
		{foreign, nil, 0, "neither the output"},
		{foreign, []string{"a.efi"}, 0, "neither the output"},
		{other, nil, 0, "it names others"},
	} {
		p, err := o.SignWith(t.Context(), attempt, id, testKey, c.artifact, c.paths...)
		if len(p.Files) != c.files && err == nil || (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("artifact %d %v: %+v, %v", c.artifact, c.paths, p.Files, err)
		}
	}
	o.must(o.RevokeAsset(t.Context(), testKey, "debusine", "System", "Signers", "signer"))
	if _, err := o.SignWith(t.Context(), attempt, id, testKey, second, "b.efi"); !errors.As(err, new(debusine.Forbidden)) {
		t.Errorf("signed after the grant was revoked: %v", err)
	}
}
