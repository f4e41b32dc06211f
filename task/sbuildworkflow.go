package task

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"debusine"
	"debusine/debian"
)

// What becomes of an architecture that no enabled worker can build on: the
// values of without_worker.
const (
	WaitForWorker      = "wait" // its build waits, and says what for
	DropWithoutWorkers = "drop" // it is left out, with the reason
)

// Needs the source package, or an upload that extends it.
func (d *SbuildWorkflowData) Needs() []Need {
	return []Need{{Field: "input_source_artifact_id", Lookups: []debusine.Lookup{d.Input.SourceArtifact},
		Categories: []string{debusine.CategorySourcePackage, debusine.CategoryUpload},
		Follow:     []Follow{{From: debusine.CategoryUpload, Relation: "extends", To: debusine.CategorySourcePackage}}}}
}

// Describe names the source package and the target's codename.
func (d *SbuildWorkflowData) Describe(found map[string][]debusine.Artifact) Description {
	var source struct{ Name, Version string }
	for _, a := range found["input_source_artifact_id"] {
		_ = json.Unmarshal(a.Data, &source) // validated when the artifact was made
	}
	return Description{Subject: source.Name, ParameterSummary: source.Name + "_" + source.Version, ConfigurationContext: d.Codename(),
		Source: source.Name, Version: source.Version, Suite: d.Codename()}
}

// Vendor is the first half of the target distribution.
func (d *SbuildWorkflowData) Vendor() string {
	v, _, _ := strings.Cut(d.TargetDistribution, ":")
	return v
}

// Codename is the second half of the target distribution.
func (d *SbuildWorkflowData) Codename() string {
	_, c, _ := strings.Cut(d.TargetDistribution, ":")
	return c
}

// Overlaid says that the target is not a whole distribution: packages for
// Debian's experimental are built in sid, with experimental beside it.
func (d *SbuildWorkflowData) Overlaid() bool { return d.TargetDistribution == "debian:experimental" }

// EnvironmentCodename is that of the distribution that the builds run in.
func (d *SbuildWorkflowData) EnvironmentCodename() string {
	if d.Overlaid() {
		return "sid"
	}
	return d.Codename()
}

// overlayCriteria take from experimental only what sid cannot give.
const overlayCriteria = "-count(down),-count(changed,APT-Release:=/experimental/),-removed,-changed,-new"

// Environment is the lookup of the environment for the target, without the
// architecture, which the task adds.
func (d *SbuildWorkflowData) Environment() debusine.Lookup {
	text := d.Vendor() + "/match:codename=" + d.EnvironmentCodename()
	if d.EnvironmentVariant != nil {
		text += ":variant=" + *d.EnvironmentVariant
	}
	return debusine.LookupOf(text)
}

// AllOn is the machine that builds the packages of Architecture all: the
// parameter, else the source's Build-Indep-Architecture, else amd64.
func (d *SbuildWorkflowData) AllOn(source Source) string {
	return cmp.Or(d.ArchAllBuildArchitecture, source.AllOn, fallbackArchitecture)
}

// BuildsOn is the machine that builds the packages of an architecture.
func (d *SbuildWorkflowData) BuildsOn(arch string, source Source) string {
	if arch == "all" {
		return d.AllOn(source)
	}
	return cmp.Or(d.CrossBuildArchitecture, arch)
}

// Build is the task that builds the source for one architecture.
func (d *SbuildWorkflowData) Build(arch string, source Source) *SbuildData {
	b := &SbuildData{
		Input:             SbuildInput{SourceArtifact: debusine.LookupID(source.Artifact), ExtraBinaryArtifacts: d.Input.ExtraBinaryArtifacts},
		BuildArchitecture: d.BuildsOn(arch, source), Environment: d.Environment(), Backend: d.Backend, BuildComponents: []string{"any"},
		BuildProfiles: d.BuildProfiles, BuildOptions: d.BuildOptions, BuildPath: d.BuildPath, BinNMU: d.BinNMU,
		ExtraRepositories: slices.Clone(d.ExtraRepositories),
	}
	b.TaskConfiguration = d.TaskConfiguration
	switch {
	case arch == "all":
		b.BuildComponents = []string{"all"}
	case arch != b.BuildArchitecture:
		b.HostArchitecture = arch
	}
	if d.Overlaid() {
		b.ExtraRepositories = append(b.ExtraRepositories, ExtraRepository{URL: source.Mirror, Suite: d.Codename(), Components: source.Components})
		b.BuildDepResolver, b.AspcudCriteria = "aspcud", overlayCriteria
	}
	return b
}

