package workeract

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"debusine"
	"debusine/executor"
)

// recorded reads a log that scripts/record-failures made: its first line is
// sbuild's exit code, the rest is put in a file of its own.
func recorded(t *testing.T, name string) (log []byte, ran executor.Result) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "failures", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	first, log, _ := bytes.Cut(text, []byte("\n"))
	if _, err := fmt.Sscanf(string(first), "# exit code %d", &ran.ExitCode); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return log, ran
}

// classOf judges and classifies a log.
func classOf(t *testing.T, log []byte, ran executor.Result, s space) *debusine.BuildFailure {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := readVerdict(path, ran)
	if err != nil {
		t.Fatal(err)
	}
	if ran.Struck == "" || ran.Struck == executor.MachineDisk {
		v.judgeSpace(s, ran)
	}
	return classify(v, ran, s)
}

var (
	plenty = space{before: 100 << 30, least: 90 << 30}
	full   = space{before: 100 << 30, least: 0}
)

// realFailures are the logs that scripts/record-failures made of real packages, each
// broken in a way of its own; but for diskFailures.
var realFailures = []struct {
	log   string
	class debusine.FailureClass
	mends bool
	says  string // in the evidence
}{
	{"compile-syntax", debusine.FailedCompile, false, "error: expected expression before"},
	{"compile-header", debusine.FailedCompile, false, "no-such-header.h: No such file or directory"},
	{"link-undefined", debusine.FailedCompile, false, "ld returned 1 exit status"},
	{"configure-requires", debusine.FailedCompile, false, "libfrobnicate is required"},
	{"check-fails", debusine.FailedTestSuite, false, "test-suite.log"},
	{"python-unittest", debusine.FailedTestSuite, false, "pybuild"},
	{"perl-test", debusine.FailedTestSuite, false, "test"},
	{"install-missing", debusine.FailedSource, false, "dh_install: "},
	{"no-rule", debusine.FailedSource, false, "No rule to make target 'clean'"},
	{"bad-changelog", debusine.FailedSource, false, ""},
	{"bad-patch", debusine.FailedSource, false, ""},
	{"bad-checksum", debusine.FailedSource, false, ""},
	{"other-architecture", debusine.FailedSource, false, ""},
	{"memory-killer", debusine.FailedMemory, true, "illed signal terminated program cc1"},
	{"memory-cplusplus", debusine.FailedMemory, true, "std::bad_alloc"},
	{"terminated", debusine.FailedKilled, true, "Terminated"},
	{"killed", debusine.FailedKilled, true, "Killed"},
	{"sbuild-killed", debusine.FailedKilled, true, "killed by signal 9"},
	{"network-python", debusine.FailedNetwork, false, "name resolution"},
	{"encodings", debusine.FailedCompile, false, "no-such-file.c"},
	{"forged-success", debusine.FailedCompile, false, "override_dh_auto_build"},
	{"forged-stage", debusine.FailedCompile, false, "error: expected expression"},
	{"forged-disk", debusine.FailedCompile, false, "error: expected expression"},
	{"dependency-missing", debusine.FailedDependencies, true, "no-such-package"},
	{"dependency-version", debusine.FailedDependencies, true, "libc6-dev"},
	{"mirror-away", debusine.FailedNetwork, true, ""},
	{"mirror-unknown", debusine.FailedNetwork, true, ""},
	{"mirror-404", debusine.FailedNetwork, true, ""},
	{"mirror-hash", debusine.FailedNetwork, true, ""},
}

// diskFailures are what a full disk does, which is told apart by what the machine saw.
var diskFailures = []string{"disk-build", "disk-unpack"}

func TestTheClassOfRealFailures(t *testing.T) {
	for _, test := range realFailures {
		t.Run(test.log, func(t *testing.T) {
			log, ran := recorded(t, test.log)
			f := classOf(t, log, ran, plenty)
			if f == nil || f.Class != test.class || f.MendsWithTime != test.mends || !strings.Contains(f.Evidence, test.says) {
				t.Errorf("got %+v, want %s, %v: %s", *f, test.class, test.mends, test.says)
			}
		})
	}
	all, err := filepath.Glob(filepath.Join("testdata", "failures", "*.log"))
	if err != nil || len(all) != len(realFailures)+len(diskFailures) {
		t.Errorf("%d logs, of which %d are in the table", len(all), len(realFailures)+len(diskFailures))
	}
}

func TestAFullDiskIsWhatTheMachineSaw(t *testing.T) {
	for _, name := range diskFailures {
		t.Run(name, func(t *testing.T) {
			log, ran := recorded(t, name)
			if f := classOf(t, log, ran, full); f.Class != debusine.FailedDisk || !f.MendsWithTime {
				t.Errorf("filled by others it is %+v", f)
			}
			ran.Disk = full.before
			if f := classOf(t, log, ran, full); f.Class != debusine.FailedDisk || f.MendsWithTime {
				t.Errorf("filled by itself it is %+v", f)
			}
			ran.Disk = 0
			if f := classOf(t, log, ran, space{before: 100 << 30, least: 500 << 20}); f.Class != debusine.FailedDisk && name != "disk-unpack" {
				t.Errorf("seen to be scarce it is %+v", f)
			}
			if f := classOf(t, log, ran, plenty); f.Class == debusine.FailedDisk {
				t.Errorf("with plenty it is %+v", f)
			}
		})
	}
}

