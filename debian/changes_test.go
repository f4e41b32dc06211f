package debian

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const goodChanges = `Format: 1.8
Date: Sun, 01 Jan 2023 00:00:00 +0000
Source: hello (2.10-3)
Binary: hello hello-doc
Architecture: all amd64
Version: 2.10-3+b1
Distribution: sid
Description:
 hello      - example
Changes:
 hello (2.10-3+b1) sid; urgency=low
 .
   * Rebuild.
Checksums-Sha256:
 ` + sha256 + ` 10 hello_2.10-3+b1_amd64.deb
 ` + sha256 + ` 20 hello_2.10-3+b1_amd64.buildinfo
Files:
 ` + md5 + ` 10 non-free/devel optional hello_2.10-3+b1_amd64.deb
 ` + md5 + ` 20 - - hello_2.10-3+b1_amd64.buildinfo
`

func TestParseChanges(t *testing.T) {
	c, err := ParseChanges(strings.NewReader(signed(goodChanges)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Source != "hello" || c.SourceVersion.String() != "2.10-3" || c.Version.String() != "2.10-3+b1" || c.HasSource() {
		t.Errorf("got %+v", c)
	}
	if len(c.Files) != 2 || c.Files[0].Section != "non-free/devel" || c.Files[1].Priority != "-" {
		t.Errorf("got files %+v", c.Files)
	}
	files := c.Fields()["Files"].([]any)
	if f := files[0].(map[string]any); f["section"] != "non-free/devel" || f["priority"] != "optional" || f["md5sum"] != md5 {
		t.Errorf("Files begins with %v", f)
	}
	if c.Fields()["Changes"] != "\n hello (2.10-3+b1) sid; urgency=low\n .\n   * Rebuild." {
		t.Errorf("Changes is %q", c.Fields()["Changes"])
	}
}

func TestParseChangesRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.ReplaceAll(goodChanges, old, new) }
	for name, text := range map[string]string{
		"an unknown architecture":             replace("all amd64\n", "all amd46\n"),
		"an architecture that stands twice":   replace("all amd64\n", "all all\n"),
		"a wildcard, which is no upload":      replace("all amd64\n", "any\n"),
		"no Architecture":                     replace("Architecture:", "Arch:"),
		"no Distribution":                     replace("Distribution:", "Suite:"),
		"a Distribution that leads elsewhere": replace("Distribution: sid", "Distribution: ../sid"),
		"two suites":                          replace("Distribution: sid", "Distribution: sid stable"),
		"a bad Version":                       replace("Version: 2.10-3+b1", "Version: x"),
		"a bad version of the source":         replace("hello (2.10-3)\n", "hello (x)\n"),
		"a bad Binary":                        replace("Binary: hello", "Binary: Hello!"),
		"a file in a folder":                  replace("hello_2.10-3+b1_amd64.deb", "a/hello_2.10-3+b1_amd64.deb"),
		"a line of Files without a section":   replace("non-free/devel optional", "optional"),
		"no Files":                            replace("Files:", "Filez:"),
		"no Checksums-Sha256":                 replace("Checksums-Sha256:", "Checksums-Sha257:"),
		"lists that disagree":                 strings.Replace(goodChanges, " 10 hello", " 11 hello", 1),
		"a .dsc instead of a .changes":        goodDSC,
	} {
		t.Run(name, func(t *testing.T) {
			if text == goodChanges {
				t.Fatal("the text was not changed")
			}
			if c, err := ParseChanges(strings.NewReader(text)); !isMalformed(err) || c != nil {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

// What may take long, as large as is accepted: many files, one long line,
// names without end, and a signature in front of nothing.
func TestParseChangesTakesLinearTime(t *testing.T) {
	files := strings.Builder{}
	for i := range maxListed {
		fmt.Fprintf(&files, " %s 10 a%d.deb\n", sha256, i)
	}
	begun := time.Now()
	for name, text := range map[string]string{
		"a flood of files":         strings.Replace(goodChanges, "Checksums-Sha256:\n", "Checksums-Sha256:\n"+files.String(), 1),
		"a flood of lines":         strings.Replace(goodChanges, " .\n", strings.Repeat(" .\n", 2<<20), 1),
		"a line without an end":    "A: " + strings.Repeat("b ", 4<<20),
		"fields without end":       strings.Repeat("A: b\n", 1<<20),
		"words without end":        strings.Replace(goodChanges, "Binary: ", "Binary: "+strings.Repeat("hello ", 100000), 1),
		"hyphens, signed":          signed(strings.Repeat("- -\n", 2<<20)),
		"markers within markers":   strings.Repeat("-----BEGIN PGP SIGNED MESSAGE-----\n", 200000),
		"headers of a signed text": "-----BEGIN PGP SIGNED MESSAGE-----\n" + strings.Repeat("Hash: x\n", 1<<19) + "\nA: b\n",
	} {
		_, err := ParseChanges(strings.NewReader(text))
		if err != nil && !isMalformed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func FuzzParseChanges(f *testing.F) {
	f.Add([]byte(goodChanges))
	f.Add([]byte(signed(goodChanges)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseChanges(strings.NewReader(string(data)))
		if err != nil {
			if !isMalformed(err) {
				t.Errorf("an error that is no Malformed: %v", err)
			}
			return
		}
		checkNames(t, c.Files)
	})
}
