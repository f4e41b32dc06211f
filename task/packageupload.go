package task

import (
	"encoding/json"
	"fmt"
	"regexp"
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
	about := describeUpload(found["input_uploads_ids"])
	about.Architecture = d.BuildArchitecture
	return about
}

// PackageUploadData is the input of packageupload (Server): spec §3.12.
type PackageUploadData struct {
	common
	Input struct {
		Upload debusine.Lookup `json:"upload"` // debian:upload
	} `json:"input"`
	Target           string `json:"target"`                      // ftp:// or sftp://[user@]host/path
	DelayedDays      *int   `json:"delayed_days,omitempty"`      // into the queue's DELAYED/N-day
	RequireSignature *bool  `json:"require_signature,omitempty"` // ours: refuse what is not signed; default true
	Force            bool   `json:"force,omitempty"`             // ours: also when the target has had it
}

func (d *PackageUploadData) check() error {
	if d.Input.Upload.IsZero() {
		return missing("input.upload")
	}
	return checkTarget(d.Target, d.DelayedDays)
}

// checkTarget looks at the form alone; the server knows where it may upload.
func checkTarget(target string, days *int) error {
	if target == "" {
		return missing("target")
	}
	if !uploadTarget.MatchString(target) {
		return debusine.Invalid{What: "target is not the URL of an upload queue", Hint: "ftp://HOST/PATH or sftp://USER@HOST/PATH, without a password",
			Per: map[string]string{"target": "malformed"}}
	}
	if days != nil && (*days < 0 || *days > 15) {
		return debusine.Invalid{What: "delayed_days must lie between 0 and 15", Per: map[string]string{"delayed_days": "out of range"}}
	}
	return nil
}

var uploadTarget = regexp.MustCompile(`^s?ftp://([A-Za-z0-9._+-]+@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?/[A-Za-z0-9._+~/,:@=%-]{0,300}$`)

// Needs the upload.
func (d *PackageUploadData) Needs() []Need {
	return []Need{{Field: "input_upload_id", Lookups: []debusine.Lookup{d.Input.Upload}, Categories: []string{debusine.CategoryUpload}}}
}

// Requires no tags: the server does it.
func (d *PackageUploadData) Requires() []string { return nil }

// Describe names the upload's source package and version.
func (d *PackageUploadData) Describe(found map[string][]debusine.Artifact) Description {
	return describeUpload(found["input_upload_id"])
}
