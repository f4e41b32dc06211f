//go:build !crash

// Package crash names the gaps between two writes, so that tests can end the
// process exactly there. In an ordinary build Point does nothing; a build with
// the tag "crash" obeys the environment (see on.go).
package crash

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
const Live = false

// Point is where a test may end the process.
func Point(string) {}
