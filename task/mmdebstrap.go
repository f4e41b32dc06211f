package task

import (
	"regexp"
	"slices"
	"strings"

	"debusine"
)

// MmdebstrapData is the input of mmdebstrap (Worker): spec §3.2.
type MmdebstrapData struct {
	common
	BootstrapOptions      BootstrapOptions      `json:"bootstrap_options"`
	BootstrapRepositories []BootstrapRepository `json:"bootstrap_repositories"`
	CustomizationScript   string                `json:"customization_script,omitempty"` // run in the chroot at the end
}

// BootstrapOptions say what is bootstrapped.
type BootstrapOptions struct {
	Architecture  string   `json:"architecture"`
	Variant       string   `json:"variant,omitempty"`
	ExtraPackages []string `json:"extra_packages,omitempty"`
	UseSignedBy   *bool    `json:"use_signed_by,omitempty"` // default true
	GpgvCommand   string   `json:"gpgv_command,omitempty"`  // gpgv or gpgv-sq
}

// BootstrapRepository is one source of packages.
type BootstrapRepository struct {
	Mirror             string   `json:"mirror"`
	Suite              string   `json:"suite"`
	Types              []string `json:"types,omitempty"`      // deb, deb-src; default [deb]
	Components         []string `json:"components,omitempty"` // default: all that the Release file names
	CheckSignatureWith string   `json:"check_signature_with,omitempty"`
	KeyringPackage     string   `json:"keyring_package,omitempty"`
	Keyring            *Keyring `json:"keyring,omitempty"`
}

// Keyring is a file of OpenPGP certificates.
type Keyring struct {
	URL       string `json:"url"`
	SHA256Sum string `json:"sha256sum,omitempty"`
	Install   bool   `json:"install,omitempty"`
}

var (
	variants = []string{"", "buildd", "minbase", "-", "apt", "custom", "debootstrap", "essential", "extract", "important", "required", "standard"}
	// What reaches apt's sources or a command line has no blanks, no quotes, no
	// leading dash.
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*(/[A-Za-z0-9._-]+|=[A-Za-z0-9.+~:-]+)?$`)
	mirrorURL   = regexp.MustCompile(`^(https?|file)://[A-Za-z0-9.\[\]:_~%/+@-]+$`)
	suiteName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	sha256Hex   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

func (d *MmdebstrapData) check() error {
	if err := checkArch("bootstrap_options.architecture", d.BootstrapOptions.Architecture); err != nil {
		return err
	}
	if !slices.Contains(variants, d.BootstrapOptions.Variant) {
		return debusine.Invalidf("bootstrap_options.variant %.80q is unknown to mmdebstrap", d.BootstrapOptions.Variant)
	}
	if c := d.BootstrapOptions.GpgvCommand; c != "" && c != "gpgv" && c != "gpgv-sq" {
		return debusine.Invalidf("bootstrap_options.gpgv_command must be gpgv or gpgv-sq")
	}
	for _, p := range d.BootstrapOptions.ExtraPackages {
		if !packageName.MatchString(p) {
			return debusine.Invalidf("bootstrap_options.extra_packages: %.80q is not a package name", p)
		}
	}
	if len(d.BootstrapRepositories) == 0 {
		return missing("bootstrap_repositories")
	}
	for i := range d.BootstrapRepositories {
		if err := d.BootstrapRepositories[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (r *BootstrapRepository) check() error {
	if len(r.Types) == 0 {
		r.Types = []string{"deb"}
	}
	if r.CheckSignatureWith == "" {
		r.CheckSignatureWith = "system"
	}
	switch {
	case !mirrorURL.MatchString(r.Mirror):
		return debusine.Invalidf("bootstrap_repositories.mirror %.80q is not an address of http, https or file", r.Mirror)
	case !suiteName.MatchString(r.Suite) || strings.Contains(r.Suite, ".."):
		return debusine.Invalidf("bootstrap_repositories.suite %.80q is not the name of a suite", r.Suite)
	case !slices.Contains([]string{"system", "external", "no-check"}, r.CheckSignatureWith):
		return debusine.Invalidf("bootstrap_repositories.check_signature_with must be system, external or no-check")
	case r.CheckSignatureWith == "external" && r.Keyring == nil:
		return missing("bootstrap_repositories.keyring")
	case r.KeyringPackage != "" && !packageName.MatchString(r.KeyringPackage):
		return debusine.Invalidf("bootstrap_repositories.keyring_package %.80q is not a package name", r.KeyringPackage)
	}
	for _, t := range r.Types {
		if t != "deb" && t != "deb-src" {
			return debusine.Invalidf("bootstrap_repositories.types must be deb or deb-src, not %.80q", t)
		}
	}
	for _, c := range r.Components {
		if !suiteName.MatchString(c) {
			return debusine.Invalidf("bootstrap_repositories.components: %.80q is not a component", c)
		}
	}
	return r.Keyring.check()
}

func (k *Keyring) check() error {
	if k == nil {
		return nil
	}
	if path, ok := strings.CutPrefix(k.URL, "file://"); ok {
		inside := strings.HasPrefix(path, "/usr/share/keyrings/") || strings.HasPrefix(path, "/usr/local/share/keyrings/")
		if !inside || strings.Contains(path, "..") {
			return debusine.Invalidf("keyring %.80q lies outside /usr/share/keyrings and /usr/local/share/keyrings", k.URL)
		}
	} else if !mirrorURL.MatchString(k.URL) {
		return debusine.Invalidf("keyring %.80q is not an address", k.URL)
	}
	if k.SHA256Sum != "" && !sha256Hex.MatchString(k.SHA256Sum) {
		return debusine.Invalidf("keyring.sha256sum is not a SHA-256 in hexadecimal")
	}
	return nil
}

// Needs nothing that is stored.
func (d *MmdebstrapData) Needs() []Need { return nil }

// Requires a machine of the architecture with mmdebstrap.
func (d *MmdebstrapData) Requires() []string {
	return []string{"worker:type:worker", versionTag("mmdebstrap"), "worker:build-arch:" + d.BootstrapOptions.Architecture,
		"worker:executor:unshare", "worker:cap:mmdebstrap"}
}

// Describe names the first suite and the architecture.
func (d *MmdebstrapData) Describe(map[string][]debusine.Artifact) Description {
	o, suite := d.BootstrapOptions, d.BootstrapRepositories[0].Suite
	return Description{Subject: suite, ParameterSummary: suite + " " + o.Architecture,
		RuntimeContext:       o.Architecture + ":" + o.Variant + ":" + strings.Join(o.ExtraPackages, ","),
		ConfigurationContext: o.Architecture, Suite: suite, Architecture: o.Architecture}
}
