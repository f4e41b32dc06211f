// Package api holds the requests and answers of the HTTP API, and nothing else:
// structs with JSON tags, shared by server and client so that the compiler
// checks both sides.
//
// Base path, names and payloads are those of Debusine 0.16's /api/1.0/, so that
// its packaged client works here unmodified. What is ours alone stands beside
// them: begin, log, template and worker lists, the reasons why nothing can take
// a work request. Times are RFC 3339, sizes bytes, checksums lower-case
// hexadecimal. Requests go with "Token: SECRET" and "X-Debusine-Scope: NAME";
// faults come back as Problem with type application/problem+json.
package api

import (
	"encoding/json"
	"time"
)

// Problem is a fault in the form of RFC 7807. Hint says what to do about it.
type Problem struct {
	Title            string            `json:"title"`
	Detail           string            `json:"detail,omitempty"`
	Status           int               `json:"status,omitempty"`
	Hint             string            `json:"hint,omitempty"`
	ValidationErrors map[string]string `json:"validation_errors,omitempty"`
}

// Links are paths of this server by what is found there: webui_self and others
// that Debusine's own client asks for.
type Links map[string]string

// Page is one page of a list; Next and Previous are addresses with a cursor.
type Page[T any] struct {
	Count    *int    `json:"count,omitempty"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  []T     `json:"results"`
}

// Whoami is the answer of GET whoami/.
type Whoami struct {
	User      string `json:"user,omitempty"`
	Worker    string `json:"worker,omitempty"`
	TokenType string `json:"token_type"`
	Scope     string `json:"scope,omitempty"`
}

// ServiceStatus is the answer of GET service-status/.
type ServiceStatus struct {
	Version     string         `json:"version"`
	Pending     map[string]int `json:"pending"` // by queue
	Running     int            `json:"running"`
	Workers     int            `json:"workers"`          // enabled
	WorkersBusy int            `json:"workers_busy"`     // with a work request in hand
	UI          string         `json:"ui_url,omitempty"` // Temporal's Web UI
}

// WorkRequestCreate is the body of POST work-request/.
type WorkRequestCreate struct {
	TaskName       string          `json:"task_name"`
	TaskData       json.RawMessage `json:"task_data,omitempty"`
	TaskType       string          `json:"task_type,omitempty"` // ours; default Worker
	Workspace      string          `json:"workspace,omitempty"`
	EventReactions json.RawMessage `json:"event_reactions,omitempty"`
	PriorityBase   int             `json:"priority_base,omitempty"`
}

// Retry is how a step stands that is tried again after delays.
type Retry struct {
	Stands string     `json:"stands"`           // trying, waiting or over
	Number int        `json:"number"`           // of retries begun; of the next one while it waits
	Of     int        `json:"of"`               // how many delays there are
	Due    *time.Time `json:"due,omitempty"`    // of the next one, while it waits
	Reason string     `json:"reason,omitempty"` // why there is a next one, or none
	Delays []string   `json:"delays"`           // 30s, 5m, 2h, 1d, 1w
	On     string     `json:"retry_on,omitempty"`
}

// RetryDelays are other delays between the tries of a step.
type RetryDelays struct {
	Delays []string `json:"delays"`
}

// WorkRequest is a work request as everybody sees it.
type WorkRequest struct {
	ID                 int64           `json:"id"`
	URL                string          `json:"url"`
	Parent             *int64          `json:"parent"`
	WorkflowRoot       *int64          `json:"workflow_root"`
	CreatedAt          time.Time       `json:"created_at"`
	PendingAt          *time.Time      `json:"pending_at,omitempty"`
	StartedAt          *time.Time      `json:"started_at"`
	CompletedAt        *time.Time      `json:"completed_at"`
	Duration           *float64        `json:"duration"` // seconds
	CreatedBy          string          `json:"created_by,omitempty"`
	AbortedBy          string          `json:"aborted_by,omitempty"`
	Status             string          `json:"status"`
	Result             string          `json:"result"`
	Worker             *int64          `json:"worker"`
	WorkerName         string          `json:"worker_name,omitempty"`
	Attempt            int             `json:"attempt,omitempty"`
	TaskType           string          `json:"task_type"`
	TaskName           string          `json:"task_name"`
	TaskData           json.RawMessage `json:"task_data"`
	ConfiguredTaskData json.RawMessage `json:"configured_task_data,omitempty"`
	DynamicTaskData    json.RawMessage `json:"dynamic_task_data"`
	PriorityBase       int             `json:"priority_base"`
	PriorityAdjustment int             `json:"priority_adjustment"`
	OutputData         json.RawMessage `json:"output_data,omitempty"`
	WorkflowData       json.RawMessage `json:"workflow_data,omitempty"`
	Step               string          `json:"step,omitempty"`
	Template           string          `json:"workflow_template,omitempty"`
	Artifacts          []int64         `json:"artifacts"`
	Scope              string          `json:"scope"`
	Workspace          string          `json:"workspace"`
	Supersedes         *int64          `json:"supersedes,omitempty"`
	SupersededBy       *int64          `json:"superseded_by,omitempty"`
	TagsProvided       []string        `json:"scheduler_tags_provided"`
	TagsRequired       []string        `json:"scheduler_tags_required"`
	Queue              string          `json:"queue,omitempty"`
	MissingTags        []string        `json:"missing_tags,omitempty"`   // of a pending one that no enabled worker can take
	WaitingReason      string          `json:"waiting_reason,omitempty"` // the same as a sentence
	TemporalID         string          `json:"temporal_workflow_id,omitempty"`
	TemporalURL        string          `json:"temporal_url,omitempty"` // in the Web UI
	HasLog             bool            `json:"has_log,omitempty"`
	LogArtifact        *int64          `json:"log_artifact,omitempty"`
	Retry              *Retry          `json:"retry,omitempty"`                   // of a step that is tried again after delays
	RuntimeStatus      string          `json:"workflow_runtime_status,omitempty"` // of a workflow: needs-input, running, waiting, pending …
	StepsToRetry       int             `json:"steps_to_retry,omitempty"`          // below a workflow, that wait for a next try
	NextRetry          *time.Time      `json:"next_retry,omitempty"`              // when the first of them is due
	Links              Links           `json:"links,omitempty"`
}

// The events of GET work-request/ID/log/events/. The data of a LogPiece is
// base64: a log is bytes, in whatever encoding a build writes. That of the others
// is a LogMark. The id of each is where to go on after it, ATTEMPT-OFFSET.
const (
	LogPiece       = "log"
	LogFromAttempt = "attempt" // from here on it is the log of Attempt
	LogWaits       = "wait"    // Attempt is over, and another will follow
	LogIsFull      = "full"    // no more is kept while it runs; the rest comes at its end
	LogEnd         = "end"     // nothing follows
)

// LogMark says what is not log: where another attempt's begins, or that it ends.
type LogMark struct {
	Attempt  int    `json:"attempt"`          // 0: none has begun
	Offset   int64  `json:"offset"`           // in bytes
	Worker   string `json:"worker,omitempty"` // of the attempt that is told of: where another begins, of the one before
	Ending   string `json:"ending,omitempty"` // likewise: completed, lost, given-back
	Status   string `json:"status"`           // of the work request
	Result   string `json:"result,omitempty"`
	Artifact *int64 `json:"artifact,omitempty"` // that has the whole log of the attempt
	SHA256   string `json:"sha256,omitempty"`   // of that log
	Message  string `json:"message"`            // for people
}

// WorkflowCreate is the body of POST workflow/.
type WorkflowCreate struct {
	TemplateName string                     `json:"template_name,omitempty"`
	TaskName     string                     `json:"task_name,omitempty"`
	Workspace    string                     `json:"workspace,omitempty"`
	TaskData     map[string]json.RawMessage `json:"task_data"`
}

// WorkflowTemplate is a template, in requests (without ID) and answers.
type WorkflowTemplate struct {
	ID                int64                      `json:"id,omitempty"`
	Name              string                     `json:"name"`
	TaskName          string                     `json:"task_name"`
	StaticParameters  map[string]json.RawMessage `json:"static_parameters"`
	RuntimeParameters json.RawMessage            `json:"runtime_parameters,omitempty"`
	Priority          int                        `json:"priority"`
	ExtraGroups       []string                   `json:"extra_groups,omitempty"`
	Restricted        bool                       `json:"restricted"`
	Links             map[string]string          `json:"links,omitempty"`
}

// Begin is the body of POST work-request/ID/begin/: the task token that the
// gateway sealed for this worker.
type Begin struct {
	TaskToken []byte `json:"task_token"`
	Delivery  int32  `json:"delivery,omitempty"` // of a signing worker: Temporal's count of deliveries
}

// The decisions of BeginAnswer.
const (
	Run          = "run"
	AlreadyEnded = "already-ended"
	Refused      = "no"   // aborted, or the delivery is void
	Wait         = "wait" // it is not to begin yet; of signing workers
)

// BeginAnswer says whether to run, with the attempt's own token and the data.
type BeginAnswer struct {
	Decision     string          `json:"decision"`
	Token        string          `json:"token,omitempty"`
	Attempt      int             `json:"attempt,omitempty"`
	TaskName     string          `json:"task_name,omitempty"`
	TaskData     json.RawMessage `json:"task_data,omitempty"`    // configured
	DynamicData  json.RawMessage `json:"dynamic_data,omitempty"` // lookups resolved
	Workspace    string          `json:"workspace,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	LimitSeconds int64           `json:"limit_seconds,omitempty"`
}

