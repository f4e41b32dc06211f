package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestMeasuresAreChosenByName(t *testing.T) {
	for name, c := range map[string]struct {
		only string
		want string
		err  string
	}{
		"none named: all":           {"", "server-memory noop queue six-queues workflow-children get-work-request collection-lookup artifact-500-files transfer log build warm-hello estimate fair", ""},
		"in the order of all":       {"queue,noop", "noop queue", ""},
		"one that does not exist":   {"noop,nope", "", `no measure "nope"`},
		"an empty word is no name":  {"noop,", "", `no measure ""`},
		"the same twice is a typo":  {"noop,noop", "", `no measure "noop"`},
		"known words are suggested": {"x", "", "hint: the measures are server-memory, noop"},
	} {
		chosen, err := choose(c.only)
		var names []string
		for _, m := range chosen {
			names = append(names, m.name)
		}
		if got := strings.Join(names, " "); got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestOthersAreMeasuredAfterAFailure(t *testing.T) {
	row := newRow("r", 1, "s", atMost(2), 0)
	rows, err := runAll(t.Context(), nil, []measure{
		{"bad", func(context.Context, *house) ([]Row, error) { return nil, errors.New("no luck") }},
		{"good", func(context.Context, *house) ([]Row, error) { return []Row{row}, nil }},
	})
	if len(rows) != 1 || rows[0] != row || err == nil || err.Error() != "measuring bad: no luck" {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestAnInterruptedBenchStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := runAll(ctx, nil, []measure{{"never", func(context.Context, *house) ([]Row, error) { panic("it ran") }}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMedian(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   float64
	}{
		"of none":                    {nil, 0},
		"of one":                     {[]float64{7}, 7},
		"of an odd number":           {[]float64{9, 1, 2}, 2},
		"of an even number":          {[]float64{4, 1, 2, 9}, 3},
		"an outlier counts for once": {[]float64{1, 1, 1000}, 1},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestEachIsDoneOnceInParallel(t *testing.T) {
	var sum atomic.Int64
	if err := inParallel(100, func(i int) error { sum.Add(int64(i)); return nil }); err != nil || sum.Load() != 4950 {
		t.Errorf("%d, %v", sum.Load(), err)
	}
	if err := inParallel(100, func(i int) error {
		if i == 50 {
			return errors.New("no")
		}
		return nil
	}); err == nil {
		t.Error("the error is lost")
	}
}

func TestMemoryOfAProcessAndItsChildren(t *testing.T) {
	alone, err := treePSS(os.Getpid())
	if err != nil || alone < 1<<20 {
		t.Fatalf("%d bytes, %v", alone, err)
	}
	for text, want := range map[string]int64{"Rss:  10 kB\nPss:                  12 kB\nPss_Anon:  8 kB\n": 12 << 10, "Pss_Anon: 8 kB\n": -1, "Pss: many kB\n": -1} {
		if got, err := parsePSS(text); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	// The shell's child is counted with it.
	cmd := exec.Command("sh", "-c", "sleep 60; :")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		shell, err := pss(cmd.Process.Pid)
		both, err2 := treePSS(cmd.Process.Pid)
		if err == nil && err2 == nil && both > shell {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d with the child, %d without (%v, %v)", both, shell, err, err2)
		}
	}
}

func TestTheCommandLineOfSbuildIsToldFromOthers(t *testing.T) {
	for name, c := range map[string]struct {
		argv []string
		want []string
	}{
		"sbuild at work":             {[]string{"/usr/bin/perl", "/usr/bin/sbuild", "--nolog", "/x/hello.dsc"}, []string{"/usr/bin/sbuild", "--nolog", "/x/hello.dsc"}},
		"the shell that starts it":   {[]string{"sh", "-c", "exec \"$@\"", "build", "sbuild", "/x/hello.dsc"}, nil},
		"another perl":               {[]string{"/usr/bin/perl", "/usr/bin/debsums", "/x/hello.dsc"}, nil},
		"sbuild of nothing":          {[]string{"/usr/bin/perl", "/usr/bin/sbuild", "--version"}, nil},
		"nothing, of a dead process": {[]string{""}, nil},
	} {
		if got := sbuildLine(c.argv); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := words([]byte("sbuild\x00--dist=sid\x00")); !slices.Equal(got, []string{"sbuild", "--dist=sid"}) {
		t.Errorf("%q", got)
	}
}

func TestTheNewestPhasesAreShown(t *testing.T) {
	log := "msg=\"phases of a job\" task=sbuild result=failure setup=1s run=2s\nmsg=\"phases of a job\" task=sbuild result=success setup=3s run=4s\nmsg=ends result=success\n"
	if got := phases(log); got != "success setup=3s run=4s" {
		t.Errorf("got %q", got)
	}
	if got := phases("msg=joined\n"); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestASourcePackageIsCopiedWhole(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, name := range []string{"hello_1.dsc", "hello_1.tar.xz", "sources.list"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dsc, err := copyBeside(filepath.Join(from, "hello_1.dsc"), to)
	found, _ := filepath.Glob(filepath.Join(to, "*"))
	if err != nil || dsc != filepath.Join(to, "hello_1.dsc") || len(found) != 2 {
		t.Errorf("%s, %v, %v", dsc, found, err)
	}
}

func TestFilesToSendAreRenewed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := randomFile(path, 1000, 1); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if err := renew(path, 1); err != nil {
		t.Fatal(err)
	}
	second, _ := os.ReadFile(path)
	if len(first) != 1000 || len(second) != 1000 || string(first) == string(second) {
		t.Errorf("%d bytes, then %d", len(first), len(second))
	}
	if err := hash(path); err != nil {
		t.Error(err)
	}
}

func TestTheSixQueuesAreSix(t *testing.T) {
	seen := map[string]bool{}
	for i := range 12 {
		seen[six(i).Class] = true
	}
	if len(seen) != 6 || class(0) != class(6) || one(3).Class != "" {
		t.Errorf("%v", seen)
	}
}
