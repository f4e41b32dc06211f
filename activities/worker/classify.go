package workeract

import (
	"regexp"
	"strings"

	"debusine"
	"debusine/executor"
)

// classify sorts a failure into one of the classes; nil for what did not fail.
//
// What the machine saw counts first: which of its limits struck, whether its disk
// was full. Then what sbuild says in its own summary, and what apt and dpkg-source
// say before the package's code runs. Only a failure inside of the build is sorted
// by the words of the build, which may lie about themselves: so they never make a
// full disk, and what they say of a network or of a test mends with no time.
func classify(v verdict, ran executor.Result, s space) *debusine.BuildFailure {
	if v.result == debusine.Success || ran.Cancelled {
		return nil
	}
	f := &debusine.BuildFailure{Class: debusine.FailedUnknown, Stage: v.summary.stage(), Evidence: v.reason}
	switch {
	case ran.Struck != "" && ran.Struck != executor.MachineDisk:
		f.Class, f.Evidence = classOfBound[ran.Struck], ran.Reason
	case v.code == "disk-full":
		f.Class, f.MendsWithTime = debusine.FailedDisk, v.result == debusine.TemporaryFailure
	case v.code == "mirror-failed":
		f.Class, f.MendsWithTime = debusine.FailedNetwork, true
	case v.code == "dependencies-unsatisfied", f.Stage == "install-deps":
		f.Class, f.MendsWithTime = debusine.FailedDependencies, true
	case strings.HasPrefix(f.Stage, "apt-get-"):
		f.Class = debusine.FailedNetwork // the mirror answers, but has not what the environment asks for
	case v.code == "unpack-failed", v.code == "bad-source", v.code == "wrong-architecture", f.Stage == "parse-changes", f.Stage == "post-build":
		f.Class = debusine.FailedSource
	case v.summary == nil && ran.ExitCode > 128:
		f.Class, f.MendsWithTime = debusine.FailedKilled, true
	case v.summary == nil:
	case f.Stage == "build", f.Stage == "dpkg-buildpackage":
		v.words.end.classify(f, s)
	}
	f.Evidence = clip([]byte(f.Evidence))
	return f
}

// classOfBound are the worker's own limits: under the same ones the same build
// ends again, so time mends none of them.
var classOfBound = map[executor.Bound]debusine.FailureClass{
	executor.Time: debusine.FailedTimeOut, executor.Memory: debusine.FailedMemory, executor.Disk: debusine.FailedDisk,
	executor.Output: debusine.FailedKilled, executor.Processes: debusine.FailedKilled,
}

// classifyPlain is for tasks other than builds, whose failures tell what the
// machine saw and nothing of a package: nil when that is not known.
func classifyPlain(errors []debusine.TaskError, ran executor.Result) *debusine.BuildFailure {
	if ran.Cancelled {
		return nil
	}
	if class := classOfBound[ran.Struck]; class != "" {
		return &debusine.BuildFailure{Class: class, Evidence: clip([]byte(ran.Reason))}
	}
	for _, e := range errors {
		switch e.Code {
		case "mirror-failed":
			return &debusine.BuildFailure{Class: debusine.FailedNetwork, MendsWithTime: true, Evidence: clip([]byte(e.Message))}
		case "disk-full":
			return &debusine.BuildFailure{Class: debusine.FailedDisk, MendsWithTime: true, Evidence: clip([]byte(e.Message))}
		}
	}
	return nil
}

// ending is how a build ended: the last lines that it wrote, oldest first, and
// where among them the error stands that ended it. The makes around one that
// failed say so too, some lines later, and debhelper between them.
type ending struct {
	lines    []string
	stalled  string
	finished bool // sbuild says so of a build that it has stopped
	gap      int  // lines since the last error of a tool
	failedAt int  // index in lines of the first error of the last group; -1 without one
}

const (
	endingLines = 300
	endingWidth = 400 // bytes that are kept of a line
)

// hear takes in a line of the build.
func (e *ending) hear(line []byte) {
	if len(e.lines) == 2*endingLines {
		e.lines = append(e.lines[:0], e.lines[endingLines:]...)
		e.failedAt = max(-1, e.failedAt-endingLines)
	}
	text := string(line[:min(len(line), endingWidth)])
	e.lines = append(e.lines, text)
	if len(e.lines) == 1 {
		e.failedAt = -1
	}
	e.gap++
	switch {
	case strings.HasPrefix(text, "E: Build killed with signal "):
		e.stalled = text[len("E: "):]
	case toolFailed.MatchString(text) && !strings.HasSuffix(text, "(ignored)"):
		if e.failedAt < 0 || e.gap > sameFailure {
			e.failedAt = len(e.lines) - 1
		}
		e.gap = 0
	case strings.HasPrefix(text, "Build finished at "):
		e.finished = true
	case !strings.HasPrefix(text, "make") && e.stalled != "" && !e.finished && !frames.MatchString(text):
		e.stalled = "" // the build went on: it had only printed those words
	}
}

var (
	// toolFailed are the lines with which make, debhelper, dpkg and their like give up.
	toolFailed = regexp.MustCompile(`^(g?make(\[\d+\])?: \*\*\* |dh(_[a-z_]+)?: error: |dh_[a-z]+: .*aborting|dpkg-[a-z]+: error: |E: pybuild |debian/rules:\d+: \*\*\* )`)
	// frames are what comes between the word that a build is stopped and its end.
	frames = regexp.MustCompile(`^(-*|E: .*|dpkg-buildpackage: error: .*)$`)
)

