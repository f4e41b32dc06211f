package debusine

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what sort of token a request came with.
type Kind string

// The kinds of principals.
const (
	Anonymous Kind = ""             // no token at all
	Person    Kind = "user"         // a user token
	Machine   Kind = "worker"       // a worker token
	Attempt   Kind = "work-request" // the token of one attempt at a work request
)

// Role is what a principal is to a workspace, or to its scope. Each role
// contains those after it.
type Role int

// The roles, least first. Observer, of a scope, reads every workspace.
const (
	Nobody Role = iota
	Viewer
	Contributor
	Owner
)

// Principal is who asks: what the store found out about the request's token.
type Principal struct {
	Kind      Kind
	User      string // username
	UserID    int64
	Superuser bool
	// Roles of the user's groups, by id.
	ScopeRoles, WorkspaceRoles map[int64]Role

	WorkerID int64 // of a machine, and of an attempt
	Worker   string
	Enabled  bool // an administrator has enabled the machine

	AttemptID   int64
	WorkRequest int64
	Workspace   int64   // of the attempt's work request
	Inputs      []int64 // artifacts that the work request declares
	Aborted     bool    // the work request was aborted; its log may still come
	Ending      string  // how the attempt ended; empty while it is open
}

// Resource is what a right is asked for. What names it in the faults.
type Resource struct {
	What        string // "artifact 12"
	Scope       int64
	Workspace   int64
	Public      bool  // the workspace is
	Artifact    int64 // the artifact's id, if it is one
	WorkRequest int64 // the work request itself, or the one that made the artifact
	AttemptID   int64 // that made the artifact
	CreatedBy   int64 // user
	Hidden      bool  // only its maker sees it: incomplete, or of an attempt that has not completed
	Restricted  bool  // template that contributors may not start
}

// Verb is something that can be done to a resource.
type Verb string

// The verbs. Each HTTP route names exactly one.
const (
	Anything          Verb = "anything"          // what everybody may, with any token or none
	ReadOwn           Verb = "read-own"          // lists that show what the principal may see
	ReadWorkspace     Verb = "read-workspace"    // and its collections and templates
	ConfigureSpace    Verb = "configure"         // collections, templates
	ReadArtifact      Verb = "read-artifact"     // data and files
	CreateArtifact    Verb = "create-artifact"   // in a workspace
	UploadFile        Verb = "upload-file"       // to an artifact that is not complete
	CreateRelation    Verb = "create-relation"   // from an artifact
	DeleteRelation    Verb = "delete-relation"   //
	CreateWorkRequest Verb = "create-work"       // in a workspace
	StartWorkflow     Verb = "start-workflow"    // from a template
	StartBareWorkflow Verb = "start-bare"        // without a template
	ReadWorkRequest   Verb = "read-work"         // and its log
	RetryWorkRequest  Verb = "retry"             //
	AbortWorkRequest  Verb = "abort"             //
	SetPriority       Verb = "set-priority"      // zero or less
	RaisePriority     Verb = "raise-priority"    // above zero
	ReadWorkers       Verb = "read-workers"      // the list of machines
	TellMetadata      Verb = "tell-metadata"     // a machine, of itself
	BeginWork         Verb = "begin"             // a machine
	CompleteWork      Verb = "complete"          // an attempt, its own
	AppendWorkLog     Verb = "append-log"        //
	SignWith          Verb = "sign-with"         // an attempt, in its work request's name; the store judges
	CreateAsset       Verb = "create-asset"      // an attempt, of the key that it made; a person, of one that is elsewhere
	ApproveSignature  Verb = "approve"           // a second person; the store judges
	ReadAsset         Verb = "read-asset"        // the store judges
	ManageAsset       Verb = "manage-asset"      // its owners; the store judges
	ProvideSignature  Verb = "provide-signature" // the creator alone
	RegisterWorker    Verb = "register-worker"   // a machine that nobody knows yet
)

// right says who may do a verb.
type right struct {
	everybody bool                                // any principal
	people    bool                                // users, and those without a token
	person    bool                                // any user
	least     Role                                // users: the role in the workspace that suffices
	creator   bool                                // users: who made the thing may, too, while a contributor
	own       bool                                // users: who made the thing alone, while a contributor; not even an administrator
	superuser bool                                // users: only superusers
	machine   bool                                // enabled machines
	attempt   func(p Principal, on Resource) bool // attempts
	words     string                              // who may, for the fault: "a contributor of the workspace"
}

