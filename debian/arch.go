package debian

import (
	"slices"
	"strings"
)

// Arch is the name of a Debian architecture (amd64, kfreebsd-i386), or one of
// the two words that stand beside them: all and source.
type Arch string

// The words that name no machine.
const (
	ArchAll    Arch = "all"    // built once, runs everywhere
	ArchSource Arch = "source" // in a .changes: the upload holds the source
)

// ParseArch accepts the architectures that dpkg knows, all and source. The
// error is a Malformed.
func ParseArch(s string) (Arch, error) {
	a := Arch(s)
	if a == ArchAll || a == ArchSource {
		return a, nil
	}
	// A linux- prefix is an old alias in wildcards; no package is called so.
	if _, known := tupleOf(s); !known || strings.HasPrefix(s, "linux-") {
		return "", malformedf("architecture %s is unknown", quote(s))
	}
	return a, nil
}

// ParseArches reads names separated by white space, as in a .changes file's
// Architecture. Each name may stand once.
func ParseArches(field string) ([]Arch, error) {
	var arches []Arch
	for _, word := range strings.Fields(field) {
		a, err := ParseArch(word)
		if err != nil {
			return nil, err
		}
		if slices.Contains(arches, a) {
			return nil, malformedf("architecture %s is named twice", quote(word))
		}
		arches = append(arches, a)
	}
	return arches, nil
}

// IsReal tells whether a names a kind of machine: neither all nor source.
func (a Arch) IsReal() bool { return a != "" && a != ArchAll && a != ArchSource }

func (a Arch) String() string { return string(a) }

