package workeract

import (
	"bytes"
	"regexp"

	"debusine"
	"debusine/executor"
)

// cause sorts a failure into one of the classes: by what stopped sbuild, by the
// stage that sbuild names, and within the build by the words of its end. The
// table of signs below was made on real logs (testdata/failures).
func (v verdict) cause(ran executor.Result) *debusine.BuildFailure {
	if v.result == debusine.Success || ran.Cancelled {
		return nil
	}
	f := &debusine.BuildFailure{Class: debusine.FailedUnknown, Stage: v.summary.stage(), Evidence: v.reason}
	switch {
	case ran.Struck != "":
		byLimit(f, ran)
	case v.code == "disk-full":
		f.Class, f.TimeMends = debusine.FailedDisk, v.result == debusine.TemporaryFailure
	case v.code == "mirror-failed":
		f.Class, f.TimeMends = debusine.FailedNetwork, true
	case v.code == "dependencies-unsatisfied":
		f.Class, f.TimeMends = debusine.FailedDependencies, true
	case v.code == "environment-failed":
		f.Class = debusine.FailedEnvironment
	case v.code == "unpack-failed", v.code == "bad-source", v.code == "wrong-architecture":
		f.Class = debusine.FailedSource
	case v.summary == nil:
		f.Class, f.TimeMends = debusine.FailedKilled, ran.ExitCode > 128
	default:
		causeInside(f, v.words)
	}
	return f
}

// byLimit sorts a build that one of the worker's limits ended: under the same
// limit it would end again, unless the machine's own disk was the limit.
func byLimit(f *debusine.BuildFailure, ran executor.Result) {
	switch ran.Struck {
	case executor.Time:
		f.Class = debusine.FailedTime
	case executor.Memory:
		f.Class = debusine.FailedMemory
	case executor.Disk:
		f.Class = debusine.FailedDisk
	case executor.MachineDisk:
		f.Class, f.TimeMends = debusine.FailedDisk, true
	default:
		f.Class = debusine.FailedKilled
	}
	if f.Evidence == "" {
		f.Evidence = ran.Reason
	}
}

// causeInside sorts a failure by what the log says.
func causeInside(f *debusine.BuildFailure, w words) {
	sign := w.signs.last()
	switch {
	case w.stalled != "":
		f.Class = debusine.FailedTime
	case f.Stage == "install-deps":
		f.Class, f.TimeMends = debusine.FailedDependencies, true
	case f.Stage != "build" && f.Stage != "dpkg-buildpackage":
		f.Class = debusine.FailedSource
	case sign.class != "":
		f.Class, f.Evidence, f.TimeMends = sign.class, sign.text, sign.class == debusine.FailedMemory || sign.class == debusine.FailedKilled
	default:
		f.Class = debusine.FailedCompile
	}
}

// sign is a line that tells what a build failed of.
type sign struct {
	class debusine.FailureClass
	text  string
	line  int
	rank  int
}

// signs are those of the build's end: what stands further up is something that
// the build has survived, or the output of a test.
type signs struct {
	line int
	seen []sign // the newest of each rank
}

// nearEnd is how many lines before the last one of the build a sign may stand.
const nearEnd = 400

// signTable tells the classes by lines, the strongest first: a compiler that is
// out of memory also fails to compile, and a test that fails is also an error of
// make. has is looked for before the expression is tried.
var signTable = []struct {
	class debusine.FailureClass
	has   string
	line  *regexp.Regexp
}{
	{debusine.FailedDisk, "No space left on device", nil},
	{debusine.FailedDisk, "Disk quota exceeded", nil},
	{debusine.FailedMemory, "irtual memory exhausted", nil},
	{debusine.FailedMemory, "out of memory", regexp.MustCompile(`(?i)\b(cc1(plus)?|ld|lto1|llvm error|fatal error|error)\b.*out of memory`)},
	{debusine.FailedMemory, "Cannot allocate memory", nil},
	{debusine.FailedMemory, "std::bad_alloc", nil},
	{debusine.FailedMemory, "java.lang.OutOfMemoryError", nil},
	{debusine.FailedMemory, "MemoryError", regexp.MustCompile(`^MemoryError\b`)},
	{debusine.FailedMemory, "illed signal terminated program", nil},
	{debusine.FailedMemory, "signal: 9, SIGKILL", nil},
	{debusine.FailedMemory, "terminated with signal 9", nil},
	{debusine.FailedNetwork, "emporary failure in name resolution", nil},
	{debusine.FailedNetwork, "ould not resolve host", nil},
	{debusine.FailedNetwork, "Name or service not known", nil},
	{debusine.FailedNetwork, "Network is unreachable", nil},
	{debusine.FailedTests, "dh_auto_test: error: ", nil},
	{debusine.FailedTests, "_auto_test", regexp.MustCompile(`^g?make(\[\d+\])?: \*\*\* \[.*\b(override_|execute_(before|after)_)?dh_auto_test`)},
	{debusine.FailedTests, "***", regexp.MustCompile(`^g?make(\[\d+\])?: \*\*\* \[.*\b(check|tests?|test-suite\.log|check-am|check-TESTS|check-local|test_?suite)\]`)},
	{debusine.FailedTests, "pybuild", regexp.MustCompile(`^E: pybuild pybuild:\d+: test: `)},
	{debusine.FailedTests, "Errors while running CTest", nil},
	{debusine.FailedKilled, "***", regexp.MustCompile(`^g?make(\[\d+\])?: \*\*\* .* (Terminated|Killed|Hangup)$`)},
	{debusine.FailedKilled, "illed", regexp.MustCompile(`^(/bin/)?(sh|bash)?:? ?(\d+: |line \d+: )?Killed$`)},
	{debusine.FailedSource, "*** No rule to make target", regexp.MustCompile(`^g?make: \*\*\* No rule to make target '(build|binary|build-arch|binary-arch|clean)`)},
	{debusine.FailedSource, "error: ", regexp.MustCompile(`^(dh_(install|installdocs|installman|missing|link|makeshlibs|shlibdeps|gencontrol|builddeb|listpackages|testdir)|dpkg-(gensymbols|shlibdeps|gencontrol|deb|source|checkbuilddeps|parsechangelog)|dh): error: `)},
	{debusine.FailedSource, "missing files, aborting", regexp.MustCompile(`^dh_[a-z]+: `)},
	{debusine.FailedCompile, "error: ", regexp.MustCompile(`^dh_auto_(build|configure|install)(: error: )|^\S+:\d+(:\d+)?: (fatal )?error: |^configure: error: |^collect2: error: |^error(\[E\d+\])?: `)},
	{debusine.FailedCompile, "CMake Error", nil},
	{debusine.FailedCompile, "undefined reference to", nil},
	{debusine.FailedCompile, "SyntaxError: ", regexp.MustCompile(`^SyntaxError: `)},
}

// hear takes in a line of the build.
func (s *signs) hear(line []byte) {
	s.line++
	for rank, row := range signTable {
		if !bytes.Contains(line, []byte(row.has)) || row.line != nil && !row.line.Match(line) {
			continue
		}
		found := sign{row.class, clip(line), s.line, rank}
		for i := range s.seen {
			if s.seen[i].rank == rank {
				s.seen[i] = found
				return
			}
		}
		s.seen = append(s.seen, found)
		return
	}
}

// last is the strongest sign near the end of what was heard.
func (s *signs) last() (best sign) {
	for _, f := range s.seen {
		if f.line > s.line-nearEnd && (best.class == "" || f.rank < best.rank) {
			best = f
		}
	}
	return best
}
