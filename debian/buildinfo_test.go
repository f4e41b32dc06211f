package debian

import (
	"strings"
	"testing"
)

const goodBuildInfo = `Format: 1.0
Source: hello (2.10-3)
Binary: hello hello-doc
Architecture: amd64 all
Version: 2.10-3+b1
Checksums-Md5:
 ` + md5 + ` 10 hello_2.10-3+b1_amd64.deb
Checksums-Sha1:
 0123456789012345678901234567890123456789 10 hello_2.10-3+b1_amd64.deb
Checksums-Sha256:
 ` + sha256 + ` 10 hello_2.10-3+b1_amd64.deb
Build-Origin: Debian
Build-Architecture: amd64
Build-Date: Sun, 01 Jan 2023 00:00:00 +0100
Build-Tainted-By:
 merged-usr-via-aliased-dirs
Build-Path: /build/hello-2.10
Installed-Build-Depends:
 gcc-12 (= 12.2.0-14),
 libc6 (= 2.36-9)
Environment:
 DEB_BUILD_OPTIONS="parallel=2"
 LANG="C.UTF-8"
 ODD="a \"b\"
  c"
`

func TestParseBuildInfo(t *testing.T) {
	for _, text := range []string{goodBuildInfo, signed(goodBuildInfo)} {
		b, err := ParseBuildInfo(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if b.Source != "hello" || b.SourceVersion.String() != "2.10-3" || b.Version.String() != "2.10-3+b1" || len(b.Architectures) != 2 || len(b.Files) != 1 {
			t.Errorf("got %+v", b)
		}
		if b.BuildArchitecture != "amd64" || b.BuildOrigin != "Debian" || b.BuildDate.Unix() != 1672527600 || b.BuildPath != "/build/hello-2.10" ||
			strings.Join(b.TaintedBy, " ") != "merged-usr-via-aliased-dirs" {
			t.Errorf("got %+v", b)
		}
		if b.Installed.String() != "gcc-12 (= 12.2.0-14), libc6 (= 2.36-9)" {
			t.Errorf("installed: %v", b.Installed)
		}
		if e := b.Environment; len(e) != 3 || e["LANG"] != "C.UTF-8" || e["ODD"] != "a \"b\"\n c" {
			t.Errorf("environment: %q", e)
		}
	}
}

func TestParseBuildInfoRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodBuildInfo, old, new, 1) }
	for name, text := range map[string]string{
		"no Build-Architecture":             replace("Build-Architecture", "Build-Arch"),
		"a Build-Architecture of all":       replace("Build-Architecture: amd64", "Build-Architecture: any"),
		"no Installed-Build-Depends":        replace("Installed-Build-Depends", "Installed"),
		"an installed one of a choice":      replace("libc6 (= 2.36-9)", "libc6 (= 2.36-9) | musl (= 1)"),
		"an installed one of no version":    replace("libc6 (= 2.36-9)", "libc6"),
		"one of some version":               replace("libc6 (= 2.36-9)", "libc6 (>= 2.36-9)"),
		"no checksums":                      replace("Checksums-Sha256", "Checksums-Sha257"),
		"checksums that disagree":           replace(" 10 hello", " 11 hello"),
		"a file in a folder":                strings.ReplaceAll(goodBuildInfo, " 10 hello", " 10 ../hello"),
		"a variable without a value":        replace(`LANG="C.UTF-8"`, "LANG"),
		"a variable without a name":         replace(`LANG="C.UTF-8"`, `="C"`),
		"a variable that stands twice":      replace(`LANG="C.UTF-8"`, `ODD="x"`),
		"a value without an end":            replace(`c"`, `c`),
		"a value whose end is a mark's":     replace(`c"`, `c\"`),
		"a version that is none":            replace("Version: 2.10-3+b1", "Version: x"),
		"a .changes instead":                goodChanges,
		"two paragraphs":                    goodBuildInfo + "\nA: b\n",
		"an architecture that nobody knows": replace("amd64 all", "amd46"),
	} {
		if text == goodBuildInfo {
			t.Errorf("%s: the text was not changed", name)
		}
		if b, err := ParseBuildInfo(strings.NewReader(text)); !isMalformed(err) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

func FuzzParseBuildInfo(f *testing.F) {
	f.Add([]byte(goodBuildInfo))
	f.Add([]byte(signed(goodBuildInfo)))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBuildInfo(strings.NewReader(string(data)))
		if err != nil {
			if !isMalformed(err) {
				t.Errorf("an error that is no Malformed: %v", err)
			}
			return
		}
		checkNames(t, b.Files)
	})
}