// Complete is the body of PUT work-request/ID/completed/, with the attempt's token.
type Complete struct {
	Result     string          `json:"result"`
	OutputData json.RawMessage `json:"output_data,omitempty"`
}

// WorkRequestPatch is the body of PATCH work-request/ID/.
type WorkRequestPatch struct {
	PriorityAdjustment *int `json:"priority_adjustment,omitempty"`
}

// ExternalDebsign is the body of POST work-request/ID/external-debsign/.
type ExternalDebsign struct {
	SignedArtifact int64 `json:"signed_artifact"` // a debian:upload of the caller's own
}

// File is one file of an artifact. URL is in answers only.
type File struct {
	Type        string            `json:"type"` // "file"
	Size        int64             `json:"size"`
	Checksums   map[string]string `json:"checksums"` // sha256
	ContentType string            `json:"content_type,omitempty"`
	URL         string            `json:"url,omitempty"`
}

// ArtifactCreate is the body of POST artifact/.
type ArtifactCreate struct {
	Category    string          `json:"category"`
	Workspace   string          `json:"workspace,omitempty"`
	Files       map[string]File `json:"files"`
	Data        json.RawMessage `json:"data,omitempty"`
	WorkRequest *int64          `json:"work_request,omitempty"`
	ExpireAt    *time.Time      `json:"expire_at,omitempty"`
}

