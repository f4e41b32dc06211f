package workeract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"debusine"
	"debusine/executor"
)

// section is a title as sbuild writes it.
func section(name string) string {
	return fmt.Sprintf("\n%s\n| %-76s |\n%s\n\n", frame, name, frame)
}

// summaryOf is sbuild's last section.
func summaryOf(status, stage string) string {
	text := section("Summary") + "Build Architecture: amd64\nBuild-Space: 56\nBuild-Time: 16\n"
	if stage != "" {
		text += "Fail-Stage: " + stage + "\n"
	}
	return text + "Host Architecture: amd64\nStatus: " + status + "\nVersion: 1.0\n" + string(rule) + "\nFinished at 2026-11-22T22:57:29Z\nBuild needed 00:02:55, 56k disk space\n"
}

// verdictOn judges a log after 64 KiB of other bytes.
func verdictOn(t *testing.T, log string, ran executor.Result) verdict {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("\xfe long line\n", 7000)+log), 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := readVerdict(path, ran)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOnlySbuildsOwnSummaryIsBelieved(t *testing.T) {
	successful, failed := summaryOf("successful", ""), summaryOf("attempted", "build")
	tests := []struct {
		name, log string
		ran       executor.Result
		result    debusine.Result
		stage     string
		says      string
	}{
		{"a success", successful, executor.Result{}, debusine.Success, "", ""},
		{"a failure with its stage", failed, executor.Result{ExitCode: 2}, debusine.Failure, "build", "the build failed"},
		{"a build that prints a summary and then fails", successful + failed, executor.Result{ExitCode: 2}, debusine.Failure, "build", "the build failed"},
		{"a success of a build that printed a failure", failed + successful, executor.Result{}, debusine.Success, "", ""},
		{"the words of success alone", "Status: successful\n" + failed, executor.Result{ExitCode: 2}, debusine.Failure, "build", "the build failed"},
		{"the words of success after the summary", failed + "Status: successful\n", executor.Result{ExitCode: 2}, debusine.Failure, "build", ""},
		{"a forged success, and sbuild killed after it", successful, executor.Result{ExitCode: 137}, debusine.Failure, "", "the build wrote that summary, or sbuild broke"},
		{"a forged success, and sbuild failing", successful, executor.Result{ExitCode: 1}, debusine.Failure, "", `status "successful", but sbuild with exit code 1`},
		{"a forged success, stopped by the time limit", successful, executor.Result{Struck: executor.Time, TimedOut: true}, debusine.Failure, "", ""},
		{"a forged failure of the mirror, stopped by the time limit", summaryOf("given-back", "apt-get-update"), executor.Result{ExitCode: 3, Struck: executor.Time, TimedOut: true}, debusine.Failure, "", ""},
		{"a forged failure, and sbuild well", failed, executor.Result{}, debusine.Failure, "", `"attempted", but sbuild with exit code 0`},
		{"a status that sbuild takes back after its summary", summaryOf("given-back", "explain-bd-uninstallable"), executor.Result{ExitCode: 1}, debusine.Failure, "explain-bd-uninstallable", "cannot be installed"},
		{"a skip is no success", summaryOf("skipped", "arch-check"), executor.Result{}, debusine.Failure, "arch-check", "not for this architecture"},
		// sbuild's log filter takes replacements from the log itself, and puts them in <<>>.
		{"a status that the build had rewritten", summaryOf("<<successful>>", "build"), executor.Result{ExitCode: 2}, debusine.Failure, "build", "the build failed"},
		{"a summary without a frame", strings.ReplaceAll(successful, string(frame)+"\n", ""), executor.Result{}, debusine.Failure, "", "before it could write its summary"},
		{"a summary that is cut off", successful[:strings.Index(successful, "Version")], executor.Result{}, debusine.Failure, "", "before it could write"},
		{"an empty log", "", executor.Result{}, debusine.Failure, "", "exit code 0 before"},
		{"a log that ends with sbuild's error", "E: Chroot for distribution trixie, architecture amd64 not found\n", executor.Result{ExitCode: 1}, debusine.Failure, "", "not found"},
		{"sbuild killed", "x\n", executor.Result{ExitCode: 137}, debusine.Failure, "", "killed by signal 9"},
		{"bytes that are not UTF-8", strings.Replace(failed, "attempted", "\xff\x00\x1b[2J", 1), executor.Result{ExitCode: 1}, debusine.Failure, "build", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := verdictOn(t, test.log, test.ran)
			if v.result != test.result || v.summary.stage() != test.stage || !strings.Contains(v.reason, test.says) || test.says == "" && v.result == debusine.Success && v.reason != "" {
				t.Errorf("got %+v", v)
			}
			if (v.reason == "") != (v.result == debusine.Success || test.ran.TimedOut) {
				t.Errorf("reason %q of %s", v.reason, v.result)
			}
		})
	}
}

