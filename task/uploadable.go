package task

import (
	"encoding/json"
	"slices"
	"strings"

	"debusine"
)

// UploadFacts tells what a package_upload workflow uploads.
var UploadFacts = Task[UploadQuestion, Uploadables]{Name: "upload_facts", Limit: quick}

// UploadQuestion asks what a package_upload workflow uploads.
type UploadQuestion struct {
	ID int64 `json:"work_request"`
}

// Uploadables is its answer.
type Uploadables struct {
	Source   *Uploadable  `json:"source,omitempty"`
	Binaries []Uploadable `json:"binaries,omitempty"`
}

// All are the source and the binaries.
func (u Uploadables) All() []Uploadable {
	if u.Source == nil {
		return u.Binaries
	}
	return append([]Uploadable{*u.Source}, u.Binaries...)
}

// Uploadable is a source package or an upload.
type Uploadable struct {
	Artifact    int64  `json:"artifact"`
	Category    string `json:"category"`
	Name        string `json:"name"` // of the source package
	Version     string `json:"version"`
	HasSource   bool   `json:"has_source,omitempty"`
	HasBinaries bool   `json:"has_binaries,omitempty"`
}

// UploadableOf reads what an artifact is about.
func UploadableOf(a debusine.Artifact) Uploadable {
	u := Uploadable{Artifact: a.ID, Category: a.Category}
	if a.Category == debusine.CategorySourcePackage {
		var source struct{ Name, Version string }
		_ = json.Unmarshal(a.Data, &source) // validated when the artifact was made
		u.Name, u.Version, u.HasSource = source.Name, source.Version, true
		return u
	}
	var upload struct {
		Fields struct{ Source, Version, Architecture string } `json:"changes_fields"`
	}
	_ = json.Unmarshal(a.Data, &upload)
	u.Name, _, _ = strings.Cut(upload.Fields.Source, " ")
	u.Version = upload.Fields.Version
	arches := strings.Fields(upload.Fields.Architecture)
	u.HasSource = slices.Contains(arches, "source")
	u.HasBinaries = slices.ContainsFunc(arches, func(a string) bool { return a != "source" })
	return u
}
