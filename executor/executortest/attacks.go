package executortest

// The attacks are one script each, run as a job. Every line that an attack
// prints when it got where it must not begins with "ESCAPED"; each script ends
// with "all tried", so that one that broke half-way is seen. What is attacked is
// given in the environment.

// attackNeighbour goes for a job that runs at the same time: VICTIM_PATH its
// folder, VICTIM_PIDS the machine's numbers of its processes, VICTIM_PORT,
// VICTIM_SOCKET (abstract) and VICTIM_KEY (SysV and keyring). Its secret is
// "xyzzy", in all of these.
const attackNeighbour = `
use IO::Socket::INET; use Socket;
my $secret = "xyz" . "zy";
sub found { print "ESCAPED: $_[0]\n" }
sub holds { my ($file) = @_; open(my $f, "<", $file) or return 0; local $/; my $text = <$f> // ""; return index($text, $secret) >= 0 }
my $path = $ENV{VICTIM_PATH};
found("the file of another job") if holds("$path/work/secret") or holds("$path/log");
(my $jobs = $path) =~ s,/[^/]*$,,;
opendir(my $d, $jobs) and found("the list of jobs");
found("a file in /tmp or /dev/shm") if -e "/tmp/victim" or -e "/var/tmp/victim" or -e "/dev/shm/victim";
for my $file (glob("/proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/root/etc/passwd")) { found($file) if $file !~ m,/root/, and holds($file) }
for my $pid (split / /, $ENV{VICTIM_PIDS}) {
	next if -e "/proc/$pid/stat" and $pid < 60; # of our own name space
	found("/proc/$pid") if -e "/proc/$pid/environ";
	found("a signal to $pid") if kill(0, $pid);
	found("ptrace of $pid") if syscall(101, 16, $pid, 0, 0) == 0;
	found("the root of $pid") if opendir(my $root, "/proc/$pid/root");
}
for my $host ("127.0.0.1", "10.0.2.100", "10.0.2.2") {
	my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $ENV{VICTIM_PORT}, Timeout => 1);
	found("the port of another job at $host") if $s;
}
socket(my $u, PF_UNIX, SOCK_STREAM, 0); found("the abstract socket") if connect($u, pack_sockaddr_un("\0$ENV{VICTIM_SOCKET}"));
found("shared memory") if defined shmget($ENV{VICTIM_KEY}, 64, 0);
found("a message queue") if defined msgget($ENV{VICTIM_KEY}, 0);
for my $ring (-3, -4, -5) {
	my ($type, $name) = ("user", "key$ENV{VICTIM_KEY}");
	found("a key in ring $ring") if syscall(250, 10, $ring, $type, $name, 0) > 0;
}
print "all tried\n";
`

// victim is the job that is attacked.
const victim = `
use IO::Socket::INET; use Socket;
$| = 1;
open(my $f, ">", "secret"); print $f $ENV{SECRET}; close $f;
for my $file ("/tmp/victim", "/dev/shm/victim") { open(my $g, ">", $file); print $g $ENV{SECRET} }
chmod 0777, ".", "/tmp/victim";
my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => $ENV{VICTIM_PORT}, Listen => 5, ReuseAddr => 1) or die "port: $!";
socket(my $u, PF_UNIX, SOCK_STREAM, 0); bind($u, pack_sockaddr_un("\0$ENV{VICTIM_SOCKET}")) or die "socket: $!"; listen($u, 5);
defined shmget($ENV{VICTIM_KEY}, 64, 01666) or die "shm: $!"; defined msgget($ENV{VICTIM_KEY}, 01666) or die "msg: $!";
my ($type, $name) = ("user", "key$ENV{VICTIM_KEY}");
my $ring; for $ring (-4, -5) { my $key = syscall(248, $type, $name, $ENV{SECRET}, length $ENV{SECRET}, $ring); print "no key: $!\n" if $key < 0; syscall(250, 5, $key, 0x3f3f3f3f) if $key > 0 }
print "victim is up\n";
sleep 120;
`

