package executor

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How a machine bounds what the processes of a command take together. It is
// reported with the worker's facts.
const (
	ByCgroup2 = "cgroup2"
	ByCgroup1 = "cgroup1"
	// ByWatching: the tree of processes is looked at twice a second, and what
	// takes too much is killed. RLIMIT_NPROC, and RLIMIT_DATA of twice the
	// memory for each process, bound what can be done in between.
	ByWatching = "rlimits"
)

// groups is where the machine can make control groups for its jobs: one folder
// of cgroup2, or one each of the hierarchies memory and pids of version 1;
// none where the kernel or the administrator does not let it.
type groups struct {
	version int
	parents []string
	prefix  string // of the names of this worker's groups
}

// bounded is one of the By constants.
func (g groups) bounded() string {
	switch g.version {
	case 2:
		return ByCgroup2
	case 1:
		return ByCgroup1
	}
	return ByWatching
}

// groupPrefix names a worker's groups; the state folder tells two of one name
// apart.
func groupPrefix(instance, dir string) string {
	return fmt.Sprintf("debusine-%s-%08x-", instance, crc32.ChecksumIEEE([]byte(dir)))
}

// findGroups looks at the mounts below root ("/sys/fs/cgroup") and at the
// groups that this process is in (the lines of /proc/self/cgroup).
func findGroups(root, own, prefix string) groups {
	if parent := findGroup2(root, own); parent != "" {
		return groups{version: 2, parents: []string{parent}, prefix: prefix}
	}
	g := groups{version: 1, prefix: prefix}
	for _, controller := range []string{"memory", "pids"} {
		parent := ownGroup(filepath.Join(root, controller), own, controller)
		if !usable(parent, prefix) {
			return groups{}
		}
		g.parents = append(g.parents, parent)
	}
	return g
}

// ownGroup is the folder of the group that this process is in, or the mount
// itself where that is another name space's.
func ownGroup(mount, own, controller string) string {
	for line := range strings.Lines(own) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[1] != controller {
			continue
		}
		path := filepath.Join(mount, filepath.Join("/", fields[2]))
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
	}
	return mount
}

// findGroup2 is a folder whose subfolders have the controllers memory and
// pids. Our own group has processes in it, and so must not have such: it is
// used when we are alone in it and can step down, as in a container. Else it
// is the root, where that rule does not hold.
func findGroup2(root, own string) string {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		return ""
	}
	if at := ownGroup(root, own, ""); at != root || !delegates(root) {
		if stepDown(at) && delegates(at) {
			return at
		}
	}
	if delegates(root) {
		return root
	}
	return ""
}

// delegates gives the subfolders of a group their controllers.
func delegates(at string) bool {
	raw, err := os.ReadFile(filepath.Join(at, "cgroup.subtree_control"))
	if err != nil {
		return false
	}
	have := strings.Fields(string(raw))
	for _, controller := range []string{"memory", "pids"} {
		if !contains(have, controller) && writeFile(filepath.Join(at, "cgroup.subtree_control"), "+"+controller) != nil {
			return false
		}
	}
	return true
}

// stepDown moves this process out of a group that is its own alone, and which
// systemd says is ours to divide (Delegate=yes sets the attribute).
func stepDown(at string) bool {
	mine := strconv.Itoa(os.Getpid())
	raw, err := os.ReadFile(filepath.Join(at, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(raw)) != mine || !delegated(at) {
		return false
	}
	below := filepath.Join(at, "worker")
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return false
	}
	return writeFile(filepath.Join(below, "cgroup.procs"), mine) == nil
}

// delegated asks for systemd's mark. The root of a container's own name space
// has none, and is the container's.
func delegated(at string) bool {
	if os.Getpid() == 1 {
		return true
	}
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 8)
		if n, err := unix.Getxattr(at, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

func contains(list []string, word string) bool {
	for _, have := range list {
		if have == word {
			return true
		}
	}
	return false
}

// usable tries to make a group.
func usable(parent, prefix string) bool {
	try := filepath.Join(parent, prefix+"try-"+strconv.Itoa(os.Getpid()))
	return os.Mkdir(try, 0o755) == nil && os.Remove(try) == nil
}

// sweep removes the groups of jobs whose worker was killed. Their processes
// are dead.
func (g groups) sweep() {
	for _, parent := range g.parents {
		left, _ := filepath.Glob(filepath.Join(parent, g.prefix+"*"))
		for _, path := range left {
			_ = removeGroup(path)
		}
	}
}

// removeGroup waits for the kernel to be done with processes that are dead.
func removeGroup(path string) error {
	var err error
	for range 100 {
		if err = os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("removing a control group: %w", err)
}

// writeFile writes to a file of the kernel's: it is there already.
func writeFile(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
