package task

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"debusine"
)

// ExtraRepository is an external repository that a build may take packages
// from, signed by the key that comes with it: spec §3.0. Of several versions of
// a package apt takes the highest, as from any repository.
type ExtraRepository struct {
	URL           string   `json:"url"`                     // http or https
	Suite         string   `json:"suite"`                   // forky; ends in / when the repository is flat
	Components    []string `json:"components,omitempty"`    // as many as there are, none when it is flat
	SigningKey    string   `json:"signing_key,omitempty"`   // OpenPGP, ASCII armour; else one that the environment trusts
	Architectures []string `json:"architectures,omitempty"` // all of the build by default
}

// Bounds on the repositories of one build.
const (
	mostRepositories = 20
	longestKey       = 64 << 10
)

var repositoryURL = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9%+,._~/-]*)?$`)

// CheckRepositories says what is wrong with a list of repositories.
func CheckRepositories(all []ExtraRepository) error {
	if len(all) > mostRepositories {
		return debusine.Invalidf("extra_repositories has %d entries, %d are allowed", len(all), mostRepositories)
	}
	for i := range all {
		if err := all[i].check(); err != nil {
			return fmt.Errorf("extra_repositories[%d]: %w", i, err)
		}
	}
	return nil
}

func (r *ExtraRepository) check() error {
	const field = "extra_repositories"
	flat := strings.HasSuffix(r.Suite, "/")
	switch {
	case !repositoryURL.MatchString(r.URL) || len(r.URL) > 500:
		return invalidField(field, fmt.Sprintf("url %.80q is not an address of http or https", r.URL), "without user and password")
	case !suiteName.MatchString(r.Suite) || strings.Contains(r.Suite, ".."):
		return invalidField(field, fmt.Sprintf("suite %.80q is not the name of a suite", r.Suite), "for example: forky")
	case flat && len(r.Components) > 0:
		return invalidField(field, "a flat repository has no components", "leave components out, or the / at the end of suite")
	case !flat && len(r.Components) == 0:
		return missing("extra_repositories.components")
	case r.SigningKey != "" && !isArmour(r.SigningKey):
		return invalidField(field, "signing_key is not an OpenPGP key in ASCII armour", "as gpg --armor --export writes it")
	}
	for _, c := range r.Components {
		if !suiteName.MatchString(c) || strings.Contains(c, "..") || strings.HasSuffix(c, "/") {
			return invalidField(field, fmt.Sprintf("%.80q is not a component", c), "for example: main")
		}
	}
	for _, a := range r.Architectures {
		if err := checkArch("extra_repositories.architectures", a); err != nil {
			return err
		}
	}
	return nil
}

// isArmour tells one armoured public key of printable lines.
func isArmour(key string) bool {
	lines := strings.Split(strings.TrimSpace(key), "\n")
	if len(key) > longestKey || len(lines) < 3 || strings.TrimSpace(lines[0]) != "-----BEGIN PGP PUBLIC KEY BLOCK-----" ||
		strings.TrimSpace(lines[len(lines)-1]) != "-----END PGP PUBLIC KEY BLOCK-----" {
		return false
	}
	return !slices.ContainsFunc(lines[1:len(lines)-1], func(line string) bool {
		return strings.HasPrefix(line, "-----") || strings.ContainsFunc(strings.TrimRight(line, "\r"), func(r rune) bool { return r < ' ' || r > '~' })
	})
}

// Sources is the repository as apt's deb822 form has it: sources.list(5). With
// keyPath the key is in a file of the chroot, for apt before 2.3.10, which
// cannot read it inline.
func (r ExtraRepository) Sources(keyPath string) string {
	var b strings.Builder
	b.WriteString("Types: deb\nURIs: " + r.URL + "\nSuites: " + r.Suite + "\n")
	if len(r.Components) > 0 {
		b.WriteString("Components: " + strings.Join(r.Components, " ") + "\n")
	}
	if len(r.Architectures) > 0 {
		b.WriteString("Architectures: " + strings.Join(r.Architectures, " ") + "\n")
	}
	switch {
	case r.SigningKey == "":
	case keyPath != "":
		b.WriteString("Signed-By: " + keyPath + "\n")
	default:
		b.WriteString("Signed-By:\n")
		for line := range strings.Lines(strings.TrimSpace(r.SigningKey)) {
			if line = strings.TrimRight(line, "\r\n "); line == "" {
				line = "."
			}
			b.WriteString(" " + line + "\n")
		}
	}
	return b.String()
}
