package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// view is what a job sees of the machine's files, made in the mount namespace
// of the calling thread.
type view struct {
	*Machine
	folder   *Folder
	writable []string // mounts that are the job's own
}

// mountApart shapes the mount namespace of the calling thread: no other job, no
// socket of the machine, temporary folders of its own, the name server that
// slirp4netns offers, and nothing else that could be written. What a job leaves
// where all users may write (a crontab, a spool, a link with a name that the
// next job will use) would outlive it.
// Slave, not private: what the machine unmounts must not be held here.
func (m *Machine) mountApart(c Command) error {
	f, layers := c.Folder, c.Layers
	v := &view{Machine: m, folder: f}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separating the job's mounts: %w", err)
	}
	names, err := v.nameServer()
	if err != nil {
		return err
	}
	if err := v.hideRun(names); err != nil {
		return err
	}
	for place, with := range map[string]string{"/tmp": "tmp", "/var/tmp": "var-tmp", "/dev/shm": "", "/dev/mqueue": ""} {
		if err := v.ownTemporary(place, with); err != nil {
			return err
		}
	}
	if err := hideOthers(m.jobs, f.Path); err != nil {
		return err
	}
	v.writable = append(v.writable, f.Path)
	if len(layers) > 0 {
		if err := m.mountLayers(f, layers); err != nil {
			return err
		}
		v.writable = append(v.writable, f.Root())
		for _, name := range chrootDevices {
			v.writable = append(v.writable, filepath.Join(f.ChrootDev(), name))
		}
	}
	if err := v.mountDevices(c.Devices); err != nil {
		return err
	}
	return v.closeRest()
}

// nameServer writes the job's resolv.conf and mounts it, unless it lies in
// /run, which is covered later. slirp4netns asks the machine's own name server,
// also one on loopback. It gives the place and the file.
func (v *view) nameServer() (names [2]string, err error) {
	place, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if errors.Is(err, fs.ErrNotExist) && v.config.InheritNetwork {
		return names, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return names, errors.New("this machine has no /etc/resolv.conf, so a job could find no mirror; hint: make one")
	}
	if err != nil {
		return names, err
	}
	text := []byte("nameserver 10.0.2.3\n")
	if v.config.InheritNetwork {
		if text, err = os.ReadFile(place); err != nil {
			return names, fmt.Errorf("reading the machine's resolv.conf: %w", err)
		}
	}
	names = [2]string{place, filepath.Join(v.folder.Path, "resolv.conf")}
	if err := os.WriteFile(names[1], text, 0o644); err != nil {
		return names, fmt.Errorf("writing the job's resolv.conf: %w", err)
	}
	if inside(place, "/run") {
		return names, nil
	}
	return names, bind(names[1], place)
}

// hideRun covers /run, where the sockets of the machine's services are.
func (v *view) hideRun(names [2]string) error {
	if inside(v.config.Dir, "/run") {
		return nil
	}
	if info, err := os.Lstat("/run"); err != nil || !info.IsDir() {
		return nil
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("hiding the machine's /run: %w", err)
	}
	if !inside(names[0], "/run") {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(names[0]), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(names[0], nil, 0o644); err != nil {
		return err
	}
	return bind(names[1], names[0])
}

func bind(path, place string) error {
	if err := unix.Mount(path, place, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("giving the job its %s: %w", place, err)
	}
	return nil
}

// inside tells whether a path is a folder or below it.
func inside(path, dir string) bool {
	return strings.HasPrefix(path+"/", dir+"/")
}

// ownTemporary replaces a folder that all users of the machine share, unless
// the worker's state lies in it.
func (v *view) ownTemporary(place, with string) error {
	if info, err := os.Stat(place); err != nil || !info.IsDir() || inside(v.config.Dir, place) {
		return nil
	}
	var err error
	switch {
	case with != "":
		err = unix.Mount(filepath.Join(v.folder.tmp, with), place, "", unix.MS_BIND, "")
	case place == "/dev/mqueue": // of the job's own IPC namespace
		err = unix.Mount("mqueue", place, "mqueue", unix.MS_NOSUID|unix.MS_NODEV, "")
	default:
		err = unix.Mount("tmpfs", place, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	}
	if err != nil {
		return fmt.Errorf("giving the job a %s of its own: %w", place, err)
	}
	v.writable = append(v.writable, place)
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

// closeRest makes all other mounts read-only. /proc, /sys and /dev belong to
// root and stay as they are: the kernel lets a build mount its own of them only
// where it sees such a one unrestricted.
func (v *view) closeRest() error {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("reading the job's mounts: %w", err)
	}
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 5 {
			continue
		}
		place := unescape(string(fields[4]))
		if inside(place, "/proc") || inside(place, "/sys") || inside(place, "/dev") || slices.Contains(v.writable, place) {
			continue
		}
		err := unix.MountSetattr(unix.AT_FDCWD, place, unix.AT_SYMLINK_NOFOLLOW, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) { // covered by another mount
			return fmt.Errorf("making %s read-only for the job: %w; hint: this needs Linux 5.12", place, err)
		}
	}
	return nil
}

// unescape reads a path as mountinfo writes it: "\040" for a space, proc(5).
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if code, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