// attackMachine goes for what the machine has: HOST_PORT on its loopback,
// HOST_SOCKET (abstract), HOST_FILE and HOST_UNIX, a file and a socket in its
// /tmp. It runs twice: as it is, and as root of a user namespace.
const attackMachine = `
exec 2>/dev/null
found() { echo "ESCAPED: $*"; }
me=$(id -u)
for dir in / /etc /usr /usr/bin /usr/local/bin /var /var/lib /var/crash /var/mail /var/spool/cron/crontabs /var/spool/cron /home /root /opt /srv /boot /mnt /media /run /run/lock /etc/cron.d /dev; do
	case " $OWN " in *" $dir "*) continue;; esac
	if touch $dir/escaped-$$; then found "a file in $dir"; rm -f $dir/escaped-$$; fi
done
for dir in $(find / -xdev -type d -perm -0002 -not -path "$HOME/*"); do
	case $dir in /tmp*|/var/tmp*|/dev/shm*|/proc*|/dev/mqueue*) continue;; esac
	if touch $dir/escaped-$$; then found "a file in $dir"; rm -f $dir/escaped-$$; fi
done
echo '* * * * * true' | crontab - && found "a crontab"
echo true | at now && found "a job of at"
systemd-run --user true && found "a unit of systemd"
mknod null c 1 3 && echo x > null && found "a device that works"
mknod disk b 8 0 && dd if=disk of=/dev/null count=1 && found "a disk"
for disk in /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmem /dev/port /dev/loop-control; do
	dd if=$disk of=/dev/null bs=512 count=1 && found "reading $disk"
done
test -c /dev/kvm && dd if=/dev/kvm of=/dev/null count=0 && echo "note: /dev/kvm can be opened"
for at in /sys/fs/cgroup /sys/fs/cgroup/*; do
	test -d $at || continue
	if mkdir $at/escaped-$$; then found "a group in $at"; rmdir $at/escaped-$$; fi
	for file in cgroup.procs cgroup.subtree_control release_agent tasks; do
		test -e $at/$file && echo $$ > $at/$file && found "$at/$file"
	done
done
for file in $(find /sys/fs/cgroup -name pids.max -o -name memory.max -o -name memory.limit_in_bytes); do
	echo 9999999 > $file && found "$file"
done
for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/kernel/modprobe /proc/sys/vm/drop_caches /proc/sysrq-trigger /sys/kernel/uevent_helper /sys/power/state /sys/module/kernel/parameters/panic; do
	test -e $file && cat /dev/null > $file && found "writing $file"
done
mount -t tmpfs none /mnt && test "$me" != 0 && found "a mount"
mount -o remount,rw / && touch /escaped-$$ && found "/ made writable"
mount -o remount,bind,rw / && touch /escaped-$$ && found "/ made writable by bind"
mount -t tmpfs x /mnt && mount --bind / /mnt && mount -o remount,bind,rw /mnt && touch /mnt/escaped-$$ && found "a second / made writable"
umount /run && test -S "$HOST_RUN" && found "what lies under /run"
umount "$JOBS" && ls "$JOBS" | grep -q . && found "what lies under the folder of jobs"
umount /tmp && test -e "$HOST_FILE" && found "what lies under /tmp"
test -e "$HOST_FILE" && found "the machine's /tmp"
for name in net mnt pid user ipc cgroup; do nsenter --target 1 --$name true && test $name != user -o "$me" != 0 && nsenter --target 1 --$name test -e "$HOST_FILE" && found "the namespace $name"; done
cp /bin/sh suid && chmod 4755 suid && chown root suid && test "$me" != 0 && found "a file of root's"
cp /bin/sh suid2; chmod 6755 suid2; test "$(./suid2 -p -c 'id -u')" = "$me" || found "a setuid file runs as another"
setpriv --reuid=0 true && test "$me" != 0 && found "root"
kill -0 $WORKER && found "the worker"
perl -e '
	use IO::Socket::INET; use Socket;
	for my $host ("127.0.0.1", "10.0.2.2", "localhost", split / /, $ENV{HOST_LOOP}) {
		my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $ENV{HOST_PORT}, Timeout => 1);
		print "ESCAPED: the loopback of the machine at $host\n" if $s;
	}
	sub try_unix { socket(my $u, PF_UNIX, SOCK_STREAM, 0); print "ESCAPED: socket $_[1]\n" if connect($u, pack_sockaddr_un($_[0])) }
	try_unix("\0$ENV{HOST_SOCKET}", "abstract"); try_unix($ENV{HOST_UNIX}, "in /tmp");
	for my $path (qw(/run/docker.sock /run/dbus/system_bus_socket /run/systemd/private /run/postgresql/.s.PGSQL.5432 /var/run/postgresql/.s.PGSQL.5432 /run/systemd/journal/stdout)) { try_unix($path, $path) }
	print "ESCAPED: a raw socket\n" if $< != 0 && socket(my $r, PF_INET, SOCK_RAW, 1);
	print "ESCAPED: a packet socket\n" if $< != 0 && socket(my $p, 17, SOCK_RAW, 768);
	opendir(my $d, "/proc/self/fd"); my @open = grep { /^[0-9]+$/ && $_ > 2 && -e "/proc/self/fd/$_" && readlink("/proc/self/fd/$_") !~ m,^/proc/|^/dev/null, } readdir $d;
	print "ESCAPED: descriptors @{[map { qq($_ ) . readlink(qq(/proc/self/fd/$_)) } @open]}\n" if @open;
	print "ESCAPED: a terminal\n" if open(my $tty, "+<", "/dev/tty");
	print "ESCAPED: open_by_handle_at\n" if syscall(304, -100, pack("LLLLL", 8, 1, 2, 0, 0), 0) >= 0;
'
(ulimit -c unlimited; mkdir crash; cd crash; cp /bin/sleep .; ./sleep 5 & sleep 0.1; kill -SEGV $!; wait)
find . -name 'core*' | grep -q . && found "a core dump"
echo "all tried as $me"
`

