package task

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"debusine"
	"debusine/debian"
)

// SbuildInput names what sbuild builds.
type SbuildInput struct {
	SourceArtifact       debusine.Lookup   `json:"source_artifact"`
	ExtraBinaryArtifacts []debusine.Lookup `json:"extra_binary_artifacts,omitempty"`
}

// SbuildData is the input of sbuild (Worker): spec §3.1, and what Debusine
// documents of a PackageBuild without having it: host_architecture,
// build_options and build_path. Defaults are filled in by check, here alone.
type SbuildData struct {
	common
	Input               SbuildInput       `json:"input"`
	BuildArchitecture   string            `json:"build_architecture"`             // of the machine and of the chroot
	HostArchitecture    string            `json:"host_architecture,omitempty"`    // of the packages, when another: a cross build
	Environment         debusine.Lookup   `json:"environment"`                    // in debian:environments
	Backend             string            `json:"backend,omitempty"`              // auto means unshare
	BuildComponents     []string          `json:"build_components,omitempty"`     // any, all, source; default [any]
	BuildProfiles       []string          `json:"build_profiles,omitempty"`       // a cross build adds cross and nocheck
	BuildOptions        string            `json:"build_options,omitempty"`        // DEB_BUILD_OPTIONS: "nocheck parallel=4"
	BuildPath           string            `json:"build_path,omitempty"`           // folder in the chroot; a new one by default
	BinNMU              *BinNMU           `json:"binnmu,omitempty"`               // a rebuild without new source
	ExtraRepositories   []ExtraRepository `json:"extra_repositories,omitempty"`   // beside those of the environment
	BuildDepResolver    string            `json:"build_dep_resolver,omitempty"`   // apt, aptitude, aspcud or xapt; sbuild's default is apt
	AspcudCriteria      string            `json:"aspcud_criteria,omitempty"`      // for aspcud
	ResolveAlternatives bool              `json:"resolve_alternatives,omitempty"` // consider "a | b" as a whole
}

// mostExtra is how many artifacts a build may take its extra packages from.
const mostExtra = 1000

// Backends are the executors that the catalogue knows. A machine says by tag
// which of them it has.
func Backends() []string { return []string{"incus-lxc", "incus-vm", "qemu", "schroot", "unshare"} }

// components are what a build can be asked for, as sbuild's options name it.
var components = []string{"any", "all", "source"}

func (d *SbuildData) check() error {
	d.Backend = backendOr(d.Backend)
	if len(d.BuildComponents) == 0 {
		d.BuildComponents = []string{"any"}
	}
	if d.HostArchitecture == d.BuildArchitecture {
		d.HostArchitecture = ""
	}
	if d.Input.SourceArtifact.IsZero() {
		return missing("input.source_artifact")
	}
	if d.Environment.IsZero() {
		return missing("environment")
	}
	if err := checkBackend(d.Backend); err != nil {
		return err
	}
	for i, c := range d.BuildComponents {
		if !slices.Contains(components, c) {
			return debusine.Invalid{What: fmt.Sprintf("build component %.80q is not supported", c), Hint: "use any, all, source or some of them", Per: map[string]string{"build_components": "unsupported"}}
		}
		if slices.Contains(d.BuildComponents[:i], c) {
			return debusine.Invalidf("build component %s is given twice", c)
		}
	}
	if len(d.Input.ExtraBinaryArtifacts) > mostExtra {
		return debusine.Invalidf("input.extra_binary_artifacts has %d entries, %d are allowed", len(d.Input.ExtraBinaryArtifacts), mostExtra)
	}
	if err := checkArch("build_architecture", d.BuildArchitecture); err != nil {
		return err
	}
	return d.checkOptions()
}

// backendOr is the backend, or the one that auto and nothing mean.
func backendOr(name string) string {
	if name == "" || name == "auto" {
		return "unshare"
	}
	return name
}

