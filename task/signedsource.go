package task

import (
	"encoding/json"
	"fmt"

	"debusine"
)

// ExtractForSigningData is the input of extractforsigning (Worker): spec §3.9.
type ExtractForSigningData struct {
	common
	Input             ExtractForSigningInput `json:"input"`
	Environment       debusine.Lookup        `json:"environment"`                  // in debian:environments
	Backend           string                 `json:"backend,omitempty"`            // auto means unshare
	BuildArchitecture string                 `json:"build_architecture,omitempty"` // ours: of machine and environment; default amd64
}

// ExtractForSigningInput names a template and the packages that it is about.
type ExtractForSigningInput struct {
	TemplateArtifact debusine.Lookup   `json:"template_artifact"` // a -signed-template package
	BinaryArtifacts  []debusine.Lookup `json:"binary_artifacts"`  // packages and uploads
}

func (d *ExtractForSigningData) check() error {
	if d.Input.TemplateArtifact.IsZero() {
		return missing("input.template_artifact")
	}
	if len(d.Input.BinaryArtifacts) == 0 {
		return missing("input.binary_artifacts")
	}
	if len(d.Input.BinaryArtifacts) > mostExtra {
		return debusine.Invalidf("input.binary_artifacts has %d entries, %d are allowed", len(d.Input.BinaryArtifacts), mostExtra)
	}
	return checkAssembly(d.Environment, &d.Backend, &d.BuildArchitecture)
}

// checkAssembly checks what the tasks about signed sources share.
func checkAssembly(environment debusine.Lookup, backend, arch *string) error {
	if environment.IsZero() {
		return missing("environment")
	}
	if *backend == "" || *backend == "auto" {
		*backend = "unshare"
	}
	if *backend != "unshare" {
		return debusine.Invalid{What: fmt.Sprintf("backend %.80q is not supported", *backend), Hint: "use auto or unshare", Per: map[string]string{"backend": "unsupported"}}
	}
	*arch = orDefault(*arch)
	return checkArch("build_architecture", *arch)
}

// Needs the template, the packages (of an upload those that it extends) and an
// environment.
func (d *ExtractForSigningData) Needs() []Need {
	return []Need{
		{Field: "input_template_artifact_id", Lookups: []debusine.Lookup{d.Input.TemplateArtifact}, Categories: []string{debusine.CategoryBinaryPackage}},
		{Field: "input_binary_artifacts_ids", Lookups: d.Input.BinaryArtifacts, Many: true,
			Categories: []string{debusine.CategoryBinaryPackage, debusine.CategoryUpload},
			Follow:     []Follow{{From: debusine.CategoryUpload, Relation: "extends", To: debusine.CategoryBinaryPackage}}},
		assemblyEnvironment("extractforsigning", d.Environment, d.BuildArchitecture, d.Backend),
	}
}

func assemblyEnvironment(task string, environment debusine.Lookup, arch, backend string) Need {
	return Need{Field: "environment_id", Lookups: []debusine.Lookup{environment}, Categories: []string{debusine.CategorySystemTarball},
		DefaultCategory: "debian:environments", Environment: &Environment{Architecture: arch, Format: "tarball", Backend: backend, Task: task}}
}

// Requires a build machine.
func (d *ExtractForSigningData) Requires() []string {
	return assemblyTags("extractforsigning", d.BuildArchitecture, d.Backend)
}

func assemblyTags(task, arch, backend string) []string {
	return []string{"worker:type:worker", versionTag(task), "worker:build-arch:" + arch, "worker:executor:" + backend, "worker:cap:sbuild"}
}

// Describe names the template package.
func (d *ExtractForSigningData) Describe(found map[string][]debusine.Artifact) Description {
	return describeTemplate(found["input_template_artifact_id"], found["environment_id"])
}

func describeTemplate(templates, environments []debusine.Artifact) (about Description) {
	var (
		deb struct {
			Source  string                                          `json:"srcpkg_name"`
			Version string                                          `json:"srcpkg_version"`
			Fields  struct{ Package, Version, Architecture string } `json:"deb_fields"`
		}
		tar struct{ Codename string }
	)
	for _, a := range templates {
		_ = json.Unmarshal(a.Data, &deb) // validated when the artifact was made
	}
	for _, a := range environments {
		_ = json.Unmarshal(a.Data, &tar)
	}
	return Description{Subject: deb.Source, ParameterSummary: deb.Fields.Package + "_" + deb.Fields.Version, RuntimeContext: deb.Fields.Package,
		ConfigurationContext: tar.Codename, Suite: tar.Codename, Architecture: deb.Fields.Architecture, Source: deb.Source, Version: deb.Version}
}

// AssembleSignedSourceData is the input of assemblesignedsource (Worker): spec §3.9.
type AssembleSignedSourceData struct {
	common
	Environment       debusine.Lookup   `json:"environment"`
	Template          debusine.Lookup   `json:"template"` // a -signed-template package with a source-template
	Signed            []debusine.Lookup `json:"signed"`   // debusine:signing-output
	Backend           string            `json:"backend,omitempty"`
	BuildArchitecture string            `json:"build_architecture,omitempty"` // ours: of machine and environment; default amd64
}

func (d *AssembleSignedSourceData) check() error {
	if d.Template.IsZero() {
		return missing("template")
	}
	if len(d.Signed) == 0 {
		return missing("signed")
	}
	if len(d.Signed) > mostExtra {
		return debusine.Invalidf("signed has %d entries, %d are allowed", len(d.Signed), mostExtra)
	}
	return checkAssembly(d.Environment, &d.Backend, &d.BuildArchitecture)
}

// Needs the template, the signatures, an environment, and the packages that the
// signatures are for.
func (d *AssembleSignedSourceData) Needs() []Need {
	return []Need{
		{Field: "input_template_artifact_id", Lookups: []debusine.Lookup{d.Template}, Categories: []string{debusine.CategoryBinaryPackage}},
		{Field: "input_signed_ids", Lookups: d.Signed, Many: true, Categories: []string{debusine.CategorySigningOutput}},
		{Field: "input_built_using_ids", Lookups: d.Signed, Many: true, Categories: []string{debusine.CategorySigningOutput}, Follow: []Follow{
			{From: debusine.CategorySigningOutput, Relation: "relates-to", To: debusine.CategorySigningInput},
			{From: debusine.CategorySigningInput, Relation: "relates-to", To: debusine.CategoryBinaryPackage}}},
		assemblyEnvironment("assemblesignedsource", d.Environment, d.BuildArchitecture, d.Backend),
	}
}

// Requires a build machine with dpkg-dev, which comes with sbuild.
func (d *AssembleSignedSourceData) Requires() []string {
	return assemblyTags("assemblesignedsource", d.BuildArchitecture, d.Backend)
}

// Describe names the template package.
func (d *AssembleSignedSourceData) Describe(found map[string][]debusine.Artifact) Description {
	return describeTemplate(found["input_template_artifact_id"], found["environment_id"])
}
