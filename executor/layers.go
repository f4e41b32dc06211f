package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// idsOfRange is how many subordinate ids a build user has, and so how many a
// layer's files may belong to.
const idsOfRange = 65536

// Root is where a command with layers sees their sum.
func (f *Folder) Root() string { return filepath.Join(f.Path, "root") }

// Layered says why commands cannot have layers on this machine; nil when they can.
func (m *Machine) Layered() error { return m.layered }

// NewTree makes a folder in the work folder that belongs to root of the build
// user's subordinate ids, for a command that AsRoot gives.
func (f *Folder) NewTree(name string) (string, error) {
	path := filepath.Join(f.Work, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", err
	}
	return path, os.Lchown(path, f.builder.firstUID, f.builder.firstGID)
}

// AsRoot is a command line that runs another as root of a user namespace that
// holds the build user's subordinate ids and nothing else, with mounts and
// processes of its own: what root of the chroot is to sbuild.
func (f *Folder) AsRoot(argv ...string) []string {
	ids := func(first int) string { return fmt.Sprintf("%d,0,%d", first, idsOfRange) }
	return append([]string{"unshare", "--user", "--map-users=" + ids(f.builder.firstUID), "--map-groups=" + ids(f.builder.firstGID),
		"--setuid=0", "--setgid=0", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--"}, argv...)
}

// mountLayers joins folders at the job's Root: the first lies on top, and what
// the job changes is its own and goes with its folder. Only root can reach the
// layers themselves and what was changed; to the job their files belong to its
// own subordinate ids, whoever's they are on disk (mount_setattr(2)). Nothing of
// it needs to be on disk when the machine dies, so fsync(2) costs nothing
// ("volatile").
func (m *Machine) mountLayers(f *Folder, layers []string) error {
	own, err := os.MkdirTemp(f.Path, "layers-")
	if err != nil {
		return err
	}
	upper, work := filepath.Join(own, "upper"), filepath.Join(own, "work")
	for _, path := range []string{upper, work, f.Root()} {
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	if err := os.Lchown(upper, f.builder.firstUID, f.builder.firstGID); err != nil {
		return err
	}
	var lower []string
	for i, layer := range layers {
		place := filepath.Join(own, strconv.Itoa(i))
		if err := mountShifted(layer, place, f.builder); err != nil {
			return fmt.Errorf("showing %s to a job: %w", layer, err)
		}
		defer unix.Unmount(place, unix.MNT_DETACH) // the overlay holds its own
		lower = append(lower, place)
	}
	if err := m.mountChrootDev(f); err != nil {
		return err
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work + ",volatile"
	if err := unix.Mount("overlay", f.Root(), "overlay", 0, options); err != nil {
		return fmt.Errorf("joining the layers of a job: %w", err)
	}
	return nil
}

// mountShifted shows a layer with the ids that belong to who.
func mountShifted(layer, place string, who builder) error {
	var root unix.Stat_t
	if err := unix.Lstat(layer, &root); err != nil {
		return err
	}
	if err := os.Mkdir(place, 0o700); err != nil {
		return err
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, layer, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	ids, err := shiftedIDs(int(root.Uid), int(root.Gid), who)
	if err != nil {
		return err
	}
	defer ids.Close()
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV,
		Userns_fd: uint64(ids.Fd())})
	if err != nil {
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// shiftedIDs is a user namespace in which the ids of who stand for those from
// uid and gid on. It lives as long as the file is open.
func shiftedIDs(uid, gid int, who builder) (*os.File, error) {
	waits := exec.Command("cat")
	end, err := waits.StdinPipe()
	if err != nil {
		return nil, err
	}
	waits.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: who.firstUID, Size: idsOfRange}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: who.firstGID, Size: idsOfRange}}}
	if err := waits.Start(); err != nil {
		return nil, fmt.Errorf("making a user namespace: %w", err)
	}
	defer func() { end.Close(); waits.Wait() }()
	return os.Open(fmt.Sprintf("/proc/%d/ns/user", waits.Process.Pid))
}

// tryLayers finds out whether the kernel and the state folder's file system do
// all that mountLayers asks of them, by doing it.
func (m *Machine) tryLayers() error {
	if !m.root {
		return errors.New("without root no layers can be mounted")
	}
	f, err := m.NewFolder(0)
	if err != nil {
		return err
	}
	defer f.Remove()
	layer, err := f.NewTree("layer")
	if err != nil {
		return err
	}
	onThread(func() {
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return
		}
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err == nil {
			err = m.mountLayers(f, []string{layer})
		}
	})
	return err
}