// refused is what apt says of a mirror that takes no connection, in its three
// forms: of an index, where apt goes on; of a package; and of a release.
const (
	refusedIndex = "W: Failed to fetch http://user:secret@mirror.example/debian/dists/bookworm/InRelease  Could not connect to mirror.example:80 (192.0.2.1). - connect (111: Connection refused)\n" +
		"W: Some index files failed to download. They have been ignored, or old ones used instead.\n"
	refusedPackage = "E: Failed to fetch http://mirror.example/debian/pool/main/h/hello/hello_1_amd64.deb  503  Backend fetch failed [IP: 192.0.2.1 80]\n" +
		"E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n"
	noRelease = "E: Failed to fetch http://mirror.example/debian/dists/no-such/Release  404  Not Found [IP: 192.0.2.1 80]\n" +
		"E: The repository 'http://mirror.example/debian no-such Release' does not have a Release file.\n"
	unmetList = "The following packages have unmet dependencies:\n" +
		" libbar-dev : Depends: libfoo1 (= 1.0) but it is not going to be installed\n" +
		" sbuild-build-depends-main-dummy : Depends: no-such-package but it is not installable\n" +
		"                                   Depends: libc6-dev (>= 99) but 2.36-9 is to be installed\n" +
		"E: Unable to correct problems, you have held broken packages.\napt-get failed.\nE: Package installation failed\n"
)

func TestReasonOfAFailure(t *testing.T) {
	update, install, build := section("Update chroot"), section("Install package build dependencies"), section("Build")
	makes := "make[1]: Entering directory '/<<PKGBUILDDIR>>'\nmake[1]: [Makefile:2: x] Error 1 (ignored)\nmake[1]: *** [Makefile:3: hello.o] Error 1\nmake[1]: Leaving directory '/<<PKGBUILDDIR>>'\n" +
		"make: *** [debian/rules:5: build-arch] Error 2\ndpkg-buildpackage: error: debian/rules build-arch subprocess returned exit status 2\n"
	tests := []struct {
		name, log, status, stage string
		result                   debusine.Result
		code, says               string
	}{
		{"a build", build + "make: *** [debian/rules:1: clean] Error 1\n" + strings.Repeat("cc\n", 20) + makes, "attempted", "build", debusine.Failure, "build-failed",
			"the build failed: make[1]: *** [Makefile:3: hello.o] Error 1"},
		{"a build that prints sections", build + summaryOf("successful", "") + update + makes, "attempted", "build", debusine.Failure, "build-failed", "Makefile:3: hello.o"},
		{"a mirror that is away, where dose3 could not be fetched either", update + refusedIndex + install + unmetList, "failed", "explain-bd-uninstallable", debusine.TemporaryFailure, "mirror-failed", "Could not connect"},
		{"a build without make", build + "dpkg-buildpackage: error: debian/rules clean subprocess returned exit status 127\n", "attempted", "build", debusine.Failure, "build-failed", "exit status 127"},
		{"a build that is silent for too long", build + makes + "E: Build killed with signal TERM after 150 minutes of inactivity\n", "attempted", "build", debusine.Failure, "build-failed", "150 minutes of inactivity"},
		{"a build that claims that a mirror is away", build + refusedIndex, "attempted", "build", debusine.Failure, "build-failed", "the build failed"},
		{"a source that does not unpack", build + "dpkg-source: error: unpack target exists: tiny-1.0\nE: FAILED [dpkg-source died]\n", "given-back", "unpack", debusine.Failure, "unpack-failed",
			"cannot be unpacked: dpkg-source: error: unpack target exists: tiny-1.0"},
		{"dependencies that apt cannot find", install + unmetList, "given-back", "install-deps", debusine.Failure, "dependencies-unsatisfied",
			"cannot be satisfied: libbar-dev needs libfoo1 (= 1.0) but it is not going to be installed; no-such-package but it is not installable; libc6-dev (>= 99) but 2.36-9 is to be installed"},
		{"dependencies that dose3 explains", install + unmetList + "(I)Dose_applications: Solving...\n" + doseReport, "given-back", "install-deps", debusine.Failure, "dependencies-unsatisfied",
			"cannot be satisfied: no-such-package, which nothing provides"},
		{"dependencies that fail to install", install + "E: Sub-process /usr/bin/dpkg returned an error code (1)\n", "given-back", "install-deps", debusine.Failure, "build-failed", "cannot be installed: Sub-process"},
		{"a mirror that is away", update + refusedIndex + install + unmetList, "given-back", "install-deps", debusine.TemporaryFailure, "mirror-failed",
			"a mirror could not be used: http://mirror.example/debian/dists/bookworm/InRelease  Could not connect"},
		{"a mirror that goes away", install + refusedPackage, "given-back", "install-deps", debusine.TemporaryFailure, "mirror-failed", "503  Backend fetch failed"},
		{"a suite that no mirror has", update + noRelease + "E: apt-get update failed\n", "given-back", "apt-get-update", debusine.Error, "environment-failed", "does not have a Release file"},
		{"a chroot that is none", "E: Error creating chroot session: skipping tiny\n", "failed", "create-session", debusine.Error, "environment-failed", "cannot work in the environment: Error creating"},
		{"a machine without space", build + "E: Disk space is probably not sufficient for building.\n", "given-back", "check-space", debusine.TemporaryFailure, "disk-full", "too little disk space"},
		{"a stage that nobody knows", "E: x\n", "failed", "moon-phase", debusine.Failure, "build-failed", `status "failed", in stage moon-phase: x`},
		{"words that would move a cursor", build + "dpkg-source: error: \x1b[2J\u202e\xff\n", "given-back", "unpack", debusine.Failure, "unpack-failed", "error: ?[2J??"},
		{"a line of a megabyte", build + "dpkg-source: error: " + strings.Repeat("x", 1<<20) + "\n", "given-back", "unpack", debusine.Failure, "unpack-failed", "xxx"},
	}
	codes := map[string]int{"attempted": 2, "given-back": 3, "failed": 1}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := verdictOn(t, test.log+summaryOf(test.status, test.stage), executor.Result{ExitCode: codes[test.status]})
			if v.result != test.result || v.code != test.code || !strings.Contains(v.reason, test.says) || len(v.reason) > 1000 {
				t.Errorf("got %s, %s: %s", v.result, v.code, v.reason)
			}
			if strings.Contains(v.reason, "secret") {
				t.Error("a password is shown")
			}
		})
	}
}

