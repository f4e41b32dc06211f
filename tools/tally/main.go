// Command tally reads `go test -json` and prints what `go test` would, the words
// of failed tests alone, then a last line that counts:
//
//	12 passed, 0 failed, 3 skipped
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
	"sort"
	"strings"
)

// event is one line of test2json: go doc test2json.
type event struct {
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
}

func main() {
	t := &tally{out: os.Stdout, words: map[string][]string{}, brokenBy: map[string]bool{}}
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
	switch e.Action {
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
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
	case "fail":
		t.failed++
		t.brokenBy[e.Package] = true
		fmt.Fprint(t.out, strings.Join(t.words[key], ""))
	}
}

// endPackage prints the package's closing lines ("ok …", "FAIL …"), and of a
// package that broke down also what its unfinished tests said.
func (t *tally) endPackage(e event, key string) {
	if e.Action == "fail" && !t.brokenBy[e.Package] {
		t.failed++
		var unfinished []string
		for other := range t.words {
			if other != key && strings.HasPrefix(other, key) {
				unfinished = append(unfinished, other)
			}
		}
		sort.Strings(unfinished)
		for _, other := range unfinished {
			fmt.Fprint(t.out, strings.Join(t.words[other], ""))
		}
	}
	for _, line := range t.words[key] {
		if line != "PASS\n" {
			fmt.Fprint(t.out, line)
		}
	}
}

// close prints the last line and says whether all is well.
func (t *tally) close() bool {
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return t.failed == 0 && t.passed > 0
}
