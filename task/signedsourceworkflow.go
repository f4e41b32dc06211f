package task

import (
	"encoding/json"
	"slices"

	"debusine"
)

// MakeSignedSourceWorkflow is the workflow make_signed_source.
const MakeSignedSourceWorkflow = "make_signed_source"

// MakeSignedSourceData is the input of make_signed_source: spec §4.6.
type MakeSignedSourceData struct {
	common
	BinaryArtifacts          lookups  `json:"binary_artifacts"`           // binary packages, and uploads of them
	SigningTemplateArtifacts lookups  `json:"signing_template_artifacts"` // -signed-template packages
	Vendor                   string   `json:"vendor"`
	Codename                 string   `json:"codename"`
	Architectures            []string `json:"architectures,omitempty"` // of those that have packages and a template; default: all
	Purpose                  string   `json:"purpose"`                 // uefi, openpgp
	Key                      string   `json:"key"`                     // fingerprint
	SbuildBackend            string   `json:"sbuild_backend,omitempty"`
}

func (d *MakeSignedSourceData) check() error {
	if err := checkMany("binary_artifacts", d.BinaryArtifacts); err != nil {
		return err
	}
	if err := checkMany("signing_template_artifacts", d.SigningTemplateArtifacts); err != nil {
		return err
	}
	if !codenameWord.MatchString(d.Vendor) {
		return debusine.Invalid{What: "vendor must be a distribution's name", Hint: "for example debian", Per: map[string]string{"vendor": "malformed"}}
	}
	if !codenameWord.MatchString(d.Codename) {
		return debusine.Invalid{What: "codename must be a suite's name", Hint: "for example trixie", Per: map[string]string{"codename": "malformed"}}
	}
	if d.SbuildBackend != "" && d.SbuildBackend != "auto" {
		if err := checkBackend(d.SbuildBackend); err != nil {
			return err
		}
	}
	if err := checkArches("architectures", d.Architectures, fallbackArchitecture); err != nil {
		return err
	}
	return checkSigning(d.Purpose, &d.Key)
}

func checkMany(field string, l lookups) error {
	if len(l) == 0 {
		return missing(field)
	}
	if len(l) > mostExtra {
		return debusine.Invalidf("%s has %d entries, %d are allowed", field, len(l), mostExtra)
	}
	return nil
}

// The fields of dynamic data.
const (
	signedBinaries  = "input_binary_artifacts_ids"
	signedTemplates = "input_signing_template_artifacts_ids"
)

// Needs the packages (of an upload those that it extends) and the templates.
func (d *MakeSignedSourceData) Needs() []Need {
	return []Need{
		{Field: signedBinaries, Lookups: d.BinaryArtifacts, Many: true, Categories: []string{debusine.CategoryBinaryPackage, debusine.CategoryUpload},
			Follow: []Follow{{From: debusine.CategoryUpload, Relation: "extends", To: debusine.CategoryBinaryPackage}}},
		{Field: signedTemplates, Lookups: d.SigningTemplateArtifacts, Many: true, Categories: []string{debusine.CategoryBinaryPackage}},
	}
}

// Describe names the source package of the first template.
func (d *MakeSignedSourceData) Describe(found map[string][]debusine.Artifact) Description {
	facts := d.Facts(found)
	about := Description{ConfigurationContext: d.Codename, Suite: d.Codename}
	if len(facts.Templates) > 0 {
		t := facts.Templates[0]
		about.Subject, about.Source, about.Version, about.ParameterSummary = t.Source, t.Source, t.Version, t.Source+"_"+t.Version
	}
	return about
}

// TargetDistribution is vendor:codename.
func (d *MakeSignedSourceData) TargetDistribution() string { return d.Vendor + ":" + d.Codename }

// Binary is a binary package, as a decision about it needs it.
type Binary struct {
	Artifact     int64  `json:"artifact"`
	Package      string `json:"package"`
	Architecture string `json:"architecture"`
	Source       string `json:"source,omitempty"`
	Version      string `json:"version,omitempty"` // of the source
}

// SigningFacts are what make_signed_source decides upon.
type SigningFacts struct {
	Binaries     []Binary `json:"binaries"`
	Templates    []Binary `json:"templates"`
	Environments []string `json:"environments"` // architectures that have one for the target
}

// Facts are those of the artifacts that the needs came to.
func (d *MakeSignedSourceData) Facts(found map[string][]debusine.Artifact) SigningFacts {
	return SigningFacts{Binaries: binaries(found[signedBinaries]), Templates: binaries(found[signedTemplates])}
}

// binaries leaves out what an artifact's data do not tell, and what is there twice.
func binaries(artifacts []debusine.Artifact) (all []Binary) {
	for _, a := range artifacts {
		var data struct {
			Source  string                                 `json:"srcpkg_name"`
			Version string                                 `json:"srcpkg_version"`
			Fields  struct{ Package, Architecture string } `json:"deb_fields"`
		}
		if a.Category != debusine.CategoryBinaryPackage || json.Unmarshal(a.Data, &data) != nil {
			continue
		}
		if !slices.ContainsFunc(all, func(b Binary) bool { return b.Artifact == a.ID }) {
			all = append(all, Binary{a.ID, data.Fields.Package, data.Fields.Architecture, data.Source, data.Version})
		}
	}
	return all
}

// OutputQuestion asks for what a work request made, of one category.
type OutputQuestion struct {
	ID       int64  `json:"work_request"`
	Category string `json:"category"`
}

// Output is an artifact that a work request made.
type Output struct {
	Artifact int64  `json:"artifact"`
	Package  string `json:"binary_package_name,omitempty"` // that it is about, of what is signed
}

var (
	// FactsForSigning tells what make_signed_source decides upon.
	FactsForSigning = Task[SourceQuestion, SigningFacts]{Name: "facts_for_signing", Limit: quick}
	// Outputs tells what a child made.
	Outputs = Task[OutputQuestion, []Output]{Name: "outputs", Limit: quick}
)
