package debusine

import (
	"errors"
	"testing"
)

// What a right is tried on: workspace 10 of scope 1 and what is in it.
const (
	scope, space            = 1, 10
	may, forbidden, missing = "may", "forbidden", "missing"
)

// trial is one attempt to do something.
type trial struct {
	name string
	who  Principal
	verb Verb
	on   Resource
	want string
}

func try(t *testing.T, trials []trial) {
	for _, c := range trials {
		t.Run(c.name, func(t *testing.T) {
			got := may
			switch err := c.who.Allow(c.verb, c.on); {
			case err == nil:
			case errors.As(err, new(Missing)):
				got = missing
			case errors.As(err, new(Forbidden)):
				got = forbidden
			default:
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s, wanted %s", got, c.want)
			}
		})
	}
}

func person(role Role) Principal {
	return Principal{Kind: Person, User: "mike", UserID: 5, WorkspaceRoles: map[int64]Role{space: role}}
}

// inSpace puts a resource into the workspace.
func inSpace(r Resource) Resource {
	r.Scope, r.Workspace = scope, space
	return r
}

func TestRightsOfPeople(t *testing.T) {
	nobody := person(Nobody)
	anonymous := Principal{}
	scopeOwner := Principal{Kind: Person, UserID: 6, ScopeRoles: map[int64]Role{scope: Owner}}
	observer := Principal{Kind: Person, UserID: 7, ScopeRoles: map[int64]Role{scope: Viewer}}
	super := Principal{Kind: Person, UserID: 8, Superuser: true}
	private := inSpace(Resource{What: "workspace"})
	public := inSpace(Resource{What: "workspace", Public: true})
	work := inSpace(Resource{What: "work request 300", WorkRequest: 300, CreatedBy: 5})
	otherWork := inSpace(Resource{What: "work request 301", WorkRequest: 301, CreatedBy: 9})
	foreign := inSpace(Resource{What: "artifact 42", Artifact: 42, CreatedBy: 9})
	made := inSpace(Resource{What: "artifact 43", Artifact: 43, WorkRequest: 300, AttemptID: 30, Hidden: true})
	uploading := inSpace(Resource{What: "artifact 45", Artifact: 45, CreatedBy: 5, Hidden: true})
	restricted := inSpace(Resource{What: "template", Restricted: true})
	try(t, []trial{
		{"anybody may ask who they are", anonymous, Anything, Resource{}, may},
		{"a viewer reads a private workspace", person(Viewer), ReadWorkspace, private, may},
		{"a stranger does not find it", nobody, ReadWorkspace, private, missing},
		{"nor does who has no token", anonymous, ReadWorkspace, private, missing},
		{"everybody reads a public one", anonymous, ReadWorkspace, public, may},
		{"but makes nothing there", anonymous, CreateArtifact, public, forbidden},
		{"a stranger makes nothing there either", nobody, CreateWorkRequest, public, forbidden},
		{"an observer of the scope reads", observer, ReadArtifact, foreign, may},
		{"and makes nothing", observer, CreateArtifact, private, forbidden},
		{"an owner of the scope owns its workspaces", scopeOwner, ConfigureSpace, private, may},
		{"a superuser may configure", super, ConfigureSpace, private, may},
		{"a superuser is no machine", super, BeginWork, Resource{}, forbidden},
		{"a contributor makes artifacts", person(Contributor), CreateArtifact, private, may},
		{"a viewer does not", person(Viewer), CreateArtifact, private, forbidden},
		{"a contributor does not configure", person(Contributor), ConfigureSpace, private, forbidden},
		{"a contributor starts a template", person(Contributor), StartWorkflow, private, may},
		{"but not a restricted one", person(Contributor), StartWorkflow, restricted, forbidden},
		{"an owner starts that", person(Owner), StartWorkflow, restricted, may},
		{"only an owner starts without a template", person(Contributor), StartBareWorkflow, private, forbidden},
		{"who created it aborts it", person(Contributor), AbortWorkRequest, work, may},
		{"not once they are but viewers", person(Viewer), AbortWorkRequest, work, forbidden},
		{"other contributors do not abort it", person(Contributor), AbortWorkRequest, otherWork, forbidden},
		{"an owner aborts what others created", person(Owner), AbortWorkRequest, otherWork, may},
		{"a contributor retries what others created", person(Contributor), RetryWorkRequest, otherWork, may},
		{"nobody but superusers raises priorities", person(Owner), RaisePriority, work, forbidden},
		{"superusers do", super, RaisePriority, work, may},
		{"what is being uploaded is seen by who uploads it", person(Contributor), UploadFile, uploading, may},
		{"and by no other contributor", Principal{Kind: Person, UserID: 9, WorkspaceRoles: map[int64]Role{space: Contributor}}, ReadArtifact, uploading, missing},
		{"a complete artifact takes no file of others", person(Contributor), UploadFile, foreign, forbidden},
		{"a person completes nothing", person(Owner), CompleteWork, work, forbidden},
		{"a hidden artifact is not found by viewers", person(Viewer), ReadArtifact, made, missing},
	})
	if err := super.Allow("fly", private); err == nil {
		t.Error("a right that is not defined was given")
	}
}

