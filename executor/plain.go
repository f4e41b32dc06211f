package executor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// runPlain runs a command as the worker's own user, without root and so
// without namespaces.
func (m *Machine) runPlain(ctx context.Context, c Command, to *os.File, stop stopping) (Result, error) {
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, m.environment(c), to, to
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Result{}, fmt.Errorf("starting %s: %w", c.Argv[0], err)
	}
	to.Close()
	session := cmd.Process.Pid
	stop.ask = func() { _ = syscall.Kill(-session, syscall.SIGTERM) }
	stop.end = func() { m.endTree(session, c.Folder) }
	return m.supervise(ctx, c, cmd, stop)
}

// endTree kills until nothing is left, for a tree may grow while it is walked;
// it gives up after five seconds (a process stuck in the kernel).
func (m *Machine) endTree(session int, f *Folder) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		alive := 0
		for _, p := range processes() {
			if p.session == session || p.has("TMPDIR="+f.Work) && p.has("DEBUSINE_JOB="+m.marker()) {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
				alive++
			}
		}
		if alive == 0 {
			return
		}
	}
}
