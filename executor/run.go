package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// searchPath holds the sbin folders too: newuidmap, useradd, chroot.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Run runs a command to its end, to its limit or until ctx ends. A command
// that fails, is stopped or cancelled is a Result; an error is the machine's.
// Nothing of the command is alive when Run returns.
func (m *Machine) Run(ctx context.Context, c Command) (Result, error) {
	if err := m.prepare(&c); err != nil {
		return Result{}, err
	}
	out, err := createOutput(c.Output, c.OutputLimit, c.Tap)
	if err != nil {
		return Result{}, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		out.finish()
		return Result{}, fmt.Errorf("making a pipe for the command: %w", err)
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{from}, make([]byte, 64<<10))
		copied <- err
	}()
	result, err := m.runTo(ctx, c, to, out.flood)
	// All writers are dead: what they wrote is in the pipe, then comes EOF.
	err = errors.Join(err, <-copied)
	from.Close()
	leftOut, failed := out.finish()
	result.LeftOut = leftOut
	return result, errors.Join(err, failed)
}

// runTo closes to, in any case.
func (m *Machine) runTo(ctx context.Context, c Command, to *os.File, flood <-chan struct{}) (_ Result, err error) {
	defer to.Close()
	group, err := m.groups.newGroup(fmt.Sprintf("%s-%d", filepath.Base(c.Folder.Path), m.commands.Add(1)), c.Limits)
	if err != nil {
		return Result{}, err
	}
	if group != nil {
		defer func() { err = errors.Join(err, group.remove()) }()
	}
	stop := stopping{flood: flood, group: group}
	if m.root {
		return m.runApart(ctx, c, to, stop)
	}
	return m.runPlain(ctx, c, to, stop)
}

// prepare finds the program and fills in what the command left open.
func (m *Machine) prepare(c *Command) error {
	if len(c.Argv) == 0 || c.Folder == nil || c.Output == "" {
		return errors.New("a command needs argv, a folder and an output")
	}
	if len(c.Layers) > 0 && m.layered != nil {
		return fmt.Errorf("a command cannot have layers here: %w", m.layered)
	}
	program, err := findProgram(c.Argv[0])
	if err != nil {
		return err
	}
	c.Argv = append([]string{program}, c.Argv[1:]...)
	if c.Dir == "" {
		c.Dir = c.Folder.Work
	}
	if c.OutputLimit == 0 {
		c.OutputLimit = DefaultOutputLimit
	}
	c.Limits = c.Limits.or(m.config.Limits)
	return nil
}

func findProgram(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(searchPath) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s is missing; hint: install the package that has it", name)
}

// environment is all that a command gets: nothing of the worker's own
// environment, where secrets may be.
func (m *Machine) environment(c Command) []string {
	env := map[string]string{
		"PATH":    searchPath,
		"HOME":    c.Folder.Work,
		"TMPDIR":  c.Folder.Work,
		"USER":    c.Folder.builder.name,
		"LOGNAME": c.Folder.builder.name,
		"SHELL":   "/bin/sh",
		"LANG":    "C.UTF-8",
	}
	for _, more := range []map[string]string{m.config.Environment, c.Env} {
		for name, value := range more {
			env[name] = value
		}
	}
	env["DEBUSINE_JOB"] = m.marker()
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// marker names this worker's commands among the machine's processes. Two
// installations on one machine may call their workers the same; their state
// folders differ.
func (m *Machine) marker() string { return "debusine-job:" + m.config.Instance + ":" + m.config.Dir }

// stopping is how a tree of processes is asked to end, and made to.
type stopping struct {
	ask, end func()
	broken   <-chan error // the machine failed under the command; may be nil
	flood    <-chan struct{}
	group    *jobGroup // may be nil
}

// supervise waits for a started command and stops it when it must: gently for
// time and a context that ends, at once when it takes more than it may.
func (m *Machine) supervise(ctx context.Context, c Command, cmd *exec.Cmd, stop stopping) (Result, error) {
	var (
		result Result
		broken error
		limit  <-chan time.Time
		grace  <-chan time.Time
		ended  = make(chan error, 1)
		start  = time.Now()
		watch  = watchJob(cmd.Process.Pid, c.Folder.Path, c.Limits, stop.group)
		cancel = ctx.Done()
	)
	go func() { ended <- cmd.Wait() }()
	if c.Limit > 0 {
		timer := time.NewTimer(c.Limit)
		defer timer.Stop()
		limit = timer.C
	}
	halt := func() {
		limit, cancel, stop.broken = nil, nil, nil
		grace = time.After(m.config.Grace)
		stop.ask()
	}
	for {
		select {
		case err := <-ended:
			if !m.root {
				stop.end()
			}
			result.Duration = time.Since(start)
			result.account(cmd.ProcessState)
			watch.finish(&result)
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && broken == nil {
				broken = fmt.Errorf("waiting for %s: %w", c.Argv[0], err)
			}
			return result, broken
		case <-limit:
			result.struck(struckTime(c.Limit))
			halt()
		case struck := <-watch.strikes:
			result.struck(struck)
			stop.end()
		case <-stop.flood:
			stop.flood = nil
			result.struck(struckOutput(c.OutputLimit))
			stop.end()
		case <-cancel:
			result.Cancelled = true
			halt()
		case broken = <-stop.broken:
			halt()
		case <-grace:
			stop.end()
		}
	}
}

// account fills in what the kernel counted.
func (r *Result) account(state *os.ProcessState) {
	if state == nil {
		return
	}
	r.User, r.System = state.UserTime(), state.SystemTime()
	r.ExitCode = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.ExitCode = 128 + int(status.Signal())
	}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		r.MaxRSS = usage.Maxrss * 1024 // getrusage(2): kilobytes
	}
}
