package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
uid=$1; gid=$2; shift 2
mount -t proc -o nosuid,nodev,noexec proc /proc || exit 125
echo 500 > /proc/self/oom_score_adj
setsid env --default-signal=INT,QUIT setpriv --reuid="$uid" --regid="$gid" --clear-groups -- "$@" 2>&1 3>&- &
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
func (m *Machine) runApart(ctx context.Context, c Command, to *os.File) (Result, error) {
	var (
		result Result
		err    error
	)
	onThread(func() { result, err = m.inNamespaces(ctx, c, to) })
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

func (m *Machine) inNamespaces(ctx context.Context, c Command, to *os.File) (Result, error) {
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWIPC
	if !m.config.InheritNetwork {
		flags |= unix.CLONE_NEWNET
	}
	if err := unix.Unshare(flags); err != nil {
		return Result{}, fmt.Errorf("making namespaces for the job: %w; hint: the worker needs CAP_SYS_ADMIN, "+
			"which a container has only when started as privileged", err)
	}
	if err := m.mountApart(c.Folder); err != nil {
		return Result{}, err
	}
	var lost <-chan error
	if !m.config.InheritNetwork {
		net, err := startNetwork(fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid()))
		if err != nil {
			return Result{}, err
		}
		defer net.stop()
		lost = net.lost
	}
	cmd, complaint, err := m.startFirst(c, to)
	if err != nil {
		return Result{}, err
	}
	defer complaint.Close()
	result, err := m.supervise(ctx, c, cmd, stopping{
		ask:    func() { _ = cmd.Process.Signal(unix.SIGTERM) },
		end:    func() { _ = cmd.Process.Kill() },
		broken: lost,
	})
	if said, _ := io.ReadAll(io.LimitReader(complaint, 4096)); len(said) > 0 {
		err = errors.Join(err, fmt.Errorf("starting %s in its namespaces: %s", c.Argv[0], strings.TrimSpace(string(said))))
	}
	return result, err
}

// startFirst starts process 1. complaint yields what it says went wrong.
func (m *Machine) startFirst(c Command, to *os.File) (cmd *exec.Cmd, complaint *os.File, err error) {
	complaint, says, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer says.Close()
	argv := append([]string{"-c", firstProcess, m.marker(),
		strconv.Itoa(m.builder.uid), strconv.Itoa(m.builder.gid)}, c.Argv...)
	cmd = exec.Command("/bin/sh", argv...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, m.environment(c), to, to
	cmd.ExtraFiles = []*os.File{says}
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

// mountApart shapes the mount namespace of the calling thread: no other job,
// temporary folders of its own, and the name server that slirp4netns offers.
// Slave, not private: what the machine unmounts must not be held here.
func (m *Machine) mountApart(f *Folder) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating the job's mounts: %w", err)
	}
	if !m.config.InheritNetwork {
		if err := nameServer(f); err != nil {
			return err
		}
	}
	for place, with := range map[string]string{"/tmp": "tmp", "/var/tmp": "var-tmp", "/dev/shm": ""} {
		if err := m.ownTemporary(place, f, with); err != nil {
			return err
		}
	}
	return hideOthers(m.jobs, f.Path)
}

// ownTemporary replaces a folder that all users of the machine share, unless
// the worker's state lies in it.
func (m *Machine) ownTemporary(place string, f *Folder, with string) error {
	if info, err := os.Stat(place); err != nil || !info.IsDir() || strings.HasPrefix(m.config.Dir+"/", place+"/") {
		return nil
	}
	var err error
	if with == "" {
		err = unix.Mount("tmpfs", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	} else {
		err = unix.Mount(filepath.Join(f.tmp, with), place, "", unix.MS_BIND, "")
	}
	if err != nil {
		return fmt.Errorf("giving the job a %s of its own: %w", place, err)
	}
	return nil
}

// nameServer makes /etc/resolv.conf (or what it links to) name slirp4netns,
// which asks the machine's own name server, also one on loopback.
func nameServer(f *Folder) error {
	place, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this machine has no /etc/resolv.conf, so a job could find no mirror; hint: make one")
	}
	if err != nil {
		return err
	}
	path := filepath.Join(f.Path, "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver 10.0.2.3\n"), 0o644); err != nil {
		return fmt.Errorf("writing the job's resolv.conf: %w", err)
	}
	if err := unix.Mount(path, place, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("giving the job its resolv.conf: %w", err)
	}
	return nil
}

// hideOthers leaves only the folder own of those in jobs.
func hideOthers(jobs, own string) error {
	// Held open, it can be bound after its place was covered.
	held, err := unix.Open(own, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the job's folder: %w", err)
	}
	defer unix.Close(held)
	err = unix.Mount("tmpfs", jobs, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0711")
	if err == nil {
		err = os.Mkdir(own, 0o755)
	}
	if err == nil {
		err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", held), own, "", unix.MS_BIND, "")
	}
	if err != nil {
		return fmt.Errorf("hiding other jobs: %w", err)
	}
	return nil
}
