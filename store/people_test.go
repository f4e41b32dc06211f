package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"debusine"
	"debusine/store"
	"debusine/store/storetest"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isMissing(err error) bool   { return errors.As(err, new(debusine.Missing)) }
func isInvalid(err error) bool   { return errors.As(err, new(debusine.Invalid)) }
func isConflict(err error) bool  { return errors.As(err, new(debusine.Conflict)) }
func isForbidden(err error) bool { return errors.As(err, new(debusine.Forbidden)) }

func TestTheFirstUserOwnsTheScope(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	owner, err := db.CreateUser(ctx, "first", "", false)
	if err != nil || !owner {
		t.Fatal(owner, err)
	}
	owner, err = db.CreateUser(ctx, "second", "s@example.org", false)
	if err != nil || owner {
		t.Fatal(owner, err)
	}
	if _, err := db.CreateUser(ctx, "second", "", false); !isConflict(err) {
		t.Error(err)
	}
	for _, bad := range []string{"", "123", "a b", "-x"} {
		if _, err := db.CreateUser(ctx, bad, "", false); !isInvalid(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	secret, err := db.CreateUserToken(ctx, "first", "laptop", nil)
	check(t, err)
	p, err := db.Principal(ctx, secret)
	check(t, err)
	w, err := db.Workspace(ctx, "debusine", "System")
	check(t, err)
	if p.Kind != debusine.Person || p.User != "first" || p.ScopeRoles[w.ScopeID] != debusine.Owner {
		t.Errorf("%+v", p)
	}
	users, err := db.Users(ctx)
	if err != nil || len(users) != 2 || users[1].Email != "s@example.org" {
		t.Errorf("%+v %v", users, err)
	}
}

func TestATokenThatIsNotGoodOpensNothing(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	_, err := db.CreateUser(ctx, "mike", "", false)
	check(t, err)
	past := time.Now().Add(-time.Minute)
	expired, err := db.CreateUserToken(ctx, "mike", "", &past)
	check(t, err)
	good, err := db.CreateUserToken(ctx, "mike", "", nil)
	check(t, err)
	for _, secret := range []string{"", "nonsense", expired, debusine.HashSecret(good)} {
		if _, err := db.Principal(ctx, secret); !isMissing(err) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	inactive := false
	check(t, db.SetUser(ctx, "mike", &inactive, nil))
	if _, err := db.Principal(ctx, good); !isMissing(err) {
		t.Errorf("an inactive user's token: %v", err)
	}
	active := true
	check(t, db.SetUser(ctx, "mike", &active, nil))
	tokens, err := db.Tokens(ctx, "mike")
	if err != nil || len(tokens) != 2 {
		t.Fatalf("%+v %v", tokens, err)
	}
	check(t, db.DeleteToken(ctx, tokens[1].ID))
	if _, err := db.Principal(ctx, good); !isMissing(err) {
		t.Errorf("a deleted token: %v", err)
	}
	if err := db.DeleteToken(ctx, tokens[1].ID); !isMissing(err) {
		t.Error(err)
	}
	if _, err := db.CreateUserToken(ctx, "_system", "", nil); !isMissing(err) {
		t.Errorf("the system's user got a token: %v", err)
	}
	if err := db.SetUser(ctx, "nobody", &active, nil); !isMissing(err) {
		t.Error(err)
	}
}

func TestGroupsCarryRoles(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	check(t, db.CreateScope(ctx, "kali", ""))
	check(t, db.CreateWorkspace(ctx, "kali", "Main", true))
	check(t, db.CreateGroup(ctx, "kali", "Makers"))
	for _, user := range []string{"first", "mike"} {
		_, err := db.CreateUser(ctx, user, "", false)
		check(t, err)
	}
	check(t, db.Grant(ctx, "kali", "Main", "Makers", "viewer"))
	check(t, db.Grant(ctx, "kali", "Main", "Makers", "contributor"))
	check(t, db.Grant(ctx, "kali", "", "Makers", "observer"))
	members, err := db.ChangeMembers(ctx, "kali", "Makers", []string{"mike"}, nil)
	if err != nil || fmt.Sprint(members) != "[mike]" {
		t.Fatal(members, err)
	}
	everybody, err := db.ChangeMembers(ctx, "kali", "Members", nil, nil)
	if err != nil || fmt.Sprint(everybody) != "[mike]" {
		t.Error(everybody, err)
	}
	secret, err := db.CreateUserToken(ctx, "mike", "", nil)
	check(t, err)
	p, err := db.Principal(ctx, secret)
	check(t, err)
	w, err := db.Workspace(ctx, "kali", "Main")
	check(t, err)
	if p.WorkspaceRoles[w.ID] != debusine.Contributor || p.ScopeRoles[w.ScopeID] != debusine.Viewer || !w.Public {
		t.Errorf("%+v", p)
	}
	if _, err := db.Collection(ctx, w.ID, "debian:package-build-logs", "_"); err != nil {
		t.Errorf("a new workspace has no build logs: %v", err)
	}
	members, err = db.ChangeMembers(ctx, "kali", "Makers", nil, []string{"mike"})
	if err != nil || len(members) != 0 {
		t.Error(members, err)
	}
	for what, err := range map[string]error{
		"a role that is none":      db.Grant(ctx, "kali", "Main", "Makers", "king"),
		"a scope's role elsewhere": db.Grant(ctx, "kali", "", "Makers", "contributor"),
		"a reserved name":          db.CreateWorkspace(ctx, "kali", "artifact", false),
		"a scope with a slash":     db.CreateScope(ctx, "a/b", ""),
	} {
		if !isInvalid(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"no such scope":     db.CreateWorkspace(ctx, "none", "Main", false),
		"no such group":     db.Grant(ctx, "kali", "Main", "None", "owner"),
		"no such workspace": db.Grant(ctx, "kali", "None", "Makers", "owner"),
		"no such scope's":   db.CreateGroup(ctx, "none", "x"),
	} {
		if !isMissing(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := db.ChangeMembers(ctx, "kali", "Makers", []string{"nobody"}, nil); !isMissing(err) {
		t.Error(err)
	}
	scopes, err := db.Scopes(ctx)
	if err != nil || len(scopes) != 2 || scopes[1].Label != "Kali" {
		t.Errorf("%+v %v", scopes, err)
	}
	list, err := db.Workspaces(ctx)
	if err != nil || len(list) != 2 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestAnAttemptIsToldByItsTokenAndItsInputs(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t), t.Context()
	id, _, beginning := attemptOf(t, db, "noop")
	_, err := db.Pool().Exec(ctx, `UPDATE work_requests SET dynamic_task_data =
		'{"environment_id": 7, "input_source_artifact_id": 8, "input_extra_binary_artifacts_ids": [9, 10], "input_word": "x", "subject_id": 99, "input_none_id": null}' WHERE id = $1`, id)
	check(t, err)
	p, err := db.Principal(ctx, beginning.Secret)
	check(t, err)
	inputs := map[int64]bool{}
	for _, i := range p.Inputs {
		inputs[i] = true
	}
	if p.Kind != debusine.Attempt || p.WorkRequest != id || !p.Enabled || fmt.Sprint(inputs) != "map[7:true 8:true 9:true 10:true]" {
		t.Errorf("%+v", p)
	}
	_, err = db.Complete(ctx, beginning.AttemptID, debusine.Success, nil)
	check(t, err)
	if p, err = db.Principal(ctx, beginning.Secret); err != nil || p.Ending != "completed" {
		t.Errorf("%+v %v", p, err)
	}
}

// attemptOf makes a work request of a task without input and has a new worker
// begin it.
func attemptOf(t *testing.T, db *store.DB, task string) (id, worker int64, b store.Beginning) {
	t.Helper()
	ctx := t.Context()
	w, err := db.Workspace(ctx, "debusine", "System")
	check(t, err)
	var user int64
	check(t, db.Pool().QueryRow(ctx, `SELECT id FROM users WHERE username = '_system'`).Scan(&user))
	id, err = db.Create(ctx, store.New{WorkspaceID: w.ID, CreatedBy: user, TaskType: debusine.WorkerTask, TaskName: task})
	check(t, err)
	m, err := db.Register(ctx, store.Registration{Secret: debusine.NewSecret(), Name: fmt.Sprint("builder-", id), Enabled: true})
	check(t, err)
	b, err = db.Begin(ctx, store.Delivery{WorkRequest: id, Worker: m.ID, TaskToken: fmt.Append(nil, "delivery ", id), Attempt: 1})
	check(t, err)
	return id, m.ID, b
}
