package executor

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mountDevices shows a job device files of its own at the place of the
// machine's, which stay closed to it. They lie in memory and go with the mount
// namespace of the calling thread.
func (v *view) mountDevices(devices []string) error {
	if len(devices) == 0 {
		return nil
	}
	dir := filepath.Join(v.folder.tmp, "devices")
	if err := os.Mkdir(dir, 0o711); err != nil && !os.IsExist(err) {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0711,size=64k"); err != nil {
		return fmt.Errorf("making place for the devices of a job: %w", err)
	}
	for _, device := range devices {
		var stat unix.Stat_t
		if err := unix.Stat(device, &stat); err != nil {
			return fmt.Errorf("looking at the device %s: %w", device, err)
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFCHR {
			return fmt.Errorf("%s is no character device", device)
		}
		path := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(device, "/dev/"), "/", "-"))
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(stat.Rdev)); err != nil {
			return fmt.Errorf("making the device %s for a job: %w", device, err)
		}
		if err := os.Lchown(path, v.folder.builder.uid, v.folder.builder.gid); err != nil {
			return err
		}
		if err := bind(path, device); err != nil {
			return err
		}
	}
	return nil
}

// groupsOption is what setpriv(1) is told of the groups of a job.
func groupsOption(names []string) string {
	var ids []string
	for _, name := range names {
		if group, err := user.LookupGroup(name); err == nil {
			ids = append(ids, group.Gid)
		}
	}
	if len(ids) == 0 {
		return "--clear-groups"
	}
	return "--groups=" + strings.Join(ids, ",")
}
