package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"debusine/executor"
	"debusine/executor/executortest"
)

func TestFullDiskOfTheWorkerIsNotTheCommands(t *testing.T) {
	needRoot(t)
	dir := executortest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	m := executortest.OpenIn(t, dir)
	t.Cleanup(func() { m.Close() })
	folder, err := m.NewFolder(1)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Remove()
	result, err := m.Run(t.Context(), executor.Command{Argv: []string{"sh", "-c", "head -c 70M /dev/zero > big; sleep 20"},
		Folder: folder, Output: filepath.Join(folder.Path, "log")})
	if errors.Is(err, syscall.ENOSPC) {
		err = nil // the log had no place either
	}
	if err != nil || result.Struck != executor.MachineDisk || !strings.Contains(result.Reason, "the disk of the worker is full") {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestJobsAtOnceHaveUsersOfTheirOwn(t *testing.T) {
	needRoot(t)
	// Two workers of one machine, that do not know of one another.
	one, two := executortest.Open(t), executortest.Open(t)
	seen := make(map[int]bool)
	for _, m := range []*executor.Machine{one, two, one} {
		folder := executortest.NewFolder(t, m)
		if seen[folder.Owner()] || folder.Owner() == 0 {
			t.Errorf("user %d has two jobs", folder.Owner())
		}
		seen[folder.Owner()] = true
		info, err := os.Stat(folder.Work)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != folder.Owner() {
			t.Errorf("the work folder is another's: %v", err)
		}
	}
}

// bare runs commands as the build user and does nothing else for them.
type bare struct{ *executor.Machine }

func (b bare) Run(ctx context.Context, c executor.Command) (executor.Result, error) {
	return executor.Bare(ctx, c)
}

func TestAttacksFindAMachineThatIsolatesNothing(t *testing.T) {
	needRoot(t)
	needTime(t)
	found := executortest.Attack(t, bare{executortest.Open(t)})
	for _, want := range []string{"the loopback of the machine at 127.0.0.1", "socket abstract", "socket in /tmp", "the machine's /tmp", "a file in"} {
		if !strings.Contains(found, "ESCAPED: "+want) {
			t.Errorf("not found: %s", want)
		}
	}
}
