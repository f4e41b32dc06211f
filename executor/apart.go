package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstProcess is process 1 of a command's process namespace. It hands
// SIGTERM on to the command's session (the kernel gives process 1 no signal
// that it does not handle), reaps, and by ending ends the whole tree. What
// goes wrong before the command starts is said on descriptor 3. A shell
// ignores SIGINT for what it puts in the background: env undoes that.
const firstProcess = `
child=
trap 'test -n "$child" || exit 143; kill -TERM "-$child" || kill -TERM "$child"' TERM
exec 2>&3
uid=$1; gid=$2; groups=$3; doors=$4; limits=$5; shift 5
test "$doors" -lt 1 || echo 0 >&4 || exit 125
test "$doors" -lt 2 || echo 0 >&5 || exit 125
exec 4>&- 5>&-
mount -t proc -o nosuid,nodev,noexec proc /proc || exit 125
echo 500 > /proc/self/oom_score_adj
setsid env --default-signal=INT,QUIT prlimit $limits \
	setpriv --reuid="$uid" --regid="$gid" "$groups" -- "$@" 2>&1 3>&- &
child=$!
exec 2>/dev/null 3>&-
while :; do
	wait "$child"
	code=$?
	kill -0 "$child" || exit "$code"
done
`

// runApart runs a command in namespaces of its own. They belong to a thread,
// which the command's first process is a child of: it dies with that thread.
func (m *Machine) runApart(ctx context.Context, c Command, to *os.File, stop stopping) (Result, error) {
	var (
		result Result
		err    error
	)
	onThread(func() { result, err = m.inNamespaces(ctx, c, to, stop) })
	return result, err
}

// onThread runs f on an operating-system thread that is thrown away after it.
// The main thread cannot be: /proc/self would show its namespaces for ever.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			onThread(f)
			runtime.UnlockOSThread()
			close(done)
			return
		}
		defer close(done)
		f()
	}()
	<-done
}

func (m *Machine) inNamespaces(ctx context.Context, c Command, to *os.File, stop stopping) (Result, error) {
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	if !m.config.InheritNetwork {
		flags |= unix.CLONE_NEWNET
	}
	if err := unix.Unshare(flags); err != nil {
		return Result{}, fmt.Errorf("making namespaces for the job: %w; hint: the worker needs CAP_SYS_ADMIN, "+
			"which a container has only when started as privileged", err)
	}
	if err := ownKeys(); err != nil {
		return Result{}, err
	}
	if err := m.mountApart(c); err != nil {
		return Result{}, err
	}
	if !m.config.InheritNetwork {
		net, err := startNetwork(fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid()))
		if err != nil {
			return Result{}, err
		}
		defer net.stop()
		stop.broken = net.lost
	}
	cmd, complaint, err := m.startFirst(c, to, stop.group)
	if err != nil {
		return Result{}, err
	}
	defer complaint.Close()
	stop.ask = func() { _ = cmd.Process.Signal(unix.SIGTERM) }
	stop.end = func() { _ = cmd.Process.Kill() }
	result, err := m.supervise(ctx, c, cmd, stop)
	if said, _ := io.ReadAll(io.LimitReader(complaint, 4096)); len(said) > 0 {
		err = errors.Join(err, fmt.Errorf("starting %s in its namespaces: %s", c.Argv[0], strings.TrimSpace(string(said))))
	}
	return result, err
}

// startFirst starts process 1. complaint yields what it says went wrong.
func (m *Machine) startFirst(c Command, to *os.File, group *jobGroup) (cmd *exec.Cmd, complaint *os.File, err error) {
	complaint, says, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer says.Close()
	var doors []*os.File
	limits := "--core=" + rlimit(unix.RLIMIT_CORE, 1)
	if group != nil {
		if doors, err = group.doors(); err != nil {
			complaint.Close()
			return nil, nil, err
		}
		defer closeAll(doors)
	} else {
		limits += " --data=" + rlimit(unix.RLIMIT_DATA, 2*c.Limits.Memory) + " --nproc=" + rlimit(unix.RLIMIT_NPROC, c.Limits.Processes)
	}
	argv := append([]string{"-c", firstProcess, m.marker(), strconv.Itoa(c.Folder.builder.uid), strconv.Itoa(c.Folder.builder.gid),
		groupsOption(c.Groups), strconv.Itoa(len(doors)), limits}, c.Argv...)
	cmd = exec.Command("/bin/sh", argv...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, m.environment(c), to, to
	cmd.ExtraFiles = append([]*os.File{says}, doors...)
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID,
		Setsid:     true,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		complaint.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", c.Argv[0], err)
	}
	to.Close()
	return cmd, complaint, nil
}

// rlimit is a limit as prlimit(1) takes it, never above our own: in a container
// root may not raise it. Cores of 1 byte are none, also where core(5) has them
// piped to a program of the machine.
func rlimit(resource int, most int64) string {
	var own unix.Rlimit
	if err := unix.Getrlimit(resource, &own); err != nil || most > 0 && uint64(most) < own.Max {
		own.Max = uint64(max(most, 0))
	}
	if own.Max == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(own.Max, 10)
}
