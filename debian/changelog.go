package debian

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxEntry bounds the changes of one changelog entry in bytes.
const maxEntry = 4 << 20

// ChangelogEntry is one version in a debian/changelog: deb-changelog(5).
type ChangelogEntry struct {
	Source        string
	Version       Version
	Distributions []string          // most often one: "unstable"
	Urgency       string            // in small letters; "" where none is given
	BinaryOnly    bool              // a rebuild of binaries, which has no source of its own
	Options       map[string]string // all that follows the semicolon, names in small letters
	Changes       []string          // lines as written, the empty ones around them left out
	Maintainer    string            // "Name <address>"
	Date          string            // as written
	When          time.Time         // Date; zero where it is no date
}

// Distribution are the distributions as a .changes names them.
func (e *ChangelogEntry) Distribution() string { return strings.Join(e.Distributions, " ") }

// Closes are the numbers of the bugs that the entry says it closes: sorted,
// each once. Developers Reference 5.8.4.
func (e *ChangelogEntry) Closes() []int {
	var bugs []int
	for _, said := range closes.FindAllString(strings.Join(e.Changes, "\n"), -1) {
		for _, digits := range number.FindAllString(said, -1) {
			if n, err := strconv.Atoi(digits); err == nil {
				bugs = append(bugs, n)
			}
		}
	}
	slices.Sort(bugs)
	return slices.Compact(bugs)
}

// String is the entry as it stands in a changelog, with the newline at its end
// and without an empty line behind.
func (e *ChangelogEntry) String() string {
	var b strings.Builder
	b.WriteString(e.heading() + "\n\n")
	for _, line := range e.Changes {
		b.WriteString(line + "\n")
	}
	b.WriteString("\n -- " + e.Maintainer + "  " + e.Date + "\n")
	return b.String()
}

func (e *ChangelogEntry) heading() string {
	var options []string
	if e.Urgency != "" {
		options = append(options, "urgency="+e.Urgency)
	}
	if e.BinaryOnly {
		options = append(options, "binary-only=yes")
	}
	return strings.TrimRight(e.Source+" ("+e.Version.String()+") "+e.Distribution()+"; "+strings.Join(options, ", "), " ")
}

// The forms of dpkg's lines, which are wider than those of Policy.
var (
	headingLine = regexp.MustCompile(`^([0-9A-Za-z_][-+0-9A-Za-z.]*) \(([^() \t]+)\)((?:\s+[-+0-9A-Za-z.]+)+);(.*)$`)
	optionWord  = regexp.MustCompile(`^([-0-9A-Za-z]+)=\s*(\S.*)$`)
	trailerLine = regexp.MustCompile(`^ -- (.*) <(.*)>  ?((?:\w+,\s*)?\d{1,2}\s+\w+\s+\d{4}\s+\d{1,2}:\d\d:\d\d\s+[-+]\d{4}(?:\s+\([^()\\]*\))?)$`)
	passedOver  = regexp.MustCompile(`^(?:\$\w+:.*\$|# |/\*.*\*/)`)
	editorLines = regexp.MustCompile(`^(?i:(?:;;\s*)?local variables:|vim:)`)
	closes      = regexp.MustCompile(`(?i)closes:\s*(?:bug)?#?\s?\d+(?:,\s*(?:bug)?#?\s?\d+)*`)
	number      = regexp.MustCompile(`\d+`)
)

// ChangelogReader reads the entries of a debian/changelog, the newest first,
// in memory bounded by one entry.
type ChangelogReader struct {
	lines lineReader
	any   bool // an entry was read
	err   error
	old   bool
}

// NewChangelogReader reads from r. Text that is not UTF-8, as in entries of
// the last century, is kept with U+FFFD in its place.
func NewChangelogReader(r io.Reader) *ChangelogReader {
	return &ChangelogReader{lines: lineReader{max: DefaultMaxLine, from: bufio.NewReaderSize(r, 64<<10)}}
}

// Old tells, after io.EOF, that the file goes on with entries in a form from
// before deb-changelog(5), which cannot be read.
func (c *ChangelogReader) Old() bool { return c.old }

// Next is the next entry, or io.EOF after the last. What does not have the
// form of deb-changelog(5) is a Malformed, after which nothing can be read.
func (c *ChangelogReader) Next() (*ChangelogEntry, error) {
	if c.err != nil {
		return nil, c.err
	}
	e, err := c.read()
	if err != nil {
		c.err = err
		return nil, err
	}
	c.any = true
	return e, nil
}

