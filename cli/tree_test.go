package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"debusine/api"
)

// at is the moment of the drawings.
var at = time.Date(2026, 10, 5, 10, 0, 42, 0, time.UTC)

// sample is a workflow with a sub-workflow, in all states.
func sample() []api.WorkRequest {
	start, seven, eight, took := at.Add(-42*time.Second), int64(7), int64(8), 12.0
	return []api.WorkRequest{
		{ID: 7, TaskType: "Workflow", TaskName: "debian_pipeline", Status: "running", StartedAt: &start},
		{ID: 8, Parent: &seven, TaskType: "Workflow", TaskName: "sbuild", Status: "running", StartedAt: &start},
		{ID: 9, Parent: &eight, TaskName: "sbuild", TaskData: []byte(`{"host_architecture": "amd64"}`), Status: "running", WorkerName: "builder1", StartedAt: &start},
		{ID: 10, Parent: &eight, TaskName: "sbuild", TaskData: []byte(`{"host_architecture": "amd64", "build_components": ["all"]}`), Status: "completed", Result: "success", Duration: &took},
		{ID: 11, Parent: &eight, TaskName: "sbuild", TaskData: []byte(`{"host_architecture": "riscv64"}`), Status: "pending", WaitingReason: "no enabled worker can take this: the nearest one lacks worker:build-arch:riscv64"},
		{ID: 12, Parent: &seven, TaskName: "lintian", Status: "completed", Result: "failure", Duration: &took},
		{ID: 13, Parent: &seven, TaskName: "piuparts", Status: "blocked"},
	}
}

func TestTheTreeShowsWhereEachStands(t *testing.T) {
	want := strings.TrimPrefix(`
⠋ 7  debian_pipeline  running  42s
├─ ⠋ 8  sbuild          running  42s
│  ├─ ⠋ 9  sbuild amd64    running on builder1  42s
│  ├─ ✓ 10  sbuild all      success  12s
│  └─ ! 11  sbuild riscv64  pending: no enabled worker can take this: the nearest one lacks worker:build-arch:riscv64
├─ ✗ 12  lintian         failure  12s
└─ · 13  piuparts        blocked`, "\n")
	v := &view{signs: utf8Signs, tree: sample()}
	if got := strings.Join(v.lines(at), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	v.signs = asciiSigns
	for _, line := range v.lines(at) {
		if strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
			t.Errorf("%q is not ASCII", line)
		}
	}
}

func TestTheTreeIsDrawnOverItself(t *testing.T) {
	var b bytes.Buffer
	v := &view{to: &b, tty: true, signs: utf8Signs, size: func() (int, int) { return 30, 6 }}
	v.show(sample())
	first := b.String()
	b.Reset()
	v.draw()
	if strings.Contains(first, "\x1b[4A") || !strings.HasPrefix(b.String(), "\x1b[4A") {
		t.Errorf("first %q, then %q", first, b.String())
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if len(lines) != 4 || lines[3] != "… and 4 more" {
		t.Errorf("a screen of 6 lines got %q", lines)
	}
	for _, line := range lines[1:] {
		if len([]rune(line)) > 30 {
			t.Errorf("%q is wider than the screen", line)
		}
	}
}

func TestATreeThatIsALoopEnds(t *testing.T) {
	a, b := int64(8), int64(9)
	v := &view{signs: utf8Signs, tree: []api.WorkRequest{{ID: 7}, {ID: 8, Parent: &b}, {ID: 9, Parent: &a}}}
	if got := v.lines(at); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// In a log, waiting for the next try is one line, until it is due at another time.
func TestTimeThatPassesIsNoNews(t *testing.T) {
	var b bytes.Buffer
	v := &view{to: &b, stands: map[int64]string{}}
	due := time.Now().Add(time.Hour)
	w := api.WorkRequest{ID: 7, TaskName: "noop", Status: "completed", Result: "failure", CreatedAt: time.Now(), Retry: &api.Retry{Number: 1, Of: 2, Due: &due}}
	v.show([]api.WorkRequest{w})
	time.Sleep(1100 * time.Millisecond)
	v.show([]api.WorkRequest{w})
	if n := strings.Count(b.String(), "\n"); n != 1 || !strings.Contains(b.String(), "retry 1 of 2 in ") {
		t.Errorf("%d lines: %s", n, b.String())
	}
	sooner := due.Add(-time.Minute)
	w.Retry.Due = &sooner
	if v.show([]api.WorkRequest{w}); strings.Count(b.String(), "\n") != 2 {
		t.Errorf("another time is no news: %s", b.String())
	}
}
