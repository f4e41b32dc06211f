package task

import (
	"maps"
	"slices"
	"strings"
	"time"

	"debusine"
)

// serverTasks is the catalogue of what the server itself can do: long work, in
// the trusted network, with the database at hand. Only workflows ask for it.
var serverTasks = map[string]Definition{
	"servernoop":    {"servernoop", "does nothing on the server, as told", 10 * time.Minute, parser[ServerNoopData]()},
	"packageupload": {"packageupload", "brings an upload to the queue of an archive", 24 * time.Hour, parser[PackageUploadData]()},
}

// waitTasks is the catalogue of what waits for a person, outside all machines.
// Only workflows ask for it.
var waitTasks = map[string]Definition{
	"externaldebsign": {"externaldebsign", "waits until its creator has signed an upload (debusine work-request sign)", 0, parser[ExternalDebsignData]()},
}

// ServerTasks are the names of the server's own tasks, sorted.
func ServerTasks() []string {
	return slices.Sorted(maps.Keys(serverTasks)) //workflowcheck:ignore (sorted)
}

// TypeOf says where a task of that name runs: no two have one name, but for
// workflows, which are not asked about here.
func TypeOf(name string) debusine.TaskType {
	name = Canonical(name)
	if _, ok := signingTasks[name]; ok {
		return debusine.SigningTask
	}
	if _, ok := serverTasks[name]; ok {
		return debusine.ServerTask
	}
	if _, ok := waitTasks[name]; ok {
		return debusine.WaitTask
	}
	return debusine.WorkerTask
}

// DefinitionOf gives the definition of a task of any catalogue.
func DefinitionOf(kind debusine.TaskType, name string) (Definition, error) {
	var catalogue map[string]Definition
	switch kind {
	case debusine.SigningTask:
		return SigningTask(name)
	case debusine.ServerTask:
		catalogue = serverTasks
	case debusine.WaitTask:
		catalogue = waitTasks
	default:
		return WorkerTask(name)
	}
	d, ok := catalogue[Canonical(name)]
	if !ok {
		known := slices.Sorted(maps.Keys(catalogue)) //workflowcheck:ignore (sorted)
		return d, debusine.WithHint(debusine.Invalidf("%s task %.80q is unknown", kind, name), "known: "+strings.Join(known, ", "))
	}
	return d, nil
}

// ServerNoopData is the input of servernoop: Debusine's test task.
type ServerNoopData struct {
	common
	Result    *bool `json:"result,omitempty"` // default true; false is a failure
	Exception bool  `json:"exception,omitempty"`
}

func (d *ServerNoopData) check() error { return nil }

// Needs nothing.
func (d *ServerNoopData) Needs() []Need { return nil }

// Requires no tags: the server does it.
func (d *ServerNoopData) Requires() []string { return nil }

// Describe says nothing.
func (d *ServerNoopData) Describe(map[string][]debusine.Artifact) Description { return Description{} }

// ExternalDebsignData is the input of externaldebsign: spec §3.11.
type ExternalDebsignData struct {
	common
	Unsigned debusine.Lookup `json:"unsigned"` // debian:upload
}

func (d *ExternalDebsignData) check() error {
	if d.Unsigned.IsZero() {
		return missing("unsigned")
	}
	return nil
}

// Needs the upload.
func (d *ExternalDebsignData) Needs() []Need {
	need := unsignedUpload(d.Unsigned)
	need.Field = "unsigned_id" // as Debusine's own client looks for it
	return []Need{need}
}

// Requires no tags: a person does it.
func (d *ExternalDebsignData) Requires() []string { return nil }

// Describe names the upload's source package and version.
func (d *ExternalDebsignData) Describe(found map[string][]debusine.Artifact) Description {
	return describeUpload(found["unsigned_id"])
}
