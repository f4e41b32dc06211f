package debian

import (
	"strings"
	"testing"
)

func targetsOf(fields map[string]string) (Targets, error) {
	return ParseTargets(func(name string) string { return fields[name] })
}

func TestTargets(t *testing.T) {
	for name, c := range map[string]struct {
		architecture, list, profiles, requested, want string
	}{
		"any covers each machine but not all":           {"any", "", "", "i386 amd64 all", "i386 amd64"},
		"all covers all alone":                          {"all", "", "", "amd64 all", "all"},
		"any and all cover both":                        {"any all", "", "", "amd64 all", "amd64 all"},
		"a wildcard of a system leaves the others out":  {"linux-any", "", "", "hurd-i386 arm64 kfreebsd-amd64", "arm64"},
		"a wildcard of a processor crosses systems":     {"any-i386", "", "", "hurd-i386 i386 amd64", "hurd-i386 i386"},
		"a field folded over lines is read":             {"amd64\n i386", "", "", "i386", "i386"},
		"a name that nobody knows does no harm":         {"wasm99 amd64", "", "", "amd64", "amd64"},
		"source is not built":                           {"source any", "", "", "source amd64", "amd64"},
		"old lines say nothing":                         {"any all", "\n a1 deb misc optional", "", "amd64 all", "amd64 all"},
		"lines with architectures are all there is":     {"any all", "\n a1 deb misc optional arch=linux-any\n a2 udeb x y arch=all", "", "amd64 hurd-i386 all", "amd64 all"},
		"a package that a profile takes away":           {"any all", "\n a1 deb x y arch=any\n a-doc deb doc y arch=all profile=!nodoc", "nodoc", "amd64 all", "amd64"},
		"a package that no profile takes away":          {"any all", "\n a1 deb x y arch=any\n a-doc deb doc y arch=all profile=!nodoc", "", "amd64 all", "amd64 all"},
		"a package that only a profile makes":           {"any all", "\n a1 deb x y arch=any\n ab deb x y arch=all profile=pkg.a.b,!nodoc+stage1", "", "amd64 all", "amd64"},
		"one of two terms holds":                        {"any all", "\n ab deb x y arch=all profile=pkg.a.b,!nodoc+stage1", "nodoc stage1", "amd64 all", "all"},
		"a list of architectures":                       {"any", "\n a1 deb x y arch=amd64,any-arm essential=yes", "", "amd64 i386 armhf", "amd64 armhf"},
		"the Architecture field counts as well":         {"amd64", "\n a1 deb x y arch=any", "", "amd64 i386", "amd64"},
		"several packages, of which one is for another": {"any", "\n a1 deb x y arch=any profile=stage1\n a2 deb x y arch=i386", "", "amd64 i386", "i386"},
	} {
		targets, err := targetsOf(map[string]string{"Architecture": c.architecture, "Package-List": c.list})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, a := range strings.Fields(c.requested) {
			err := targets.Builds(Arch(a), strings.Fields(c.profiles))
			if err == nil {
				got = append(got, a)
			} else if !isMalformed(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: builds for %v", name, got)
		}
	}
}

func TestTargetsOfAListedPackage(t *testing.T) {
	targets, err := targetsOf(map[string]string{"Architecture": "any all", "Build-Indep-Architecture": "arm64",
		"Package-List": "hello deb devel optional arch=any,all profile=!a1,b2+c3 essential=yes protected=yes"})
	if err != nil || targets.IndepOn != "arm64" || len(targets.Packages) != 1 {
		t.Fatalf("%+v, %v", targets, err)
	}
	p := targets.Packages[0]
	if p.Name != "hello" || p.Type != "deb" || p.Section != "devel" || p.Priority != "optional" || p.Profiles.String() != "<!a1 b2> <c3>" ||
		len(p.Arches) != 2 || p.Other["essential"] != "yes" || p.Other["protected"] != "yes" {
		t.Errorf("got %+v", p)
	}
}

func TestTargetsRefuse(t *testing.T) {
	for name, fields := range map[string]map[string]string{
		"no Architecture":             {},
		"an empty Architecture":       {"Architecture": " \n"},
		"a word that is no name":      {"Architecture": "any $(id)"},
		"a flood of words":            {"Architecture": strings.Repeat("any ", 1001)},
		"a line that is too short":    {"Architecture": "any", "Package-List": "a1 deb misc"},
		"a package that is none":      {"Architecture": "any", "Package-List": "../a deb misc x"},
		"a word without a value":      {"Architecture": "any", "Package-List": "a1 deb misc x arch"},
		"an architecture that is not": {"Architecture": "any", "Package-List": "a1 deb misc x arch=a/b"},
		"profiles that are none":      {"Architecture": "any", "Package-List": "a1 deb misc x profile=a++b"},
		"a flood of lines":            {"Architecture": "any", "Package-List": strings.Repeat("a1 deb misc x\n", maxPackageList+1)},
		"all to be built on all":      {"Architecture": "any", "Build-Indep-Architecture": "all"},
		"all to be built on any":      {"Architecture": "any", "Build-Indep-Architecture": "any"},
	} {
		if targets, err := targetsOf(fields); !isMalformed(err) {
			t.Errorf("%s: %+v, %v", name, targets, err)
		}
	}
}