func TestRightsOfMachines(t *testing.T) {
	machine := Principal{Kind: Machine, WorkerID: 3, Enabled: true}
	attempt := Principal{Kind: Attempt, WorkerID: 3, Enabled: true, AttemptID: 30, WorkRequest: 300, Workspace: space, Inputs: []int64{41}}
	ended := attempt
	ended.Ending = "lost"
	private := inSpace(Resource{What: "workspace"})
	work := inSpace(Resource{What: "work request 300", WorkRequest: 300, CreatedBy: 5})
	otherWork := inSpace(Resource{What: "work request 301", WorkRequest: 301, CreatedBy: 9})
	input := inSpace(Resource{What: "artifact 41", Artifact: 41})
	foreign := inSpace(Resource{What: "artifact 42", Artifact: 42, CreatedBy: 9})
	made := inSpace(Resource{What: "artifact 43", Artifact: 43, WorkRequest: 300, AttemptID: 30, Hidden: true})
	earlier := inSpace(Resource{What: "artifact 44", Artifact: 44, WorkRequest: 300, AttemptID: 29, Hidden: true})
	inName := inSpace(Resource{What: "workspace", WorkRequest: 300})
	notInName := inSpace(Resource{What: "workspace", WorkRequest: 301})
	try(t, []trial{
		{"a machine begins work", machine, BeginWork, Resource{}, may},
		{"one that is not enabled does not", Principal{Kind: Machine}, BeginWork, Resource{}, forbidden},
		{"a machine reads no artifact, not even in public", machine, ReadArtifact, Resource{What: "artifact", Workspace: space, Artifact: 1, Public: true}, missing},
		{"a machine lists nothing", machine, ReadOwn, Resource{}, forbidden},
		{"an attempt reads its input", attempt, ReadArtifact, input, may},
		{"and nothing else of the workspace", attempt, ReadArtifact, foreign, missing},
		{"it reads what it made", attempt, ReadArtifact, made, may},
		{"and not what an attempt before it made", attempt, ReadArtifact, earlier, missing},
		{"it uploads to what it made", attempt, UploadFile, made, may},
		{"and not to its input", attempt, UploadFile, input, forbidden},
		{"it makes artifacts in the name of its work request", attempt, CreateArtifact, inName, may},
		{"and of no other", attempt, CreateArtifact, notInName, missing},
		{"it reads its work request", attempt, ReadWorkRequest, work, may},
		{"and no other", attempt, ReadWorkRequest, otherWork, missing},
		{"it completes its work request", attempt, CompleteWork, work, may},
		{"it completes no other", attempt, CompleteWork, otherWork, missing},
		{"it aborts nothing", attempt, AbortWorkRequest, work, forbidden},
		{"it makes no work", attempt, CreateWorkRequest, private, forbidden},
		{"one that has ended reads nothing", ended, ReadArtifact, input, forbidden},
		{"one that has ended logs nothing", ended, AppendWorkLog, work, forbidden},
		{"it may say again how it ended", ended, CompleteWork, work, may},
	})
}
