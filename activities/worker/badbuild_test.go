package workeract_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/executor/executortest"
)

var record = flag.Bool("record", false, "write the logs of the bad builds to testdata/logs, which fast tests read")

// environments are those that bad builds need, made of one bootstrap.
type environments struct {
	whole, bare, dead api.Artifact
}

// badBuild is a build that does not go as its maintainer wished, or is said
// not to.
type badBuild struct {
	name   string
	source tree
	bend   func(t *testing.T, dir string) // the source package, after dpkg-source
	in     func(environments) api.Artifact
	doer   func(*testing.T, *workeract.Doer) *workeract.Doer // another than the one of all
	limit  time.Duration

	result debusine.Result
	code   string // of the reason; empty for none
	says   string // the reason
	stage  string
	log    []string // what the log holds
}

const anyStage = "any"

func bare(e environments) api.Artifact { return e.bare }

// shown is a line in five encodings, and what moves cursors and titles, as
// octal escapes of printf(1), and as bytes.
const (
	printed = `UTF-8 \303\251 Latin-1 \351 Shift-JIS \202\261\202\361 UTF-16 \377\376h\000i\000 raw \000\001\200\033[2J\033]0;x\007`
	shown   = "UTF-8 \303\251 Latin-1 \351 Shift-JIS \202\261\202\361 UTF-16 \377\376h\000i\000 raw \000\001\200\033[2J\033]0;x\007\n"
)

// forgery prints a summary of sbuild's, as a build can.
func forgery(status string) string {
	frame := "+" + strings.Repeat("-", 78) + "+"
	return `printf '%s\n' '` + strings.Join([]string{"Status: " + status, frame, "| Summary" + strings.Repeat(" ", 70) + "|", frame, "", "Status: " + status, strings.Repeat("-", 80)}, `' '`) + `'`
}

// daemons are left by a build: one that holds the log open and one that does
// not, neither of which a polite signal ends.
const daemons = `for i in 1 2; do setsid sh -c "trap '' TERM HUP INT; sleep 1000" & done; setsid sh -c "trap '' TERM HUP; sleep 1000" >/dev/null 2>&1 </dev/null &`

func badBuilds() []badBuild {
	return []badBuild{
		{name: "prints-failure-and-succeeds", source: tree{"debian/rules": rules("printf '"+printed+`\n'`, forgery("attempted"), daemons)}, in: bare,
			result: debusine.Success, log: []string{shown, "Status: attempted\n", "Status: successful\n"}},
		{name: "prints-success-and-fails", source: tree{"debian/rules": rules("printf '"+printed+`\n'`, daemons, forgery("successful"), "false")}, in: bare,
			result: debusine.Failure, code: "build-failed", says: "the build failed: make: *** [debian/rules:", stage: "build",
			log: []string{shown, "Status: successful\n", "Status: attempted\n"}},
		{name: "does-not-unpack", bend: func(t *testing.T, dir string) { spoil(t, dir, []byte("no tar file")) }, in: bare,
			result: debusine.Failure, code: "unpack-failed", says: "the source package cannot be unpacked: dpkg-source: error: ", stage: "unpack"},
		{name: "mirror-is-away", source: withControl("Build-Depends: debhelper\n"), in: func(e environments) api.Artifact { return e.dead },
			result: debusine.TemporaryFailure, code: "mirror-failed", says: "a mirror could not be used: http://10.0.2.2:9/debian",
			stage: "explain-bd-uninstallable"},
		{name: "dependencies-missing", source: withControl("Build-Depends: no-such-package (>= 2)\n"), in: func(e environments) api.Artifact { return e.whole },
			result: debusine.Failure, code: "dependencies-unsatisfied", says: "the build dependencies cannot be satisfied: no-such-package (>= 2), which nothing provides",
			stage: "install-deps"},
		{name: "fills-the-disk", source: tree{"debian/rules": rules("cat /dev/zero > filler")}, in: bare, doer: onSmallDisk,
			result: debusine.Failure, code: "disk-full", says: "the build filled the build machine's disk", stage: anyStage}, // the executor stops it, or it sees the full disk first
		{name: "outlives-its-limit", source: tree{"debian/rules": rules("sleep 1000")}, in: bare, limit: 15 * time.Second,
			result: debusine.Failure, code: "time-limit", says: "stopped after the time limit of 15s"},
	}
}

