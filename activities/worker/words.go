package workeract

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// words are what the tools said in a build log about why it failed. They are
// looked for where the tool speaks: what apt says before the build, what
// dpkg-source says while it unpacks. A package can print such words in its own
// build and maintainer scripts, and so lie about itself in a sentence; it
// cannot make a success of a failure.
type words struct {
	sbuild  string         // the last error of sbuild that says more than the stage
	source  string         // dpkg-source's
	build   string         // the first of make's last errors, or dpkg-buildpackage's
	stalled string         // sbuild ended a build that was silent
	apt     string         // apt's last error
	mirror  string         // what apt could not fetch, and why
	unmet   []string       // apt's list of dependencies that it cannot satisfy
	dose    map[string]any // dose3's report
	end     ending         // of the build
}

// wordsSize bounds a sentence of a tool, in bytes.
const wordsSize = 300

// readWords looks through a build log. Failing to read it costs the words.
func readWords(path, stage string) words {
	file, err := os.Open(path)
	if err != nil {
		return words{}
	}
	defer file.Close()
	w := listener{makeLine: -sameFailure}
	lines := bufio.NewReaderSize(file, 64<<10)
	for begun := false; ; {
		line, err := lines.ReadSlice('\n')
		if !begun { // the rest of a line longer than any that a tool writes is skipped
			w.hear(bytes.TrimRight(line, "\r\n"))
		}
		if begun = errors.Is(err, bufio.ErrBufferFull); err != nil && !begun {
			break
		}
	}
	if stage == "install-deps" || stage == "explain-bd-uninstallable" {
		w.said.dose = readDose(path)
	}
	return w.said
}

// listener takes in a log line by line.
type listener struct {
	said    words
	section string // of sbuild's sections: "Update chroot", "Build" …
	built   bool   // the build has begun: titles may be its own from here
	framed  bool   // the line before was a section's frame
	unmet   bool   // inside apt's list

	line, makeLine int // of the log, and where make's last error was
}

// packageStage says that apt is at work, before the package's own code runs.
func (l *listener) packageStage() bool {
	return !l.built && (l.section == "Update chroot" || l.section == "Install package build dependencies")
}

func (l *listener) hear(line []byte) {
	l.line++
	if bytes.Equal(line, frame) {
		l.framed = true
		return
	}
	if name, found := bytes.CutPrefix(line, []byte("| ")); found && l.framed && len(line) == len(frame) {
		l.section = string(bytes.TrimSpace(bytes.TrimSuffix(name, []byte("|"))))
	}
	l.framed = false
	l.built = l.built || l.section == "Build"
	switch {
	case l.built:
		l.hearBuild(line)
	case l.packageStage():
		l.hearApt(line)
	}
	if text, found := bytes.CutPrefix(line, []byte("E: ")); found && !empty(text) {
		l.said.sbuild = clip(text)
	}
}

// empty tells sbuild's errors that only repeat the stage.
func empty(text []byte) bool {
	return slices.Contains([]string{"Build failure (dpkg-buildpackage died)", "FAILED [dpkg-source died]", "apt-get update failed",
		"apt-get upgrade failed", "apt-get dist-upgrade failed", "Package build dependencies not satisfied; skipping",
		"Failed to explain bd-uninstallable"}, string(text))
}

func (l *listener) hearBuild(line []byte) {
	l.said.end.hear(line) // of whatever section: titles may be its own
	switch {
	case bytes.HasPrefix(line, []byte("dpkg-source: error: ")):
		l.said.source = clip(line)
	case bytes.HasPrefix(line, []byte("dpkg-buildpackage: error: ")) && l.said.build == "":
		l.said.build = clip(line)
	case makeError.Match(line) && !bytes.HasSuffix(line, []byte("(ignored)")):
		// The makes around one that failed say so too, within some lines.
		if l.line > l.makeLine+sameFailure {
			l.said.build = clip(line)
		}
		l.makeLine = l.line
	case bytes.HasPrefix(line, []byte("E: Build killed with signal ")):
		l.said.stalled = clip(line[len("E: "):])
	}
}

var makeError = regexp.MustCompile(`^g?make(\[\d+\])?: \*\*\* `)

// sameFailure is how many lines may be between two errors of make that are one.
const sameFailure = 10

func (l *listener) hearApt(line []byte) {
	text := string(line)
	inList := l.unmet
	l.unmet = false
	switch {
	case text == "The following packages have unmet dependencies:":
		l.unmet, l.said.unmet = true, nil
	case inList && strings.HasPrefix(text, " "):
		l.unmet = true
		l.hearUnmet(text)
	case strings.HasPrefix(text, "W: Failed to fetch "), strings.HasPrefix(text, "E: Failed to fetch "):
		if what := clip(line[len("W: Failed to fetch "):]); !permanent(what) {
			l.said.mirror = hideUser(what)
		}
	case strings.HasPrefix(text, "E: "):
		if !empty(line[len("E: "):]) {
			l.said.apt = hideUser(clip(line[len("E: "):]))
		}
	}
}

// aptWords is what apt says in a text that is all its own.
func aptWords(text []byte) words {
	l := listener{}
	for _, line := range splitLines(text) {
		l.hearApt(line)
	}
	return l.said
}

// hearUnmet takes one line of apt's list:
// " sbuild-build-depends-main-dummy : Depends: x (>= 2) but 1 is to be installed".
func (l *listener) hearUnmet(text string) {
	who, what, found := strings.Cut(text, " : ")
	if !found {
		who, what = "", text
	}
	what = strings.TrimPrefix(strings.TrimSpace(what), "Depends: ")
	if who = strings.TrimSpace(who); who != "" && !strings.HasPrefix(who, "sbuild-build-depends-") {
		what = who + " needs " + what
	}
	if what = clip([]byte(what)); what != "" && len(l.said.unmet) < 100 {
		l.said.unmet = append(l.said.unmet, what)
	}
}

// permanent tells what no time mends: an index that the mirror does not have.
func permanent(failure string) bool {
	return strings.Contains(failure, "404") && !strings.Contains(failure, ".deb ")
}

var userInfo = regexp.MustCompile(`://[^/@\s]*@`)

// hideUser takes passwords out of addresses.
func hideUser(text string) string { return userInfo.ReplaceAllString(text, "://") }

// lastError is the last line "E: …" of a log's end.
func lastError(end []byte) string {
	lines := splitLines(end)
	slices.Reverse(lines)
	for _, line := range lines {
		if text, found := bytes.CutPrefix(line, []byte("E: ")); found {
			return clip(text)
		}
	}
	return ""
}

// clip makes words of a log fit for a sentence: they may be anything.
func clip(text []byte) string {
	text = bytes.ToValidUTF8(bytes.TrimSpace(text[:min(len(text), wordsSize)]), []byte("?"))
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(text))
}
