package debian

import "strings"

// Installed is what is on a machine, as far as relations ask. Build and Host
// are the architectures of the machine and of what is built; most often they
// are the same. They must be set before Unmet is asked.
type Installed struct {
	Build, Host Arch

	packages map[string][]installedPackage
	provided map[string][]Version // the zero Version where none is named
}

type installedPackage struct {
	version   Version
	arch      Arch
	multiArch string
}

// Add takes a package: a paragraph of dpkg's status file or of a Packages
// index. One that dpkg's status does not call installed is left out. Provides
// count where they name no version or exactly one: Policy 7.5.
func (i *Installed) Add(p Paragraph) error {
	if status, found := p.Lookup("Status"); found && !strings.HasSuffix(status, "ok installed") {
		return nil
	}
	version, err := ParseVersion(p.Get("Version"))
	if err != nil {
		return err
	}
	provides, err := ParseRelations(p.Get("Provides"))
	if err != nil {
		return err
	}
	if i.packages == nil {
		i.packages, i.provided = map[string][]installedPackage{}, map[string][]Version{}
	}
	name := p.Get("Package")
	i.packages[name] = append(i.packages[name], installedPackage{version, Arch(p.Get("Architecture")), p.Get("Multi-Arch")})
	for _, either := range provides {
		for _, one := range either {
			if one.Operator == "" || one.Operator == Exactly {
				i.provided[one.Package] = append(i.provided[one.Package], one.Version)
			}
		}
	}
	return nil
}

// Unmet are those of the relations that do not hold on the machine, which for
// Build-Conflicts are the ones to hope for. Reduce them first: restrictions
// are not looked at.
func (i *Installed) Unmet(relations Relations) Relations {
	var unmet Relations
	for _, either := range relations {
		if !i.meets(either) {
			unmet = append(unmet, either)
		}
	}
	return unmet
}

func (i *Installed) meets(either Alternatives) bool {
	for _, one := range either {
		if i.holds(one) {
			return true
		}
	}
	return false
}

// holds looks for a real package first and then for one that provides it, as
// Dpkg::Deps::KnownFacts does.
func (i *Installed) holds(r Relation) bool {
	if p, found := i.find(r); found && (r.Operator == "" || r.Operator.holds(p.version, r.Version)) {
		return true
	}
	for _, version := range i.provided[r.Package] {
		if r.Operator == "" || !version.IsZero() && r.Operator.holds(version, r.Version) {
			return true
		}
	}
	return false
}

// find is the package whose architecture suits the relation: Policy 7.1 and
// the multi-arch specification.
func (i *Installed) find(r Relation) (installedPackage, bool) {
	for _, p := range i.packages[r.Package] {
		suits := false
		switch r.Qualifier {
		case "":
			suits = p.multiArch == "foreign" || p.arch == i.Host || p.arch == ArchAll
		case QualifierAny:
			suits = p.multiArch == "allowed"
		case QualifierNative:
			suits = p.multiArch != "foreign" && (p.arch == i.Build || p.arch == ArchAll)
		default:
			suits = string(p.arch) == r.Qualifier
		}
		if suits {
			return p, true
		}
	}
	return installedPackage{}, false
}
