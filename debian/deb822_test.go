package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(t testing.TB, text string) []Paragraph {
	t.Helper()
	paragraphs, err := readEach(NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return paragraphs
}

func readEach(r *Reader) ([]Paragraph, error) {
	var paragraphs []Paragraph
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return paragraphs, nil
		}
		if err != nil {
			return paragraphs, err
		}
		paragraphs = append(paragraphs, p)
	}
}

func TestReaderReadsParagraphs(t *testing.T) {
	text := "\n# a comment\nPackage: hello  \nDescription: short\n long\n .\n  indented\t\n# in between\n end\n\n \t\n\nPackage:two\r\nEmpty:\nFiles:\n a 1\n b 2"
	got := readAll(t, text)
	want := [][]Field{
		{{"Package", "hello"}, {"Description", "short\n long\n .\n  indented\n end"}},
		{{"Package", "two"}, {"Empty", ""}, {"Files", "\n a 1\n b 2"}},
	}
	if len(got) != 2 {
		t.Fatalf("got %d paragraphs", len(got))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i].Fields(), want[i]) {
			t.Errorf("paragraph %d is %q, want %q", i, got[i].Fields(), want[i])
		}
	}
	if lines := got[1].Lines("files"); !reflect.DeepEqual(lines, []string{"a 1", "b 2"}) {
		t.Errorf("Lines = %q", lines)
	}
	if _, found := got[1].Lookup("EMPTY"); !found {
		t.Error("an empty field is not found")
	}
	if _, found := got[1].Lookup("Nothing"); found {
		t.Error("a field that is absent is found")
	}
}

func TestReaderRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"a line without a colon":           "Package: a\nnonsense\n",
		"a continuation at the beginning":  " a\n",
		"a field that stands twice":        "Package: a\npackage: b\n",
		"an empty field name":              ": a\n",
		"a space before the colon":         "Package : a\n",
		"a hyphen at the front of a name":  "-Package: a\n",
		"a letter beyond ASCII in a name":  "Päckage: a\n",
		"a NUL":                            "Package: a\x00b\n",
		"bytes that are not UTF-8":         "Package: \xff\n",
		"a line beyond the limit":          "Package: " + strings.Repeat("a", 1100) + "\n",
		"a paragraph beyond the limit":     "Package:\n" + strings.Repeat(" "+strings.Repeat("a", 900)+"\n", 5),
		"a paragraph of comments, too big": "A: b\n" + strings.Repeat("#"+strings.Repeat("a", 900)+"\n", 5),
		"more fields than the limit":       "A: 1\nB: 1\nC: 1\nD: 1\nE: 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(strings.NewReader(text))
			r.MaxLine, r.MaxParagraph, r.MaxFields = 1000, 4000, 4
			paragraphs, err := readEach(r)
			if !isMalformed(err) || !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("got %v, %v", paragraphs, err)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("after the error: %v", again)
			}
		})
	}
}

func TestReaderTakesALineOfExactlyTheLimit(t *testing.T) {
	for _, end := range []string{"", "\n"} {
		r := NewReader(strings.NewReader("A: " + strings.Repeat("x", 200_000-3) + end))
		r.MaxLine = 200_000
		if p, err := r.Next(); err != nil || len(p.Get("A")) != 200_000-3 {
			t.Errorf("a line of the limit, ended by %q: %v", end, err)
		}
	}
}

