package debian

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
)

const (
	md5    = "0123456789abcdef0123456789abcdef"
	sha1   = "0123456789abcdef0123456789abcdef01234567"
	sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"
)

const goodDSC = `Format: 3.0 (quilt)
Source: hello
Binary: hello, hello-dbg,
 hello-doc
Architecture: any all
Version: 2.10-3
Maintainer: A <a@example.org>
Package-List:
 hello deb devel optional arch=any
Checksums-Sha1:
 ` + sha1 + ` 10 hello_2.10.orig.tar.gz
 ` + sha1 + ` 20 hello_2.10-3.debian.tar.xz
Checksums-Sha256:
 ` + sha256 + ` 10 hello_2.10.orig.tar.gz
 ` + sha256 + ` 20 hello_2.10-3.debian.tar.xz
Files:
 ` + md5 + ` 20 hello_2.10-3.debian.tar.xz
 ` + md5 + ` 10 hello_2.10.orig.tar.gz
`

func TestParseDSC(t *testing.T) {
	for name, text := range map[string]string{"unsigned": goodDSC, "signed": signed(goodDSC), "with an empty line at its end": signed(goodDSC + "\n")} {
		t.Run(name, func(t *testing.T) {
			d, err := ParseDSC(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			want := []File{
				{Name: "hello_2.10.orig.tar.gz", Size: 10, SHA256: strings.ToLower(sha256)},
				{Name: "hello_2.10-3.debian.tar.xz", Size: 20, SHA256: strings.ToLower(sha256)},
			}
			if !reflect.DeepEqual(d.Files, want) {
				t.Errorf("got %+v", d.Files)
			}
			if strings.Join(d.Binaries, " ") != "hello hello-dbg hello-doc" || d.FileName() != "hello_2.10-3.dsc" {
				t.Errorf("got binaries %v, name %s", d.Binaries, d.FileName())
			}
		})
	}
}

func TestDSCFieldsHaveTheFormOfDebusine(t *testing.T) {
	d, err := ParseDSC(strings.NewReader(goodDSC))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	text, _ := json.Marshal(d.Fields())
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	first := got["Checksums-Sha256"].([]any)[0]
	want := map[string]any{"sha256": sha256, "size": "10", "name": "hello_2.10.orig.tar.gz"}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("Checksums-Sha256 begins with %v", first)
	}
	if f := got["Files"].([]any)[1].(map[string]any); f["md5sum"] != md5 {
		t.Errorf("Files holds %v", f)
	}
	if got["Package-List"] != "\n hello deb devel optional arch=any" || got["Version"] != "2.10-3" {
		t.Errorf("got %q", got)
	}
	if !reflect.DeepEqual(got, d.Fields()) {
		t.Error("the fields change when they travel as JSON")
	}
}

func TestParseDSCRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.ReplaceAll(goodDSC, old, new) }
	once := func(old, new string) string { return strings.Replace(goodDSC, old, new, 1) }
	for name, text := range map[string]string{
		"an empty file":                            "",
		"random bytes":                             "\x7fELF\x02\x01",
		"a second paragraph":                       goodDSC + "\nSource: evil\n",
		"text outside the signed part":             "Source: evil\n\n" + signed(goodDSC),
		"no Checksums-Sha256":                      once("Checksums-Sha256", "Checksums-Sha257"),
		"no Files":                                 once("Files:", "Filez:"),
		"no Format":                                once("Format", "Form"),
		"no Version":                               once("Version", "Vers"),
		"no Architecture":                          once("Architecture: any all", "Architecture:"),
		"a bad Version":                            once("2.10-3\n", "2.10/3\n"),
		"a bad Source":                             once("Source: hello", "Source: ../hello"),
		"a bad Binary":                             once("hello-dbg", "$(id)"),
		"a bad Architecture":                       once("any all", "any;all"),
		"a file in a folder":                       replace("hello_2.10.orig", "a/hello_2.10.orig"),
		"a file above the folder":                  replace("hello_2.10.orig", "../hello_2.10.orig"),
		"an absolute file":                         replace("hello_2.10.orig", "/etc/hello_2.10.orig"),
		"a file with a leading dot":                replace("hello_2.10.orig", ".hello_2.10.orig"),
		"a file with a leading hyphen":             replace("hello_2.10.orig", "-hello_2.10.orig"),
		"a file with a control character":          replace("hello_2.10.orig", "hello\x1b[2J_2.10.orig"),
		"a file with a backslash":                  replace("hello_2.10.orig", `hello\2.10.orig`),
		"a file that is called ..":                 replace("hello_2.10.orig.tar.gz", ".."),
		"a file that is listed twice":              replace("hello_2.10-3.debian.tar.xz", "hello_2.10.orig.tar.gz"),
		"a .dsc in itself":                         replace("hello_2.10.orig.tar.gz", "hello_2.10-3.dsc"),
		"lists that differ in a size":              once(" 10 hello", " 11 hello"),
		"lists that differ in a name":              once("10 hello_2.10.orig", "10 hello_2.11.orig"),
		"lists of different length":                once(" "+md5+" 10 hello_2.10.orig.tar.gz\n", ""),
		"a negative size":                          replace(" 10 ", " -10 "),
		"a size with a plus":                       replace(" 10 ", " +10 "),
		"a size beyond 63 bits":                    replace(" 10 ", " 9999999999999999999 "),
		"a checksum that is too short":             once(sha256, sha256[1:]),
		"a checksum that is no hexadecimal number": once(sha256, "x"+sha256[1:]),
		"a line with a word too many":              once(" 10 hello", " 10 x hello"),
	} {
		t.Run(name, func(t *testing.T) {
			if text == goodDSC {
				t.Fatal("the text was not changed")
			}
			if d, err := ParseDSC(strings.NewReader(text)); !isMalformed(err) || d != nil {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

func TestParseDSCIsBounded(t *testing.T) {
	if _, err := ParseDSC(io.LimitReader(zeros{}, 1<<40)); !isMalformed(err) {
		t.Errorf("an endless file: %v", err)
	}
	flood := goodDSC + "Checksums-Sha512:\n" + strings.Repeat(" x 1 y\n", maxListed+1)
	if _, err := ParseDSC(strings.NewReader(flood)); !isMalformed(err) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a flood of files: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestParseSourceField(t *testing.T) {
	for in, want := range map[string]string{"hello": "hello ", "hello (1:2-3)": "hello 1:2-3", "g++-13 ( 1 )": "g++-13 1"} {
		name, version, err := ParseSourceField(in)
		if err != nil || name+" "+version.String() != want {
			t.Errorf("%q is %s %s, %v", in, name, version, err)
		}
	}
	for _, in := range []string{"", "x", "Hello", "hello 1", "hello (1", "hello 1)", "hello ()", "hello (a)", "hello\n(1)", strings.Repeat("a", 201)} {
		if name, _, err := ParseSourceField(in); !isMalformed(err) {
			t.Errorf("%q is %q, %v", in, name, err)
		}
	}
}

func FuzzParseDSC(f *testing.F) {
	f.Add([]byte(goodDSC))
	f.Add([]byte(signed(goodDSC)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDSC(strings.NewReader(string(data)))
		if err != nil {
			if !isMalformed(err) {
				t.Errorf("an error that is no Malformed: %v", err)
			}
			return
		}
		checkNames(t, d.Files)
	})
}

func checkNames(t *testing.T, files []File) {
	for _, f := range files {
		if strings.ContainsAny(f.Name, "/\\\x00\n") || f.Name[0] == '.' || f.Name[0] == '-' || f.Size < 0 || len(f.SHA256) != 64 {
			t.Errorf("accepted %+v", f)
		}
	}
}
