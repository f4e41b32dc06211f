package debian

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// dpkgArches are the names that dpkg knows.
func dpkgArches(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("dpkg-architecture", "-L").Output()
	if err != nil {
		t.Fatalf("this test needs dpkg-architecture (apt-get install dpkg-dev): %v", err)
	}
	names := strings.Fields(string(out))
	if len(names) < 400 {
		t.Fatalf("dpkg-architecture -L names only %d architectures", len(names))
	}
	return names
}

func TestParseArchKnowsTheArchitecturesOfDpkg(t *testing.T) {
	for _, name := range dpkgArches(t) {
		cpu := name[strings.LastIndexByte(name, '-')+1:]
		// A later dpkg may have processors that the table lacks.
		if _, known := tupleOf(cpu); !known {
			t.Logf("processor %s is new", cpu)
			continue
		}
		if a, err := ParseArch(name); err != nil || a.String() != name {
			t.Errorf("ParseArch(%q) = %q, %v", name, a, err)
		}
	}
	for _, name := range strings.Fields("amd64 arm64 armel armhf i386 ppc64el riscv64 s390x mips64el loong64 sparc64 all source") {
		if _, err := ParseArch(name); err != nil {
			t.Error(err)
		}
	}
}

func TestParseArchRefuses(t *testing.T) {
	for _, name := range []string{
		"", "amd46", "any", "linux-any", "linux-amd64", "AMD64", "amd64 ", "-amd64", "linux-", "foo-amd64",
		"../amd64", "all-amd64", "kfreebsd-armel", "amd64\n", "hurd-", strings.Repeat("a", 10000),
	} {
		if a, err := ParseArch(name); !isMalformed(err) {
			t.Errorf("ParseArch(%.20q) = %q, %v", name, a, err)
		}
	}
	if _, err := ParseArches("source amd64 amd64"); !isMalformed(err) {
		t.Error("an architecture that stands twice was accepted")
	}
	var a Arch
	if err := a.UnmarshalText([]byte("i386")); err != nil || a != "i386" {
		t.Errorf("UnmarshalText: %q, %v", a, err)
	}
	if err := a.UnmarshalText([]byte("i387")); !isMalformed(err) {
		t.Errorf("UnmarshalText of an unknown one: %v", err)
	}
}

// TestMatchesAsDpkg holds each tuple and match against dpkg's Perl modules in
// one process, and a few against the program that people use.
func TestMatchesAsDpkg(t *testing.T) {
	known := map[string]bool{}
	for _, name := range dpkgArches(t) {
		known[name] = true
	}
	arches := strings.Fields("amd64 arm64 armhf armel i386 x32 mips64el mipsn32 powerpcspe kfreebsd-amd64 kfreebsd-armhf " +
		"hurd-i386 hurd-amd64 musl-linux-armhf musl-linux-amd64 uclibc-linux-armel uclinux-armel netbsd-alpha " +
		"solaris-sparc aix-ppc64 arm64ilp32 riscv64 mips64 mips64r6el darwin-arm64")
	wildcards := strings.Fields("any linux-any any-amd64 any-arm any-i386 hurd-any kfreebsd-any gnu-any-any musl-any-any " +
		"any-any-amd64 gnu-linux-any any-linux-any base-gnu-linux-any eabihf-any-any-any any-any-any-any musl-linux-any " +
		"bsd-any-any any-any-any-arm uclibc-any-any x32-any-any-any amd64 linux-amd64 armhf linux-armhf foo-any any-foo " +
		"hurd-i386 any-mips64 any-mips64el abi64-any-any-any any-any linux-any-amd64 nosuch")
	var words []string
	for _, a := range arches {
		if !known[a] {
			continue
		}
		for _, w := range wildcards {
			words = append(words, a, w)
		}
	}
	script := `use Dpkg::Arch qw(debarch_is); while (@ARGV) { my ($a, $w) = splice @ARGV, 0, 2; print debarch_is($a, $w) ? 1 : 0 }`
	out, err := exec.Command("perl", append([]string{"-e", script}, words...)...).Output()
	if err != nil || len(out)*2 != len(words) {
		t.Fatalf("asking dpkg: %v, %d answers for %d words", err, len(out), len(words))
	}
	for i := 0; i < len(words); i += 2 {
		w, err := ParseArchWildcard(words[i+1])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.Matches(Arch(words[i])), out[i/2] == '1'; got != want {
			t.Errorf("%s matches %s: %v, dpkg says %v", w, words[i], got, want)
		}
	}
	for _, c := range [][2]string{{"armhf", "any-arm"}, {"amd64", "linux-any"}, {"hurd-i386", "linux-any"}, {"x32", "any-amd64"}, {"i386", "amd64"}} {
		w, _ := ParseArchWildcard(c[1])
		command := exec.Command("dpkg-architecture", "-a", c[0], "-i", c[1])
		command.Stderr = os.Stderr
		if got, want := w.Matches(Arch(c[0])), command.Run() == nil; got != want {
			t.Errorf("%s matches %s: %v, dpkg-architecture says %v", c[1], c[0], got, want)
		}
	}
}

func TestAnyCoversMachinesOnly(t *testing.T) {
	for _, word := range []string{"any", "linux-any", "any-any"} {
		w, err := ParseArchWildcard(word)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []Arch{ArchAll, ArchSource, ""} {
			if w.Matches(a) {
				t.Errorf("%s matches %q", word, a)
			}
		}
	}
	if (ArchWildcard{}).Matches("") {
		t.Error("nothing matches nothing")
	}
}

func TestParseArchWildcardRefuses(t *testing.T) {
	for _, word := range []string{"", "-any", "any-", "any--amd64", "any-any-any-any-any", "!amd64", "Any", "a/b", "amd64,i386", strings.Repeat("a", 65)} {
		if w, err := ParseArchWildcard(word); !isMalformed(err) {
			t.Errorf("ParseArchWildcard(%q) = %v, %v", word, w, err)
		}
	}
}

func FuzzArch(f *testing.F) {
	for _, seed := range []string{"amd64", "any", "linux-any", "any-any-any-any", "linux-linux-amd64", "-", "all"} {
		f.Add(seed, "amd64")
	}
	f.Fuzz(func(t *testing.T, wildcard, name string) {
		w, err := ParseArchWildcard(wildcard)
		if err != nil {
			return
		}
		a, err := ParseArch(name)
		if err == nil && w.String() == "any" && w.Matches(a) != a.IsReal() {
			t.Errorf("any and %s", a)
		}
		w.Matches(Arch(name))
	})
}
