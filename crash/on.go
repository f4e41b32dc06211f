//go:build crash

// Package crash ends the process at named gaps; see off.go.
package crash

import (
	"os"
	"path/filepath"
	"syscall"
)

// The gaps, in the order of a work request's life.
const (
	Committed = "committed" // the row is there, Temporal does not know
	Started   = "started"   // Temporal knows, the row is not marked
	Planned   = "planned"   // children are rows, the workflow does not know
	Begun     = "begun"     // the worker may run it and has not
	Recorded  = "recorded"  // the outcome is a row, Temporal does not know
)

// Point ends the process with SIGKILL when the folder of DEBUSINE_CRASH_AT has
// a file of that name; the file is taken away first, so it happens once.
func Point(name string) {
	dir := os.Getenv("DEBUSINE_CRASH_AT")
	if dir == "" || os.Remove(filepath.Join(dir, name)) != nil {
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
