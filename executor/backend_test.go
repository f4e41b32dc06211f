package executor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine/executor"
	"debusine/executor/executortest"
)

// offering opens a machine that has a backend.
func offering(t *testing.T, name string) (*executor.Machine, executor.Backend) {
	t.Helper()
	needRoot(t)
	needTime(t)
	b, err := executor.BackendNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	m := executortest.Open(t)
	if err := m.Offers(t.Context(), b); err != nil {
		t.Skip(err)
	}
	return m, b
}

// systems are bootstrapped once for all tests; who needs one waits for it.
var systems struct {
	sync.Once
	tarball string
	err     error
	said    []byte
}

// system is a tarball of a small Debian.
func system(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("EXECUTOR_TEST_SYSTEM"); path != "" {
		return path
	}
	said, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Architecture: amd64").Output()
	fields := strings.Fields(string(said))
	if err != nil || len(fields) < 2 {
		t.Skip("apt knows no mirror: run apt-get update")
	}
	systems.Do(func() {
		dir, err := os.MkdirTemp("", "system")
		if err != nil {
			systems.err = err
			return
		}
		systems.tarball = filepath.Join(dir, "system.tar")
		systems.said, systems.err = exec.Command("mmdebstrap", "--variant=essential", fields[1], systems.tarball, fields[0]).CombinedOutput()
	})
	if systems.err != nil {
		t.Fatalf("%v: %s", systems.err, systems.said)
	}
	return systems.tarball
}

func TestMain(m *testing.M) {
	code := m.Run()
	if systems.tarball != "" {
		os.RemoveAll(filepath.Dir(systems.tarball))
	}
	os.Exit(code)
}

// schrooted is a testbed of schroot, with a layer that the first build user made.
func schrooted(t *testing.T) executortest.Testbed {
	t.Helper()
	m, b := offering(t, "schroot")
	if err := m.Layered(); err != nil {
		t.Skip("no layers here: ", err)
	}
	tarball := system(t)
	f := executortest.NewFolder(t, m)
	tree, err := f.NewTree("tree")
	if err != nil {
		t.Fatal(err)
	}
	shown := filepath.Join(f.Path, "system.tar")
	if err := os.Link(tarball, shown); err != nil {
		if said, err := exec.Command("cp", tarball, shown).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	if err := os.Chmod(shown, 0o644); err != nil {
		t.Fatal(err)
	}
	if ran, said := runAs(t, m, f, nil, f.AsRoot("tar", "--exclude=./dev/*", "--directory", tree, "--extract", "--file", shown)...); !ran.Succeeded() {
		t.Fatalf("unpacking: %+v\n%s", ran, said)
	}
	closed := filepath.Join(m.Dir(), "layer")
	if err := os.Rename(tree, closed); err != nil {
		t.Fatal(err)
	}
	return executortest.Testbed{Runner: &executor.Testbed{Machine: m, Backend: b, Layers: []string{closed}}, Opening: 3 * time.Second,
		Leave: []string{"chroot", "/proc/1/root", "env", "HOME=/tmp", "sh", "-c", `cd /tmp && exec "$@"`, "sh"},
		Own:   []string{"/run", "/run/lock"}}
}

func TestContractInSchroot(t *testing.T) { executortest.Contract(t, schrooted(t)) }

func TestLimitsInSchroot(t *testing.T) { executortest.Limits(t, schrooted(t)) }

func TestEscapeFromSchroot(t *testing.T) { executortest.Escape(t, schrooted(t)) }

// A job that has a device has nothing else that others have not.
func TestEscapeWithADevice(t *testing.T) {
	needRoot(t)
	needTime(t)
	executortest.Escape(t, withDevice{executortest.Open(t)})
}

func TestBackendsAreNamed(t *testing.T) {
	if names := executor.BackendNames(); !slices.IsSorted(names) || len(names) != 5 {
		t.Errorf("%q", names)
	}
	if _, err := executor.BackendNamed("docker"); err == nil || !strings.Contains(err.Error(), "hint: incus-lxc, incus-vm, qemu, schroot, unshare") {
		t.Errorf("%v", err)
	}
}