// ParseChangelogTop reads the newest entry: what dpkg-parsechangelog(1) tells
// of a source tree.
func ParseChangelogTop(r io.Reader) (*ChangelogEntry, error) {
	e, err := NewChangelogReader(r).Next()
	if errors.Is(err, io.EOF) {
		return nil, malformedf("the changelog is empty")
	}
	return e, err
}

func (c *ChangelogReader) read() (*ChangelogEntry, error) {
	line, err := c.heading()
	if err != nil {
		return nil, err
	}
	e, err := parseHeading(line)
	if err != nil {
		return nil, c.lines.bad("%v", err)
	}
	size := 0
	for {
		line, err := c.line()
		if errors.Is(err, io.EOF) {
			return nil, c.lines.bad("the changelog ends within the entry of %s", e.Version)
		}
		if err != nil {
			return nil, err
		}
		trailer := trailerLine.FindStringSubmatch(line)
		switch {
		case trailer != nil:
			e.Changes = withoutEmptyEnds(e.Changes)
			e.Maintainer, e.Date = trailer[1]+" <"+trailer[2]+">", trailer[3]
			e.When = parseDate(e.Date)
			return e, nil
		case strings.HasPrefix(line, " --"):
			return nil, c.lines.bad("the line must be of the form \" -- Name <address>  Mon, 02 Jan 2006 15:04:05 +0000\"")
		case line != "" && !isBlank(line[0]):
			return nil, c.lines.bad("in the entry of %s a line is not indented", e.Version)
		}
		if size += len(line) + 1; size > maxEntry {
			return nil, c.lines.bad("the entry of %s is longer than %d bytes", e.Version, maxEntry)
		}
		e.Changes = append(e.Changes, line)
	}
}

// heading passes over empty lines and finds the next entry's first line, or
// io.EOF.
func (c *ChangelogReader) heading() (string, error) {
	for {
		line, err := c.line()
		switch {
		case err != nil:
			return "", err
		case line == "":
			continue
		case headingLine.MatchString(line):
			return line, nil
		case editorLines.MatchString(line):
			return "", io.EOF
		case c.any && !isBlank(line[0]):
			c.old = true
			return "", io.EOF
		}
		return "", c.lines.bad("an entry must begin with a line of the form \"source (version) distribution; urgency=medium\", not %s", quote(line))
	}
}

// line is the next line that counts, without white space at its end.
func (c *ChangelogReader) line() (string, error) {
	for {
		part, err := c.lines.read()
		if err != nil {
			return "", err
		}
		line := trimRight(string(bytes.ToValidUTF8(part, []byte("\uFFFD"))))
		if !passedOver.MatchString(line) {
			return line, nil
		}
	}
}

func parseHeading(line string) (*ChangelogEntry, error) {
	part := headingLine.FindStringSubmatch(line)
	e := &ChangelogEntry{Distributions: strings.Fields(part[3]), Options: map[string]string{}}
	var err error
	if e.Source, err = ParsePackageName(part[1]); err != nil {
		return nil, err
	}
	if e.Version, err = ParseVersion(part[2]); err != nil {
		return nil, err
	}
	for option := range strings.SplitSeq(part[4], ",") {
		option = strings.TrimSpace(option)
		if option == "" {
			continue
		}
		word := optionWord.FindStringSubmatch(option)
		if word == nil {
			return nil, malformedf("after the semicolon stands %s, which is not of the form name=value", quote(option))
		}
		name := strings.ToLower(word[1])
		if _, twice := e.Options[name]; twice {
			return nil, malformedf("%s stands twice after the semicolon", name)
		}
		e.Options[name] = word[2]
	}
	urgency, _, _ := strings.Cut(e.Options["urgency"], " ")
	e.Urgency, e.BinaryOnly = strings.ToLower(urgency), e.Options["binary-only"] == "yes"
	return e, nil
}

func withoutEmptyEnds(lines []string) []string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// parseDate reads the date of a changelog or .buildinfo, RFC 5322's without
// regard to the day of the week, which people get wrong.
func parseDate(text string) time.Time {
	if _, after, found := strings.Cut(text, ","); found {
		text = after
	}
	when, err := mail.ParseDate(strings.Join(strings.Fields(text), " "))
	if err != nil {
		return time.Time{}
	}
	return when
}
