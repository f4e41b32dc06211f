package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Machine runs commands in jobs' folders. Its methods may be called from
// several goroutines.
type Machine struct {
	config  Config
	builder builder
	root    bool // namespaces can be made
	lock    *os.File
	jobs    string
	groups  groups
	layered error // why there are no layers

	commands atomic.Int64 // run so far, to name their groups

	kvmTried sync.Once
	noKVM    error
}

var instanceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Open takes the state folder, makes the build user if it is missing (root
// only), checks that the tools are there and sweeps what a killed worker left.
// An error says what the administrator has to do.
func Open(ctx context.Context, config Config) (*Machine, error) {
	m := &Machine{config: config, root: os.Geteuid() == 0}
	if m.config.Grace == 0 {
		m.config.Grace = 5 * time.Second
	}
	if m.config.Log == nil {
		m.config.Log = slog.New(slog.DiscardHandler)
	}
	if !instanceName.MatchString(config.Instance) {
		return nil, fmt.Errorf("the worker's instance name %q is not made of a-z, 0-9 and -", config.Instance)
	}
	if !m.root && !config.InheritNetwork {
		return nil, errors.New("without root a worker cannot make network namespaces for its jobs; " +
			"hint: start it as root, or inside a namespace of your own and with the network inherited")
	}
	if err := m.check(ctx); err != nil {
		return nil, err
	}
	if err := m.takeDir(); err != nil {
		return nil, err
	}
	m.config.Limits = m.config.Limits.or(DefaultLimits())
	m.findGroups()
	// Descriptors that the worker itself was started with are not the jobs'.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		m.Close()
		return nil, fmt.Errorf("keeping open files from jobs: %w", err)
	}
	if err := m.Sweep(ctx); err != nil {
		m.Close()
		return nil, err
	}
	m.layered = m.tryLayers()
	return m, nil
}

// findGroups looks for control groups; without root there are none to make.
func (m *Machine) findGroups() {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !m.root || m.config.WithoutGroups {
		return
	}
	m.groups = findGroups("/sys/fs/cgroup", string(own), groupPrefix(m.config.Instance, m.config.Dir))
}

// BoundedBy says how limits are kept here: ByCgroup2, ByCgroup1 or ByWatching.
func (m *Machine) BoundedBy() string { return m.groups.bounded() }

// Limits are those of commands that say nothing else; -1 stands for none.
func (m *Machine) Limits() Limits { return m.config.Limits }

// check finds the user and the tools.
func (m *Machine) check(ctx context.Context) error {
	name := ""
	if m.root {
		name = buildUser
	}
	builder, err := findBuilder(ctx, name)
	if err != nil {
		return err
	}
	m.builder = builder
	return needTools(m.root && !m.config.InheritNetwork)
}

// takeDir makes and locks the state folder.
func (m *Machine) takeDir() error {
	dir, err := filepath.Abs(m.config.Dir)
	if err != nil {
		return err
	}
	m.config.Dir, m.jobs = dir, filepath.Join(dir, "jobs")
	// 0711: a job that gets out of its chroot cannot list the others.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the worker's state folder: %w", err)
	}
	if err := os.MkdirAll(m.jobs, 0o711); err != nil {
		return fmt.Errorf("making the folder of jobs: %w", err)
	}
	if err := os.Chmod(m.jobs, 0o711); err != nil {
		return err
	}
	if err := searchable(m.jobs); err != nil {
		return err
	}
	m.lock, err = lockFile(filepath.Join(dir, "lock"))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("another worker uses the state folder %s; hint: stop it, or give this one a folder of its own", dir)
	}
	if err != nil {
		return fmt.Errorf("locking the worker's state folder: %w", err)
	}
	return nil
}

// searchable finds the folder on the way to path that others cannot enter.
func searchable(path string) error {
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("the build user cannot enter %s; hint: chmod o+x %s, or keep the worker's state elsewhere", dir, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// Close gives the state folder back. Commands must have ended.
func (m *Machine) Close() error { return m.lock.Close() }

// Dir is the worker's state folder.
func (m *Machine) Dir() string { return m.config.Dir }

// Isolated tells whether jobs that run at once are kept from one another.
// Without root they are one user's processes, so one may run at a time.
func (m *Machine) Isolated() bool { return m.root }

// Folder is the place of one job.
type Folder struct {
	// Path belongs to the worker: logs and inputs are kept here, where a
	// command can read but not write.
	Path string
	// Work belongs to the build user; commands start here.
	Work string

	builder builder // who commands run as; of no other folder
	tmp     string
	remove  func() error
}

// Owner is the id of the user that the folder's commands run as: what a
// command has made and no other user belongs to it.
func (f *Folder) Owner() int { return f.builder.uid }

// Owns tells whether a file of that user is the job's: made by its user, or by
// root of the user namespace that AsRoot gives.
func (f *Folder) Owns(uid int) bool {
	return uid == f.builder.uid || uid == f.builder.firstUID && uid != 0
}

// NewFolder makes the folder of a job: WR-<work request>-<random>. It has a
// build user to itself until it is removed.
func (m *Machine) NewFolder(workRequest int64) (*Folder, error) {
	path, err := os.MkdirTemp(m.jobs, fmt.Sprintf("WR-%d-", workRequest))
	if err != nil {
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	f := &Folder{Path: path, Work: filepath.Join(path, "work"), tmp: filepath.Join(path, "tmp")}
	who, release, err := m.takeBuilder()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a work folder: %w", err), m.removeTree(path))
	}
	f.builder = who
	f.remove = sync.OnceValue(func() error { defer release(); return m.removeTree(path) })
	if err := m.furnish(f); err != nil {
		f.remove()
		return nil, fmt.Errorf("making a work folder: %w", err)
	}
	return f, nil
}

// furnish makes work (the build user's) and what takes the place of /tmp and
// /var/tmp, which all may write in.
func (m *Machine) furnish(f *Folder) error {
	if err := os.Chmod(f.Path, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(f.tmp, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"tmp", "var-tmp"} {
		path := filepath.Join(f.tmp, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o777|fs.ModeSticky); err != nil {
			return err
		}
	}
	if err := os.Mkdir(f.Work, 0o755); err != nil || !m.root {
		return err
	}
	return os.Lchown(f.Work, f.builder.uid, f.builder.gid)
}

// Remove deletes the folder and all that is in it, also files that belong to
// subordinate ids.
func (f *Folder) Remove() error { return f.remove() }

// removeTree follows no symbolic link: os.RemoveAll works with openat.
func (m *Machine) removeTree(path string) error {
	err := os.RemoveAll(path)
	if err == nil || m.root {
		return err
	}
	// Files of subordinate ids are ours to delete in a namespace that maps them.
	if out, err := mappedRemove(path); err != nil {
		return fmt.Errorf("removing %s: %w: %s", path, err, out)
	}
	return nil
}
