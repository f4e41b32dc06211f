package workflows_test

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"debusine"
	"debusine/task"
	"debusine/workflows"
)

// house plays the server and the build machines for one workflow.
type house struct {
	*testsuite.TestWorkflowEnvironment
	mu         sync.Mutex
	source     task.Source
	sourceErr  error
	results    map[string]debusine.Result // by step; success where it says nothing
	tries      map[string][]task.Outcome  // by step: how it ends, one after the other; before results
	notes      []task.RetryNote
	planned    []task.Step
	asked      map[int64]string // activity id by work request
	queues     map[string]string
	conclusion *task.Conclusion
}

func newHouse(t *testing.T) *house {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	h := &house{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), results: map[string]debusine.Result{}, asked: map[int64]string{}, queues: map[string]string{}}
	task.SourceFacts.DoneBy(h, func(context.Context, task.SourceQuestion) (task.Source, error) { return h.source, h.sourceErr })
	task.Plan.DoneBy(h, h.plan)
	task.Conclude.DoneBy(h, func(_ context.Context, c task.Conclusion) (task.Outcome, error) {
		h.conclusion = &c
		return task.Outcome{ID: c.ID, Status: debusine.Completed, Result: c.Result}, nil
	})
	task.NoteRetry.DoneBy(h, func(_ context.Context, n task.RetryNote) (struct{}, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notes = append(h.notes, n)
		return struct{}{}, nil
	})
	for _, name := range slices.Concat(task.WorkerTasks(), task.ServerTasks(), task.SigningTasks()) {
		task.Task[task.WorkRequest, task.Outcome]{Name: name}.DoneBy(h, h.work)
	}
	workflows.Register(h)
	return h
}

func (h *house) plan(_ context.Context, req task.PlanRequest) (out task.Planned, err error) {
	for _, s := range req.Steps {
		kind := s.Kind
		if kind == "" {
			kind = task.TypeOf(s.TaskName)
		}
		c := task.Child{Step: s.Name, ID: int64(100 + len(h.planned)), Kind: kind, Task: s.TaskName, Queue: "build/" + s.Name}
		if kind == debusine.WorkflowTask {
			c.Execution, c.Data = "within/"+s.Name, s.Data
		}
		h.planned = append(h.planned, s)
		out.Children = append(out.Children, c)
	}
	return out, nil
}

func (h *house) work(ctx context.Context, in task.WorkRequest) (task.Outcome, error) {
	info := activity.GetInfo(ctx)
	h.mu.Lock() // machines work at once
	defer h.mu.Unlock()
	step := h.planned[in.ID-100]
	h.asked[in.ID], h.queues[step.Name] = info.ActivityID, info.TaskQueue
	if tries := h.tries[step.Name]; len(tries) > 0 {
		h.tries[step.Name] = tries[1:]
		tries[0].ID = in.ID
		return tries[0], nil
	}
	result := h.results[step.Name]
	if result == "" {
		result = debusine.Success
	}
	return task.Outcome{ID: in.ID, Status: debusine.Completed, Result: result}, nil
}

func (h *house) run(t *testing.T, name, data string) task.Outcome {
	t.Helper()
	h.ExecuteWorkflow(name, task.WorkflowStart{ID: 7, Installation: "test", Workspace: "System", Data: json.RawMessage(data)})
	var o task.Outcome
	if err := h.GetWorkflowResult(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

const build = `{"input": {"source_artifact": 12}, "target_distribution": "debian:bookworm", "architectures": ["i386", "amd64", "all"]}`

func TestSbuildBuildsEachArchitectureOnce(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "2.10-3", Architectures: "any all", Environments: []string{"amd64", "i386"}}
	if o := h.run(t, "sbuild", build); o.Result != debusine.Success {
		t.Fatalf("outcome %+v", o)
	}
	var names []string
	for _, s := range h.planned {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"build-all", "build-amd64", "build-i386"}) {
		t.Errorf("steps %v", names)
	}
	var all task.SbuildData
	if err := json.Unmarshal(h.planned[0].Data, &all); err != nil {
		t.Fatal(err)
	}
	if all.BuildArchitecture != "amd64" || !slices.Equal(all.BuildComponents, []string{"all"}) || all.Environment.String() != "debian/match:codename=bookworm" || all.Input.SourceArtifact.String() != "12@artifacts" {
		t.Errorf("architecture all is built as %s", h.planned[0].Data)
	}
	if h.asked[101] != "wr/test/101" || h.queues["build-i386"] != "build/build-i386" {
		t.Errorf("ids %v, queues %v", h.asked, h.queues)
	}
}

