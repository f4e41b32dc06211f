package task

import (
	"encoding/hex"
	"fmt"
	"strings"

	"debusine"
)

// PackageUploadWorkflowData is the input of package_upload: spec §4.7.
type PackageUploadWorkflowData struct {
	common
	SourceArtifact           debusine.Lookup   `json:"source_artifact,omitzero"`   // source package or upload
	BinaryArtifacts          []debusine.Lookup `json:"binary_artifacts,omitempty"` // uploads
	MergeUploads             bool              `json:"merge_uploads,omitempty"`
	SinceVersion             string            `json:"since_version,omitempty"`
	TargetDistribution       string            `json:"target_distribution,omitempty"`
	Key                      string            `json:"key,omitempty"`        // fingerprint
	BinaryKey                string            `json:"binary_key,omitempty"` // of uploads without source
	RequireSignature         *bool             `json:"require_signature,omitempty"`
	Target                   string            `json:"target"`
	DelayedDays              *int              `json:"delayed_days,omitempty"`
	Vendor                   string            `json:"vendor,omitempty"`
	Codename                 string            `json:"codename,omitempty"`
	ArchAllBuildArchitecture string            `json:"arch_all_build_architecture,omitempty"`
	Force                    bool              `json:"force,omitempty"` // ours: also what the target has had
}

func (d *PackageUploadWorkflowData) check() error {
	if d.SourceArtifact.IsZero() && len(d.BinaryArtifacts) == 0 {
		return debusine.Invalid{What: "source_artifact or binary_artifacts must be given", Per: map[string]string{"source_artifact": "missing"}}
	}
	if len(d.BinaryArtifacts) > mostExtra {
		return debusine.Invalidf("binary_artifacts has %d entries, %d are allowed", len(d.BinaryArtifacts), mostExtra)
	}
	for field, key := range map[string]*string{"key": &d.Key, "binary_key": &d.BinaryKey} {
		*key = strings.ToUpper(*key)
		if raw, err := hex.DecodeString(*key); *key != "" && (err != nil || len(raw) != 20) {
			return debusine.Invalid{What: fmt.Sprintf("%s must be a fingerprint of 40 hexadecimal digits, not %.80q", field, *key), Hint: "debusine asset list", Per: map[string]string{field: "no fingerprint"}}
		}
	}
	for field, word := range map[string]string{"vendor": d.Vendor, "codename": d.Codename} {
		if word != "" && !codenameWord.MatchString(word) {
			return debusine.Invalid{What: fmt.Sprintf("%s %.80q is malformed", field, word), Per: map[string]string{field: "malformed"}}
		}
	}
	if err := CheckSourceUpload(d.SinceVersion, d.TargetDistribution); err != nil {
		return err
	}
	if err := checkArch("arch_all_build_architecture", d.AllOn()); err != nil {
		return err
	}
	return checkTarget(d.Target, d.DelayedDays)
}

// AllOn is the machine that runs what no architecture is asked for.
func (d *PackageUploadWorkflowData) AllOn() string { return orDefault(d.ArchAllBuildArchitecture) }

// MustSign says whether what has no key waits for a person's signature.
func (d *PackageUploadWorkflowData) MustSign() bool {
	return d.RequireSignature == nil || *d.RequireSignature
}

// KeyFor is the key that signs an upload; none when a person must, or nobody.
func (d *PackageUploadWorkflowData) KeyFor(u Uploadable) string {
	if d.Key == "" && u.HasBinaries {
		return d.BinaryKey
	}
	return d.Key
}

// Environment is the lookup of where an upload is made of a source package.
func (d *PackageUploadWorkflowData) Environment() debusine.Lookup {
	return debusine.LookupOf(d.Vendor + "/match:codename=" + d.Codename)
}

// Where dynamic data of package_upload name what is uploaded.
const (
	uploadSource   = "source_artifact_id"
	uploadBinaries = "binary_artifacts_ids"
)

// Needs what is uploaded.
func (d *PackageUploadWorkflowData) Needs() (needs []Need) {
	if !d.SourceArtifact.IsZero() {
		needs = append(needs, Need{Field: uploadSource, Lookups: []debusine.Lookup{d.SourceArtifact}, Categories: []string{debusine.CategorySourcePackage, debusine.CategoryUpload}})
	}
	if len(d.BinaryArtifacts) > 0 {
		needs = append(needs, Need{Field: uploadBinaries, Lookups: d.BinaryArtifacts, Many: true, Categories: []string{debusine.CategoryUpload}})
	}
	return needs
}

// Describe names the source package.
func (d *PackageUploadWorkflowData) Describe(found map[string][]debusine.Artifact) Description {
	all := append(append([]debusine.Artifact{}, found[uploadSource]...), found[uploadBinaries]...)
	if len(all) == 0 {
		return Description{}
	}
	u := UploadableOf(all[0])
	return Description{Subject: u.Name, ParameterSummary: u.Name + "_" + u.Version, ConfigurationContext: d.Codename, Source: u.Name, Version: u.Version, Suite: d.Codename}
}