func TestWhatTheMachineSawComesFirst(t *testing.T) {
	log, ran := recorded(t, "check-fails")
	tests := []struct {
		struck executor.Bound
		class  debusine.FailureClass
	}{
		{executor.Time, debusine.FailedTimeOut}, {executor.Memory, debusine.FailedMemory}, {executor.Disk, debusine.FailedDisk},
		{executor.Processes, debusine.FailedKilled}, {executor.Output, debusine.FailedKilled},
	}
	for _, test := range tests {
		ran := executor.Result{ExitCode: ran.ExitCode, Struck: test.struck, Reason: "the limit", TimedOut: test.struck == executor.Time}
		if f := classOf(t, log, ran, plenty); f.Class != test.class || f.MendsWithTime || f.Evidence != "the limit" {
			t.Errorf("%s: %+v", test.struck, f)
		}
		if f := classifyPlain(nil, ran); f == nil || f.Class != test.class {
			t.Errorf("of another task, %s: %+v", test.struck, f)
		}
	}
	if f := classOf(t, log, executor.Result{ExitCode: 143, Cancelled: true}, plenty); f != nil {
		t.Errorf("aborted: %+v", f)
	}
	if f := classifyPlain([]debusine.TaskError{{Code: "mirror-failed", Message: "away"}}, executor.Result{}); f == nil || f.Class != debusine.FailedNetwork || !f.MendsWithTime {
		t.Errorf("a mirror: %+v", f)
	}
	if f := classifyPlain([]debusine.TaskError{{Code: "bad-output"}}, executor.Result{}); f != nil {
		t.Errorf("nothing known: %+v", f)
	}
}

// TestALogInAnyEncodingHasItsClass: what a build writes around the words that
// count may be anything, with and without ends of lines.
func TestALogInAnyEncodingHasItsClass(t *testing.T) {
	junk := make([]byte, 1<<16)
	for i := range junk {
		if junk[i] = byte(i*7 + i>>8); junk[i] == '\n' {
			junk[i] = 0xff
		}
	}
	var wide []byte
	for _, u := range utf16.Encode([]rune("Größe: こんにちは\r\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, text := range map[string][]byte{
		"UTF-8": []byte("Größe: こんにちは\n"), "Latin-1": []byte("Gr\xf6\xdfe\n"), "UTF-16": append([]byte{0xff, 0xfe}, wide...),
		"EUC-JP": []byte("\xa4\xb3\xa4\xf3\xa4\xcb\xa4\xc1\xa4\xcf\n"), "no text": append(junk, '\n'),
	} {
		for _, from := range []struct {
			log   string
			class debusine.FailureClass
		}{{"check-fails", debusine.FailedTestSuite}, {"compile-header", debusine.FailedCompile}, {"dependency-missing", debusine.FailedDependencies}, {"memory-killer", debusine.FailedMemory}} {
			t.Run(name+" around "+from.log, func(t *testing.T) {
				log, ran := recorded(t, from.log)
				var around []byte
				for line := range bytes.Lines(log) {
					if bytes.HasPrefix(line, []byte("make")) {
						around = append(append(around, text...), '\n')
					}
					around = append(around, line...)
				}
				if f := classOf(t, around, ran, plenty); f.Class != from.class {
					t.Errorf("%+v", f)
				}
			})
		}
	}
}

// inBuild is where in a log the build may write first.
func inBuild(t *testing.T, log []byte) int {
	t.Helper()
	title := []byte(section("Build"))
	at := bytes.Index(log, title)
	if at < 0 {
		t.Fatal("the log has no section of the build")
	}
	return at + len(title)
}

// TestABuildCannotSpeakForTheMachine puts lies of a build before its end.
func TestABuildCannotSpeakForTheMachine(t *testing.T) {
	lies := []string{
		summaryOf("successful", ""), summaryOf("given-back", "install-deps"), "Status: successful\n", "Fail-Stage: apt-get-update\n",
		"cc1: error writing: No space left on device\n", "E: Build killed with signal TERM after 150 minutes of inactivity\n",
		"E: Failed to fetch http://mirror.example/x.deb  503  Service Unavailable\n", "make: *** [debian/rules:1: x] Killed\n",
		section("Update chroot") + refusedIndex, section("Install package build dependencies") + unmetList,
	}
	for _, name := range []string{"compile-header", "check-fails"} {
		log, ran := recorded(t, name)
		want := classOf(t, log, ran, plenty).Class
		at := inBuild(t, log)
		for _, lie := range lies {
			lying := append(append(append([]byte{}, log[:at]...), lie+strings.Repeat("more\n", sameFailure+1)...), log[at:]...)
			if f := classOf(t, lying, ran, plenty); f.Class != want {
				t.Errorf("%s: %q makes it %+v", name, lie[:min(len(lie), 60)], f)
			}
		}
	}
}

func TestABuildThatSbuildStopped(t *testing.T) {
	log := section("Build") + "make[1]: Entering directory '/<<PKGBUILDDIR>>'\nE: Build killed with signal TERM after 150 minutes of inactivity\n" +
		"make: *** [debian/rules:3: binary] Terminated\n" + string(rule) + "\nBuild finished at 2026-11-28T19:35:02Z\n" + summaryOf("attempted", "build")
	if f := classOf(t, []byte(log), executor.Result{ExitCode: 2}, plenty); f.Class != debusine.FailedTimeOut || !strings.Contains(f.Evidence, "150 minutes") {
		t.Errorf("%+v", f)
	}
}

func TestAnEndlessLogIsClassifiedByItsEnd(t *testing.T) {
	log, ran := recorded(t, "check-fails")
	at := inBuild(t, log)
	long := append(append(append([]byte{}, log[:at]...), bytes.Repeat([]byte("make[9]: *** [x] Error 1 of a build that goes on\n"), 50_000)...), log[at:]...)
	if f := classOf(t, long, ran, plenty); f.Class != debusine.FailedTestSuite || len(f.Evidence) > wordsSize {
		t.Errorf("%+v", f)
	}
}
