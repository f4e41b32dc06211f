package executor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ChrootDev is the /dev of a chroot, for commands with layers to mount there: the
// devices that sbuild and mmdebstrap give one, places for /dev/pts and /dev/shm,
// and the links that belong to them. It belongs to root of the layers.
func (f *Folder) ChrootDev() string { return filepath.Join(f.Path, "dev") }

var chrootDevices = []string{"null", "zero", "full", "random", "urandom", "tty", "console"}

var chrootLinks = map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	"ptmx": "/dev/pts/ptmx"}

// mountChrootDev makes ChrootDev in the mount namespace of the calling thread.
// The folder lies where no job writes, so that no name in it leads elsewhere.
func (m *Machine) mountChrootDev(f *Folder) error {
	dir := f.ChrootDev()
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil { // there is that of the job's command before
		return err
	}
	own := []string{dir}
	for _, name := range []string{"pts", "shm"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		own = append(own, path)
	}
	for name, target := range chrootLinks {
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			return err
		}
		own = append(own, path)
	}
	for _, name := range chrootDevices {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o000); err != nil {
			return err
		}
		err := unix.Mount(filepath.Join("/dev", name), path, "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) { // containers have no console
			return fmt.Errorf("giving a chroot its /dev/%s: %w", name, err)
		}
	}
	for _, path := range own {
		if err := os.Lchown(path, f.builder.firstUID, f.builder.firstGID); err != nil {
			return err
		}
	}
	return nil
}