func TestReaderPassesErrorsOfTheDiskThrough(t *testing.T) {
	broken := errors.New("the disk is broken")
	r := NewReader(io.MultiReader(strings.NewReader("A: b\nC: d\n"), iotest.ErrReader(broken)))
	if p, err := r.Next(); !errors.Is(err, broken) || isMalformed(err) || p.Len() != 0 {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestParagraphSet(t *testing.T) {
	var p Paragraph
	for _, f := range []Field{{"Source", "a"}, {"Files", "\n x\n y"}, {"source", "b"}, {"Empty", ""}} {
		if err := p.Set(f.Name, f.Value); err != nil {
			t.Fatal(err)
		}
	}
	if want := "Source: b\nFiles:\n x\n y\nEmpty:\n"; p.String() != want {
		t.Errorf("got %q, want %q", p, want)
	}
	if m := p.Map(); len(m) != 3 || m["Source"] != "b" {
		t.Errorf("Map() = %v", m)
	}
	for _, f := range []Field{
		{"", "a"}, {"A b", "c"}, {"A:", "b"}, {"A", "b\nInjected: c"}, {"A", "b\n\n c"}, {"A", "b\n "}, {"A", " b"}, {"A", "b\r\n c"}, {"A", "b "},
		{"A", "b\rc"},
	} {
		if err := p.Set(f.Name, f.Value); !isMalformed(err) {
			t.Errorf("Set(%q, %q) = %v", f.Name, f.Value, err)
		}
	}
	if p.Len() != 3 {
		t.Errorf("a refused field was kept: %q", p)
	}
	p.Fields()[0].Value = "changed"
	if p.Get("Source") != "b" {
		t.Error("Fields() gives away the paragraph's own memory")
	}
}

// machineIndices are the control files of this machine: dpkg's status and
// apt's lists, which are large and real. Where there are none, stanzas of our
// own stand in.
func machineIndices(t *testing.T) map[string][]byte {
	t.Helper()
	indices := map[string][]byte{}
	if status, err := os.ReadFile("/var/lib/dpkg/status"); err == nil && len(status) > 0 {
		indices["dpkg's status"] = status
	}
	if available, err := exec.Command("apt-cache", "dumpavail").Output(); err == nil && len(available) > 0 {
		indices["apt's lists"] = available
	}
	if len(indices) == 0 {
		var b bytes.Buffer
		for i := range 2000 {
			fmt.Fprintf(&b, "Package: p%d\nVersion: %d:1.%d-1\nArchitecture: amd64\nDescription: a\n b\n .\n c\n\n", i, i%3, i)
		}
		indices["made stanzas"] = b.Bytes()
	}
	return indices
}

func TestReaderReadsTheIndicesOfThisMachine(t *testing.T) {
	for name, data := range machineIndices(t) {
		t.Run(name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(data))
			count := 0
			for {
				p, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				count++
				checkBinaryParagraph(t, p)
			}
			want := bytes.Count(data, []byte("\nPackage: ")) + 1
			if count != want {
				t.Errorf("read %d paragraphs, there are %d", count, want)
			}
		})
	}
}

// checkBinaryParagraph also compares the paragraph with itself written and
// read again, and its values with what our other parsers accept.
func checkBinaryParagraph(t *testing.T, p Paragraph) {
	t.Helper()
	if _, err := ParsePackageName(p.Get("Package")); err != nil {
		t.Error(err)
	}
	if _, err := ParseVersion(p.Get("Version")); err != nil {
		t.Error(err)
	}
	if _, err := ParseArch(p.Get("Architecture")); err != nil {
		t.Error(err)
	}
	if source := p.Get("Source"); source != "" {
		if _, _, err := ParseSourceField(source); err != nil {
			t.Error(err)
		}
	}
	if file := p.Get("Filename"); file != "" {
		if _, err := ParseFileName(file[strings.LastIndexByte(file, '/')+1:]); err != nil {
			t.Error(err)
		}
	}
	again, err := NewReader(strings.NewReader(p.String())).Next()
	if err != nil || !reflect.DeepEqual(again, p) {
		t.Errorf("%s changes when it is written and read: %v", p.Get("Package"), err)
	}
}

func TestWriteParagraphsSeparatesThem(t *testing.T) {
	text := "A: b\n\nC: d\n e\n"
	var b strings.Builder
	if err := WriteParagraphs(&b, readAll(t, text)...); err != nil || b.String() != text {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if err := WriteParagraphs(brokenWriter{}, readAll(t, text)...); err == nil {
		t.Error("a failing writer is not noticed")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func FuzzReader(f *testing.F) {
	for _, seed := range []string{"A: b\n c\n\nD:\n", "# c\nA:b", "\r\n", "A: b\r\n\tc\r\n", "A:\n .\n\v\n", "A: \v b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		paragraphs, err := readEach(NewReader(bytes.NewReader(data)))
		if err != nil && !isMalformed(err) {
			t.Errorf("an error that is no Malformed: %v", err)
		}
		for _, p := range paragraphs {
			again, err := readEach(NewReader(strings.NewReader(p.String())))
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], p) {
				t.Errorf("%q reads back as %q: %v", p, again, err)
			}
		}
	})
}