// Artifact is an artifact with what is still to be uploaded.
type Artifact struct {
	ID                   int64           `json:"id"`
	URL                  string          `json:"url"`
	Scope                string          `json:"scope"`
	Workspace            string          `json:"workspace"`
	Category             string          `json:"category"`
	CreatedAt            time.Time       `json:"created_at"`
	CreatedBy            string          `json:"created_by,omitempty"`
	CreatedByWorkRequest *int64          `json:"created_by_work_request,omitempty"`
	Data                 json.RawMessage `json:"data"`
	DownloadTarGzURL     string          `json:"download_tar_gz_url"`
	Complete             bool            `json:"complete"`
	FilesToUpload        []string        `json:"files_to_upload"`
	ExpireAt             *time.Time      `json:"expire_at"`
	Files                map[string]File `json:"files"`
	Links                Links           `json:"links,omitempty"`
}

// Relation joins two artifacts.
type Relation struct {
	ID       int64  `json:"id,omitempty"`
	Artifact int64  `json:"artifact"`
	Target   int64  `json:"target"`
	Type     string `json:"type"` // extends, relates-to, built-using
}

// WorkerRegister is the body of POST worker/register/. The token is a fresh
// secret that the worker made itself; it is void until an administrator enables
// the worker. An activation token in the Token header enables it at once.
type WorkerRegister struct {
	Token       string `json:"token"`
	FQDN        string `json:"fqdn"`
	WorkerType  string `json:"worker_type,omitempty"`
	Concurrency int    `json:"concurrency,omitempty"`
}

// WorkerRegistered is the answer: what the worker is called and where the
// gateway is.
type WorkerRegistered struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// WorkerMetadata is the body of PUT worker/dynamic-metadata/.
type WorkerMetadata map[string]any

// WorkerHello is the answer of PUT worker/dynamic-metadata/ (ours): where to
// poll, and what the machine may do.
type WorkerHello struct {
	ID             int64    `json:"id"`
	Name           string   `json:"name"`
	Enabled        bool     `json:"enabled"`
	Gateway        string   `json:"gateway"` // HOST:PORT of the gRPC gateway
	GatewayTLS     bool     `json:"gateway_tls"`
	Namespace      string   `json:"namespace"`
	TaskQueue      string   `json:"task_queue"` // the worker's own name for its queue
	Concurrency    int      `json:"concurrency"`
	TagsProvided   []string `json:"tags_provided"`
	TagsIgnored    []string `json:"tags_ignored,omitempty"` // reported, but not a worker's to say
	QueuesEntitled []string `json:"queues,omitempty"`
}

// Worker is a build machine in lists.
type Worker struct {
	ID           int64          `json:"id"`
	Name         string         `json:"name"`
	Type         string         `json:"worker_type"`
	Enabled      bool           `json:"enabled"`
	Draining     bool           `json:"draining,omitempty"`
	Connected    bool           `json:"connected"`
	Concurrency  int            `json:"concurrency"`
	RegisteredAt time.Time      `json:"registered_at"`
	HeardAt      *time.Time     `json:"heard_at"`
	Static       map[string]any `json:"static_metadata,omitempty"`
	Dynamic      map[string]any `json:"dynamic_metadata,omitempty"`
	TagsProvided []string       `json:"tags_provided"`
	TagsRequired []string       `json:"tags_required,omitempty"`
	Running      []int64        `json:"running"`       // work requests that the caller may see
	RunningCount int            `json:"running_count"` // all of them
}