// UnmarshalText is ParseArch, for JSON and YAML.
func (a *Arch) UnmarshalText(text []byte) error {
	parsed, err := ParseArch(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// archTuple is dpkg's normal form of an architecture: ABI, C library,
// operating system, processor (tupletable of dpkg).
type archTuple [4]string

// tupleOf is the normal form of an architecture's name, and whether dpkg knows
// it. The table is dpkg's of Debian 12 and 13, written as code.
func tupleOf(name string) (archTuple, bool) {
	if rest, found := strings.CutPrefix(name, "linux-"); found {
		name = rest
	}
	if t, ok := tupleOfException(name); ok {
		return t, true
	}
	i := strings.LastIndexByte(name, '-')
	cpu := name[i+1:]
	if !isCPU(cpu) {
		return archTuple{}, false
	}
	if i < 0 {
		return archTuple{"base", "gnu", "linux", cpu}, true
	}
	switch system := name[:i]; system {
	case "uclibc-linux", "musl-linux":
		return archTuple{"base", strings.TrimSuffix(system, "-linux"), "linux", cpu}, true
	case "kfreebsd", "knetbsd", "kopensolaris", "hurd":
		return archTuple{"base", "gnu", system, cpu}, true
	case "darwin", "dragonflybsd", "freebsd", "netbsd", "openbsd":
		return archTuple{"base", "bsd", system, cpu}, true
	case "aix", "solaris":
		return archTuple{"base", "sysv", system, cpu}, true
	case "uclinux":
		return archTuple{"base", "uclibc", system, cpu}, true
	}
	return archTuple{}, false
}

// tupleOfException knows the names that are not made of system and processor.
func tupleOfException(name string) (archTuple, bool) {
	switch name {
	case "uclibc-linux-armel":
		return archTuple{"eabi", "uclibc", "linux", "arm"}, true
	case "uclinux-armel":
		return archTuple{"eabi", "uclibc", "uclinux", "arm"}, true
	case "musl-linux-armhf":
		return archTuple{"eabihf", "musl", "linux", "arm"}, true
	case "kfreebsd-armhf":
		return archTuple{"eabihf", "gnu", "kfreebsd", "arm"}, true
	case "armhf":
		return archTuple{"eabihf", "gnu", "linux", "arm"}, true
	case "armel":
		return archTuple{"eabi", "gnu", "linux", "arm"}, true
	case "arm64ilp32":
		return archTuple{"ilp32", "gnu", "linux", "arm64"}, true
	case "x32":
		return archTuple{"x32", "gnu", "linux", "amd64"}, true
	case "powerpcspe":
		return archTuple{"spe", "gnu", "linux", "powerpc"}, true
	case "mipsn32", "mipsn32el", "mipsn32r6", "mipsn32r6el":
		return archTuple{"abin32", "gnu", "linux", "mips64" + strings.TrimPrefix(name, "mipsn32")}, true
	case "mips64", "mips64el", "mips64r6", "mips64r6el":
		return archTuple{"abi64", "gnu", "linux", name}, true
	case "mint-m68k":
		return archTuple{"base", "tos", "mint", "m68k"}, true
	}
	return archTuple{}, false
}

// isCPU knows dpkg's cputable.
func isCPU(s string) bool {
	switch s {
	case "alpha", "amd64", "arc", "arm", "armeb", "arm64", "avr32", "hppa", "i386", "ia64",
		"loong64", "m32r", "m68k", "mips", "mipsel", "mipsr6", "mipsr6el",
		"mips64", "mips64el", "mips64r6", "mips64r6el", "nios2", "or1k",
		"powerpc", "powerpcel", "ppc64", "ppc64el", "riscv64", "s390", "s390x",
		"sh3", "sh3eb", "sh4", "sh4eb", "sparc", "sparc64", "tilegx":
		return true
	}
	return false
}

// ArchWildcard is a word of a source package's Architecture field: an
// architecture, or a pattern over its normal form such as any, linux-any or
// any-amd64. Only ParseArchWildcard makes one.
type ArchWildcard struct{ text string }

// ParseArchWildcard accepts each word that dpkg accepts in an Architecture
// field. A name that dpkg does not know is accepted and matches only itself,
// as with dpkg: a source may name an architecture that is newer than we are.
func ParseArchWildcard(s string) (ArchWildcard, error) {
	if s == "" || len(s) > 64 || !only(s, "-") || strings.ToLower(s) != s || !isLetter(s[0]) && !isDigit(s[0]) {
		return ArchWildcard{}, malformedf("%s is not an architecture nor a wildcard", quote(s))
	}
	if parts := strings.Split(s, "-"); slices.Contains(parts, "any") && (len(parts) > 4 || slices.Contains(parts, "")) {
		return ArchWildcard{}, malformedf("architecture wildcard %s must have one to four parts, such as linux-any", quote(s))
	}
	return ArchWildcard{text: s}, nil
}

// ParseArchWildcards reads the words of a source's Architecture field.
func ParseArchWildcards(field string) ([]ArchWildcard, error) {
	words := strings.Fields(field)
	if len(words) > 1000 {
		return nil, malformedf("the Architecture field has more than 1000 words")
	}
	var wildcards []ArchWildcard
	for _, word := range words {
		w, err := ParseArchWildcard(word)
		if err != nil {
			return nil, err
		}
		wildcards = append(wildcards, w)
	}
	return wildcards, nil
}

func (w ArchWildcard) String() string { return w.text }

// Matches tells whether w covers a, as `dpkg-architecture -a A -i W` does for
// machines. The words all and source are covered by themselves alone, not by
// any: Policy 5.6.8.
func (w ArchWildcard) Matches(a Arch) bool {
	if w.text == string(a) && a != "" {
		return true
	}
	if !a.IsReal() {
		return false
	}
	if w.text == "any" {
		return true
	}
	pattern, ok := w.tuple()
	if !ok {
		return false
	}
	real, ok := tupleOf(string(a))
	if !ok {
		return false
	}
	for i := range pattern {
		if pattern[i] != "any" && pattern[i] != real[i] {
			return false
		}
	}
	return true
}

// tuple fills a wildcard up from the left: any-amd64 is any-any-any-amd64.
func (w ArchWildcard) tuple() (archTuple, bool) {
	parts := strings.Split(w.text, "-")
	if !slices.Contains(parts, "any") {
		return tupleOf(w.text)
	}
	t := archTuple{"any", "any", "any", "any"}
	if len(parts) > 1 {
		copy(t[len(t)-len(parts):], parts)
	}
	return t, true
}
