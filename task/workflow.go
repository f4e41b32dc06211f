package task

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"debusine"
)

// The names of the workflows: Temporal workflow types and Debusine's task names.
const (
	SbuildWorkflow             = "sbuild"
	UpdateEnvironmentsWorkflow = "update_environments"
	NoopWorkflow               = "noop"
	PackageUploadWorkflow      = "package_upload"
)

// WorkflowStart is the input of every workflow: the root work request, and what
// the API already knew of it when it was started.
type WorkflowStart struct {
	ID           int64           `json:"work_request"`
	Installation string          `json:"installation"`
	Scope        string          `json:"scope"`
	Workspace    string          `json:"workspace"`
	Priority     int             `json:"priority"`
	Data         json.RawMessage `json:"data"`
}

// WorkflowData is the checked input of a workflow.
type WorkflowData interface {
	check() error
	// Configuration is the task configuration that changes the data.
	Configuration() (name string, named bool)
	// Needs are the lookups that tell what the workflow is about.
	Needs() []Need
	// Describe says what the workflow is about, once the lookups are resolved.
	Describe(found map[string][]debusine.Artifact) Description
}

// SbuildWorkflowData is the input of the sbuild workflow: spec §4.1. What is
// not listed is not accepted yet.
type SbuildWorkflowData struct {
	common
	Prefix                   string      `json:"prefix,omitempty"`
	Input                    SbuildInput `json:"input"`
	TargetDistribution       string      `json:"target_distribution"` // vendor:codename
	Backend                  string      `json:"backend,omitempty"`
	Architectures            []string    `json:"architectures"`
	ArchAllBuildArchitecture string      `json:"arch_all_build_architecture,omitempty"` // see AllOn
	EnvironmentVariant       *string     `json:"environment_variant,omitempty"`
	// Ours, for task configuration: of the requested architectures only those of the
	// list, when it has any, and none of the other list are built on.
	ArchitecturesAllowlist []string `json:"architectures_allowlist,omitempty"`
	ArchitecturesDenylist  []string `json:"architectures_denylist,omitempty"`
	Retries                         // retry_on is ours
}

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

// Environment is the lookup of the environment for the target, without the
// architecture, which the task adds.
func (d *SbuildWorkflowData) Environment() debusine.Lookup {
	text := d.Vendor() + "/match:codename=" + d.Codename()
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

func (d *SbuildWorkflowData) check() error {
	if d.Input.SourceArtifact.IsZero() {
		return missing("input.source_artifact")
	}
	if !targetDistribution.MatchString(d.TargetDistribution) {
		return debusine.Invalid{What: "target_distribution must be vendor:codename", Hint: "for example debian:bookworm", Per: map[string]string{"target_distribution": "malformed"}}
	}
	if d.Backend != "" && d.Backend != "auto" && d.Backend != "unshare" {
		return debusine.Invalidf("backend %.80q is not supported", d.Backend)
	}
	if d.EnvironmentVariant != nil && *d.EnvironmentVariant != "" && !plainWord(*d.EnvironmentVariant) {
		return debusine.Invalidf("environment_variant %.80q is not a word", *d.EnvironmentVariant)
	}
	if !stepPrefix.MatchString(d.Prefix) {
		return debusine.Invalidf("prefix %.80q is not made of letters, digits and +._|:-", d.Prefix)
	}
	if len(d.Architectures) == 0 {
		return missing("architectures")
	}
	if extra, err := json.Marshal(d.Input.ExtraBinaryArtifacts); err != nil || len(extra)*len(d.Architectures) > longestData || len(d.Input.ExtraBinaryArtifacts) > mostExtra {
		return debusine.Invalidf("input.extra_binary_artifacts is too long a list")
	}
	if err := d.Retries.check(); err != nil {
		return err
	}
	allOn := orDefault(d.ArchAllBuildArchitecture)
	for field, list := range map[string][]string{"architectures_allowlist": d.ArchitecturesAllowlist, "architectures_denylist": d.ArchitecturesDenylist} {
		if err := checkArches(field, list, allOn); err != nil {
			return err
		}
	}
	return checkArches("architectures", d.Architectures, allOn)
}

var (
	targetDistribution = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,99}:[a-z][a-z0-9+.-]{0,99}$`)
	codenameWord       = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,99}$`)
	// A prefix stands in the names of steps, which lookups split at slashes.
	stepPrefix = regexp.MustCompile(`^[A-Za-z0-9+._|:-]{0,100}$`)
)

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

