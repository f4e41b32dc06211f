package debian

import (
	"bytes"
	md5Hex "crypto/md5"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// ask gives each question, a line without newlines, to one process of a script
// that answers each with one line.
func ask(t testing.TB, questions []string, command ...string) []string {
	t.Helper()
	run := exec.Command(command[0], command[1:]...)
	run.Stdin = strings.NewReader(strings.Join(questions, "\n") + "\n")
	var stderr bytes.Buffer
	run.Stderr = &stderr
	out, err := run.Output()
	answers := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(answers) != len(questions) {
		said := stderr.String()
		t.Fatalf("asking %s (apt-get install dpkg-dev python3-debian): %v, %d answers to %d questions\n%s",
			command[0], err, len(answers), len(questions), said[max(0, len(said)-2000):])
	}
	return answers
}

// askPerl runs a body for each question in $_, with dpkg's modules.
func askPerl(t testing.TB, questions []string, body string) []string {
	t.Helper()
	return ask(t, questions, "perl", "-MDpkg::Deps", "-MDpkg::Version", "-MDpkg::Arch=:DEFAULT,:getters,debarch_is,debarch_to_debtuple", "-MDpkg::BuildProfiles",
		"-MDpkg::ErrorHandling=report_options", "-e",
		`binmode STDIN, ":utf8"; binmode STDOUT, ":utf8"; report_options(quiet_warnings => 1); $| = 1; while (<STDIN>) { chomp; `+body+` }`)
}

// askPython runs a line for each question in line, after the imports.
func askPython(t testing.TB, questions []string, imports, body string) []string {
	t.Helper()
	return ask(t, questions, "/usr/bin/python3", "-c", "import sys\n"+imports+"\nfor line in sys.stdin:\n    line = line.rstrip('\\n'); "+body)
}

// unpackedText is the text of a file, which may be packed by gzip.
func unpackedText(t testing.TB, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	suffix := ""
	if strings.HasSuffix(name, ".gz") {
		suffix = "gz"
	}
	r, err := decompress(file, suffix)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// summary is an entry as TestChangelogAsDpkg has dpkg tell it.
func summary(e *ChangelogEntry) string {
	var closed []string
	for _, bug := range e.Closes() {
		closed = append(closed, strconv.Itoa(bug))
	}
	if text := strings.Join(e.Changes, ""); strings.Contains(text, "\uFFFD") {
		return "" // Latin-1, which dpkg keeps
	}
	return strings.Join([]string{e.Source, e.Version.String(), e.Distribution(), e.Urgency, e.Maintainer, e.Date,
		strings.Join(closed, " "), sumOf(strings.Join(e.Changes, ""))}, "|")
}

func sumOf(text string) string {
	sum := md5Hex.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
