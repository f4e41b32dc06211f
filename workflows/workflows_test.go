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
		h.mu.Lock() // workflows within end at once
		defer h.mu.Unlock()
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
	h.mu.Lock() // workflows within ask at once
	defer h.mu.Unlock()
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

func TestEachReasonToLeaveAnArchitectureOutIsTold(t *testing.T) {
	source := task.Source{Architectures: "any all", Environments: []string{"amd64", "arm64", "i386", "riscv64"}, Suite: []string{"amd64", "arm64", "i386", "s390x", "mips64el"},
		PackageList: "hello deb devel optional arch=any\n hello-doc deb doc optional arch=all profile=!nodoc\n hello-cross deb doc optional arch=sparc64 profile=cross",
		NoWorker:    map[string]string{"arm64": "no enabled worker provides worker:build-arch:arm64"}}
	wanted := []string{"all", "amd64", "arm64", "riscv64", "s390x"}
	for name, c := range map[string]struct {
		data  task.SbuildWorkflowData
		in    func(*task.Source)
		build string
		says  string
	}{
		"what the suite does not accept":          {task.SbuildWorkflowData{}, nil, "all amd64 arm64", "riscv64: the suite does not accept it: its Release file has amd64 arm64 i386 s390x mips64el; s390x: there is no environment"},
		"nobody looked at the suite":              {task.SbuildWorkflowData{}, func(s *task.Source) { s.Suite = nil }, "all amd64 arm64 riscv64", "s390x: there is no environment of architecture s390x"},
		"without a machine it is dropped":         {task.SbuildWorkflowData{WithoutWorker: task.DropWithoutWorkers}, nil, "all amd64", "arm64: no enabled worker provides worker:build-arch:arm64"},
		"a profile takes all away":                {task.SbuildWorkflowData{BuildProfiles: []string{"nodoc"}}, nil, "amd64 arm64", `all: the source package makes nothing for all with the build profiles "nodoc"`},
		"a rebuild has no packages for all":       {task.SbuildWorkflowData{BinNMU: &task.BinNMU{}}, nil, "amd64 arm64", "all: a binNMU makes no packages"},
		"all on a machine without environment":    {task.SbuildWorkflowData{ArchAllBuildArchitecture: "s390x"}, nil, "amd64 arm64", "all: there is no environment of architecture s390x"},
		"all where the source wants it":           {task.SbuildWorkflowData{}, func(s *task.Source) { s.AllOn = "s390x" }, "amd64 arm64", "all: there is no environment of architecture s390x"},
		"the parameter beats the source":          {task.SbuildWorkflowData{ArchAllBuildArchitecture: "i386"}, func(s *task.Source) { s.AllOn = "s390x" }, "all amd64 arm64", "riscv64"},
		"the source wants all where nothing is":   {task.SbuildWorkflowData{}, func(s *task.Source) { s.AllOn = "amd64 i386" }, "amd64 arm64", "all: the source's Build-Indep-Architecture is no architecture"},
		"cross builds need one environment alone": {task.SbuildWorkflowData{CrossBuildArchitecture: "amd64"}, nil, "all amd64 arm64 s390x", "riscv64: the suite does not accept it"},
		"profiles of a cross build count": {task.SbuildWorkflowData{CrossBuildArchitecture: "amd64", Architectures: []string{"sparc64"}},
			func(s *task.Source) {
				s.Suite, s.Architectures, s.PackageList = nil, "any", "hello deb devel optional arch=any profile=!nocheck"
			}, "", "with the build profiles"},
	} {
		s := source
		if c.in != nil {
			c.in(&s)
		}
		if c.data.Architectures == nil {
			c.data.Architectures = wanted
		}
		build, dropped := workflows.ArchesToBuild(c.data, s)
		if got := strings.Join(build, " "); got != c.build || !strings.Contains(workflows.Reasons(dropped), c.says) {
			t.Errorf("%s: builds %q, drops %s", name, got, workflows.Reasons(dropped))
		}
	}
}

