// Package workeract does what build machines do: noop, sleep, mmdebstrap and
// sbuild, for a server that does not trust them and builds that they do not
// trust.
//
// Each task is a Job, done by Doer.Do in three phases that are timed: setup
// (fetch the inputs), run (one command, in an executor.Machine, its output
// streamed while it grows) and teardown (look at what came out, upload it).
// Do knows neither Temporal nor HTTP: it asks a Server, whose methods the
// client package has, and answers an Outcome.
//
// A failed build is an Outcome; a broken machine or a server that cannot be
// reached is an error, and then nothing is said about the package. Work that
// can never be done as it was given (a source artifact without a .dsc) is an
// Outcome with the result error.
//
// What a build leaves behind is hostile until looked at: it is moved to where
// no build can write, and only plain files of the build user with the names
// and sizes that the .changes gives are taken (output.go). What parses
// compressed data runs in the Machine, as builds do.
package workeract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"debusine"
	"debusine/api"
	"debusine/executor"
	"debusine/task"
)

// Server is what a job needs of the server, spoken with its attempt's token.
type Server interface {
	// Artifact gives an artifact with its data and files.
	Artifact(ctx context.Context, id int64) (api.Artifact, error)
	// Download writes one file of an artifact and verifies its SHA-256.
	Download(ctx context.Context, artifact int64, path string, to *os.File) error
	// CreateArtifact makes an artifact of local files (path in the artifact
	// to path on disk) and uploads them.
	CreateArtifact(ctx context.Context, category string, data any, files map[string]string) (id int64, err error)
	// CreateFrom does the same where some files are those of an input.
	CreateFrom(ctx context.Context, category string, data any, files map[string]string, same map[string]api.File) (id int64, err error)
	// Relate joins two artifacts: extends, relates-to, built-using.
	Relate(ctx context.Context, artifact, target int64, kind string) error
	// AppendLog adds to the live log at an offset in bytes.
	AppendLog(ctx context.Context, offset int64, chunk []byte) error
}

// Job is one attempt at a work request, as begin gave it out.
type Job struct {
	WorkRequest int64
	Task        string          // "sbuild"
	Data        json.RawMessage // configured task data
	Dynamic     json.RawMessage // resolved lookups: input_source_artifact_id …
	Workspace   string
	Limit       time.Duration // of the attempt; the task's own when 0
}

// Outcome is how a job ended.
type Outcome struct {
	Result     debusine.Result
	OutputData debusine.OutputData
}

// UnknownTask says that this worker cannot do a task, so another should.
type UnknownTask struct{ Name string }

func (u UnknownTask) Error() string {
	return fmt.Sprintf("this worker does not know the task %q", u.Name)
}

// Broken is the result of a noop that was told to break: an error of the
// machine, as far as anyone can tell.
type Broken struct{}

func (Broken) Error() string { return "the attempt broke, as it was told to" }

// Doer does jobs on one machine, several at once.
type Doer struct {
	machine *executor.Machine
	cache   *cache
	ready   *ready
	log     *slog.Logger
	proxy   map[string]string // environment of commands that fetch
}

// New makes a Doer. Environments are kept in the machine's state folder.
func New(ctx context.Context, machine *executor.Machine, log *slog.Logger) (*Doer, error) {
	cache, err := openCache(machine.Dir())
	if err != nil {
		return nil, err
	}
	d := &Doer{machine: machine, cache: cache, log: log}
	url, reachable := executor.Proxy(ctx)
	switch {
	case url != "" && reachable:
		d.proxy = map[string]string{"http_proxy": url}
	case url != "":
		log.Warn("apt's proxy listens on this machine's loopback, where jobs cannot reach it; they go without", "proxy", url)
	}
	return d, d.KeepReady(0)
}

// Do does a job. When ctx ends the command is stopped and the error is the
// context's cause. Where that is context.Canceled, the job was aborted and its
// log is kept as far as the server takes it, and the outcome has no result but
// what the attempt took, where its command had begun; with any other cause the
// job is given back, and nothing is uploaded.
func (d *Doer) Do(ctx context.Context, job Job, server Server) (Outcome, error) {
	definition, err := task.WorkerTask(job.Task)
	if err != nil {
		return Outcome{}, UnknownTask{job.Task}
	}
	if job.Limit == 0 {
		job.Limit = definition.Limit
	}
	data, err := definition.Parse(job.Data)
	if err != nil {
		return hopeless("configure-failed", err), nil
	}
	switch data := data.(type) {
	case *task.NoopData:
		return noop(data)
	case *task.SleepData:
		return sleep(ctx, job, data)
	case *task.MmdebstrapData:
		return d.inFolder(ctx, job, server, &mmdebstrap{data: data})
	case *task.SystemImageBuildData:
		return d.inFolder(ctx, job, server, newSystemImage(data))
	case *task.SbuildData:
		return d.inFolder(ctx, job, server, &sbuild{data: data})
	case *task.ExtractForSigningData:
		return d.inFolder(ctx, job, server, &extractForSigning{})
	case *task.AssembleSignedSourceData:
		return d.inFolder(ctx, job, server, &assembleSignedSource{})
	case *task.MakeSourcePackageUploadData:
		return d.inFolder(ctx, job, server, &makeSourceUpload{data: data})
	case *task.MergeUploadsData:
		return d.mergeUploads(ctx, job, server)
	}
	return Outcome{}, UnknownTask{job.Task}
}

// hopeless is the outcome of work that no machine could do as it was given.
func hopeless(code string, err error) Outcome {
	return Outcome{Result: debusine.Error, OutputData: debusine.OutputData{
		Errors: []debusine.TaskError{{Message: err.Error(), Code: code}},
	}}
}

// unusable is an error about the input, not about the machine.
type unusable struct{ what string }

func (u unusable) Error() string { return u.what }

func unusablef(format string, args ...any) error { return unusable{fmt.Sprintf(format, args...)} }

// mirrorAway is an error about a mirror: nobody is to blame here, and time may
// mend it.
type mirrorAway struct{ what string }

func (m mirrorAway) Error() string { return "a mirror could not be used: " + m.what }

// isUnusable also counts the server's plain refusals of what was asked for.
func isUnusable(err error) bool {
	return errors.As(err, new(unusable)) || errors.As(err, new(debusine.Missing)) || errors.As(err, new(debusine.Invalid))
}

// refused tells a server that will not from one that cannot now.
func refused(err error) bool {
	return isUnusable(err) || errors.As(err, new(debusine.Forbidden)) || errors.As(err, new(debusine.Conflict))
}
