package debian

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// maxVersion bounds a version in bytes. dpkg sets no limit; a file system
// allows 255 for a file name, which also holds the package's name.
const maxVersion = 255

// Version is a package's version as deb-version(7) defines it. Only
// ParseVersion makes one; the zero Version is no version. Two versions that
// are written differently may be equal (1.0 and 0:1.0-0), so compare with
// Compare and not with ==.
type Version struct {
	epoch    int
	upstream string
	revision string
	text     string
}

// ParseVersion reads [epoch:]upstream[-revision]. It refuses what dpkg
// refuses, and also a version that does not begin with a digit, about which
// dpkg only warns. The error is a Malformed.
func ParseVersion(s string) (Version, error) {
	bad := func(why string) (Version, error) {
		return Version{}, malformedf("version %s is not valid: %s", quote(s), why)
	}
	if s == "" {
		return bad("it is empty")
	}
	if len(s) > maxVersion {
		return bad("it is longer than 255 characters")
	}
	v := Version{text: s}
	rest := s
	if before, after, found := strings.Cut(s, ":"); found {
		epoch, ok := parseEpoch(before)
		if !ok {
			return bad("the epoch before the colon must be a number up to 2147483647")
		}
		v.epoch, rest = epoch, after
	}
	v.upstream = rest
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		v.upstream, v.revision = rest[:i], rest[i+1:]
		if v.revision == "" {
			return bad("nothing follows the last hyphen")
		}
	}
	switch {
	case v.upstream == "":
		return bad("the upstream version is empty")
	case !isDigit(v.upstream[0]):
		return bad("the upstream version must begin with a digit")
	case !only(v.upstream, ".+-~:"):
		return bad("the upstream version may only hold letters, digits and . + - ~ :")
	case !only(v.revision, ".+~"):
		return bad("the revision may only hold letters, digits and . + ~")
	}
	return v, nil
}

// parseEpoch reads an epoch, which dpkg keeps in a C int.
func parseEpoch(s string) (int, bool) {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return int(n), err == nil && n <= math.MaxInt32
}

// Epoch is the number before the colon, 0 where there is none.
func (v Version) Epoch() int { return v.epoch }

// Upstream is the upstream version, without epoch and revision.
func (v Version) Upstream() string { return v.upstream }

// Revision is what follows the last hyphen; "" for a native package.
func (v Version) Revision() string { return v.revision }

// String is the version as it was written.
func (v Version) String() string { return v.text }

// IsZero tells whether v is no version at all.
func (v Version) IsZero() bool { return v.text == "" }

// WithoutEpoch is the version as file names hold it: hello_2.10-3.dsc.
func (v Version) WithoutEpoch() string {
	if v.revision == "" {
		return v.upstream
	}
	return v.upstream + "-" + v.revision
}

// MarshalText writes the version as it was written.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.text), nil }

// UnmarshalText is ParseVersion, for JSON and YAML.
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}

// Compare is negative when v is older than w, positive when it is newer and 0
// when both are equal. Epochs compare first, then upstream versions, then
// revisions: deb-version(7).
func (v Version) Compare(w Version) int {
	return cmp.Or(
		cmp.Compare(v.epoch, w.epoch),
		compareParts(v.upstream, w.upstream),
		compareParts(v.revision, w.revision),
	)
}

// compareParts walks both texts in turns: a run of non-digits by rank, then a
// run of digits by value. An absent part counts as empty, which makes 1.0 and
// 1.0-0 equal.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if c := cmp.Compare(rank(a), rank(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var c int
		if c, a, b = compareDigits(a, b); c != 0 {
			return c
		}
	}
	return 0
}

// rank orders the first character of s: a tilde before the end, the end (and
// a digit) before letters, letters before everything else.
func rank(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

// compareDigits compares the leading numbers of both texts, of any length,
// and returns what follows them.
func compareDigits(a, b string) (c int, restA, restB string) {
	na, restA := cutDigits(a)
	nb, restB := cutDigits(b)
	return cmp.Or(cmp.Compare(len(na), len(nb)), strings.Compare(na, nb)), restA, restB
}

// cutDigits splits s after its leading digits and drops their leading zeros.
func cutDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// only tells whether s holds nothing but ASCII letters, digits and extra.
func only(s, extra string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && !isLetter(s[i]) && strings.IndexByte(extra, s[i]) < 0 {
			return false
		}
	}
	return true
}

// quote shows untrusted text in a message: quoted, and cut where it is long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
