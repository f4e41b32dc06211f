package workeract

import (
	"bytes"
	"strconv"
	"strings"

	"debusine/executor"
)

// summary is sbuild's section of that name, with which every log ends that
// sbuild could finish: "Fail-Stage", "Status", "Build-Time" … Nil without one.
//
// A build can print such a section too. What sbuild says comes after all that
// a build can print, since the build's processes are gone by then: so the last
// one counts. It is believed only where it agrees with sbuild's exit code,
// which no build can set; a build that is stopped after it has printed the
// words of success has no success.
type summary map[string]string

// The frame of a section's title in the log: a line of 80 columns above and
// below "| Summary    |".
var (
	frame = []byte("+" + strings.Repeat("-", 78) + "+")
	rule  = []byte(strings.Repeat("-", 80))
	title = []byte("| Summary" + strings.Repeat(" ", 70) + "|")
)

// parseSummary finds the last summary in the end of a log. It must be whole:
// from its title to the rule below.
func parseSummary(end []byte) summary {
	var found, open summary
	lines := splitLines(end)
	for i, line := range lines {
		switch {
		case bytes.Equal(line, title) && i > 0 && i+1 < len(lines) && bytes.Equal(lines[i-1], frame) && bytes.Equal(lines[i+1], frame):
			open = summary{}
		case open != nil && bytes.Equal(line, rule):
			found, open = open, nil
		case open != nil:
			if name, value, ok := bytes.Cut(line, []byte(": ")); ok && len(name) < 40 {
				open[string(name)] = clip(value)
			}
		}
	}
	return found
}

// splitLines gives the lines of a log without their ends.
func splitLines(text []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		lines = append(lines, bytes.TrimRight(line, "\r\n"))
	}
	return lines
}

func (s summary) status() string { return s["Status"] }

// stage is where the build failed: "build", "install-deps", "unpack" …
func (s summary) stage() string {
	if s.status() == "successful" {
		return ""
	}
	return s["Fail-Stage"]
}

// agrees tells whether sbuild's exit code can go with the status: 0 with
// success (and "skipped"), 1 to 3 with all else. Which of the three is not
// asked: sbuild may change its mind about "given-back" after the summary.
func (s summary) agrees(ran executor.Result) bool {
	if s == nil || ran.TimedOut || ran.Cancelled {
		return false
	}
	if s.status() == "successful" || s.status() == "skipped" {
		return ran.ExitCode == 0
	}
	return ran.ExitCode >= 1 && ran.ExitCode <= 3
}

// seconds and kibibytes that sbuild measured; 0 for "n/a".
func (s summary) number(name string) int64 {
	n, err := strconv.ParseInt(s[name], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
