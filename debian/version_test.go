package debian

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func mustVersion(t testing.TB, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// isMalformed tells whether err is for the person who made the file.
func isMalformed(err error) bool {
	var m Malformed
	return errors.As(err, &m)
}

func TestParseVersion(t *testing.T) {
	tests := []struct {
		name, in, upstream, revision, file string
		epoch                              int
	}{
		{"a native version has no revision", "1.0", "1.0", "", "1.0", 0},
		{"the last hyphen begins the revision", "1.0-2-3", "1.0-2", "3", "1.0-2-3", 0},
		{"the epoch is not part of file names", "2:1.18.3~beta+dfsg1-5+b1", "1.18.3~beta+dfsg1", "5+b1", "1.18.3~beta+dfsg1-5+b1", 2},
		{"a colon is allowed after an epoch", "1:2:3", "2:3", "", "2:3", 1},
		{"the largest epoch is that of dpkg", "2147483647:1", "1", "", "1", 2147483647},
		{"an epoch of zero is kept as written", "0:1-1", "1", "1", "1-1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := mustVersion(t, tt.in)
			if v.Epoch() != tt.epoch || v.Upstream() != tt.upstream || v.Revision() != tt.revision || v.WithoutEpoch() != tt.file {
				t.Errorf("got epoch %d, upstream %q, revision %q, file %q", v.Epoch(), v.Upstream(), v.Revision(), v.WithoutEpoch())
			}
			if v.String() != tt.in {
				t.Errorf("String() = %q, want %q", v.String(), tt.in)
			}
		})
	}
}

func TestParseVersionRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                       "",
		"an epoch without a number":     ":1.0",
		"an epoch that is no number":    "a:1.0",
		"a negative epoch":              "-1:1.0",
		"an epoch beyond a C int":       "2147483648:1.0",
		"an epoch alone":                "1:",
		"a hyphen at the end":           "1.0-",
		"a revision alone":              "-1",
		"a blank inside":                "1.0 2",
		"a newline":                     "1.0\n",
		"a slash":                       "1.0/../../x",
		"an underscore":                 "1_0",
		"a colon in the revision":       "1:1-1:1",
		"a letter at the front":         "v1.0",
		"letters that are not of ASCII": "1.0é",
		"a text longer than a name":     "1" + strings.Repeat("0", 255),
	} {
		t.Run(name, func(t *testing.T) {
			if v, err := ParseVersion(in); !isMalformed(err) || !v.IsZero() {
				t.Errorf("ParseVersion(%q) = %v, %v", in, v, err)
			}
		})
	}
}

func TestVersionText(t *testing.T) {
	var v Version
	if err := v.UnmarshalText([]byte("1:2-3")); err != nil {
		t.Fatal(err)
	}
	if text, err := v.MarshalText(); err != nil || string(text) != "1:2-3" {
		t.Errorf("MarshalText() = %q, %v", text, err)
	}
	if err := v.UnmarshalText([]byte("x")); !isMalformed(err) || v.String() != "1:2-3" {
		t.Errorf("a bad text: %v, and the version is now %v", err, v)
	}
}

// TestCompareAsDpkg asks dpkg's Perl about each pair, and the program itself
// about the first few.
func TestCompareAsDpkg(t *testing.T) {
	pairs := comparePairs()
	compareAsDpkg(t, pairs)
	// Perl's numbers end before dpkg's own.
	long := [2]string{"99999999999999999999999", "99999999999999999999998"}
	for _, pair := range append(pairs[:30:30], long) {
		v, w := mustVersion(t, pair[0]), mustVersion(t, pair[1])
		op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[sign(v.Compare(w))]
		if err := exec.Command("dpkg", "--compare-versions", pair[0], op, pair[1]).Run(); err != nil {
			t.Errorf("we say %s %s %s, dpkg does not (%v)", pair[0], op, pair[1], err)
		}
		if sign(w.Compare(v)) != -sign(v.Compare(w)) {
			t.Errorf("comparing %s and %s is not symmetric", v, w)
		}
	}
}

// compareAsDpkg compares pairs with Dpkg::Version and python3-debian.
func compareAsDpkg(t *testing.T, pairs [][2]string) {
	t.Helper()
	questions := make([]string, len(pairs))
	for i, pair := range pairs {
		questions[i] = pair[0] + " " + pair[1]
	}
	dpkg := askPerl(t, questions, `my ($v, $w) = split / /; print version_compare($v, $w), "\n";`)
	python := askPython(t, questions, "from debian.debian_support import version_compare",
		`v, w = line.split(" "); print(max(-1, min(1, version_compare(v, w))))`)
	for i, pair := range pairs {
		got := strconv.Itoa(sign(mustVersion(t, pair[0]).Compare(mustVersion(t, pair[1]))))
		if got != dpkg[i] || got != python[i] {
			t.Errorf("comparing %s with %s gives %s, in dpkg %s, in python3-debian %s", pair[0], pair[1], got, dpkg[i], python[i])
		}
	}
}

func sign(n int) int {
	return max(-1, min(1, n))
}

// comparePairs are known traps, all against all, and random pairs made from
// few characters, so that long common beginnings and near misses are frequent.
func comparePairs() [][2]string {
	traps := []string{
		"0", "0-0", "00", "0:0", "1", "1.0", "1.00", "1.0-0", "1.0-0.1", "1.0~rc1", "1.0~~", "1.0~~a", "1.0~",
		"1.0+b1", "1.0a", "1.0-1~bpo12+1", "1.0.1", "10", "9", "1:0", "2:0~", "1.0-1+b10", "1.0-1+b9",
		"1.0+dfsg", "1.0.dfsg", "1.0-a", "1.0Z",
	}
	var pairs [][2]string
	for i, a := range traps {
		for _, b := range traps[i:] {
			pairs = append(pairs, [2]string{a, b})
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		a := randomVersion(random)
		b := randomVersion(random)
		if random.IntN(2) == 0 { // a near miss
			b = a + string(".+~1a"[random.IntN(5)])
		}
		pairs = append(pairs, [2]string{a, b})
	}
	return pairs
}

func randomVersion(random *rand.Rand) string {
	pick := func(from string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(from[random.IntN(len(from))])
		}
		return b.String()
	}
	v := pick("0129", 1) + pick("01.+~aZ-", random.IntN(7))
	v = strings.TrimRight(v, "-")
	if random.IntN(3) == 0 {
		v = pick("01", 1) + ":" + v
	}
	if random.IntN(2) == 0 {
		v += "-" + pick("01~+.b", 1+random.IntN(3))
	}
	return v
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{"1.0-1", "2:1~rc1-1+b2", ":", "1:", "-", "1:2:3-4", "0000", "~"} {
		f.Add(seed, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := ParseVersion(a)
		if err != nil {
			return
		}
		if v.String() != a || v.Compare(v) != 0 {
			t.Errorf("%q became %q", a, v)
		}
		if w, err := ParseVersion(b); err == nil && sign(v.Compare(w)) != -sign(w.Compare(v)) {
			t.Errorf("comparing %s and %s is not symmetric", v, w)
		}
	})
}