func checkBackend(name string) error {
	if slices.Contains(Backends(), name) {
		return nil
	}
	return debusine.Invalid{What: fmt.Sprintf("backend %.80q is not supported", name), Hint: "known: auto, " + strings.Join(Backends(), ", "), Per: map[string]string{"backend": "unsupported"}}
}

// The forms of what ends up on sbuild's command line or in the build's
// environment. None of them can become an option or a second word.
var (
	profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,99}$`)
	buildOption = regexp.MustCompile(`^[a-z][a-z0-9-]*(=[A-Za-z0-9+._,:/=-]+)?$`)
	pathInside  = regexp.MustCompile(`^(/[A-Za-z0-9+._~-]+)+$`)
	criteria    = regexp.MustCompile(`^[+-][A-Za-z0-9()+,._:/=-]*$`)
)

const mostWords = 100 // profiles and options of one build

func (d *SbuildData) checkOptions() error {
	if d.HostArchitecture != "" {
		if err := checkArch("host_architecture", d.HostArchitecture); err != nil {
			return err
		}
		if slices.Contains(d.BuildComponents, "all") {
			return invalidField("host_architecture", "a cross build makes no packages of Architecture: all", "build them natively: leave all out of build_components")
		}
	}
	if err := CheckProfiles(d.BuildProfiles); err != nil {
		return err
	}
	options := strings.Fields(d.BuildOptions)
	for _, o := range options {
		if !buildOption.MatchString(o) || len(options) > mostWords {
			return invalidField("build_options", fmt.Sprintf("build option %.80q is not one that DEB_BUILD_OPTIONS can have", o), "for example: nocheck noopt parallel=4")
		}
	}
	d.BuildOptions = strings.Join(options, " ")
	if d.BuildPath != "" && (!pathInside.MatchString(d.BuildPath) || path.Clean(d.BuildPath) != d.BuildPath || len(d.BuildPath) > 200) {
		return invalidField("build_path", fmt.Sprintf("build path %.80q is not a plain absolute path", d.BuildPath), "for example: /build/reproducible-path")
	}
	if d.BuildDepResolver != "" && !slices.Contains([]string{"apt", "aptitude", "aspcud", "xapt"}, d.BuildDepResolver) {
		return invalidField("build_dep_resolver", fmt.Sprintf("resolver %.80q is not supported", d.BuildDepResolver), "use apt, aptitude, aspcud or xapt")
	}
	if d.AspcudCriteria != "" && (!criteria.MatchString(d.AspcudCriteria) || len(d.AspcudCriteria) > 500) {
		return invalidField("aspcud_criteria", fmt.Sprintf("%.80q are not criteria of aspcud", d.AspcudCriteria), "for example: -count(down),-removed,-changed,-new")
	}
	if d.BinNMU != nil && slices.Contains(d.BuildComponents, "all") {
		return invalidField("binnmu", "a binNMU cannot build packages of Architecture: all, whose version is the source's", "leave all out of build_components")
	}
	if err := d.BinNMU.Check(); err != nil {
		return err
	}
	return CheckRepositories(d.ExtraRepositories)
}

func invalidField(field, what, hint string) error {
	return debusine.Invalid{What: what, Hint: hint, Per: map[string]string{field: "invalid"}}
}

// CheckProfiles checks the names of build profiles.
func CheckProfiles(profiles []string) error {
	for i, p := range profiles {
		if !profileName.MatchString(p) || len(profiles) > mostWords {
			return invalidField("build_profiles", fmt.Sprintf("%.80q is not a build profile", p), "for example: stage1, nocheck, pkg.hello.nonls")
		}
		if slices.Contains(profiles[:i], p) {
			return debusine.Invalidf("build profile %s is given twice", p)
		}
	}
	return nil
}

// Host is the architecture that the packages are for.
func (d *SbuildData) Host() string { return cmp.Or(d.HostArchitecture, d.BuildArchitecture) }

// Profiles are all that the build has: those that were asked for and those that
// belong to a cross build, as sbuild adds them.
func (d *SbuildData) Profiles() []string {
	all := slices.Clone(d.BuildProfiles)
	if d.HostArchitecture != "" {
		for _, p := range []string{"cross", "nocheck"} {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// Options is the build's DEB_BUILD_OPTIONS: the profiles nocheck and nodoc ask
// for the options of the same names.
func (d *SbuildData) Options() string {
	words := strings.Fields(d.BuildOptions)
	for _, p := range []string{"nocheck", "nodoc"} {
		if slices.Contains(d.Profiles(), p) && !slices.Contains(words, p) {
			words = append(words, p)
		}
	}
	return strings.Join(words, " ")
}

// Needs the source, the extra packages and an environment of the architecture.
func (d *SbuildData) Needs() []Need {
	return []Need{
		{Field: "input_source_artifact_id", Lookups: []debusine.Lookup{d.Input.SourceArtifact}, Categories: []string{"debian:source-package"}},
		d.EnvironmentNeed(),
		{Field: "input_extra_binary_artifacts_ids", Lookups: d.Input.ExtraBinaryArtifacts, Many: true, Categories: []string{"debian:binary-package", "debian:upload"}},
	}
}

// EnvironmentNeed is the system that the build runs in: an image for virtual
// machines, else a tarball.
func (d *SbuildData) EnvironmentNeed() Need {
	format, category, backend := "tarball", debusine.CategorySystemTarball, backendOr(d.Backend)
	if backend == "qemu" || backend == "incus-vm" {
		format, category = "image", debusine.CategorySystemImage
	}
	return Need{Field: "environment_id", Lookups: []debusine.Lookup{d.Environment}, Categories: []string{category}, DefaultCategory: debusine.CategoryEnvironments,
		Environment: &Environment{Architecture: d.BuildArchitecture, Format: format, Backend: backend, Task: "sbuild"}}
}

// Requires a machine of the architecture with sbuild and the backend.
func (d *SbuildData) Requires() []string {
	return []string{"worker:type:worker", versionTag("sbuild"), "worker:build-arch:" + d.BuildArchitecture,
		"worker:executor:" + d.Backend, "worker:cap:sbuild"}
}

// Describe names the source package and its version; the context is the
// environment's codename. Builds without tests or documentation have no runtime
// context: what they take says nothing of others.
func (d *SbuildData) Describe(found map[string][]debusine.Artifact) Description {
	var (
		source struct{ Name, Version string }
		tar    struct{ Codename string }
	)
	for _, a := range found["input_source_artifact_id"] {
		_ = json.Unmarshal(a.Data, &source) // validated when the artifact was made
	}
	for _, a := range found["environment_id"] {
		_ = json.Unmarshal(a.Data, &tar)
	}
	context := strings.Join(d.BuildComponents, "+") + ":" + d.BuildArchitecture + ":" + d.Host()
	if words := strings.Fields(d.Options()); slices.Contains(words, "nocheck") || slices.Contains(words, "nodoc") {
		context = ""
	}
	return Description{Subject: source.Name, ParameterSummary: source.Name + "_" + source.Version + d.BinNMU.suffix(),
		RuntimeContext: context, ConfigurationContext: tar.Codename, Suite: tar.Codename, Architecture: d.LogArchitecture(),
		Source: source.Name, Version: source.Version}
}

// LogArchitecture is what the build is of, as its log says: all and source for
// builds of nothing else.
func (d *SbuildData) LogArchitecture() string {
	if len(d.BuildComponents) == 1 && d.BuildComponents[0] != "any" {
		return d.BuildComponents[0]
	}
	return d.Host()
}

// BinNMU is a rebuild of binary packages without new source: the same changelog
// entry on every architecture.
type BinNMU struct {
	Changelog  string     `json:"changelog"`            // what the entry says, in lines
	Suffix     string     `json:"suffix"`               // of the version: +b1, +deb12u1 …
	Timestamp  *time.Time `json:"timestamp,omitempty"`  // of the entry; when the build begins
	Maintainer string     `json:"maintainer,omitempty"` // "Name <address>"; the server's when empty
}

// DefaultMaintainer signs changelog entries of binNMUs that name nobody, of the
// server that is known as fqdn.
func DefaultMaintainer(fqdn string) string { return "Debusine <noreply@" + fqdn + ">" }

// KnownAs has the rebuild signed in the server's name, if it is one that names
// nobody.
func (d *SbuildData) KnownAs(fqdn string) {
	if d.BinNMU != nil && d.BinNMU.Maintainer == "" {
		d.BinNMU.Maintainer = DefaultMaintainer(fqdn)
	}
}

var (
	versionSuffix = regexp.MustCompile(`^[+.~][A-Za-z0-9+.~]{1,50}$`)
	nameAddress   = regexp.MustCompile(`^[^\s<>\x00-\x1f"\\][^<>\x00-\x1f"\\]{0,200} <[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+>$`)
)

// Check says what is wrong; a nil BinNMU is well.
func (b *BinNMU) Check() error {
	if b == nil {
		return nil
	}
	switch {
	case strings.TrimSpace(b.Changelog) == "":
		return missing("binnmu.changelog")
	case len(b.Changelog) > 10_000 || strings.ContainsFunc(b.Changelog, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0xfffd }):
		return invalidField("binnmu.changelog", "binnmu.changelog is not a text for debian/changelog", "lines of plain UTF-8, 10000 bytes at most")
	case b.Suffix == "":
		return missing("binnmu.suffix")
	case !versionSuffix.MatchString(b.Suffix):
		return invalidField("binnmu.suffix", fmt.Sprintf("%.80q cannot follow a version", b.Suffix), "for example: +b1, +deb12u1")
	case b.Maintainer != "" && !nameAddress.MatchString(b.Maintainer):
		return invalidField("binnmu.maintainer", fmt.Sprintf("%.80q is not a maintainer", b.Maintainer), "Name <address@example.org>")
	case b.Timestamp != nil && (b.Timestamp.Year() < 1990 || b.Timestamp.Year() > 2200):
		return invalidField("binnmu.timestamp", "binnmu.timestamp is out of range", "for example: 2026-11-22T12:00:00Z")
	}
	return nil
}

func (b *BinNMU) suffix() string {
	if b == nil {
		return ""
	}
	return b.Suffix
}

// Entry is the changelog entry of a rebuild, the same wherever it is built.
func (b *BinNMU) Entry(source string, version debian.Version, codename string, begun time.Time) (debian.ChangelogEntry, error) {
	v, err := debian.ParseVersion(version.String() + b.Suffix)
	if err != nil {
		return debian.ChangelogEntry{}, err
	}
	if b.Timestamp != nil {
		begun = *b.Timestamp
	}
	changes := []string{"  * Binary-only non-maintainer upload; no source changes."}
	for line := range strings.Lines(strings.TrimSpace(b.Changelog)) {
		if line = strings.TrimSpace(line); line != "" {
			changes = append(changes, "  * "+strings.TrimPrefix(line, "* "))
		}
	}
	return debian.ChangelogEntry{Source: source, Version: v, Distributions: []string{codename}, Urgency: "low", BinaryOnly: true,
		Changes: changes, Maintainer: cmp.Or(b.Maintainer, DefaultMaintainer("localhost")), Date: begun.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")}, nil
}

func checkArch(field, arch string) error {
	if arch == "" {
		return missing(field)
	}
	a, err := debian.ParseArch(arch)
	if err != nil || a == "all" || a == "source" {
		return debusine.Invalid{What: fmt.Sprintf("architecture %.80q is unknown", arch), Hint: "see dpkg-architecture -L", Per: map[string]string{field: "unknown architecture"}}
	}
	return nil
}

func missing(field string) error {
	return debusine.Invalid{What: "parameter " + field + " is missing", Per: map[string]string{field: "required"}}
}

func plainWord(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+._-") == ""
}