var rights = map[Verb]right{
	Anything:          {everybody: true},
	ReadOwn:           {people: true, words: "a user"},
	RegisterWorker:    {everybody: true},
	ReadWorkers:       {person: true, machine: true, words: "a user"},
	ReadWorkspace:     {least: Viewer, words: "who can see the workspace"},
	ConfigureSpace:    {least: Owner, words: "an owner of the workspace"},
	ReadArtifact:      {least: Viewer, attempt: sees, words: "who can see the workspace"},
	CreateArtifact:    {least: Contributor, attempt: inOwnName, words: "a contributor of the workspace"},
	UploadFile:        {least: Owner, creator: true, attempt: made, words: "who created the artifact"},
	CreateRelation:    {least: Contributor, attempt: made, words: "a contributor of the workspace"},
	DeleteRelation:    {least: Owner, words: "an owner of the workspace"},
	CreateWorkRequest: {least: Contributor, words: "a contributor of the workspace"},
	StartWorkflow:     {least: Contributor, words: "who may start the template"},
	StartBareWorkflow: {least: Owner, words: "an owner of the workspace"},
	ReadWorkRequest:   {least: Viewer, attempt: itself, words: "who can see the workspace"},
	RetryWorkRequest:  {least: Contributor, words: "a contributor of the workspace"},
	AbortWorkRequest:  {least: Owner, creator: true, words: "who created the work request, or an owner of the workspace"},
	SetPriority:       {least: Owner, creator: true, words: "who created the work request, or an owner of the workspace"},
	RaisePriority:     {superuser: true, words: "an administrator"},
	TellMetadata:      {machine: true, words: "a worker"},
	BeginWork:         {machine: true, words: "a worker"},
	CompleteWork:      {attempt: itself, words: "the worker that runs it"},
	SignWith:          {attempt: itself, words: "the signing worker that runs it"},
	CreateAsset:       {least: Owner, attempt: itself, words: "an owner of the workspace, or the signing worker that made the key"},
	ApproveSignature:  {person: true, words: "a user"},
	ReadAsset:         {person: true, words: "a user"},
	ManageAsset:       {person: true, words: "a user"},
	ProvideSignature:  {own: true, words: "who created the work request"},
	AppendWorkLog:     {attempt: itself, words: "the worker that runs it"},
}

// Verbs are all verbs that there are, sorted.
func Verbs() []Verb {
	verbs := make([]Verb, 0, len(rights))
	for v := range rights {
		verbs = append(verbs, v)
	}
	slices.Sort(verbs)
	return verbs
}

// Role is what the principal is to the workspace of the resource.
func (p Principal) Role(on Resource) Role {
	role := Nobody
	if on.Public {
		role = Viewer
	}
	switch {
	case p.Kind != Person:
		if p.Kind != Anonymous {
			return Nobody // tokens of machines open nothing, not even what is public
		}
		return role
	case p.Superuser:
		return Owner
	}
	return max(role, p.ScopeRoles[on.Scope], p.WorkspaceRoles[on.Workspace])
}

// Sees says whether the principal may know that the resource exists.
func (p Principal) Sees(on Resource) bool {
	switch p.Kind {
	case Attempt:
		return sees(p, on) || itself(p, on) || (on.Artifact == 0 && on.WorkRequest == 0 && on.Workspace == p.Workspace)
	case Machine:
		return false
	}
	role := p.Role(on)
	if on.Hidden {
		return p.Kind == Person && (role >= Owner || (on.CreatedBy == p.UserID && on.AttemptID == 0 && role >= Contributor))
	}
	return role >= Viewer
}

// Allow says whether the principal may do verb to the resource: nil when it
// may, Missing when it may not even see it, Forbidden when it sees it.
func (p Principal) Allow(verb Verb, on Resource) error {
	r, ok := rights[verb]
	if !ok {
		return fmt.Errorf("no right is defined for %q", verb)
	}
	if r.everybody || (r.people && (p.Kind == Person || p.Kind == Anonymous)) || p.has(r, verb, on) {
		return nil
	}
	if on.What != "" && !p.Sees(on) {
		return Missing{What: on.What, Hint: p.missingHint()}
	}
	f := Forbidden{What: fmt.Sprintf("only %s may do this (%s)", r.words, strings.ReplaceAll(string(verb), "-", " "))}
	if p.Kind == Anonymous {
		f.Hint = "send a token"
	}
	return f
}

func (p Principal) missingHint() string {
	if p.Kind == Anonymous {
		return "without a token only public workspaces can be seen"
	}
	return ""
}

func (p Principal) has(r right, verb Verb, on Resource) bool {
	switch p.Kind {
	case Machine:
		return r.machine && p.Enabled
	case Attempt:
		return r.attempt != nil && p.attemptMay(verb) && r.attempt(p, on)
	case Anonymous:
		// Reading is all that the public may.
		return r.least == Viewer && !on.Hidden && p.Role(on) >= Viewer
	}
	if r.person {
		return true
	}
	if r.own {
		return on.CreatedBy == p.UserID && on.AttemptID == 0 && p.Role(on) >= Contributor
	}
	if r.superuser || p.Superuser {
		return p.Superuser && (r.least > Nobody || r.superuser)
	}
	if r.least == Nobody {
		return false
	}
	least := r.least
	if on.Restricted && verb == StartWorkflow {
		least = Owner
	}
	role := p.Role(on)
	if on.Hidden && !p.Sees(on) {
		return false
	}
	return role >= least || (r.creator && on.CreatedBy == p.UserID && on.AttemptID == 0 && role >= Contributor)
}

// attemptMay bars an attempt that has ended from everything but saying again
// how it ended, which the engine then answers.
func (p Principal) attemptMay(verb Verb) bool {
	return p.Ending == "" || verb == CompleteWork
}

// sees: the declared inputs, and what the attempt made itself.
func sees(p Principal, on Resource) bool {
	return on.Artifact != 0 && (slices.Contains(p.Inputs, on.Artifact) || made(p, on))
}

// made: an artifact of this very attempt.
func made(p Principal, on Resource) bool {
	return on.Artifact != 0 && on.AttemptID != 0 && on.AttemptID == p.AttemptID
}

// inOwnName: in its own workspace, and with its work request named.
func inOwnName(p Principal, on Resource) bool {
	return on.Workspace == p.Workspace && on.WorkRequest == p.WorkRequest
}

// itself: the attempt's own work request.
func itself(p Principal, on Resource) bool {
	return on.Artifact == 0 && on.WorkRequest != 0 && on.WorkRequest == p.WorkRequest
}
