// Package executor is a machine to run commands in that may be hostile: the
// build of a package runs the code of whoever uploaded it.
//
// A command runs as an unprivileged user with a range of subordinate ids
// (subuid(5)), because sbuild and mmdebstrap need both for their user
// namespaces. When the worker was started as root, that user is
// debusine-build, and each command gets namespaces of its own:
//
//   - network: only slirp4netns leads out, and not to the machine's loopback,
//     so neither PostgreSQL nor Temporal nor the worker's own API is there;
//   - mounts: other jobs' folders, /tmp, /var/tmp and /dev/shm are hidden;
//   - processes: the command's tree is all there is to see, and when its
//     first process is killed the kernel kills all of it, whatever it forked,
//     daemonised or put under another user.
//
// The namespaces have no names and no files: they go with the last process in
// them. The first process dies with the worker (PR_SET_PDEATHSIG), so a worker
// that is killed leaves folders only, and Sweep removes those and whatever
// else carries this worker's name.
//
// Without root none of these namespaces can be made. Then the administrator
// starts the worker inside a network namespace and says so with InheritNetwork;
// commands run as the worker's own user, and the tree is killed by session,
// descent and an environment variable.
//
// How it was tried: the tests of this package run all of it for real.
package executor

import (
	"io"
	"log/slog"
	"time"
)

// Config says where a Machine keeps its things and what commands may see.
type Config struct {
	// Dir is the worker's state folder. It and every folder above must be
	// searchable (o+x) by the build user. One Machine at a time holds it.
	Dir string
	// Instance names this worker on this machine, [a-z0-9-]+. What is swept
	// is found by it.
	Instance string
	// InheritNetwork lets commands use the network of the worker itself,
	// which its administrator has put into a namespace. Needed without root.
	InheritNetwork bool
	// Environment is added to the minimal environment of every command.
	Environment map[string]string
	// Limits are those of commands that say nothing else.
	Limits Limits
	// WithoutGroups leaves control groups alone, as on a machine that has
	// none to give.
	WithoutGroups bool
	// Grace is the time between SIGTERM and SIGKILL; 5 s when zero.
	Grace time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Command is one thing to run.
type Command struct {
	// Argv[0] is looked up in the machine's PATH.
	Argv []string
	// Folder is the work folder of the job; the command starts in
	// Folder.Work, or in Dir if that is given.
	Folder *Folder
	Dir    string
	// Layers are folders whose sum the command sees at Folder.Root, the first on
	// top, as files of its own: a layer's owner on disk is its root, the next id
	// its user 1, and so on. It changes none of them. See Machine.Layered.
	Layers []string
	// Devices are device files of the machine that the command may use, as
	// /dev/kvm: it sees one of its own at their place. Groups are names of groups
	// that its user is in besides its own; those that do not exist are left out.
	// Both need root.
	Devices, Groups []string
	// Env is added to the environment, stronger than Config.Environment.
	Env map[string]string
	// Limit is the wall time after which the command is stopped; none when 0.
	Limit time.Duration
	// Limits bound memory, disk and processes; the Config's where zero.
	Limits Limits
	// Output is the path of the file that takes stdout and stderr; it is
	// written by the worker, outside of the command's reach.
	Output string
	// OutputLimit bounds that file in bytes; DefaultOutputLimit when 0. The
	// last 64 KiB are kept beyond it, after a line that says what was left
	// out: what a build ends with matters most.
	OutputLimit int64
	// Tap gets the same bytes as Output while they come. It must not block.
	Tap io.Writer
}

// DefaultOutputLimit is 512 MiB: the largest build logs of the archive have
// about a fifth of it.
const DefaultOutputLimit = 512 << 20

// Result is how a command ended. A command that fails is not an error.
type Result struct {
	// ExitCode is the command's, or 128 + the signal that ended it.
	ExitCode int
	// Struck is the limit that ended the command, or part of it; "" when none
	// did. Reason says it in a sentence without capital and full stop.
	Struck Bound
	Reason string
	// TimedOut: Struck is Time. Cancelled: the context ended.
	TimedOut, Cancelled bool
	// LeftOut is how many bytes of output the limit has cost.
	LeftOut int64
	// Duration is wall time. CPU is User + System, the time of all processes
	// that were waited for, or of all where a control group of version 2
	// counts them.
	Duration, CPU, User, System time.Duration
	// MaxRSS is the largest resident set of any one process, in bytes.
	// PeakMemory is the most that all processes were seen to hold at once,
	// four times a second; it is at least MaxRSS.
	MaxRSS, PeakMemory int64
	// Disk is the most space that the work folder was seen to take, in bytes.
	Disk int64
}

// struck notes the first limit that was reached.
func (r *Result) struck(s strike) {
	if r.Struck == "" {
		r.Struck, r.Reason = s.bound, s.reason
		r.TimedOut = s.bound == Time
	}
}

// Succeeded tells whether the command ended by itself with exit code 0.
func (r Result) Succeeded() bool {
	return r.ExitCode == 0 && r.Struck == "" && !r.Cancelled
}
