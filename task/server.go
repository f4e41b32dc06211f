package task

import (
	"encoding/json"
	"time"

	"go.temporal.io/sdk/workflow"

	"debusine"
	"debusine/debian"
)

// quick bounds an attempt at the server's own work, which takes milliseconds: a
// server that dies over it is found out so soon.
const quick = 15 * time.Second

// The work that a workflow asks of the server: quick and idempotent.
var (
	// Plan writes the work requests of a batch of steps, each once.
	Plan = Task[PlanRequest, Planned]{Name: "plan", Limit: quick}
	// SourceFacts tells what the sbuild workflow decides upon.
	SourceFacts = Task[SourceQuestion, Source]{Name: "source_facts", Limit: quick}
	// Conclude records how a workflow ended.
	Conclude = Task[Conclusion, Outcome]{Name: "conclude", Limit: quick}
)

// PlanRequest asks for the work requests of some steps of a workflow.
type PlanRequest struct {
	Parent int64  `json:"parent"`
	Steps  []Step `json:"steps"`
	// Dropped are told of the parent while it runs, too.
	Dropped []debusine.DroppedArchitecture `json:"dropped_architectures,omitempty"`
	// Execution is the Temporal id of the workflow that asks, which the activity
	// fills in: a run that was retried since must not plan for the next.
	Execution string `json:"-"`
}

// Step is one child to be: named within its parent, so that asking twice makes
// it once.
type Step struct {
	Name     string            `json:"step"`
	Kind     debusine.TaskType `json:"task_type,omitempty"` // empty: what TypeOf says of the task
	TaskName string            `json:"task_name"`
	// Supersedes asks for another try after this one, which ended without success:
	// a new work request in its place. Asking twice makes one.
	Supersedes int64           `json:"supersedes,omitempty"`
	Data       json.RawMessage `json:"data"`
	Display    string          `json:"display_name,omitempty"`
	Group      string          `json:"group,omitempty"`
	Reactions  Reactions       `json:"event_reactions"`
}

// Planned answers a PlanRequest, in its order.
type Planned struct {
	Children []Child `json:"children"`
}

// Child is a planned step.
type Child struct {
	Step string            `json:"step"`
	ID   int64             `json:"work_request"`
	Kind debusine.TaskType `json:"task_type,omitempty"` // empty: of histories before there were others than Worker
	Task string            `json:"task"`
	// Queue of Temporal, of what runs on one.
	Queue string `json:"queue"`
	// Of a workflow within the workflow: its Temporal id, and its data after the task
	// configuration.
	Execution string          `json:"execution,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Ended     *Outcome        `json:"ended,omitempty"` // it needs no doing any more
	Summary   string          `json:"summary,omitempty"`
}

// SourceQuestion asks about the source package of an sbuild workflow.
type SourceQuestion struct {
	ID int64 `json:"work_request"`
}

// Source is what the sbuild workflow decides upon.
type Source struct {
	Artifact      int64    `json:"artifact"`
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Architectures string   `json:"architectures"` // the .dsc's field
	PackageList   string   `json:"package_list,omitempty"`
	AllOn         string   `json:"build_indep_architecture,omitempty"`
	Environments  []string `json:"environments"` // architectures that have one for the target
	// Suite are the architectures of the target's Release file, as the newest
	// environment knows them; nil when none does.
	Suite []string `json:"suite_architectures,omitempty"`
	// Mirror and Components are those of the newest environment.
	Mirror     string   `json:"mirror,omitempty"`
	Components []string `json:"components,omitempty"`
	// NoWorker says why no enabled worker can build for a requested architecture.
	NoWorker map[string]string `json:"no_worker,omitempty"`
	// Asked is when the work request was made.
	Asked time.Time `json:"asked,omitzero"`
}

// Targets is what the .dsc says about where the source can be built.
func (s Source) Targets() (debian.Targets, error) {
	return debian.ParseTargets(func(field string) string {
		// Where all is built is asked for by itself: AllOn.
		return map[string]string{"Architecture": s.Architectures, "Package-List": s.PackageList}[field]
	})
}

// Conclusion ends a workflow's work request.
type Conclusion struct {
	ID     int64               `json:"work_request"`
	Result debusine.Result     `json:"result"`
	Output debusine.OutputData `json:"output_data"`
	// Execution is the Temporal id of the workflow that says so, which the
	// activity fills in: a run that was retried since must not end the next.
	Execution string `json:"-"`
}

// OnServer asks the server for one of its tasks.
func (t Task[In, Out]) OnServer(ctx workflow.Context, in In) (Out, error) {
	return t.Do(ctx, onServer(t.Limit), in).Wait(ctx)
}
