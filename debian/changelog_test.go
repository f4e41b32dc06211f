package debian

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const goodChangelog = `hello (2.10-3+b1) sid; urgency=low, binary-only=yes

  * Binary-only non-maintainer upload for amd64; no source changes.
  * Rebuild for libfoo2. (Closes: #123, bug 45)

 -- amd64 Build Daemon <buildd@example.org>  Sun, 01 Jan 2023 00:00:00 +0100

hello (1:2.10-3) unstable experimental; urgency=HIGH (security)

  [ A. Person ]
  * One.

  * Two.

 -- Ünï Cöde <a@example.org>  Thu, 29 Feb 2024 9:05:06 -0700

Local variables:
mode: debian-changelog
`

func changelog(text string) (entries []*ChangelogEntry, old bool, err error) {
	for r := NewChangelogReader(strings.NewReader(text)); ; {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, r.Old(), nil
		}
		if err != nil {
			return entries, false, err
		}
		entries = append(entries, e)
	}
}

func TestChangelog(t *testing.T) {
	entries, old, err := changelog(goodChangelog)
	if err != nil || old || len(entries) != 2 {
		t.Fatalf("%d entries, %v, %v", len(entries), old, err)
	}
	e := entries[0]
	if e.Source != "hello" || e.Version.String() != "2.10-3+b1" || e.Distribution() != "sid" || e.Urgency != "low" || !e.BinaryOnly {
		t.Errorf("got %+v", e)
	}
	if e.Maintainer != "amd64 Build Daemon <buildd@example.org>" || e.When.Unix() != 1672527600 || fmt.Sprint(e.Closes()) != "[45 123]" || len(e.Changes) != 2 {
		t.Errorf("got %+v", e)
	}
	if text := e.String(); !strings.HasPrefix(goodChangelog, text) {
		t.Errorf("written it is %q", text)
	}
	e = entries[1]
	if e.Distribution() != "unstable experimental" || e.Urgency != "high" || e.BinaryOnly || len(e.Changes) != 4 || e.When.IsZero() || e.Closes() != nil {
		t.Errorf("got %+v", e)
	}
}

func TestChangelogOfThePast(t *testing.T) {
	entries, old, err := changelog(goodChangelog[:strings.Index(goodChangelog, "Local")] + "Changes in 1.0:\n  old\n")
	if err != nil || !old || len(entries) != 2 {
		t.Errorf("%d entries, %v, %v", len(entries), old, err)
	}
	if e, err := ParseChangelogTop(strings.NewReader(strings.Replace(goodChangelog, "One", "One \xe9", 1))); err != nil || e.Version.String() != "2.10-3+b1" {
		t.Errorf("Latin-1: %v, %v", e, err)
	}
}

func TestChangelogRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodChangelog, old, new, 1) }
	for name, text := range map[string]string{
		"nothing":                           "\n\n",
		"no heading":                        "  * x\n",
		"words in front":                    "News\n\n" + goodChangelog,
		"a source that is none":             replace("hello", "Hello"),
		"a version that is none":            replace("2.10-3+b1", "x"),
		"no distribution":                   replace(" sid;", ";"),
		"no semicolon":                      replace("sid;", "sid"),
		"an option without a value":         replace("urgency=low", "urgency"),
		"an option that stands twice":       replace("binary-only=yes", "URGENCY=low"),
		"a trailer with a bad date":         replace("01 Jan 2023", "yesterday"),
		"a trailer without an address":      replace(" <buildd@example.org>", ""),
		"no trailer":                        replace(" -- amd64 Build Daemon <buildd@example.org>  Sun, 01 Jan 2023 00:00:00 +0100\n", ""),
		"an end within the entry":           goodChangelog[:100],
		"a line that is not indented":       replace("  * Rebuild", "* Rebuild"),
		"an entry without an end":           replace("  * Rebuild", strings.Repeat("  * Rebuild\n", maxEntry/10)),
		"a line that is as long as a entry": replace("  * Rebuild", "  "+strings.Repeat("x", DefaultMaxLine+1)),
	} {
		if e, err := ParseChangelogTop(strings.NewReader(text)); !isMalformed(err) || e != nil {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

// TestChangelogAsDpkg reads the changelogs of what is installed here, as
// dpkg-parsechangelog's modules do, and one with the program.
func TestChangelogAsDpkg(t *testing.T) {
	top := t.TempDir()
	writeFile(t, filepath.Join(top, "good"), goodChangelog, 0o644)
	names := []string{filepath.Join(top, "good")}
	packed, _ := filepath.Glob("/usr/share/doc/*/changelog.Debian.gz")
	for i := 0; i < len(packed) && len(names) < 80; i += 11 {
		names = append(names, packed[i])
	}
	answers := askPerl(t, names, `use Dpkg::Changelog::Debian; use IO::Uncompress::AnyInflate; use Digest::MD5 qw(md5_hex); binmode STDOUT, ":raw";
		my $c = Dpkg::Changelog::Debian->new(verbose => 0); my $text; IO::Uncompress::AnyInflate::anyinflate($_ => \$text, Transparent => 1);
		open(my $h, "<", \$text); $c->parse($h, "x");
		print join("\t", map { my $e = $_; my $f = $e->get_optional_fields();
			join("|", $e->get_source(), $e->get_version(), join(" ", $e->get_distributions()), $e->get_urgency(),
				$e->get_maintainer(), $e->get_timestamp(), $f->{Closes} // "", md5_hex(join("", map { s/\s+$//r } @{$e->get_part("changes")}))) } @{$c}), "\n"`)
	seen, short := 0, 0
	for i, name := range names {
		want := strings.Split(answers[i], "\t")
		text := unpackedText(t, name)
		entries, old, err := changelog(text)
		if err != nil || !old && len(entries) != len(want) {
			short++ // dpkg goes on after what it warns of
		}
		for j, e := range entries {
			if got := summary(e); j >= len(want) || got != "" && got != want[j] {
				t.Errorf("%s:\n%s\ndpkg: %s", name, got, want[min(j, len(want)-1)])
				break
			}
			seen++
		}
	}
	t.Logf("%d entries of %d changelogs, %d of which are not read to their end", seen, len(names), short)
	if seen < 2 || short*20 > len(names) {
		t.Errorf("only %d entries were read; %d of %d changelogs not to their end", seen, short, len(names))
	}
}

// TestChangelogTopAsTheProgram asks dpkg-parsechangelog for each field.
func TestChangelogTopAsTheProgram(t *testing.T) {
	name := filepath.Join(t.TempDir(), "changelog")
	writeFile(t, name, goodChangelog, 0o644)
	e, err := ParseChangelogTop(strings.NewReader(goodChangelog))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("dpkg-parsechangelog", "-l", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewReader(strings.NewReader(string(out))).Next()
	if err != nil {
		t.Fatal(err)
	}
	for field, got := range map[string]string{"Source": e.Source, "Version": e.Version.String(), "Distribution": e.Distribution(),
		"Urgency": e.Urgency, "Maintainer": e.Maintainer, "Date": e.Date, "Binary-Only": e.Options["binary-only"], "Timestamp": fmt.Sprint(e.When.Unix())} {
		if p.Get(field) != got {
			t.Errorf("%s is %q, dpkg-parsechangelog says %q", field, got, p.Get(field))
		}
	}
	for _, line := range e.Changes {
		if !strings.Contains(p.Get("Changes"), line) {
			t.Errorf("dpkg-parsechangelog does not tell %q", line)
		}
	}
}

func FuzzChangelog(f *testing.F) {
	f.Add(goodChangelog)
	f.Add("00 (0) 0; urgency=\n\n\n --  <>  0 0 0000 0:00:00 +0000\n")
	f.Add("hello (1) a; urgency=low\n\n -- A <b>  Sun, 01 Jan 2023 00:00:00 +0100\nold\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, _, err := changelog(text)
		if err != nil && !isMalformed(err) {
			t.Errorf("an error that is no Malformed: %v", err)
		}
		for _, e := range entries {
			again, err := ParseChangelogTop(strings.NewReader(e.String()))
			if err != nil || again.heading() != e.heading() || again.Maintainer != e.Maintainer || strings.Join(again.Changes, "\n") != strings.Join(e.Changes, "\n") {
				t.Errorf("%q became %v, %v", e.String(), again, err)
			}
			e.Closes()
		}
	})
}
