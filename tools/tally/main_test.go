package main

import (
	"strings"
	"testing"
)

// reading is what go said, and what must and must not be printed of it.
type reading struct {
	events string
	want   []string
	not    []string
	well   bool
}

func readings() map[string]reading {
	return map[string]reading{
		"passes and skips are counted and their words left out": {
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			want: []string{"ok  \tp", "1 passed, 0 failed, 1 skipped"}, not: []string{"chatter", "PASS"}, well: true,
		},
		"a failed test shows its words and counts once": {
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: no\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: []string{"a_test.go:3: no", "failed: p TestA\n0 passed, 1 failed, 0 skipped"},
		},
		"a package that does not build is a failure": {
			events: `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:1: bad\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
{"Action":"pass","Package":"q","Test":"TestA"}`,
			want: []string{"p/a.go:1: bad", "FAIL\tp", "1 passed, 1 failed, 0 skipped"},
		},
		"a test that took the program down shows what it said": {
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`,
			want: []string{"panic: oh", "0 passed, 1 failed, 0 skipped"},
		},
		"what ran when the time was over stands before the last line": {
			events: `{"Time":"2026-11-22T10:00:00Z","Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestDone"}
{"Action":"pass","Package":"p","Test":"TestDone"}
{"Time":"2026-11-22T10:00:01Z","Action":"run","Package":"p","Test":"TestA/inner"}
{"Action":"output","Package":"p","Test":"TestA/inner","Output":"panic: test timed out after 1m0s\n"}
{"Time":"2026-11-22T10:01:01Z","Action":"output","Package":"p","Output":"FAIL\tp\t60s\n"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q","Test":"TestB"}`,
			want: []string{"panic: test timed out", "failed: p\nstill running at the end of its package: p TestA, for 1m1s\n" +
				"still running at the end of its package: p TestA/inner, for 1m0s\n2 passed, 1 failed, 0 skipped\n"}, not: []string{"TestDone"},
		},
		"go was stopped in the middle": {
			events: `{"Action":"run","Package":"p","Test":"TestA"}`,
			want:   []string{"still running at the end of its package: p TestA", "0 passed, 0 failed"},
		},
		"nothing ran is not well": {events: ``, want: []string{"0 passed, 0 failed, 0 skipped"}},
		"words of go itself are passed on": {
			events: "go: downloading x\n" + `{"Action":"pass","Package":"p","Test":"TestA"}`,
			want:   []string{"go: downloading x", "1 passed"}, well: true,
		},
	}
}

func TestTally(t *testing.T) {
	for name, c := range readings() {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			counted := newTally(&out)
			if err := counted.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			if well := counted.close(); well != c.well {
				t.Errorf("well is %v", well)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in %q", want, out.String())
				}
			}
			for _, not := range c.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("%q is in %q", not, out.String())
				}
			}
		})
	}
}
