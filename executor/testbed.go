package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Testbed runs each command in a system of its own that a backend opens for it
// and throws away. It keeps the same contract as the Machine: the system's own
// programs run as a job. Argv[0] is a program of the system, and the command
// starts in a new folder of it, as root.
type Testbed struct {
	Machine *Machine
	Backend Backend  // qemu or schroot
	Layers  []string // of which a schroot is made: Command.Layers
	Image   string   // of the disk of a virtual machine
	Boot    string   // efi or bios
}

// NewFolder is Machine.NewFolder.
func (t *Testbed) NewFolder(workRequest int64) (*Folder, error) {
	return t.Machine.NewFolder(workRequest)
}

// Run is Machine.Run. A system that cannot be opened is an error.
func (t *Testbed) Run(ctx context.Context, c Command) (Result, error) {
	if len(c.Argv) == 0 || c.Folder == nil {
		return Result{}, errors.New("a command needs argv and a folder")
	}
	unopened := filepath.Join(c.Folder.Work, "unopened")
	inside := slices.Concat(t.variables(c), c.Argv)
	c.Env = map[string]string{"TESTBED_UNOPENED": unopened}
	c.Devices, c.Groups = t.Machine.devices(t.Backend), t.Backend.Groups
	var err error
	switch t.Backend.Name {
	case "schroot":
		c.Env["TESTBED_UNOPENED"] = filepath.Join(c.Folder.Work, "schroot", "unopened")
		c.Layers = t.Layers
		c.Argv, err = c.Folder.InSchroot(c.Folder.Root(), drive(nil, []string{"schroot", "--quiet", "--chroot", Schroot, "--directory", "/", "--"}, inside)...)
	case "qemu":
		c.Env["TMPDIR"] = "/tmp" // the sockets of QEMU have to have short names
		var server []string
		server, err = t.Machine.QemuServer(c.Folder, t.Image, t.Boot, c.Limits)
		c.Argv = drive(server, nil, inside)
	default:
		return Result{}, fmt.Errorf("no testbed is written for the backend %s", t.Backend.Name)
	}
	if err != nil {
		return Result{}, err
	}
	ran, err := t.Machine.Run(ctx, c)
	if said, failed := readPlain(c.Env["TESTBED_UNOPENED"]); err == nil && failed == nil && !ran.Cancelled && ran.Struck == "" {
		err = fmt.Errorf("opening a testbed of %s: %.1000s", t.Backend.Name, lastLines(string(said)))
	}
	return ran, err
}

// readPlain reads the beginning of a file that the job has made, and nothing that
// a link of its leads to.
func readPlain(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return io.ReadAll(io.LimitReader(file, 64<<10))
}

// variables are the environment of the command: nothing of the worker's.
func (t *Testbed) variables(c Command) []string {
	env := map[string]string{"PATH": searchPath, "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", "LANG": "C.UTF-8"}
	maps.Copy(env, t.Machine.config.Environment)
	maps.Copy(env, c.Env)
	var list []string
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// drive is the command line that opens a testbed with a server of autopkgtest
// (or has a command that leads inside, and no server) and runs another in it.
func drive(server, lead, inside []string) []string {
	return slices.Concat([]string{"perl", "-e", driver, insideScript, fmt.Sprint(len(server))}, server, []string{fmt.Sprint(len(lead))}, lead, inside)
}

// driver speaks the protocol of autopkgtest's virtualisation servers
// (README.virtualisation-server), as sbuild does. Both the server and the
// command have sessions of their own, so that a SIGTERM for the job reaches the
// driver alone: it asks the command to end by a line on its standard input,
// which is the one way into every kind of testbed. What the server has to say is
// told only when it does not open.
const driver = `
use strict; use warnings; use IO::Handle; use Errno; use POSIX ();
my $inside = shift @ARGV;
my @server = splice @ARGV, 0, shift @ARGV;
my @lead = splice @ARGV, 0, shift @ARGV;
my ($to, $from, $ask, $stopped);
my $words = "$ENV{TESTBED_UNOPENED}.words";
sub unopened { open(my $file, ">>", $words); print $file $_[0]; close $file; rename $words, $ENV{TESTBED_UNOPENED}; exit 125 }
sub ask {
	print $to "$_[0]\n";
	my $said = <$from> // "the server ended\n";
	$said =~ /^ok ?(.*)$/ or unopened("$_[0]: $said");
	return $1;
}
$SIG{PIPE} = "IGNORE";
$SIG{TERM} = sub { $stopped = 1; syswrite($ask, "TERM\n") if $ask; exit 143 unless $ask };
if (@server) {
	pipe(my $in, $to); pipe($from, my $out); $to->autoflush(1);
	my $pid = fork;
	if (!$pid) { open(STDIN, "<&", $in); open(STDOUT, ">&", $out); open(STDERR, ">>", $words); close $_ for $to, $from; POSIX::setsid(); exec @server or exit 127 }
	close $in; close $out;
	defined <$from> or unopened("the server did not start\n");
	ask("open");
	@lead = map { s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /,/, ask("print-execute-command");
}
pipe(my $hear, $ask);
my $pid = fork;
if (!$pid) { open(STDIN, "<&", $hear); close $ask; POSIX::setsid(); exec @lead, "sh", "-c", $inside, "sh", @ARGV or exit 127 }
close $hear;
1 while waitpid($pid, 0) < 0 && $!{EINTR};
my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;
if (@server) { ask("close"); print $to "quit\n" }
exit $code;
`

// insideScript runs a command in a new folder of the testbed, and asks it to end
// when it is told so.
const insideScript = `
exec 3<&0 </dev/null 2>/dev/null
place=$(mktemp -d) && cd "$place" || exit 125
setsid env -i HOME="$place" TMPDIR="$place" "$@" 2>&1 3<&- &
child=$!
{ read -r word && kill -TERM "-$child"; } <&3 >/dev/null &
watcher=$!
exec 3<&-
wait "$child"
code=$?
kill "$watcher"
exit "$code"
`
