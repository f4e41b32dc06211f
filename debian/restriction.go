package debian

import (
	"slices"
	"strings"
)

// ArchTerm is one word of an ArchRestriction: "linux-any", "!hurd-i386".
type ArchTerm struct {
	Not      bool
	Wildcard ArchWildcard
}

func (t ArchTerm) String() string { return mark(t.Not) + t.Wildcard.String() }

func mark(not bool) string {
	if not {
		return "!"
	}
	return ""
}

// ArchRestriction is what stands in square brackets: the architectures for
// which a relation counts. nil restricts nothing.
type ArchRestriction []ArchTerm

func parseArchRestriction(text string) (ArchRestriction, error) {
	var terms ArchRestriction
	for _, word := range strings.Fields(strings.ToLower(text)) {
		name, not := strings.CutPrefix(word, "!")
		w, err := ParseArchWildcard(name)
		if err != nil {
			return nil, err
		}
		terms = append(terms, ArchTerm{not, w})
	}
	if terms == nil {
		return nil, malformedf("the architecture restriction is empty")
	}
	return terms, nil
}

// Holds tells whether host is meant. Policy 7.1 wants either all words or none
// negated; a mixture is read from the left as dpkg does, up to the first word
// that matches.
func (r ArchRestriction) Holds(host Arch) bool {
	holds := len(r) == 0
	for _, term := range r {
		if term.Wildcard.Matches(host) {
			return !term.Not
		}
		holds = holds || term.Not
	}
	return holds
}

func (r ArchRestriction) String() string { return joined(r, " ") }

// ProfileTerm is what stands in one pair of angle brackets: build profiles
// that must be active, or after an exclamation mark must not be, all at once.
type ProfileTerm []string

// ProfileFormula holds when one of its terms does: deb-src-control(5). nil
// holds always.
type ProfileFormula []ProfileTerm

// ParseProfileFormula reads a field such as Build-Profiles: "<!nocheck>
// <cross stage1>". The error is a Malformed.
func ParseProfileFormula(text string) (ProfileFormula, error) {
	var formula ProfileFormula
	rest := strings.TrimSpace(text)
	for rest != "" {
		inner, after, found, closed := bracketed(rest, '<', '>')
		term, ok := parseProfileTerm(inner)
		if !found || !closed || !ok {
			return nil, malformedf("%s is not a list of build profiles in angle brackets", quote(text))
		}
		formula, rest = append(formula, term), strings.TrimSpace(after)
	}
	return formula, nil
}

func parseProfileTerm(text string) (ProfileTerm, bool) {
	words := strings.Fields(text)
	for _, word := range words {
		if !IsProfile(strings.TrimPrefix(word, "!")) {
			return nil, false
		}
	}
	return words, len(words) > 0
}

// IsProfile tells whether s has the form of a build profile's name:
// "nocheck", "pkg.hello.nodoc". https://wiki.debian.org/BuildProfileSpec
func IsProfile(s string) bool {
	return s != "" && len(s) <= 200 && (isLetter(s[0]) || isDigit(s[0])) && only(s, "+-._")
}

// Holds tells whether a term holds with these profiles active.
func (f ProfileFormula) Holds(profiles []string) bool {
	return len(f) == 0 || slices.ContainsFunc(f, func(t ProfileTerm) bool { return t.holds(profiles) })
}

func (t ProfileTerm) holds(profiles []string) bool {
	for _, word := range t {
		name, not := strings.CutPrefix(word, "!")
		if slices.Contains(profiles, name) == not {
			return false
		}
	}
	return true
}

func (t ProfileTerm) String() string { return "<" + strings.Join(t, " ") + ">" }

func (f ProfileFormula) String() string { return joined(f, " ") }