// UpdateEnvironmentsData is the input of update_environments: spec §4.9.
type UpdateEnvironmentsData struct {
	common
	Vendor  string              `json:"vendor"`
	Targets []EnvironmentTarget `json:"targets"`
}

// EnvironmentTarget says which environments to make in one way.
type EnvironmentTarget struct {
	Codenames                      Words               `json:"codenames"`
	CodenameAliases                map[string][]string `json:"codename_aliases,omitempty"`
	Variants                       Names               `json:"variants,omitempty"`
	Backends                       Names               `json:"backends,omitempty"`
	Architectures                  []string            `json:"architectures"`
	MmdebstrapTemplate             *MmdebstrapData     `json:"mmdebstrap_template,omitempty"`
	SimpleSystemImageBuildTemplate json.RawMessage     `json:"simplesystemimagebuild_template,omitempty"`
}

// Words is a list that may be written as a single string.
type Words []string

// UnmarshalJSON reads a string or a list of strings.
func (w *Words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*w = Words{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil {
		return debusine.Invalidf("a string or a list of strings is wanted, not %.80s", raw)
	}
	*w = many
	return nil
}

// Needs nothing.
func (d *UpdateEnvironmentsData) Needs() []Need { return nil }

// Describe names what is made: "debian:bookworm,trixie" on "amd64,arm64".
func (d *UpdateEnvironmentsData) Describe(map[string][]debusine.Artifact) Description {
	var suites, arches []string
	for _, t := range d.Targets {
		suites, arches = append(suites, t.Codenames...), append(arches, t.Architectures...)
	}
	suite := strings.Join(tagSet(suites), ",")
	return Description{Subject: suite, ParameterSummary: d.Vendor + ":" + suite, Suite: suite, Architecture: strings.Join(tagSet(arches), ",")}
}

func (d *UpdateEnvironmentsData) check() error {
	if !codenameWord.MatchString(d.Vendor) {
		return debusine.Invalid{What: "vendor must be a distribution's name", Hint: "for example debian", Per: map[string]string{"vendor": "malformed"}}
	}
	if len(d.Targets) == 0 {
		return missing("targets")
	}
	size := 0
	for _, t := range d.Targets {
		if err := t.check(); err != nil {
			return err
		}
		size += t.planned()
	}
	if size > longestData {
		return debusine.WithHint(debusine.Invalidf("the targets are too many to be planned at once"), "start several workflows, with fewer codenames, variants or architectures each")
	}
	return d.checkOnce()
}

// planned estimates what the target's steps and reactions measure as a payload,
// in bytes.
func (t EnvironmentTarget) planned() int {
	const step, reaction = 300, 300
	template, err := json.Marshal(t.MmdebstrapTemplate)
	if err != nil {
		return longestData + 1
	}
	items := len(t.AllCodenames()) * max(1, len(t.Variants)) * max(1, len(t.Backends))
	return len(t.Architectures) * (len(t.Codenames)*(len(template)+step) + items*reaction)
}

func (t EnvironmentTarget) check() error {
	if len(t.Codenames) == 0 || len(t.Architectures) == 0 {
		return missing("targets.codenames and targets.architectures")
	}
	if len(t.SimpleSystemImageBuildTemplate) > 0 {
		return debusine.Invalid{What: "simplesystemimagebuild_template cannot be used: there is no task simplesystemimagebuild yet, so no debian:system-image is made",
			Hint: "leave it out: mmdebstrap_template makes tarballs, which is what the backend unshare takes"}
	}
	if t.MmdebstrapTemplate == nil {
		return missing("targets.mmdebstrap_template")
	}
	for _, c := range t.AllCodenames() {
		if !codenameWord.MatchString(c) {
			return debusine.Invalidf("codename %.80q is not a suite's name", c)
		}
	}
	for _, w := range slices.Concat(t.Variants, t.Backends) {
		if w != "" && !plainWord(w) {
			return debusine.Invalidf("variant or backend %.80q is not a word", w)
		}
	}
	for i, c := range t.Codenames {
		if slices.Contains(t.Codenames[:i], c) {
			return debusine.Invalidf("codenames: %s is given twice", c)
		}
	}
	for i, arch := range t.Architectures {
		if slices.Contains(t.Architectures[:i], arch) {
			return debusine.Invalidf("architectures: %s is given twice", arch)
		}
		if _, err := t.Bootstrap(t.Codenames[0], arch); err != nil {
			return err
		}
	}
	return nil
}

// AllCodenames are the codenames and all aliases, without order.
func (t EnvironmentTarget) AllCodenames() []string {
	return slices.Concat(append(slices.Collect(maps.Values(t.CodenameAliases)), t.Codenames)...)
}

// Bootstrap fills the template for one codename and architecture.
func (t EnvironmentTarget) Bootstrap(codename, arch string) (json.RawMessage, error) {
	d := *t.MmdebstrapTemplate
	d.BootstrapOptions.Architecture = arch
	d.BootstrapRepositories = slices.Clone(d.BootstrapRepositories)
	for i := range d.BootstrapRepositories {
		if d.BootstrapRepositories[i].Suite == "" {
			d.BootstrapRepositories[i].Suite = codename
		}
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	return json.Marshal(d)
}

// NoopWorkflowData is the input of the noop workflow: it asks for some noops, of
// build machines, of the server, and of noop workflows within it, which ask for as
// many of build machines.
type NoopWorkflowData struct {
	common
	Children       int  `json:"children,omitempty"`
	ServerChildren int  `json:"server_children,omitempty"`
	Workflows      int  `json:"workflows,omitempty"`
	Failing        bool `json:"failing,omitempty"` // what build machines do for it fails
	Retries
	BuildArchitecture string `json:"build_architecture,omitempty"`
}

func (d *NoopWorkflowData) check() error {
	for field, n := range map[string]int{"children": d.Children, "server_children": d.ServerChildren, "workflows": d.Workflows} {
		if n < 0 || n > 1000 {
			return debusine.Invalidf("%s must lie between 0 and 1000", field)
		}
	}
	if err := d.Retries.check(); err != nil {
		return err
	}
	return checkOptionalArch(d.BuildArchitecture, "")
}

// Needs nothing.
func (d *NoopWorkflowData) Needs() []Need { return nil }

// Describe says nothing.
func (d *NoopWorkflowData) Describe(map[string][]debusine.Artifact) Description { return Description{} }

// Workflows are the names of all workflows, sorted.
func Workflows() []string {
	return []string{MakeSignedSourceWorkflow, NoopWorkflow, PackageUploadWorkflow, SbuildWorkflow, UpdateEnvironmentsWorkflow}
}

// WorkflowParameters are the names of all parameters of a workflow, sorted; none
// when the workflow is unknown.
func WorkflowParameters(name string) []string {
	data, err := newWorkflowData(name)
	if err != nil {
		return nil
	}
	return parameters(data)
}

// ParseWorkflow checks the data of a workflow; "-" may stand for "_" in its name.
func ParseWorkflow(name string, raw json.RawMessage) (WorkflowData, error) {
	data, err := newWorkflowData(name)
	if err != nil {
		return nil, err
	}
	return data, ReadWorkflow(raw, data)
}

func newWorkflowData(name string) (WorkflowData, error) {
	switch Canonical(name) {
	case MakeSignedSourceWorkflow:
		return &MakeSignedSourceData{}, nil
	case NoopWorkflow:
		return &NoopWorkflowData{}, nil
	case PackageUploadWorkflow:
		return &PackageUploadWorkflowData{}, nil
	case SbuildWorkflow:
		return &SbuildWorkflowData{}, nil
	case UpdateEnvironmentsWorkflow:
		return &UpdateEnvironmentsData{}, nil
	}
	return nil, debusine.WithHint(debusine.Invalidf("workflow %.80q is unknown", name), "known: "+strings.Join(Workflows(), ", "))
}

// ReadWorkflow reads and checks the data of a workflow into its struct.
func ReadWorkflow(raw json.RawMessage, into WorkflowData) error {
	if err := decode(raw, into); err != nil {
		return err
	}
	return into.check()
}
