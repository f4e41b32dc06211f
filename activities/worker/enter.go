package workeract

import (
	"os"
	"path/filepath"
	"strings"

	"debusine/executor"
)

// inRoot has sbuild work in Folder.Root: it unpacks a tarball of nothing, and
// there mounts the root for each of its commands. It gives the lines of sbuild's
// configuration that do so.
//
// A build has a hundred and more of those commands, and sbuild's own way in starts
// more than forty programs for each. So each comes in by a shorter way to the same
// place: namespaces of its own, the names of hosts and of the name server written
// anew, /dev, /proc and /sys. Devices and links in /dev are there once for the
// job. An sbuild without that function goes its own way.
func inRoot(f *executor.Folder) (config string, err error) {
	words := f.AsRoot()
	for i, word := range words {
		words[i] = "'" + word + "'"
	}
	table := filepath.Join(f.Path, "mounts")
	mounts := strings.NewReplacer("@ROOT@", forTable(f.Root()), "@DEV@", forTable(f.ChrootDev())).Replace(mountsInRoot)
	if err := os.WriteFile(table, []byte(mounts), 0o644); err != nil {
		return "", err
	}
	return strings.NewReplacer("@AS_ROOT@", strings.Join(words, ", "), "@ROOT@", inPerl(f.Root()), "@MOUNTS@", inPerl(table)).Replace(inRootConfig), nil
}

// forTable is a path in a table of mounts: fstab(5).
func forTable(path string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(path)
}

// inPerl is a path between single quotes of Perl.
func inPerl(path string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(path) }

const mountsInRoot = `@DEV@ @ROOT@/dev none rbind 0 0
none @ROOT@/dev/pts devpts noexec,nosuid,gid=5,mode=620,ptmxmode=666 0 0
tmpfs @ROOT@/dev/shm tmpfs defaults 0 0
/sys @ROOT@/sys none rbind 0 0
proc @ROOT@/proc proc defaults 0 0
`

const inRootConfig = `$unshare_bind_mounts = [{directory => '@ROOT@', mountpoint => '/'}];
require Sbuild::ChrootUnshare;
if (defined &Sbuild::ChrootUnshare::_get_exec_argv) {
	no warnings 'redefine';
	*Sbuild::ChrootUnshare::_get_exec_argv = sub {
		my ($self, $dir, $user, $offline) = @_;
		return (@AS_ROOT@, ($offline ? ('unshare', '--net') : ()),
			'sh', '-c', <<'ENTER', 'sh', '@ROOT@', '@MOUNTS@', $self->get_conf('PATH'), ($offline ? 'offline' : ''), $user, $dir);
root=$1; mounts=$2; PATH=$3; offline=$4; user=$5; dir=$6; shift 6
export PATH
hostname sbuild
printf '127.0.0.1 localhost\n127.0.1.1 sbuild\n' > "$root/etc/hosts"
if [ -n "$offline" ]; then
	ip link set lo up
	> "$root/etc/resolv.conf"
else
	while IFS= read -r line || [ -n "$line" ]; do printf '%s\n' "$line"; done < /etc/resolv.conf > "$root/etc/resolv.conf"
fi
[ -d "$root/dev" ] && [ -d "$root/proc" ] && [ -d "$root/sys" ] || mkdir -p "$root/dev" "$root/proc" "$root/sys"
mount --all --fstab "$mounts"
exec /usr/sbin/chroot "$root" /sbin/runuser -u "$user" -- sh -c 'cd "$1" && shift && "$@"' -- "$dir" "$@"
ENTER
	};
}
`