// attackFromGuest goes for the machine below a virtual machine: by the network
// that it is given, by the folder that it shares, by devices.
const attackFromGuest = `
exec 2>/dev/null
found() { echo "ESCAPED: $*"; }
perl -e '
	use IO::Socket::INET;
	for my $host ("127.0.0.1", "10.0.2.2", "10.0.2.100", "10.0.2.3", "10.0.2.15") {
		my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $ENV{HOST_PORT}, Timeout => 2);
		print "ESCAPED: the loopback of the machine at $host\n" if $s;
	}
'
test -e "$HOST_FILE" && found "the machine's /tmp"
test -e "$HOST_RUN" && found "the machine's /run"
test -e "$JOBS" && found "the folder of jobs"
shared=/run/autopkgtest/shared
test -d $shared || found "no folder is shared, so this attack tries nothing"
ln -s /etc "$shared/out" && test -e "$shared/out/debusine-machine" && found "a link out of the shared folder"
ls -d "$shared/../monitor" "$shared/../../.." | grep -q monitor && found "the folder above the shared one"
mknod "$shared/disk" b 8 0 && dd if="$shared/disk" of=/dev/null count=1 && found "a disk"
mknod "$shared/null" c 1 3 && echo x > "$shared/null" && test ! -s "$shared/null" && stat -c %t "$shared/null" | grep -qx 1 && echo "note: a device file of the guest's own"
cp /bin/sh "$shared/suid" && chown root "$shared/suid" && chmod 4755 "$shared/suid"
test -c /dev/kvm && dd if=/dev/kvm of=/dev/null count=0 && echo "note: /dev/kvm can be opened in the guest"
rm -f "$shared/out" "$shared/disk" "$shared/null" "$shared/suid"
echo "all tried as $(id -u)"
`

// leaveBehind starts processes that want to stay, in every way known; SLEEP is
// the number of seconds by which they are found.
const leaveBehind = `
sleep $SLEEP & nohup sleep $SLEEP >/dev/null 2>&1 &
setsid sleep $SLEEP &
(trap '' TERM HUP INT; sleep $SLEEP) &
(setsid sh -c '(sleep $SLEEP &) &' &) &
env -i setsid sleep $SLEEP </dev/null >/dev/null 2>&1 &
unshare --user --map-auto --map-root-user --pid --fork --mount-proc sh -c "sleep $SLEEP & setsid sleep $SLEEP & sleep $SLEEP" </dev/null >/dev/null 2>&1 &
unshare --user --map-auto --map-root-user setpriv --reuid=1000 --clear-groups sh -c "trap '' TERM; setsid sleep $SLEEP" >/dev/null 2>&1 &
perl -e 'use POSIX; fork and exit; POSIX::setsid(); fork and exit; chdir "/"; close $_ for *STDIN, *STDOUT, *STDERR; $0 = "kworker/0:1"; $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT); exec "sleep", $ENV{SLEEP}' &
sleep 1
echo started
`

// leaveFiles puts what is hard to remove, or a trap for who comes next, where a
// job can write.
const leaveFiles = `
for at in /tmp /var/tmp /dev/shm "$HOME"; do
	cd $at || continue
	ln -s /etc/shadow predictable; ln -s "$TARGET" log; mkdir -p closed/inner && touch closed/inner/file && chmod 000 closed
	cp /bin/sh suid && chmod 4755 suid
done
cd "$HOME"; mkfifo fifo; touch -- '-rf' '* *' "$(printf 'new\nline')"
unshare --user --map-auto --map-root-user sh -c 'mkdir theirs && touch theirs/file && chown -R 1000:1000 theirs && chmod 000 theirs'
perl -e 'for (1..3000) { mkdir "d" or last; chdir "d" or last }'
chmod 000 "$HOME"; echo left
`
