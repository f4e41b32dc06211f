package task

import (
	"encoding/json"
	"slices"

	"debusine"
)

// Names is a list of variants or backends, in which "" means that none is set. It
// may be written as a single string; null stands for "".
type Names []string

// UnmarshalJSON reads null, a string, or a list of strings and nulls.
func (n *Names) UnmarshalJSON(raw []byte) error {
	var one *string
	if json.Unmarshal(raw, &one) == nil {
		if *n = nil; one != nil {
			*n = Names{*one}
		}
		return n.notEmpty(one)
	}
	var many []*string
	if err := json.Unmarshal(raw, &many); err != nil {
		return debusine.Invalidf("null, a string, or a list of strings is wanted, not %.80s", raw)
	}
	*n = make(Names, len(many))
	for i, name := range many {
		if name != nil {
			(*n)[i] = *name
		}
	}
	return n.notEmpty(many...)
}

func (Names) notEmpty(given ...*string) error {
	for _, name := range given {
		if name != nil && *name == "" {
			return debusine.WithHint(debusine.Invalidf("a variant or backend \"\" is not a word"), "null says that none is set")
		}
	}
	return nil
}

// MarshalJSON writes a list that UnmarshalJSON reads.
func (n Names) MarshalJSON() ([]byte, error) {
	list := make([]*string, len(n))
	for i, name := range n {
		if name != "" {
			list[i] = &name
		}
	}
	return json.Marshal(list)
}

// OrNone are the names; without any, the one that says that none is set.
func (n Names) OrNone() []string {
	if len(n) == 0 {
		return []string{""}
	}
	return n
}

// NamesOf are the codenames that what is made for one of them goes by.
func (t EnvironmentTarget) NamesOf(codename string) []string {
	return append([]string{codename}, t.CodenameAliases[codename]...)
}

// checkOnce refuses two bootstraps that would go by the same name: the one that
// ends last would win.
func (d *UpdateEnvironmentsData) checkOnce() error {
	type item struct{ format, codename, arch, variant, backend string }
	seen := map[item]bool{}
	for _, t := range d.Targets {
		for _, codename := range t.Codenames {
			for _, name := range t.NamesOf(codename) {
				for _, variant := range t.Variants.OrNone() {
					for _, backend := range t.Backends.OrNone() {
						for _, at := range t.places() {
							one := item{at[0], name, at[1], variant, backend}
							if seen[one] {
								return debusine.WithHint(debusine.Invalidf("targets: codename %s, architecture %s, variant %q, backend %q is there twice", name, at[1], variant, backend),
									"aliases count too; give one of them a variant of its own")
							}
							seen[one] = true
						}
					}
				}
			}
		}
	}
	return nil
}

// What an environment is: the file of a system, or the image of a disk.
const (
	tarballFormat = "tarball"
	imageFormat   = "image"
)

// Formats are those of the environments that the target makes, tarballs first.
func (t EnvironmentTarget) Formats() (formats []string) {
	if t.MmdebstrapTemplate != nil {
		formats = append(formats, tarballFormat)
	}
	if t.SimpleSystemImageBuildTemplate != nil {
		formats = append(formats, imageFormat)
	}
	return formats
}

// places are pairs of a format and an architecture.
func (t EnvironmentTarget) places() (pairs [][2]string) {
	for _, format := range t.Formats() {
		for _, arch := range t.Architectures {
			pairs = append(pairs, [2]string{format, arch})
		}
	}
	return pairs
}

// Bootstrap is what makes one environment: a task, its data and the category of
// the artifact.
type Bootstrap struct {
	Task, Category string
	Data           json.RawMessage
}

// Bootstrap fills the template of a format for one codename and architecture.
func (t EnvironmentTarget) Bootstrap(format, codename, arch string) (Bootstrap, error) {
	if format == imageFormat {
		d := *t.SimpleSystemImageBuildTemplate
		d.fill(codename, arch)
		return filled("simplesystemimagebuild", debusine.CategorySystemImage, &d)
	}
	d := *t.MmdebstrapTemplate
	d.fill(codename, arch)
	return filled("mmdebstrap", debusine.CategorySystemTarball, &d)
}

func filled(name, category string, data interface{ check() error }) (Bootstrap, error) {
	if err := data.check(); err != nil {
		return Bootstrap{}, err
	}
	raw, err := json.Marshal(data)
	return Bootstrap{Task: name, Category: category, Data: raw}, err
}

// fill names the architecture, and the suite where none is named.
func (d *MmdebstrapData) fill(codename, arch string) {
	d.BootstrapOptions.Architecture = arch
	d.BootstrapRepositories = slices.Clone(d.BootstrapRepositories)
	for i := range d.BootstrapRepositories {
		if d.BootstrapRepositories[i].Suite == "" {
			d.BootstrapRepositories[i].Suite = codename
		}
	}
}
