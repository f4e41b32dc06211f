// Command tally reads `go test -json` and prints what `go test` would, the words
// of failed tests alone, then once more what failed and what was still running
// when its package ended (it timed out, or something took the program down), and
// a last line that counts:
//
//	failed: debusine/store TestOutbox
//	still running at the end of its package: debusine/endtoend TestRealBuilds/steady, for 14m2s
//	12 passed, 1 failed, 3 skipped
//
// Every test and subtest counts once; a package that fails without a failed test
// (it did not build, or ended by itself) counts as one failure. The exit status is
// 1 when anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// event is one line of test2json: go doc test2json.
type event struct {
	Time       time.Time
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
}

type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	words                   map[string][]string // what a test or a package said
	brokenBy                map[string]bool     // packages with a failed test
	running                 map[event]time.Time // tests begun and not ended; the key has package and test alone
	now                     time.Time           // of the newest event
	last                    []string            // lines to repeat at the end
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, words: map[string][]string{}, brokenBy: map[string]bool{}, running: map[event]time.Time{}}
}

func main() {
	t := newTally(os.Stdout)
	if err := t.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
	if !t.close() {
		os.Exit(1)
	}
}

func (t *tally) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// What is not an event comes from go itself: a download, a missing folder.
			fmt.Fprintln(t.out, lines.Text())
			continue
		}
		t.take(e)
	}
	return lines.Err()
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	if t.now.Before(e.Time) {
		t.now = e.Time
	}
	switch e.Action {
	case "run":
		t.running[event{Package: e.Package, Test: e.Test}] = e.Time
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "output":
		t.words[key] = append(t.words[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			t.endTest(e, key)
		} else {
			t.endPackage(e, key)
		}
		delete(t.words, key)
	}
}

func (t *tally) endTest(e event, key string) {
	delete(t.running, event{Package: e.Package, Test: e.Test})
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
	case "fail":
		t.failed++
		t.brokenBy[e.Package] = true
		t.last = append(t.last, "failed: "+key)
		fmt.Fprint(t.out, strings.Join(t.words[key], ""))
	}
}

// endPackage prints the package's closing lines ("ok …", "FAIL …"), and of a
// package that broke down also what its unfinished tests said.
func (t *tally) endPackage(e event, key string) {
	if e.Action == "fail" {
		if !t.brokenBy[e.Package] {
			t.failed++
			t.last = append(t.last, "failed: "+e.Package)
		}
		t.printUnfinished(key)
	}
	for _, line := range t.words[key] {
		if line != "PASS\n" {
			fmt.Fprint(t.out, line)
		}
	}
	t.leave(e.Package)
}

// printUnfinished prints what the tests of a package said that never ended: go
// puts the panic and its goroutines there.
func (t *tally) printUnfinished(key string) {
	var unfinished []string
	for other := range t.words {
		if other != key && strings.HasPrefix(other, key) {
			unfinished = append(unfinished, other)
		}
	}
	slices.Sort(unfinished)
	for _, other := range unfinished {
		fmt.Fprint(t.out, strings.Join(t.words[other], ""))
	}
}

// leave notes the tests of a package that had not ended when it did; with an
// empty name those of all packages, as when go itself was stopped.
func (t *tally) leave(pkg string) {
	var left []string
	for test, since := range t.running {
		if pkg == "" || test.Package == pkg {
			left = append(left, fmt.Sprintf("still running at the end of its package: %s %s, for %v", test.Package, test.Test, t.now.Sub(since).Round(time.Second)))
			delete(t.running, test)
		}
	}
	slices.Sort(left)
	t.last = append(t.last, left...)
}

// close prints what failed once more, the last line, and says whether all is well.
func (t *tally) close() bool {
	t.leave("")
	for _, line := range t.last {
		fmt.Fprintln(t.out, line)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return t.failed == 0 && t.passed > 0
}
