package task

import (
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

// SbuildWorkflowData is the input of the sbuild workflow: spec §4.1, and what
// Debusine does not have: lists for task configuration, cross builds, build
// options and path, and what becomes of architectures without machines. Defaults
// are filled in by check, but for AllOn, which asks the source.
type SbuildWorkflowData struct {
	common
	Prefix                   string              `json:"prefix,omitempty"`
	Input                    SbuildInput         `json:"input"`               // the source may be an upload that extends it
	TargetDistribution       string              `json:"target_distribution"` // vendor:codename
	Backend                  string              `json:"backend,omitempty"`
	Architectures            []string            `json:"architectures"`
	ArchitecturesAllowlist   []string            `json:"architectures_allowlist,omitempty"`     // of those only these, when there are any
	ArchitecturesDenylist    []string            `json:"architectures_denylist,omitempty"`      // and none of these
	ArchAllBuildArchitecture string              `json:"arch_all_build_architecture,omitempty"` // see AllOn
	CrossBuildArchitecture   string              `json:"cross_build_architecture,omitempty"`    // packages of other architectures are cross built on it
	WithoutWorker            string              `json:"without_worker,omitempty"`              // wait or drop; default wait
	EnvironmentVariant       *string             `json:"environment_variant,omitempty"`
	ExtraRepositories        []ExtraRepository   `json:"extra_repositories,omitempty"`
	BinNMU                   *BinNMU             `json:"binnmu,omitempty"` // of the same moment on every architecture
	BuildProfiles            []string            `json:"build_profiles,omitempty"`
	BuildOptions             string              `json:"build_options,omitempty"`
	BuildPath                string              `json:"build_path,omitempty"`
	SigningTemplateNames     map[string][]string `json:"signing_template_names,omitempty"` // packages by architecture
	Retries                                      // retry_on is ours
}

var (
	targetDistribution = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,99}:[a-z][a-z0-9+.-]{0,99}$`)
	codenameWord       = regexp.MustCompile(`^[a-z][a-z0-9+.-]{0,99}$`)
	// A prefix stands in the names of steps, which lookups split at slashes.
	stepPrefix = regexp.MustCompile(`^[A-Za-z0-9+._|:-]{0,100}$`)
)

// UpdateEnvironmentsData is the input of update_environments: spec §4.9.
type UpdateEnvironmentsData struct {
	common
	Vendor  string              `json:"vendor"`
	Targets []EnvironmentTarget `json:"targets"`
}

// EnvironmentTarget says which environments to make in one way.
type EnvironmentTarget struct {
	Codenames                      Words                 `json:"codenames"`
	CodenameAliases                map[string][]string   `json:"codename_aliases,omitempty"`
	Variants                       Names                 `json:"variants,omitempty"`
	Backends                       Names                 `json:"backends,omitempty"`
	Architectures                  []string              `json:"architectures"`
	MmdebstrapTemplate             *MmdebstrapData       `json:"mmdebstrap_template,omitempty"`
	SimpleSystemImageBuildTemplate *SystemImageBuildData `json:"simplesystemimagebuild_template,omitempty"`
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
	tarball, err := json.Marshal(t.MmdebstrapTemplate)
	disk, failed := json.Marshal(t.SimpleSystemImageBuildTemplate)
	if err != nil || failed != nil {
		return longestData + 1
	}
	items := len(t.AllCodenames()) * max(1, len(t.Variants)) * max(1, len(t.Backends)) * len(t.Formats())
	return len(t.Architectures) * (len(t.Codenames)*(len(tarball)+len(disk)+step*len(t.Formats())) + items*reaction)
}

func (t EnvironmentTarget) check() error {
	if len(t.Codenames) == 0 || len(t.Architectures) == 0 {
		return missing("targets.codenames and targets.architectures")
	}
	if len(t.Formats()) == 0 {
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
		for _, format := range t.Formats() {
			if _, err := t.Bootstrap(format, t.Codenames[0], arch); err != nil {
				return err
			}
		}
	}
	return nil
}

// AllCodenames are the codenames and all aliases, without order.
func (t EnvironmentTarget) AllCodenames() []string {
	return slices.Concat(append(slices.Collect(maps.Values(t.CodenameAliases)), t.Codenames)...)
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
