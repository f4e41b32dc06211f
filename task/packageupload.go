package task

import (
	"encoding/json"
	"fmt"
	"strings"

	"debusine"
	"debusine/debian"
)

// MakeSourcePackageUploadData is the input of makesourcepackageupload (Worker):
// spec §3.9.
type MakeSourcePackageUploadData struct {
	common
	Input struct {
		SourceArtifact debusine.Lookup `json:"source_artifact"` // debian:source-package
	} `json:"input"`
	SinceVersion       string          `json:"since_version,omitempty"`       // its changelog is told from after this version on
	TargetDistribution string          `json:"target_distribution,omitempty"` // in place of the changelog's
	Environment        debusine.Lookup `json:"environment"`                   // in debian:environments
	Backend            string          `json:"backend,omitempty"`             // ours: auto means unshare
	BuildArchitecture  string          `json:"build_architecture,omitempty"`  // ours: of machine and environment; default amd64
}

func (d *MakeSourcePackageUploadData) check() error {
	if d.Input.SourceArtifact.IsZero() {
		return missing("input.source_artifact")
	}
	if err := CheckSourceUpload(d.SinceVersion, d.TargetDistribution); err != nil {
		return err
	}
	return checkAssembly(d.Environment, &d.Backend, &d.BuildArchitecture)
}

// CheckSourceUpload holds what changes a .changes to its form; both may be empty.
func CheckSourceUpload(since, distribution string) error {
	if since != "" {
		if _, err := debian.ParseVersion(since); err != nil {
			return debusine.Invalid{What: fmt.Sprintf("since_version: %v", err), Per: map[string]string{"since_version": "malformed"}}
		}
	}
	if distribution != "" && (!plainWord(distribution) || strings.HasPrefix(distribution, "-") || strings.HasPrefix(distribution, ".")) {
		return debusine.Invalid{What: fmt.Sprintf("target_distribution %.80q is not the name of a suite", distribution), Hint: "for example unstable",
			Per: map[string]string{"target_distribution": "malformed"}}
	}
	return nil
}

// Needs the source package and an environment.
func (d *MakeSourcePackageUploadData) Needs() []Need {
	return []Need{
		{Field: "input_source_artifact_id", Lookups: []debusine.Lookup{d.Input.SourceArtifact}, Categories: []string{debusine.CategorySourcePackage}},
		assemblyEnvironment("makesourcepackageupload", d.Environment, d.BuildArchitecture, d.Backend),
	}
}

// Requires a build machine with dpkg-dev, which comes with sbuild.
func (d *MakeSourcePackageUploadData) Requires() []string {
	return assemblyTags("makesourcepackageupload", d.BuildArchitecture, d.Backend)
}

// Describe names the source package.
func (d *MakeSourcePackageUploadData) Describe(found map[string][]debusine.Artifact) Description {
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
	return Description{Subject: source.Name, ParameterSummary: source.Name + "_" + source.Version, RuntimeContext: "source", ConfigurationContext: tar.Codename,
		Suite: tar.Codename, Architecture: d.BuildArchitecture, Source: source.Name, Version: source.Version}
}

// MergeUploadsData is the input of mergeuploads (Worker): spec §3.9.
type MergeUploadsData struct {
	common
	Input struct {
		Uploads []debusine.Lookup `json:"uploads"` // debian:upload, two or more
	} `json:"input"`
	BuildArchitecture string `json:"build_architecture,omitempty"` // ours: of the machine; default amd64
}

func (d *MergeUploadsData) check() error {
	if len(d.Input.Uploads) == 0 {
		return missing("input.uploads")
	}
	if len(d.Input.Uploads) > mostExtra {
		return debusine.Invalidf("input.uploads has %d entries, %d are allowed", len(d.Input.Uploads), mostExtra)
	}
	d.BuildArchitecture = orDefault(d.BuildArchitecture)
	return checkArch("build_architecture", d.BuildArchitecture)
}

// Needs the uploads.
func (d *MergeUploadsData) Needs() []Need {
	return []Need{{Field: "input_uploads_ids", Lookups: d.Input.Uploads, Many: true, Categories: []string{debusine.CategoryUpload}}}
}

// Requires a build machine, no environment.
func (d *MergeUploadsData) Requires() []string {
	return simpleTags("mergeuploads", d.BuildArchitecture, "")
}

// Describe names the source package of the first upload.
func (d *MergeUploadsData) Describe(found map[string][]debusine.Artifact) Description {
	about := DescribeUpload(found["input_uploads_ids"])
	about.Architecture = d.BuildArchitecture
	return about
}

// DescribeUpload says what an upload is about, by the first of them.
func DescribeUpload(uploads []debusine.Artifact) Description {
	for _, a := range uploads {
		var data struct {
			Fields struct{ Source, Version, Distribution, Architecture string } `json:"changes_fields"`
		}
		_ = json.Unmarshal(a.Data, &data) // validated when the artifact was made
		name, _, _ := strings.Cut(data.Fields.Source, " ")
		return Description{Subject: name, ParameterSummary: name + "_" + data.Fields.Version, RuntimeContext: data.Fields.Architecture,
			Source: name, Version: data.Fields.Version}
	}
	return Description{}
}
