package debian

import (
	"slices"
	"strings"
)

// maxPackageList bounds the lines of a Package-List. The longest in Debian
// have some hundreds.
const maxPackageList = 10000

// ListedPackage is a line of a .dsc's Package-List: a binary package that the
// source makes.
type ListedPackage struct {
	Name     string
	Type     string // "deb", "udeb"
	Section  string
	Priority string
	Arches   []ArchWildcard // nil where the line does not say
	Profiles ProfileFormula // builds only where it holds
	Other    map[string]string
}

// parsePackageList reads the field of that name: dsc(5).
func parsePackageList(field string) ([]ListedPackage, error) {
	lines := strings.Split(strings.TrimSpace(field), "\n")
	if len(lines) > maxPackageList {
		return nil, malformedf("Package-List has more than %d lines", maxPackageList)
	}
	var list []ListedPackage
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		p, err := parseListedPackage(words)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func parseListedPackage(words []string) (p ListedPackage, err error) {
	if len(words) < 4 {
		return p, malformedf("Package-List must say name, type, section and priority in each line, not %s", quote(strings.Join(words, " ")))
	}
	if p.Name, err = ParsePackageName(words[0]); err != nil {
		return p, err
	}
	p.Type, p.Section, p.Priority = words[1], words[2], words[3]
	for _, word := range words[4:] {
		key, value, found := strings.Cut(word, "=")
		switch {
		case !found:
			return p, malformedf("Package-List has %s, which is not of the form name=value", quote(word))
		case key == "arch":
			p.Arches, err = ParseArchWildcards(strings.ReplaceAll(value, ",", " "))
		case key == "profile":
			p.Profiles, err = parseListedProfiles(value)
		default:
			if p.Other == nil {
				p.Other = map[string]string{}
			}
			p.Other[key] = value
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// parseListedProfiles reads a formula in which a plus stands between terms and
// a comma within them.
func parseListedProfiles(text string) (ProfileFormula, error) {
	var formula ProfileFormula
	for part := range strings.SplitSeq(text, "+") {
		term, ok := parseProfileTerm(strings.ReplaceAll(part, ",", " "))
		if !ok {
			return nil, malformedf("Package-List has the build profiles %s, which are none", quote(text))
		}
		formula = append(formula, term)
	}
	return formula, nil
}

// Targets is what a source package says about where it can be built.
type Targets struct {
	Architectures []ArchWildcard  // the field Architecture
	Packages      []ListedPackage // nil in sources from before 2014
	// IndepOn is the architecture that the source wants its packages of
	// Architecture all to be built on; "" where it does not care.
	IndepOn Arch
}

// ParseTargets reads the fields Architecture, Package-List and
// Build-Indep-Architecture of a .dsc, which get finds. The error is a
// Malformed.
func ParseTargets(get func(field string) string) (t Targets, err error) {
	if t.Architectures, err = ParseArchWildcards(get("Architecture")); err != nil {
		return t, err
	}
	if len(t.Architectures) == 0 {
		return t, malformedf("the source package has no Architecture field, or an empty one")
	}
	if t.Packages, err = parsePackageList(get("Package-List")); err != nil {
		return t, err
	}
	if on := strings.TrimSpace(get("Build-Indep-Architecture")); on != "" {
		if t.IndepOn, err = ParseArch(on); err != nil || !t.IndepOn.IsReal() {
			return t, malformedf("Build-Indep-Architecture is %s, which is not the name of a machine's architecture", quote(on))
		}
	}
	return t, nil
}

// Builds tells with a Malformed why the source makes nothing for a with these
// build profiles; nil where it makes something. a may be all. A package counts
// when one line of Package-List builds for a and its profiles hold; sources
// without such lines are judged by their Architecture field.
func (t Targets) Builds(a Arch, profiles []string) error {
	if a == ArchSource || !covers(t.Architectures, a) {
		return malformedf("the source package is for %s", quote(joined(t.Architectures, " ")))
	}
	if len(t.Packages) == 0 {
		return nil
	}
	for _, p := range t.Packages {
		// Lines without arch= are older than profile=, too.
		if (p.Arches == nil || covers(p.Arches, a)) && p.Profiles.Holds(profiles) {
			return nil
		}
	}
	if len(profiles) == 0 {
		return malformedf("the source package makes nothing for %s without build profiles", a)
	}
	return malformedf("the source package makes nothing for %s with the build profiles %s", a, quote(strings.Join(profiles, " ")))
}

// Names are the binary packages that the source lists for a with these build
// profiles, sorted; nil when it lists none.
func (t Targets) Names(a Arch, profiles []string) (names []string) {
	for _, p := range t.Packages {
		if p.Arches != nil && covers(p.Arches, a) && p.Profiles.Holds(profiles) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func covers(wildcards []ArchWildcard, a Arch) bool {
	return slices.ContainsFunc(wildcards, func(w ArchWildcard) bool { return w.Matches(a) })
}
