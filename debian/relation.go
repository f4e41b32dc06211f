package debian

import (
	"slices"
	"strings"
)

// Operator compares versions in a relation: << <= = >= >>.
type Operator string

// The operators of deb-control(5).
const (
	Earlier        Operator = "<<"
	EarlierOrEqual Operator = "<="
	Exactly        Operator = "="
	LaterOrEqual   Operator = ">="
	Later          Operator = ">>"
)

// holds tells whether v stands in that relation to w.
func (o Operator) holds(v, w Version) bool {
	switch c := v.Compare(w); o {
	case Earlier:
		return c < 0
	case EarlierOrEqual:
		return c <= 0
	case Exactly:
		return c == 0
	case LaterOrEqual:
		return c >= 0
	case Later:
		return c > 0
	}
	return false
}

// Qualifiers that are no architecture: which of several architectures'
// packages will do.
const (
	QualifierAny    = "any"    // one that says Multi-Arch: allowed
	QualifierNative = "native" // the one of the machine that builds
)

// Relation is one package in a field such as Depends or Build-Depends, with
// what narrows it: "python3:any (>= 3.9) [!hurd-any] <!nocheck>".
type Relation struct {
	Package   string
	Qualifier string   // "", QualifierAny, QualifierNative or an architecture
	Operator  Operator // "" where any version will do
	Version   Version  // zero without an Operator
	Arches    ArchRestriction
	Profiles  ProfileFormula
}

// Alternatives are relations of which one must hold, in the order of
// preference.
type Alternatives []Relation

// Relations is a field: each of its Alternatives must hold. nil holds always.
type Relations []Alternatives

// ParseRelations reads a field of relations between packages: deb-control(5),
// Policy 7.1. Lines may be folded and one comma may end the field, as in
// dpkg; the operators < and > are read as <= and >=, which they have meant.
// Substitution variables are refused: they have no place outside of a source
// tree. The error is a Malformed.
func ParseRelations(field string) (Relations, error) {
	field = strings.TrimSpace(field)
	field = strings.TrimRight(strings.TrimSuffix(field, ","), " \t\n")
	if field == "" {
		return nil, nil
	}
	var relations Relations
	for group := range strings.SplitSeq(field, ",") {
		var either Alternatives
		for text := range strings.SplitSeq(group, "|") {
			r, err := parseRelation(text)
			if err != nil {
				return nil, err
			}
			either = append(either, r)
		}
		relations = append(relations, either)
	}
	return relations, nil
}

// parseRelation reads the parts in their order: name, version, architectures,
// profiles.
func parseRelation(text string) (r Relation, err error) {
	bad := func(why string) (Relation, error) {
		return Relation{}, malformedf("the relation %s is not valid: %s", quote(strings.TrimSpace(text)), why)
	}
	rest := strings.TrimSpace(text)
	end := strings.IndexAny(rest, " \t\n([<")
	if end < 0 {
		end = len(rest)
	}
	name, qualifier, qualified := strings.Cut(rest[:end], ":")
	rest = rest[end:]
	if r.Package, err = ParsePackageName(name); err != nil {
		return bad("it does not begin with the name of a package")
	}
	if r.Qualifier = qualifier; qualified && !plainArch(qualifier) {
		return bad("after the colon must stand any, native or an architecture")
	}
	if inner, after, found, closed := bracketed(rest, '(', ')'); found {
		if r.Operator, r.Version, err = parseConstraint(inner); !closed || err != nil {
			return bad("in parentheses must stand one of << <= = >= >> and a version")
		}
		rest = after
	}
	if inner, after, found, closed := bracketed(rest, '[', ']'); found {
		if r.Arches, err = parseArchRestriction(inner); !closed || err != nil {
			return bad("in square brackets must stand architectures or wildcards, each perhaps after an exclamation mark")
		}
		rest = after
	}
	for {
		inner, after, found, closed := bracketed(rest, '<', '>')
		if !found {
			break
		}
		term, ok := parseProfileTerm(inner)
		if !closed || !ok {
			return bad("in angle brackets must stand build profiles, each perhaps after an exclamation mark")
		}
		r.Profiles, rest = append(r.Profiles, term), after
	}
	if strings.TrimSpace(rest) != "" {
		return bad("nothing may follow but (version), [architectures] and <profiles>, in this order")
	}
	return r, nil
}

// bracketed cuts a part in brackets from the front of s: found when one is
// opened there, closed when it also ends.
func bracketed(s string, begin, end byte) (inner, after string, found, closed bool) {
	s = trimLeft(s)
	if s == "" || s[0] != begin {
		return "", s, false, false
	}
	i := strings.IndexByte(s, end)
	if i < 0 {
		return "", s, true, false
	}
	return s[1:i], s[i+1:], true, true
}

func parseConstraint(s string) (Operator, Version, error) {
	s = strings.TrimSpace(s)
	text := strings.TrimLeft(s, "<>=")
	operator := Operator(s[:len(s)-len(text)])
	switch operator {
	case Earlier, EarlierOrEqual, Exactly, LaterOrEqual, Later:
	case "<":
		operator = EarlierOrEqual
	case ">":
		operator = LaterOrEqual
	default:
		return "", Version{}, malformedf("%s is no comparison of versions", quote(s))
	}
	version, err := ParseVersion(strings.TrimSpace(text))
	return operator, version, err
}

// plainArch has the form of an architecture's name or wildcard; case does not
// matter to dpkg here.
func plainArch(s string) bool {
	return s != "" && len(s) <= 64 && s[0] != '-' && only(s, "-")
}

// String is the relation in dpkg's way of writing it.
func (r Relation) String() string {
	var b strings.Builder
	b.WriteString(r.Package)
	if r.Qualifier != "" {
		b.WriteString(":" + r.Qualifier)
	}
	if r.Operator != "" {
		b.WriteString(" (" + string(r.Operator) + " " + r.Version.String() + ")")
	}
	if len(r.Arches) > 0 {
		b.WriteString(" [" + r.Arches.String() + "]")
	}
	if len(r.Profiles) > 0 {
		b.WriteString(" " + r.Profiles.String())
	}
	return b.String()
}

// String is the alternatives with bars between them.
func (a Alternatives) String() string {
	return joined(a, " | ")
}

// String is the field in one line.
func (r Relations) String() string {
	return joined(r, ", ")
}

func joined[T interface{ String() string }](parts []T, between string) string {
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(part.String())
	}
	return b.String()
}

// Reduce is what is left of the field on a machine of architecture host with
// these build profiles: relations whose restrictions do not hold are gone, the
// others have lost their restrictions. It is what dpkg-checkbuilddeps and
// sbuild look at.
func (r Relations) Reduce(host Arch, profiles []string) Relations {
	var left Relations
	for _, either := range r {
		var some Alternatives
		for _, one := range either {
			if one.Arches.Holds(host) && one.Profiles.Holds(profiles) {
				one.Arches, one.Profiles = nil, nil
				some = append(some, one)
			}
		}
		if some != nil {
			left = append(left, some)
		}
	}
	return left
}

// Packages are the names that stand in the field: sorted, each once.
func (r Relations) Packages() []string {
	var names []string
	for _, either := range r {
		for _, one := range either {
			names = append(names, one.Package)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
