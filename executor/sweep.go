package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Sweep ends the processes and removes the folders that an earlier run of this
// worker left: one that was killed could not. It is for the start: no command
// of this Machine may be running. Other workers' are told apart by the
// instance's name, and a build cannot pass for one: as root, only root's
// processes count.
func (m *Machine) Sweep(ctx context.Context) error {
	if err := m.endLeftovers(ctx); err != nil {
		return err
	}
	m.groups.sweep()
	left, err := filepath.Glob(filepath.Join(m.jobs, "WR-*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		m.config.Log.Info("removing the folder of a job that a killed worker left", "path", path)
		if err := m.removeTree(path); err != nil {
			return fmt.Errorf("removing the folder of a job that a killed worker left: %w", err)
		}
	}
	return nil
}

func (m *Machine) endLeftovers(ctx context.Context) error {
	for try := 0; ; try++ {
		left := m.leftovers()
		if len(left) == 0 {
			return nil
		}
		if try == 100 {
			return fmt.Errorf("processes %v of an earlier run of this worker cannot be killed", left)
		}
		for _, pid := range left {
			if try == 0 {
				m.config.Log.Info("killing a job that a killed worker left", "pid", pid)
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leftovers are the first processes of our namespaces (all others die with
// them) or, without root, all that carry our variable.
func (m *Machine) leftovers() []int {
	var pids []int
	for _, p := range processes() {
		if p.owner() != os.Geteuid() || p.pid == os.Getpid() {
			continue
		}
		if m.root && slices.Contains(p.words("cmdline"), m.marker()) ||
			!m.root && p.has("DEBUSINE_JOB="+m.marker()) {
			pids = append(pids, p.pid)
		}
	}
	return pids
}