// classify sorts a failure of the build itself: by the step that failed, and
// where that is the program's own, by the message next before the error.
func (e *ending) classify(f *debusine.BuildFailure, s space) {
	if e.stalled != "" {
		f.Class, f.Evidence = debusine.FailedTimeOut, e.stalled
		return
	}
	if len(e.lines) == 0 {
		return
	}
	at := e.failedAt
	if at < 0 {
		at = len(e.lines) - 1
	}
	group := e.lines[at:]
	if line := firstMatch(group, killedStep); line != "" {
		f.Class, f.Evidence, f.MendsWithTime = debusine.FailedKilled, line, true
		return
	}
	m, line := e.message(at, s)
	step := stepOf(group)
	switch {
	case m.class == debusine.FailedDisk:
		f.MendsWithTime = true
	case step.class == debusine.FailedTestSuite, step.class == debusine.FailedSource && m.class != debusine.FailedMemory:
		m, line = step, firstMatch(group, step.line)
	case m.class == debusine.FailedMemory, m.class == debusine.FailedKilled:
		f.MendsWithTime = true
	case m.class == "":
		m.class, line = debusine.FailedCompile, group[0]
	}
	f.Class, f.Evidence = m.class, line
}

// sign is a kind of line and what it tells.
type sign struct {
	class debusine.FailureClass
	line  *regexp.Regexp
}

var killedStep = regexp.MustCompile(`^g?make(\[\d+\])?: \*\*\* .* (Terminated|Killed|Hangup)$`)

// steps are the lines that name the step of a package's build in which it failed:
// tests before packaging, since a test-suite fails inside of both.
var steps = []sign{
	{debusine.FailedTestSuite, regexp.MustCompile(`^dh_auto_test: error: |^E: pybuild pybuild:\d+: test: |^g?make(\[\d+\])?: \*\*\* \[[^]]*\b((override|execute_before|execute_after)_dh_auto_test(-arch|-indep)?|check|tests?|test-?suite|(test-suite|tests?)\.log|check-[A-Za-z]+|[a-z]+-tests?)\] `)},
	{debusine.FailedSource, regexp.MustCompile(`^(dh_(install[a-z]*|missing|link|makeshlibs|shlibdeps|gencontrol|builddeb|listpackages|testdir|fixperms|strip|dwz|compress|perl|python3|clean|movefiles|usrlocal)|dpkg-(gensymbols|shlibdeps|gencontrol|deb|source|checkbuilddeps|parsechangelog|genchanges|genbuildinfo)|dh)(: error)?: `)},
	{debusine.FailedSource, regexp.MustCompile(`^g?make: \*\*\* No rule to make target '?(build|binary|clean)|^debian/rules:\d+: \*\*\* |^dpkg-buildpackage: error: .*(debian/(control|changelog)|syntax error)`)},
}

func stepOf(group []string) sign {
	for _, step := range steps {
		if firstMatch(group, step.line) != "" {
			return step
		}
	}
	return sign{}
}

// messages are the lines that say why a program's build failed. The one next
// before the error counts.
var messages = []sign{
	{debusine.FailedDisk, regexp.MustCompile(`No space left on device|Disk quota exceeded`)},
	{debusine.FailedMemory, regexp.MustCompile(`[Vv]irtual memory exhausted|\b[Oo]ut of memory\b|Cannot allocate memory|std::bad_alloc|java\.lang\.OutOfMemoryError|^MemoryError\b|[Mm]emory exhausted|cannot allocate \d+ bytes|illed signal terminated program|signal: 9, SIGKILL|terminated with signal 9`)},
	{debusine.FailedNetwork, regexp.MustCompile(`emporary failure in name resolution|ould not resolve host|Name or service not known|Network is unreachable|Connection refused|Connection timed out|No route to host`)},
	{debusine.FailedKilled, regexp.MustCompile(`^((/bin/)?(ba)?sh: )?(\d+: |line \d+: )?( *\d+ )?Killed\b`)},
	{debusine.FailedCompile, regexp.MustCompile(`^\S+:\d+(:\d+)?: (fatal )?error: |^configure: error: |^collect2: error: |^(/usr/bin/)?(\S+-)?ld(\.\w+)?: |^error(\[E\d+\])?: |^CMake Error|undefined reference to|^SyntaxError: |^(cc1(plus)?|gcc|g\+\+|rustc|ghc|javac): (fatal )?error: |^Can't locate \S+ in @INC|^ModuleNotFoundError: |command not found$|: not found$`)},
}

// nearError is how many lines before the error a message may stand.
const nearError = 40

// message is the last before the error, or within its group. The words of a full
// disk count only where the machine has seen that little was left.
func (e *ending) message(at int, s space) (sign, string) {
	for i := at; i >= max(0, at-nearError); i-- {
		for _, m := range messages {
			if m.class == debusine.FailedDisk && !s.scarce() {
				continue
			}
			if m.line.MatchString(e.lines[i]) {
				return m, e.lines[i]
			}
		}
	}
	return sign{}, ""
}

func firstMatch(lines []string, want *regexp.Regexp) string {
	for _, line := range lines {
		if want.MatchString(line) {
			return line
		}
	}
	return ""
}
