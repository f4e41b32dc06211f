package workeract_test

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine"
	workeract "debusine/activities/worker"
	"debusine/api"
	"debusine/debian"
	"debusine/executor/executortest"
)

// readyDoer is one that keeps environments ready.
type readyDoer struct {
	*workeract.Doer
	dir string // where it keeps them

	mu  sync.Mutex
	log strings.Builder
}

func (d *readyDoer) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(line)
}

// said tells whether the log holds a text.
func (d *readyDoer) said(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Contains(d.log.String(), text)
}

func newReadyDoer(t *testing.T, size int64) *readyDoer {
	t.Helper()
	m := executortest.Open(t)
	if err := m.Layered(); err != nil {
		t.Skip("nothing can be kept ready here: ", err)
	}
	d := &readyDoer{dir: filepath.Join(m.Dir(), "ready")}
	var err error
	d.Doer, err = workeract.New(t.Context(), m, slog.New(slog.NewTextHandler(io.MultiWriter(d, t.Output()), nil)))
	if err == nil {
		err = d.KeepReady(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// buildsWhatIsReady builds a small package first, which makes the environment
// ready, and then hello in it.
func buildsWhatIsReady(t *testing.T, s *shelf, source, environment api.Artifact) {
	doer := newReadyDoer(t, workeract.DefaultReadySize)
	first := s.beside(t, environment)
	small := first.source(t, withControl("Build-Depends: debhelper-compat (= 13)\n"), nil)
	outcome, err := doer.Do(t.Context(), sbuildJob(t, small.ID, environment.ID), first)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("the first build: %+v, %v\n%s", outcome, err, first.log)
	}
	if ids := doer.Ready(); !slices.Equal(ids, []int64{environment.ID}) {
		t.Errorf("ready are %v", ids)
	}
	doer.becomesFresh(t)
	start := time.Now()
	outcome, err = doer.Do(t.Context(), sbuildJob(t, source.ID, environment.ID), s)
	if err != nil || outcome.Result != debusine.Success {
		t.Fatalf("%+v, %v\n%s", outcome, err, s.log)
	}
	t.Logf("build took %v: %+v", time.Since(start), *outcome.OutputData.RuntimeStatistics)
	helloIsStored(t, s)
	// A mirror may answer "not modified" or send its InRelease again; of the lists
	// and of most packages nothing is fetched.
	if log := string(s.log); !onlyOwnPackages(log) || !partlyThere.MatchString(log) || !strings.Contains(log, "\nSetting up debhelper ") {
		t.Errorf("the log is not that of an environment kept ready:\n%s", log)
	}
}

// partlyThere is apt's line where it has some packages already.
var partlyThere = regexp.MustCompile(`\nNeed to get [0-9.,]+ [kM]?B/[0-9.,]+ [kM]?B of archives\.\n`)

// onlyOwnPackages tells whether lists were fetched from sbuild's own archive alone.
func onlyOwnPackages(log string) bool {
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "Get:") && strings.Contains(line, " Packages [") && !strings.Contains(line, " copy:") {
			return false
		}
	}
	return true
}

// becomesFresh waits until lists and packages were fetched beside the builds.
func (d *readyDoer) becomesFresh(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if d.said("an environment is fresh") {
			return
		}
	}
	t.Fatal("nothing becomes fresh")
}

// sameBuilt compares what two builds of a source have left.
func sameBuilt(t *testing.T, one, other *shelf) {
	a, b := buildInfoOf(t, one), buildInfoOf(t, other)
	for _, field := range a.Paragraph.Fields() {
		if name := field.Name; name != "Build-Date" && name != "Build-Path" && field.Value != b.Paragraph.Get(name) {
			t.Errorf("%s is %s in one and %s in the other", name, field.Value, b.Paragraph.Get(name))
		}
	}
	if len(a.Installed) < 100 || len(a.Files) < 2 {
		t.Errorf("%d packages installed, %d files", len(a.Installed), len(a.Files))
	}
}

func buildInfoOf(t *testing.T, s *shelf) *debian.BuildInfo {
	t.Helper()
	uploads := s.all("debian:upload")
	if len(uploads) != 1 {
		t.Skipf("%d uploads: that build has failed, or did not run", len(uploads))
	}
	for name := range uploads[0].Files {
		if !strings.HasSuffix(name, ".buildinfo") {
			continue
		}
		file, err := os.Open(s.path(uploads[0].ID, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		info, err := debian.ParseBuildInfo(file)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	t.Fatal("no .buildinfo")
	return nil
}
