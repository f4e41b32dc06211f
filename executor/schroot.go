package executor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Schroot is the name of the one chroot that a command of InSchroot finds.
const Schroot = "debusine"

// InSchroot is a command line that runs another, as root of the job's
// subordinate ids, where schroot(1) knows the chroot Schroot in the folder tree.
//
// On a build machine of the usual kind schroot is root of the machine, and so is
// root of the chroot: it may mount, make devices and load modules. Here schroot
// is started as root of a user namespace. What it is set up by (/etc/schroot,
// /var/lib/schroot, /run, its PAM service, the names of users, which are those of
// the chroot) is the job's own there, the scripts in setup.d are copies of the
// machine's, and the machine's own chroots are not seen.
func (f *Folder) InSchroot(tree string, argv ...string) ([]string, error) {
	own := filepath.Join(f.Work, "schroot")
	if _, err := os.Lstat(own); err != nil {
		if own, err = f.NewTree("schroot"); err != nil {
			return nil, err
		}
	}
	return f.AsRoot(append([]string{"sh", "-ec", schrootScript, "sh", own, tree}, argv...)...), nil
}

// schrootScript makes all that schroot reads and then runs the command; it is
// process 1 of its namespace, and reaps: schroot waits for what it kills to be
// gone. SIGTERM reaches the whole session. A part of /sys can be shown, the whole only with the control groups, which a
// session's end could not unmount.
const schrootScript = `
own=$1; tree=$2; shift 2
rm -rf "$own"/*
mkdir -p "$own/etc/chroot.d" "$own/etc/debusine" "$own/tmp" "$own/var/session" "$own/var/unpack" "$own/var/union/overlay" "$own/var/union/underlay"
cp -r /etc/schroot/setup.d "$own/etc/"
: > "$own/etc/schroot.conf"
: > "$own/etc/debusine/nssdatabases"
echo /etc/resolv.conf > "$own/etc/debusine/copyfiles"
{
	echo "proc /proc proc nosuid,nodev,noexec 0 0"
	echo "tmpfs /sys tmpfs nosuid,nodev,mode=755,size=1m 0 0"
	for part in block bus class dev devices module; do
		test ! -d /sys/$part || echo "/sys/$part /sys/$part none rw,bind 0 0"
	done
	for name in null zero full random urandom tty; do
		echo "/dev/$name /dev/$name none rw,bind 0 0"
		test -e "$tree/dev/$name" || : > "$tree/dev/$name"
	done
	echo "devpts /dev/pts devpts newinstance,ptmxmode=666,mode=620 0 0"
	echo "tmpfs /dev/shm tmpfs nosuid,nodev,mode=1777 0 0"
} > "$own/etc/debusine/fstab"
test -e "$tree/dev/ptmx" || ln -s pts/ptmx "$tree/dev/ptmx"
cat > "$own/etc/chroot.d/debusine" <<-end
	[debusine]
	type=directory
	directory=$tree
	profile=debusine
	users=root
	root-users=root
end
printf 'auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_permit.so\n' > "$own/pam"
mount --bind "$own/etc" /etc/schroot
mount --bind "$own/var" /var/lib/schroot
mount --bind "$own/pam" /etc/pam.d/schroot
for names in passwd group; do
	test ! -e "$tree/etc/$names" || mount --bind "$tree/etc/$names" /etc/$names
done
servers=$(cat /etc/resolv.conf); at=$(readlink -f /etc/resolv.conf)
mount -t tmpfs -o mode=755,size=16m tmpfs /run
mkdir -p /run/lock /run/schroot/mount
test -e "$at" || { mkdir -p "${at%/*}"; printf '%s\n' "$servers" > "$at"; }
mount -t proc proc /proc
export HOME="$own" TMPDIR="$own/tmp" USER=root LOGNAME=root
trap : TERM
set +e
env --default-signal=INT,QUIT "$@" &
child=$!
while :; do
	wait $child
	code=$?
	kill -0 $child 2>/dev/null || exit $code
done
`

// trySchroot begins a session and ends it, in a chroot without a program.
func trySchroot(ctx context.Context, m *Machine) error {
	_, err := m.trial(ctx, func(f *Folder) (Command, error) {
		tree, err := f.NewTree("tree")
		if err != nil {
			return Command{}, err
		}
		argv, err := f.InSchroot(tree, "sh", "-ec", `schroot --quiet --end-session --chroot "$(schroot --quiet --begin-session --chroot `+Schroot+`)"`)
		return Command{Argv: InTurn(f.AsRoot("sh", "-ec", `cd "$1"; mkdir dev etc proc run sys tmp`, "sh", tree), argv)}, err
	})
	return err
}

// InTurn is a command line that runs one command and, when that has succeeded,
// becomes the other.
func InTurn(first, second []string) []string {
	script := ""
	for i := range first {
		script += fmt.Sprintf(`"${%d}" `, i+1)
	}
	script += fmt.Sprintf(`|| exit; shift %d; exec "$@"`, len(first))
	return slices.Concat([]string{"sh", "-c", script, "sh"}, first, second)
}
