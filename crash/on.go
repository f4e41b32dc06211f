//go:build crash

// Package crash ends a process at named gaps; see off.go.
package crash

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The gaps, in the order of a work request's life.
const (
	Committed = "committed" // the row is there, Temporal does not know
	Scheduled = "scheduled" // the row of a schedule is there, Temporal does not know
	Fired     = "fired"     // Temporal tells a schedule's moment, no row does
	Started   = "started"   // Temporal knows, the row is not marked
	Planned   = "planned"   // children are rows, the workflow does not know
	Begun     = "begun"     // the worker may run it and has not
	Recorded  = "recorded"  // the outcome is a row, Temporal does not know
	Noted     = "noted"     // how a step is tried again is a row, its workflow does not know
	Intended  = "intended"  // the audit says that a signature will be, it is not made
	Signed    = "signed"    // it is made, the audit does not know
	Sending   = "sending"   // a .changes will be sent, as the database says; it is not
	Sent      = "sent"      // an archive has acknowledged it, the database does not know
)

// Live says that this is a test build, which may be asked for more.
const Live = true

// Point kills when the folder of DEBUSINE_CRASH_AT has a file of that name: the
// process whose number the file holds, or this one when it is empty. The file
// is taken away first, so it happens once.
func Point(name string) {
	path := filepath.Join(os.Getenv("DEBUSINE_CRASH_AT"), name)
	raw, err := os.ReadFile(path)
	if err != nil || os.Remove(path) != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil && pid > 1 {
		syscall.Kill(pid, syscall.SIGKILL)
		time.Sleep(50 * time.Millisecond) // it is gone before this process goes on
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
