package workeract

import (
	"strings"

	"debusine/executor"
)

// inRoot has sbuild work in Folder.Root: it unpacks a tarball of nothing, and
// there mounts the root for each of its commands.
//
// A build has a hundred and more of those, and sbuild's own way in starts more
// than forty programs for each. So each command comes in by a shorter way to the
// same place: namespaces of its own, the names of hosts and of the name server
// written anew, /dev, /proc and /sys. Devices and links in /dev are there once for
// the job. An sbuild without that function goes its own way.
func inRoot(f *executor.Folder) string {
	words := f.AsRoot()
	for i, word := range words {
		words[i] = "'" + word + "'"
	}
	return strings.NewReplacer("@AS_ROOT@", strings.Join(words, ", "), "@ROOT@", f.Root(), "@DEV@", f.ChrootDev()).Replace(inRootConfig)
}

const inRootConfig = `$unshare_bind_mounts = [{directory => '@ROOT@', mountpoint => '/'}];
require Sbuild::ChrootUnshare;
if (defined &Sbuild::ChrootUnshare::_get_exec_argv) {
	no warnings 'redefine';
	*Sbuild::ChrootUnshare::_get_exec_argv = sub {
		my ($self, $dir, $user, $offline) = @_;
		return ('env', 'PATH=' . $self->get_conf('PATH'), @AS_ROOT@, ($offline ? ('unshare', '--net') : ()),
			'sh', '-c', <<'ENTER', 'sh', '@ROOT@', '@DEV@', ($offline ? 'offline' : ''), $user, $dir);
root=$1; dev=$2; offline=$3; user=$4; dir=$5; shift 5
hostname sbuild
printf '127.0.0.1 localhost\n127.0.1.1 sbuild\n' > "$root/etc/hosts"
if [ -n "$offline" ]; then
	ip link set lo up
	> "$root/etc/resolv.conf"
else
	cat /etc/resolv.conf > "$root/etc/resolv.conf"
fi
[ -d "$root/dev" ] && [ -d "$root/proc" ] && [ -d "$root/sys" ] || mkdir -p "$root/dev" "$root/proc" "$root/sys"
mount -o rbind "$dev" "$root/dev"
mount -o noexec,nosuid,gid=5,mode=620,ptmxmode=666 -t devpts none "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -o rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
exec /usr/sbin/chroot "$root" /sbin/runuser -u "$user" -- sh -c 'cd "$1" && shift && "$@"' -- "$dir" "$@"
ENTER
	};
}
`