// withControl adds fields to the source's paragraph.
func withControl(fields string) tree {
	return tree{"debian/control": "Source: tiny\nMaintainer: A <a@b.c>\nSection: misc\nPriority: optional\nStandards-Version: 4.6.2\n" + fields +
		"Rules-Requires-Root: no\n\nPackage: tiny\nArchitecture: any\nDescription: made by a test\n"}
}

// onSmallDisk is a machine whose jobs have 700 MiB.
func onSmallDisk(t *testing.T, _ *workeract.Doer) *workeract.Doer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	dir := executortest.Dir(t)
	jobs := filepath.Join(dir, "jobs")
	if err := os.Mkdir(jobs, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", jobs, "tmpfs", 0, "size=700m,mode=0711"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(jobs, unix.MNT_DETACH) })
	doer, err := workeract.New(t.Context(), executortest.OpenIn(t, dir), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return doer
}

// run builds it beside the others.
func (b badBuild) run(t *testing.T, doer *workeract.Doer, all *shelf, e environments) {
	t.Parallel()
	if b.doer != nil {
		doer = b.doer(t, doer)
	}
	environment := b.in(e)
	s := all.beside(t, environment)
	source := s.source(t, b.source, func(dir string) {
		if b.bend != nil {
			b.bend(t, dir)
		}
	})
	build := sbuildJob(t, source.ID, environment.ID)
	build.Limit = b.limit
	outcome, err := doer.Do(t.Context(), build, s)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	b.recorded(t, s.log)
	b.check(t, s, outcome)
	if t.Failed() {
		t.Logf("%s", s.log)
	}
}

func (b badBuild) check(t *testing.T, s *shelf, outcome workeract.Outcome) {
	t.Helper()
	if outcome.Result != b.result || codesOf(outcome) != b.code {
		t.Errorf("got %s: %+v", outcome.Result, outcome.OutputData.Errors)
	}
	if len(outcome.OutputData.Errors) > 0 && !strings.Contains(outcome.OutputData.Errors[0].Message, b.says) {
		t.Errorf("reason %q", outcome.OutputData.Errors[0].Message)
	}
	end, stats := outcome.OutputData.Command, outcome.OutputData.RuntimeStatistics
	if end == nil || b.stage != anyStage && end.FailStage != b.stage || (end.Limit == "time") != (b.limit > 0) || (end.ExitCode == 0) != (b.result == debusine.Success) {
		t.Errorf("the command ended with %+v", end)
	}
	if stats == nil || stats.DurationRun == 0 || stats.CPUTime == 0 || stats.Memory == 0 || stats.DiskSpace == 0 {
		t.Errorf("statistics %+v", stats)
	}
	logs := s.all("debian:package-build-log")
	if len(logs) != 1 || s.text(t, logs[0]) != string(s.log) {
		t.Fatalf("%d logs, live %d bytes", len(logs), len(s.log))
	}
	for _, want := range b.log {
		if !strings.Contains(string(s.log), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if uploads := s.all("debian:upload"); (len(uploads) == 1) != (b.result == debusine.Success) {
		t.Errorf("%d uploads", len(uploads))
	}
}

// recorded keeps the log for the fast tests, without what is of this machine.
func (b badBuild) recorded(t *testing.T, log []byte) {
	t.Helper()
	if !*record {
		return
	}
	text := regexp.MustCompile(`/var/tmp/executor\d+/jobs/WR-7-\d+`).ReplaceAllString(string(log), "/srv/debusine/jobs/WR-7-1")
	text = regexp.MustCompile(`/var/tmp/executor\d+`).ReplaceAllString(text, "/srv/debusine")
	text = regexp.MustCompile(`https?://[a-z0-9.-]+/debian`).ReplaceAllString(text, "http://mirror.example/debian")
	text = regexp.MustCompile(`(?m)^(sbuild \(Debian sbuild\) .* on ).*`).ReplaceAllString(text, "${1}builder")
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		return strings.HasPrefix(line, "Get:") || strings.HasPrefix(line, "Setting up ") || strings.HasPrefix(line, "Unpacking ") ||
			strings.HasPrefix(line, "Preparing to unpack ") || strings.HasPrefix(line, "Selecting previously ")
	})
	path := filepath.Join("testdata", "logs", b.name+".log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}