func TestSbuildTellsWhatItDropped(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "any", Environments: []string{"amd64"}}
	if o := h.run(t, "sbuild", build); o.Result != debusine.Success {
		t.Fatalf("outcome %+v", o)
	}
	var dropped []string
	for _, d := range h.conclusion.Output.Dropped {
		dropped = append(dropped, d.Architecture)
	}
	if len(h.planned) != 1 || !slices.Equal(dropped, []string{"i386", "all"}) {
		t.Errorf("planned %d, dropped %v", len(h.planned), h.conclusion.Output.Dropped)
	}
}

func TestAFailedBuildIsAResultOfTheWorkflow(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "any", Environments: []string{"amd64", "i386"}}
	h.results["build-i386"] = debusine.Failure
	if o := h.run(t, "sbuild", build); o.Result != debusine.Failure || o.Status != debusine.Completed {
		t.Errorf("outcome %+v", o)
	}
	if len(h.asked) != 2 {
		t.Errorf("the other architecture was not built: %v", h.asked)
	}
}

func TestTheBuildLogIsKeptHoweverTheBuildEnds(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "amd64", Environments: []string{"amd64"}}
	h.run(t, "sbuild", build)
	r := h.planned[0].Reactions
	if len(r.OnCreation) != 1 || r.OnCreation[0].Action != task.UpdateCollectionWithData {
		t.Errorf("nothing announces the log: %+v", r.OnCreation)
	}
	if len(r.OnFailure) != 2 || !reflect.DeepEqual(r.OnFailure, r.OnSuccess[1:]) || r.OnFailure[0].Variables["architecture"] != "amd64" {
		t.Errorf("on success %+v, on failure %+v", r.OnSuccess, r.OnFailure)
	}
	// What it gives goes by name into the workflow's internal collection.
	if built, log := r.OnSuccess[0], r.OnFailure[1]; built.NameTemplate != "build-amd64" || built.Filters["category"] != "debian:upload" ||
		log.NameTemplate != "buildlog-amd64" || built.Collection != "internal@collections" || log.Collection != "internal@collections" {
		t.Errorf("outputs %+v, %+v", built, log)
	}
}

func TestAFaultEndsTheWorkRequestWithItsWords(t *testing.T) {
	h := newHouse(t)
	h.sourceErr = temporal.NewNonRetryableApplicationError("artifact 12 not found", task.FaultType, nil)
	if o := h.run(t, "sbuild", build); o.Result != debusine.Error {
		t.Errorf("outcome %+v", o)
	}
	if e := h.conclusion.Output.Errors; len(e) != 1 || !strings.Contains(e[0].Message, "artifact 12") || e[0].Code != "orchestrator-failed" {
		t.Errorf("errors %+v", e)
	}
}

func TestAnAbortedWorkflowRecordsNothing(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "amd64", Environments: []string{"amd64"}}
	h.RegisterDelayedCallback(h.CancelWorkflow, 0)
	h.ExecuteWorkflow("sbuild", task.WorkflowStart{ID: 7, Data: json.RawMessage(build)})
	if err := h.GetWorkflowError(); !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v", err)
	}
	if h.conclusion != nil {
		t.Errorf("it recorded %+v over the abort", h.conclusion)
	}
}

func TestUpdateEnvironmentsBootstrapsEachOnce(t *testing.T) {
	h := newHouse(t)
	o := h.run(t, "update_environments", `{"vendor": "debian", "targets": [{"codenames": ["bookworm", "trixie"], "codename_aliases": {"trixie": ["stable"]},
		"variants": ["sbuild"], "architectures": ["amd64", "i386"], "mmdebstrap_template": {"bootstrap_options": {"variant": "buildd"},
		"bootstrap_repositories": [{"mirror": "http://mirror.example/debian", "components": ["main"]}]}}]}`)
	if o.Result != debusine.Success || len(h.planned) != 4 {
		t.Fatalf("outcome %+v, %d steps", o, len(h.planned))
	}
	var last task.MmdebstrapData
	if err := json.Unmarshal(h.planned[3].Data, &last); err != nil {
		t.Fatal(err)
	}
	if last.BootstrapOptions.Architecture != "i386" || last.BootstrapRepositories[0].Suite != "trixie" {
		t.Errorf("the last bootstrap is %s", h.planned[3].Data)
	}
	if r := h.planned[3].Reactions.OnSuccess; len(r) != 2 || r[1].Variables["codename"] != "stable" || r[1].Variables["variant"] != "sbuild" {
		t.Errorf("an alias is not kept: %+v", r)
	}
}

