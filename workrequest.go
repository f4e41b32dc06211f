package debusine

import (
	"encoding/json"
	"time"
)

// Status is where a work request stands (Debusine's own five words).
type Status string

// The statuses, in the order of a life.
const (
	Blocked   Status = "blocked"
	Pending   Status = "pending"
	Running   Status = "running"
	Completed Status = "completed"
	Aborted   Status = "aborted"
)

// Ended says that the status will not change again.
func (s Status) Ended() bool { return s == Completed || s == Aborted }

// Result is what a completed work request came to; empty before.
type Result string

// The results. Failure is about the package, Error about the machine, the
// configuration or us.
const (
	Success          Result = "success"
	Failure          Result = "failure"
	TemporaryFailure Result = "temporary failure"
	Error            Result = "error"
	Skipped          Result = "skipped"
)

// ParseResult reads one of the five results.
func ParseResult(s string) (Result, error) {
	switch r := Result(s); r {
	case Success, Failure, TemporaryFailure, Error, Skipped:
		return r, nil
	}
	return "", Invalidf("result %q is unknown", s)
}

// TaskType says where a task runs.
type TaskType string

// The task types. Worker tasks run on untrusted build machines; Workflow ones
// are workflows in the engine.
const (
	WorkerTask   TaskType = "Worker"
	ServerTask   TaskType = "Server"
	InternalTask TaskType = "Internal"
	WorkflowTask TaskType = "Workflow"
	SigningTask  TaskType = "Signing"
	WaitTask     TaskType = "Wait"
)

// WorkRequest is one piece of work: what was asked, where it stands, what came
// of it. Ids are numbers of the database.
type WorkRequest struct {
	ID                int64
	Scope, Workspace  string
	WorkspaceID       int64
	CreatedAt         time.Time
	PendingAt         *time.Time
	StartedAt         *time.Time
	CompletedAt       *time.Time
	CreatedBy         string // username
	CreatedByID       int64
	AbortedBy         string
	Worker            string // name of the worker of the newest attempt
	WorkerID          *int64
	Attempt           int // number of the newest attempt; 0 before the first
	Status            Status
	Result            Result
	TaskType          TaskType
	TaskName          string
	TaskData          json.RawMessage // as given; never changed
	ConfiguredData    json.RawMessage // after task configuration; what a worker gets
	DynamicData       json.RawMessage // lookups resolved to ids, subject, contexts
	PriorityBase      int
	PriorityAdjust    int
	OutputData        json.RawMessage
	Parent, Root      *int64
	Step              string
	Template          string // name of the workflow template
	WorkflowData      json.RawMessage
	EventReactions    json.RawMessage
	Supersedes        *int64
	SupersededBy      *int64
	TagsProvided      []string
	TagsRequired      []string
	Queue             string
	Losses            int
	Run               int    // how often a workflow was retried in place
	TemporalID        string // of the workflow, or of the standalone activity
	TemporalRunID     string
	Artifacts         []int64 // made by it, complete ones
	Subject           string  // dynamic data's subject: mostly the source package
	ConfigContext     string
	MissingTags       []string // of a pending one that no enabled worker can take
	NoWorkerCanTake   bool
	NoWorkerEnabled   bool     // not even one that cannot take it
	UnmetWorkerDemand []string // tags that machines demand and this work lacks
	SigningWaits      string   // why a pending signature is not made yet
	NeedsInput        int64    // the work request that waits for a person: itself, or one of a workflow; 0: none
	HasLog            bool     // of the newest attempt, while it runs
	LogArtifact       *int64   // the build log that it left
	Retry             *Retry   // of a step that is tried again after delays
	RuntimeStatus     string   // of a workflow: what lies below it, in Debusine's words
	StepsToRetry      int      // below a workflow, that wait for a next try; the first is due at NextRetry
	NextRetry         *time.Time
}

// Priority is the effective one: higher goes first.
func (w WorkRequest) Priority() int { return w.PriorityBase + w.PriorityAdjust }

// TaskError is one entry of output_data.errors.
type TaskError struct {
	Message string `json:"message"`
	Code    string `json:"code"` // spec §3.0: configure-failed, dynamic-data-failed, execute-failed …
}

// OutputData is what a work request leaves beside its artifacts.
type OutputData struct {
	RuntimeStatistics *RuntimeStatistics `json:"runtime_statistics,omitempty"`
	Errors            []TaskError        `json:"errors,omitempty"`
	SkipReason        string             `json:"skip_reason,omitempty"`
	// Dropped lists architectures that a workflow left out, with the reason.
	Dropped []DroppedArchitecture `json:"dropped_architectures,omitempty"`
	// Command is how the command of a task ended that runs one.
	Command *CommandEnd `json:"command,omitempty"`
	// Failure says what a build failed of. Beyond Debusine's.
	Failure *BuildFailure `json:"failure,omitempty"`
	// AssetID is the asset that generatekey made.
	AssetID int64 `json:"asset_id,omitempty"`
	// AuditHead is NUMBER:HASH of the signing worker's audit after the work: who
	// keeps it can tell later whether entries are missing. Beyond Debusine's.
	AuditHead string `json:"audit_head,omitempty"`
	// SignedBy are the fingerprints of the certificates by which a person's signature
	// was found good. Beyond Debusine's.
	SignedBy []string `json:"signed_by,omitempty"`
	// Notes are what is worth knowing of work that went well. Beyond Debusine's.
	Notes []string `json:"notes,omitempty"`
}

// CommandEnd is how a task's command ended, for who sorts failures. Beyond
// Debusine's own output data.
type CommandEnd struct {
	ExitCode  int    `json:"exit_code"`            // 128 + the signal that ended it
	FailStage string `json:"fail_stage,omitempty"` // sbuild's word: "build", "install-deps", "unpack" …
	Limit     string `json:"limit,omitempty"`      // that struck: "time", "disk" …
	LeftOut   int64  `json:"left_out,omitempty"`   // bytes that the log lacks, which was too long
}

// DroppedArchitecture is one that was requested and is not built.
type DroppedArchitecture struct {
	Architecture string `json:"architecture"`
	Reason       string `json:"reason"`
}

// RuntimeStatistics are measured by the worker: seconds and bytes.
type RuntimeStatistics struct {
	Duration         int64 `json:"duration,omitempty"`
	DurationSetup    int64 `json:"duration_setup,omitempty"`
	DurationRun      int64 `json:"duration_run,omitempty"`
	DurationTeardown int64 `json:"duration_teardown,omitempty"`
	CPUTime          int64 `json:"cpu_time,omitempty"`        // user and system
	CPUTimeUser      int64 `json:"cpu_time_user,omitempty"`   // ours, as the next
	CPUTimeSystem    int64 `json:"cpu_time_system,omitempty"` // not Debusine's
	DiskSpace        int64 `json:"disk_space,omitempty"`
	Memory           int64 `json:"memory,omitempty"`
	AvailableDisk    int64 `json:"available_disk_space,omitempty"`
	AvailableMemory  int64 `json:"available_memory,omitempty"`
	CPUCount         int64 `json:"cpu_count,omitempty"`
}

// WorkflowTemplate names a workflow that others may start, with the parameters
// that are set in stone and those that the starter may give (spec §5.1).
type WorkflowTemplate struct {
	ID          int64
	Workspace   string
	WorkspaceID int64
	Name        string
	TaskName    string
	Static      map[string]json.RawMessage
	Runtime     RuntimeParameters
	Priority    int
	Restricted  bool
	ExtraGroups []string // of the scope: who starts it counts as a member, for keys alone
}
