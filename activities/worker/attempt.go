package workeract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"debusine"
	"debusine/executor"
)

// work is one kind of task that runs a command.
type work interface {
	// setup fetches what is needed and gives the command to run.
	setup(context.Context, *attempt) (executor.Command, error)
	// teardown judges what the command left and uploads it.
	teardown(context.Context, *attempt, executor.Result) (debusine.Result, error)
	// subject is the artifact that debug logs are related to; 0 for none.
	subject() int64
}

// attempt is one job under way.
type attempt struct {
	*Doer
	job    Job
	server Server
	folder *executor.Folder
	errors []debusine.TaskError
	stages strings.Builder // what went wrong, for who debugs the worker
	debug  map[string]string
	atEnd  []func() // set in setup
	space  space    // for the command, while it ran

	// Set in teardown, by who knows.
	stage     string // in which the command failed
	leastDisk int64  // bytes that the work is known to have taken
	failure   *debusine.BuildFailure
}

// keepingTime is how long a log that the server may still want is offered
// after the job itself was cancelled.
const keepingTime = 30 * time.Second

// inFolder does work in a folder of its own.
func (d *Doer) inFolder(ctx context.Context, job Job, server Server, w work) (Outcome, error) {
	d.ready.relieve()
	folder, err := d.machine.NewFolder(job.WorkRequest)
	if err != nil {
		return Outcome{}, err
	}
	defer func() {
		if err := folder.Remove(); err != nil {
			d.log.Error("a work folder stays behind", "path", folder.Path, "error", err)
		}
	}()
	a := &attempt{Doer: d, job: job, server: server, folder: folder, debug: map[string]string{}}
	defer func() {
		for _, f := range a.atEnd {
			f()
		}
	}()
	return a.do(ctx, w)
}

// do goes through the phases and times them.
func (a *attempt) do(ctx context.Context, w work) (Outcome, error) {
	var (
		start = time.Now()
		stats debusine.RuntimeStatistics
	)
	command, err := w.setup(ctx, a)
	if err != nil {
		return a.broken(ctx, w, "fetching the inputs", err)
	}
	ready := time.Now()
	stats.DurationSetup = whole(ready.Sub(start))
	result, flush, err := a.run(ctx, command, a.job.Limit-ready.Sub(start))
	if err != nil {
		flush()
		return a.broken(ctx, w, "running the command", err)
	}
	over := time.Now()
	stats.DurationRun = whole(over.Sub(ready))

	verdict, err := a.judge(ctx, w, result)
	flush()
	if err != nil && ctx.Err() == nil {
		return a.broken(ctx, w, "looking at what came out", err)
	}
	if verdict != debusine.Success && ctx.Err() == nil {
		a.note("the command ended with exit code %d", result.ExitCode)
		a.uploadDebug(ctx, w)
	}
	end := time.Now()
	a.account(&stats, result)
	stats.DurationTeardown, stats.Duration = whole(end.Sub(over)), whole(end.Sub(start))
	a.machineSize(&stats)
	outcome := Outcome{Result: verdict, OutputData: debusine.OutputData{RuntimeStatistics: &stats, Errors: a.errors, Command: a.commandEnd(result), Failure: a.failure}}
	if verdict != debusine.Success && a.failure == nil {
		outcome.OutputData.Failure = classifyPlain(a.errors, result)
	}
	if ctx.Err() != nil {
		outcome.Result, outcome.OutputData.Errors, outcome.OutputData.Failure = "", nil, nil
		return outcome, context.Cause(ctx)
	}
	a.log.Info("phases of a job", "work_request", a.job.WorkRequest, "task", a.job.Task, "result", verdict,
		"setup", ready.Sub(start), "run", over.Sub(ready), "teardown", end.Sub(over))
	return outcome, nil
}

// account fills in what the command took.
func (a *attempt) account(stats *debusine.RuntimeStatistics, ran executor.Result) {
	stats.CPUTime, stats.CPUTimeUser, stats.CPUTimeSystem = whole(ran.CPU), whole(ran.User), whole(ran.System)
	stats.Memory, stats.DiskSpace = ran.PeakMemory, max(ran.Disk, a.leastDisk)
}

// commandEnd says how the command ended.
func (a *attempt) commandEnd(ran executor.Result) *debusine.CommandEnd {
	return &debusine.CommandEnd{ExitCode: ran.ExitCode, FailStage: a.stage, Limit: string(ran.Struck), LeftOut: ran.LeftOut}
}

