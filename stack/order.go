package stack

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The parts' names, in start order; workers are signing and worker-ARCH.
const (
	namePostgres = "postgresql"
	nameTemporal = "temporal"
	nameUI       = "ui"
	nameServer   = "server"
	workerPrefix = "worker-"
)

// rank orders the parts for starting; each needs those below it.
func rank(name string) int {
	at := slices.Index([]string{namePostgres, nameTemporal, nameUI, nameServer}, name)
	if at < 0 {
		return 4
	}
	return at
}

// stopOrder returns the names of the pid files, those that need others first.
func stopOrder(pidFiles []string) []string {
	var names []string
	for _, file := range pidFiles {
		if name := strings.TrimSuffix(filepath.Base(file), ".pid"); name != stackName {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(b) - rank(a) })
	return names
}

// stackName is the stack's own pid file, for `make down`.
const stackName = "standalone"

// politeSignal asks a part to end in order. PostgreSQL's SIGTERM would wait for
// its clients; SIGINT is its "fast shutdown": postgres(1).
func politeSignal(name string) syscall.Signal {
	if name == namePostgres {
		return syscall.SIGINT
	}
	return syscall.SIGTERM
}

// hurriedSignal is for the second request: PostgreSQL's "immediate shutdown"
// costs a recovery at the next start and loses nothing.
func hurriedSignal(name string) syscall.Signal {
	if name == namePostgres {
		return syscall.SIGQUIT
	}
	return syscall.SIGKILL
}