// Makes tells why the source makes nothing for an architecture with the build's
// profiles; nil where it makes something. names are the binary packages then, as
// far as the source lists them.
func (d *SbuildWorkflowData) Makes(arch string, source Source) (names []string, unfit error) {
	targets, err := source.Targets()
	if err != nil {
		return nil, err
	}
	profiles := d.Build(arch, source).Profiles()
	if err := targets.Builds(debian.Arch(arch), profiles); err != nil {
		return nil, err
	}
	return targets.Names(debian.Arch(arch), profiles), nil
}

func (d *SbuildWorkflowData) check() error {
	if d.Input.SourceArtifact.IsZero() {
		return missing("input.source_artifact")
	}
	if !targetDistribution.MatchString(d.TargetDistribution) {
		return debusine.Invalid{What: "target_distribution must be vendor:codename", Hint: "for example debian:bookworm", Per: map[string]string{"target_distribution": "malformed"}}
	}
	if d.Backend != "" && d.Backend != "auto" {
		if err := checkBackend(d.Backend); err != nil {
			return err
		}
	}
	if d.EnvironmentVariant != nil && *d.EnvironmentVariant != "" && !plainWord(*d.EnvironmentVariant) {
		return debusine.Invalidf("environment_variant %.80q is not a word", *d.EnvironmentVariant)
	}
	if !stepPrefix.MatchString(d.Prefix) {
		return debusine.Invalidf("prefix %.80q is not made of letters, digits and +._|:-", d.Prefix)
	}
	d.WithoutWorker = cmp.Or(d.WithoutWorker, WaitForWorker)
	if d.WithoutWorker != WaitForWorker && d.WithoutWorker != DropWithoutWorkers {
		return invalidField("without_worker", fmt.Sprintf("without_worker cannot be %.80q", d.WithoutWorker), "use wait or drop")
	}
	if err := d.Retries.check(); err != nil {
		return err
	}
	if err := d.checkArchitectures(); err != nil {
		return err
	}
	if err := d.checkTemplates(); err != nil {
		return err
	}
	return d.checkBuild()
}

func (d *SbuildWorkflowData) checkArchitectures() error {
	if len(d.Architectures) == 0 {
		return missing("architectures")
	}
	if d.CrossBuildArchitecture != "" {
		if err := checkArch("cross_build_architecture", d.CrossBuildArchitecture); err != nil {
			return err
		}
	}
	for field, list := range map[string][]string{"architectures": d.Architectures, "architectures_allowlist": d.ArchitecturesAllowlist, "architectures_denylist": d.ArchitecturesDenylist} {
		if err := checkArches(field, list, orDefault(d.ArchAllBuildArchitecture)); err != nil {
			return err
		}
	}
	return nil
}

// mostTemplates bounds the signing templates of an architecture.
const mostTemplates = 100

func (d *SbuildWorkflowData) checkTemplates() error {
	const field = "signing_template_names"
	for arch, names := range d.SigningTemplateNames {
		if arch != "all" {
			if err := checkArch(field, arch); err != nil {
				return err
			}
		}
		if len(names) > mostTemplates {
			return invalidField(field, fmt.Sprintf("%s: %s has more than %d names", field, arch, mostTemplates), "")
		}
		for _, name := range names {
			if _, err := debian.ParsePackageName(name); err != nil {
				return invalidField(field, fmt.Sprintf("%s: %.80q is not the name of a package", field, name), "for example: grub-efi-amd64-signed-template")
			}
		}
	}
	return nil
}

// checkBuild looks at what is passed on as the task will; the task of each
// architecture is checked again when it is made.
func (d *SbuildWorkflowData) checkBuild() error {
	passed, err := json.Marshal([]any{d.Input.ExtraBinaryArtifacts, d.ExtraRepositories, d.BinNMU, d.BuildProfiles, d.BuildOptions})
	if err != nil || len(passed)*len(d.Architectures) > longestData || len(d.Input.ExtraBinaryArtifacts) > mostExtra {
		return debusine.Invalidf("input.extra_binary_artifacts, extra_repositories and what else each build is given is too long a list")
	}
	b := SbuildData{BuildProfiles: d.BuildProfiles, BuildOptions: d.BuildOptions, BuildPath: d.BuildPath, BinNMU: d.BinNMU, ExtraRepositories: d.ExtraRepositories}
	return b.checkOptions()
}

// checkArches looks at names of architectures, each given once, all among them,
// and at the machine that builds for all.
func checkArches(field string, arches []string, all string) error {
	for i, a := range arches {
		if slices.Contains(arches[:i], a) {
			return debusine.Invalidf("%s: %s is given twice", field, a)
		}
		if a == "all" {
			continue
		}
		if err := checkArch(field, a); err != nil {
			return err
		}
	}
	return checkArch("arch_all_build_architecture", all)
}