// run runs the command with its log streamed. flush waits until the server
// has the end of it; until then artifacts can be uploaded beside.
func (a *attempt) run(ctx context.Context, c executor.Command, limit time.Duration) (executor.Result, func(), error) {
	c.Folder, c.Output = a.folder, a.logPath()
	if limit <= 0 {
		limit = time.Second // setup took it all; the command's log shall say so
	}
	c.Limit = limit
	live := follow(context.WithoutCancel(ctx), a.server, c.Output, a.log)
	c.Tap = live
	watched := watchSpace(a.folder.Path)
	result, err := a.machine.Run(ctx, c)
	a.space = watched()
	flushed := make(chan struct{})
	go func() { defer close(flushed); live.finish() }()
	switch result.Struck {
	case "", executor.MachineDisk: // which the verdict tells
	case executor.Time:
		a.errors = append(a.errors, overLimit(a.job.Limit))
	default:
		a.errors = append(a.errors, debusine.TaskError{Message: result.Reason, Code: string(result.Struck) + "-limit"})
	}
	if result.LeftOut > 0 {
		a.note("%d bytes of output were left out of the log", result.LeftOut)
	}
	a.note("command: %q", c.Argv)
	return result, func() { <-flushed }, err
}

func (a *attempt) logPath() string { return filepath.Join(a.folder.Path, "cmd-output.log") }

// judge is the teardown, also of a command that was aborted: its log is kept.
// A job that is given back (a context that ended with a cause of its own, as
// when the worker drains) leaves nothing: whoever does it again will.
func (a *attempt) judge(ctx context.Context, w work, result executor.Result) (debusine.Result, error) {
	if ctx.Err() == nil {
		return w.teardown(ctx, a, result)
	}
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		return "", context.Cause(ctx)
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepingTime)
	defer cancel()
	return w.teardown(keep, a, result)
}

// broken tells what no machine can do from what this one could not.
func (a *attempt) broken(ctx context.Context, w work, doing string, err error) (Outcome, error) {
	err = fmt.Errorf("%s: %w", doing, err)
	if ctx.Err() != nil {
		return Outcome{}, errors.Join(context.Cause(ctx), err)
	}
	a.note("%v", err)
	a.uploadDebug(ctx, w)
	if away := (mirrorAway{}); errors.As(err, &away) {
		return Outcome{Result: debusine.TemporaryFailure, OutputData: debusine.OutputData{
			Errors:  []debusine.TaskError{{Message: away.Error(), Code: "mirror-failed"}},
			Failure: &debusine.BuildFailure{Class: debusine.FailedNetwork, MendsWithTime: true, Evidence: clip([]byte(away.Error()))}}}, nil
	}
	if isUnusable(err) {
		return hopeless("execute-failed", err), nil
	}
	return Outcome{}, err
}

func (a *attempt) note(format string, args ...any) {
	fmt.Fprintf(&a.stages, format+"\n", args...)
}

// uploadDebug gives away what helps to see why: notes, a listing of the work
// folder and the files that the work has named. Failing at it changes nothing.
func (a *attempt) uploadDebug(ctx context.Context, w work) {
	a.note("files in the work folder:")
	a.list(a.folder.Work)
	path := filepath.Join(a.folder.Path, "stages.log")
	if err := os.WriteFile(path, []byte(a.stages.String()), 0o644); err != nil {
		a.log.Error("writing the debug log", "error", err)
		return
	}
	a.debug["stages.log"] = path
	id, err := a.server.CreateArtifact(ctx, debusine.CategoryDebugLogs, debusine.DebugLogsData{}, a.debug)
	if err == nil && w.subject() != 0 {
		err = a.server.Relate(ctx, id, w.subject(), "relates-to")
	}
	if err != nil {
		a.log.Error("uploading the debug logs", "work_request", a.job.WorkRequest, "error", err)
	}
}

// list notes the first files of a folder, two levels deep.
func (a *attempt) list(dir string) {
	left := 200
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		if err != nil || left == 0 || strings.Count(name, "/") > 1 {
			return fs.SkipDir
		}
		if info, err := entry.Info(); err == nil {
			a.note("%s %10d %q", info.Mode(), info.Size(), name)
			left--
		}
		return nil
	})
}

// machineSize adds what the machine has, so that statistics can be compared.
func (a *attempt) machineSize(stats *debusine.RuntimeStatistics) {
	stats.AvailableDisk = freeSpace(a.machine.Dir())
	var memory syscall.Sysinfo_t
	if err := syscall.Sysinfo(&memory); err == nil {
		stats.AvailableMemory = int64(memory.Totalram) * int64(memory.Unit)
	}
	stats.CPUCount = int64(runtime.NumCPU())
}

func overLimit(limit time.Duration) debusine.TaskError {
	return debusine.TaskError{Message: fmt.Sprintf("stopped after the time limit of %v", limit), Code: "time-limit"}
}

// whole rounds up to seconds, the unit of runtime statistics: what took any
// time at all took one.
func whole(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