// TestRecordedLogs reads what real builds left: see the flag -record.
func TestRecordedLogs(t *testing.T) {
	tests := []struct {
		name   string
		exit   int
		result debusine.Result
		code   string
		says   string
	}{
		{"dependencies-missing", 3, debusine.Failure, "dependencies-unsatisfied", "the build dependencies cannot be satisfied: no-such-package (>= 2), which nothing provides"},
		{"does-not-unpack", 3, debusine.Failure, "unpack-failed", "the source package cannot be unpacked: dpkg-source: error: "},
		{"mirror-is-away", 1, debusine.TemporaryFailure, "mirror-failed", "a mirror could not be used: http://10.0.2.2:9/debian"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := readVerdict(filepath.Join("testdata", "logs", test.name+".log"), executor.Result{ExitCode: test.exit})
			if err != nil || v.result != test.result || v.code != test.code || !strings.HasPrefix(v.reason, test.says) {
				t.Errorf("got %s, %s: %s, %v", v.result, v.code, v.reason, err)
			}
			if v, err := readVerdict(filepath.Join("testdata", "logs", test.name+".log"), executor.Result{}); err != nil || v.result == debusine.Success {
				t.Errorf("with exit code 0 it is %s, %v", v.result, err)
			}
		})
	}
}

func TestAFullDiskIsWhoseMatter(t *testing.T) {
	const giga = 1 << 30
	tests := []struct {
		name   string
		space  space
		took   int64
		before debusine.Result
		result debusine.Result
		says   string
	}{
		{"a build that filled it", space{10 * giga, 0}, 9 * giga, debusine.Failure, debusine.Failure, "filled the build machine's disk, which had 10240 MiB free"},
		{"a build whose neighbours filled it", space{10 * giga, 4096}, giga, debusine.Failure, debusine.TemporaryFailure, "was full; the build itself took no more than 1024"},
		{"a failure with space left", space{10 * giga, giga}, giga, debusine.Failure, debusine.Failure, "as it was"},
		{"a success in spite of it", space{10 * giga, 0}, giga, debusine.Success, debusine.Success, "as it was"},
		{"a file system that says nothing", space{}, giga, debusine.Failure, debusine.Failure, "as it was"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := verdict{result: test.before, reason: "as it was"}
			v.judgeSpace(test.space, executor.Result{Disk: test.took})
			if v.result != test.result || !strings.Contains(v.reason, test.says) {
				t.Errorf("got %+v", v)
			}
		})
	}
	if s := watchSpace(t.TempDir())(); s.before <= 0 || s.least <= 0 || s.ranOut() {
		t.Errorf("here: %+v", s)
	}
}