func TestManyChildrenFollowOneAnother(t *testing.T) {
	h := newHouse(t)
	h.SetTestTimeout(time.Minute)
	if o := h.run(t, "noop", `{"children": 250}`); o.Result != debusine.Success || len(h.asked) != 250 {
		t.Errorf("outcome %+v, %d asked", o, len(h.asked))
	}
}

func TestArchesToBuild(t *testing.T) {
	for name, c := range map[string]struct {
		requested    []string
		source       string
		environments []string
		allOn        string
		build        string
		dropped      int
		list         string
	}{
		"any means each real architecture":           {[]string{"amd64", "arm64"}, "any", []string{"amd64", "arm64"}, "amd64", "amd64 arm64", 0, ""},
		"any does not mean all":                      {[]string{"amd64", "all"}, "any", []string{"amd64"}, "amd64", "amd64", 1, ""},
		"linux-any is a wildcard":                    {[]string{"i386", "hurd-i386"}, "linux-any", []string{"i386", "hurd-i386"}, "amd64", "i386", 1, ""},
		"all alone is built on the machine named":    {[]string{"amd64", "all"}, "all", []string{"arm64"}, "arm64", "all", 1, ""},
		"no environment, no build":                   {[]string{"amd64", "s390x"}, "any", []string{"amd64"}, "amd64", "amd64", 1, ""},
		"no environment to build all in":             {[]string{"all"}, "all", []string{"i386"}, "amd64", "", 1, ""},
		"what the source does not know is not built": {[]string{"amd64"}, "sparc sparc64", []string{"amd64"}, "amd64", "", 1, ""},
		"the order asked for does not matter":        {[]string{"i386", "amd64"}, "any", []string{"amd64", "i386"}, "amd64", "amd64 i386", 0, ""},
		"nothing is made for all":                    {[]string{"amd64", "all"}, "any all", []string{"amd64"}, "amd64", "amd64", 1, "hello deb devel optional arch=any\n hello-doc deb doc optional arch=all profile=doc"},
		"a list that is none":                        {[]string{"amd64"}, "any", []string{"amd64"}, "amd64", "", 1, "hello"},
	} {
		build, dropped := workflows.ArchesToBuild(task.SbuildWorkflowData{Architectures: c.requested, ArchAllBuildArchitecture: c.allOn},
			task.Source{Architectures: c.source, PackageList: c.list, Environments: c.environments})
		if got := strings.Join(build, " "); got != c.build || len(dropped) != c.dropped {
			t.Errorf("%s: builds %q, drops %v", name, got, dropped)
		}
	}
}

func TestListsOfArchitecturesNarrowWhatIsBuilt(t *testing.T) {
	all := []string{"amd64", "arm64", "riscv64"}
	for name, c := range map[string]struct {
		allow, deny []string
		build       string
	}{
		"no lists":                       {nil, nil, "amd64 arm64 riscv64"},
		"never on riscv64":               {nil, []string{"riscv64"}, "amd64 arm64"},
		"only where it is listed":        {[]string{"riscv64", "sparc64"}, nil, "riscv64"},
		"what is denied beats the other": {[]string{"amd64", "riscv64"}, []string{"riscv64"}, "amd64"},
		"nothing is left":                {[]string{"sparc"}, nil, ""},
	} {
		build, dropped := workflows.ArchesToBuild(task.SbuildWorkflowData{Architectures: all, ArchAllBuildArchitecture: "amd64", ArchitecturesAllowlist: c.allow,
			ArchitecturesDenylist: c.deny}, task.Source{Architectures: "any", Environments: all})
		if got := strings.Join(build, " "); got != c.build || len(dropped) != len(all)-len(build) {
			t.Errorf("%s: builds %q, drops %v", name, got, dropped)
		}
	}
}