func TestParametersArePassedToEachBuild(t *testing.T) {
	h := newHouse(t)
	asked := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "any", Environments: []string{"amd64", "i386"}, Asked: asked,
		NoWorker: map[string]string{"i386": "no enabled worker provides worker:build-arch:i386"}}
	h.run(t, "sbuild", `{"input": {"source_artifact": 12, "extra_binary_artifacts": [77]}, "target_distribution": "debian:bookworm", "architectures": ["arm64", "i386", "amd64"],
		"cross_build_architecture": "amd64", "environment_variant": "buildd", "build_profiles": ["stage1"], "build_options": "noopt  parallel=2", "build_path": "/build/x",
		"binnmu": {"changelog": "Rebuild", "suffix": "+b1"}, "task_configuration": "mine@debusine:task-configuration",
		"extra_repositories": [{"url": "http://mirror.example/debian", "suite": "bookworm-backports", "components": ["main"]}]}`)
	stamps := map[string]bool{}
	for _, s := range h.planned {
		definition, err := task.WorkerTask("sbuild")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := definition.Parse(s.Data)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		d := parsed.(*task.SbuildData)
		name, _ := d.Configuration()
		if d.BuildArchitecture != "amd64" || d.Host() != strings.TrimPrefix(s.Name, "build-") || d.Environment.String() != "debian/match:codename=bookworm:variant=buildd" ||
			d.BuildProfiles[0] != "stage1" || d.BuildOptions != "noopt parallel=2" || d.BuildPath != "/build/x" || d.BinNMU.Suffix != "+b1" || name != "mine" ||
			len(d.ExtraRepositories) != 1 || len(d.Input.ExtraBinaryArtifacts) != 1 {
			t.Errorf("%s: %s", s.Name, s.Data)
		}
		stamps[d.BinNMU.Timestamp.String()] = true
	}
	if len(h.planned) != 3 || len(stamps) != 1 || !stamps[asked.String()] {
		t.Errorf("%d steps, changelog entries of %v", len(h.planned), stamps)
	}
}

func TestPackagesForExperimentalAreBuiltInSid(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "hello", Version: "1", Architectures: "any", Environments: []string{"amd64"}, Mirror: "http://mirror.example/debian", Components: []string{"main", "contrib"}}
	h.run(t, "sbuild", strings.Replace(build, "bookworm", "experimental", 1))
	var d task.SbuildData
	if err := json.Unmarshal(h.planned[0].Data, &d); err != nil {
		t.Fatal(err)
	}
	want := task.ExtraRepository{URL: "http://mirror.example/debian", Suite: "experimental", Components: []string{"main", "contrib"}}
	if d.Environment.String() != "debian/match:codename=sid" || d.BuildDepResolver != "aspcud" || !strings.Contains(d.AspcudCriteria, "APT-Release:=/experimental/") ||
		len(d.ExtraRepositories) != 1 || !reflect.DeepEqual(d.ExtraRepositories[0], want) {
		t.Errorf("%s", h.planned[0].Data)
	}
	if about := h.planned[0].Reactions.OnCreation[0].Data; about["codename"] != "experimental" {
		t.Errorf("the log is announced as %v", about)
	}
}

func TestTemplatesForSignaturesAreOutputs(t *testing.T) {
	h := newHouse(t)
	h.source = task.Source{Artifact: 12, Name: "grub", Version: "1", Architectures: "any all", Environments: []string{"amd64"}, PackageList: "grub-efi deb admin optional arch=amd64\n grub-signed-template deb admin optional arch=amd64"}
	h.run(t, "sbuild", strings.Replace(build, "{", `{"prefix": "x|", "signing_template_names": {"amd64": ["grub-signed-template"], "arm64": ["other"]}, `, 1))
	r := h.planned[0].Reactions.OnSuccess
	if len(h.planned) != 1 || len(r) != 4 || r[1].NameTemplate != "x|signing-template-amd64-grub-signed-template" ||
		r[1].Filters["data__deb_fields__Package"] != "grub-signed-template" {
		t.Errorf("%+v", r)
	}
	if names, _ := r[0].Variables["binary_names"].([]any); len(names) != 2 || names[0] != "grub-efi" {
		t.Errorf("the upload is said to hold %v", r[0].Variables)
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
