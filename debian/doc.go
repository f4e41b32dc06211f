// Package debian knows what Debian says and nothing of ours: version numbers
// (deb-version(7)), architecture names and wildcards (dpkg-architecture(1)),
// control files (deb822(5)), source packages (dsc(5)), uploads
// (deb-changes(5)), build records (deb-buildinfo(5)), changelogs
// (deb-changelog(5)), relations between packages (Policy 7) and binary packages
// (deb(5)).
//
// Nearly all that it reads was written by somebody who is not trusted: a
// source package, an upload, a .deb that came back from a builder. So each
// parser is bounded in what it reads and keeps, none runs a program, only
// OpenDeb opens a file, and a name that could lead out of a folder is refused where it is
// read. What a parser refuses is a Malformed, with a sentence for the person
// who made the file; an error of the reader below passes through as it is, so
// that a caller can tell a bad upload from a bad disk.
//
// The oracles are dpkg's own tools and python3-debian: the tests ask dpkg,
// dpkg-architecture, dpkg-source, dpkg-genchanges, dpkg-parsechangelog,
// dpkg-checkbuilddeps and dpkg-deb, and read the indices of the machine's
// mirror. Text becomes a type at the door (ParseVersion, ParseArch,
// ParseDSC …) and is not checked again after it.
package debian

import "fmt"

// Malformed says that a text or file does not have the form that Debian gives
// it. What is a whole sentence without a full stop.
type Malformed struct{ What string }

func (m Malformed) Error() string { return m.What }

func malformedf(format string, args ...any) error {
	return Malformed{What: fmt.Sprintf(format, args...)}
}
