package debusine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"debusine/debian"
)

// The artifact categories that exist here. Any other is refused.
const (
	CategorySourcePackage   = "debian:source-package"
	CategoryBinaryPackage   = "debian:binary-package"
	CategoryUpload          = "debian:upload"
	CategoryPackageBuildLog = "debian:package-build-log"
	CategoryDebugSymbols    = "debian:debug-symbols"
	CategorySystemTarball   = "debian:system-tarball"
	CategorySystemImage     = "debian:system-image"
	CategorySigningInput    = "debusine:signing-input"
	CategorySigningOutput   = "debusine:signing-output"
	CategoryDebugLogs       = "debusine:work-request-debug-logs"
	CategoryTest            = "debusine:test"
)

// ArtifactCategories are all of them, in the order in which people are told.
func ArtifactCategories() []string {
	return []string{CategorySourcePackage, CategoryBinaryPackage, CategoryUpload, CategoryPackageBuildLog, CategoryDebugSymbols,
		CategorySystemTarball, CategorySystemImage, CategorySigningInput, CategorySigningOutput, CategoryDebugLogs, CategoryTest}
}

// ArtifactData is the data of an artifact, one struct for each category. As
// JSON it has the names of Debusine's own data models.
type ArtifactData interface {
	// Category is the category that the data belongs to.
	Category() string
	// check holds the values to the category's rules, and the paths of the
	// artifact's files too.
	check(files []string) error
}

// SourcePackageData describes a .dsc with the files that it lists.
type SourcePackageData struct {
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Type      string         `json:"type"`       // always "dpkg"
	DscFields map[string]any `json:"dsc_fields"` // debian.DSC.Fields
}

// BinaryPackageData describes one .deb or .udeb.
type BinaryPackageData struct {
	SrcpkgName      string         `json:"srcpkg_name"`
	SrcpkgVersion   string         `json:"srcpkg_version"`
	DebFields       map[string]any `json:"deb_fields"` // debian.Deb.Fields
	DebControlFiles []string       `json:"deb_control_files"`
}

// UploadData describes a .changes with the files that it lists.
type UploadData struct {
	Type          string         `json:"type"`           // always "dpkg"
	ChangesFields map[string]any `json:"changes_fields"` // debian.Changes.Fields
}

// PackageBuildLogData describes the log of one build.
type PackageBuildLogData struct {
	Source          string         `json:"source"`
	Version         string         `json:"version"`
	Architecture    string         `json:"architecture,omitempty"`
	Filename        string         `json:"filename"`
	BdUninstallable map[string]any `json:"bd_uninstallable,omitempty"` // dose3's report
}

// SystemTarballData describes a root file system to build in.
type SystemTarballData struct {
	Filename     string            `json:"filename"`
	Vendor       string            `json:"vendor"`
	Codename     string            `json:"codename"`
	Mirror       string            `json:"mirror"` // URL
	Components   []string          `json:"components"`
	Variant      string            `json:"variant,omitempty"`
	Pkglist      map[string]string `json:"pkglist"` // version by package
	Architecture string            `json:"architecture"`
	WithDev      bool              `json:"with_dev"`
	WithInit     bool              `json:"with_init"`
	// SuiteArchitectures is the field Architectures of the suite's Release file when
	// the system was made, without all; nil where nobody looked. Beyond Debusine's.
	SuiteArchitectures []string `json:"suite_architectures,omitempty"`
}

// DebugLogsData is the empty data of a work request's debug logs.
type DebugLogsData struct{}

// TestData is the empty data of an artifact for tests.
type TestData struct{}

// Category is debian:source-package.
func (*SourcePackageData) Category() string { return CategorySourcePackage }

// Category is debian:binary-package.
func (*BinaryPackageData) Category() string { return CategoryBinaryPackage }

// Category is debian:upload.
func (*UploadData) Category() string { return CategoryUpload }

// Category is debian:package-build-log.
func (*PackageBuildLogData) Category() string { return CategoryPackageBuildLog }

// Category is debian:system-tarball.
func (*SystemTarballData) Category() string { return CategorySystemTarball }

// Category is debusine:work-request-debug-logs.
func (*DebugLogsData) Category() string { return CategoryDebugLogs }

// Category is debusine:test.
func (*TestData) Category() string { return CategoryTest }

// ParseArtifactData reads the data of a new artifact that will hold the files
// with the given paths, and checks both: known keys only, the required ones
// there, values of the right form, and the files that the category asks for.
// Empty raw counts as {}. The error is an Invalid.
func ParseArtifactData(category string, raw json.RawMessage, files []string) (ArtifactData, error) {
	data, optional, err := emptyArtifactData(category)
	if err != nil {
		return nil, err
	}
	if err := decodeStrictly(raw, data, optional); err != nil {
		return nil, err
	}
	if err := checkPaths(files); err != nil {
		return nil, err
	}
	if err := data.check(files); err != nil {
		return nil, asInvalid(err)
	}
	return data, nil
}

// emptyArtifactData also names the keys that may be left out or null.
func emptyArtifactData(category string) (data ArtifactData, optional []string, err error) {
	switch category {
	case CategorySourcePackage:
		return &SourcePackageData{}, nil, nil
	case CategoryBinaryPackage:
		return &BinaryPackageData{}, nil, nil
	case CategoryUpload:
		return &UploadData{}, nil, nil
	case CategoryPackageBuildLog:
		return &PackageBuildLogData{}, []string{"architecture", "bd_uninstallable"}, nil
	case CategorySystemTarball:
		return &SystemTarballData{}, []string{"variant", "suite_architectures"}, nil
	case CategorySystemImage:
		return &SystemImageData{}, []string{"variant", "suite_architectures"}, nil
	case CategoryDebugSymbols:
		return &DebugSymbolsData{}, nil, nil
	case CategorySigningInput:
		return &SigningInputData{}, []string{"trusted_certs", "binary_package_name"}, nil
	case CategorySigningOutput:
		return &SigningOutputData{}, []string{"binary_package_name"}, nil
	case CategoryDebugLogs:
		return &DebugLogsData{}, nil, nil
	case CategoryTest:
		return &TestData{}, nil, nil
	}
	return nil, nil, Invalid{
		What: fmt.Sprintf("artifact category %.80q is unknown", category),
		Hint: "the categories are " + strings.Join(ArtifactCategories(), ", "),
	}
}

// decodeStrictly fills data. encoding/json alone would take keys in any case,
// and a missing key for an empty value; the keys that the struct writes when
// it is marshalled, and the optional ones, are those that it may have.
func decodeStrictly(raw json.RawMessage, data ArtifactData, optional []string) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	var given, known map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil || given == nil {
		return Invalidf("the artifact's data must be a JSON object")
	}
	empty, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("listing the keys of %s: %w", data.Category(), err)
	}
	if err := json.Unmarshal(empty, &known); err != nil {
		return fmt.Errorf("listing the keys of %s: %w", data.Category(), err)
	}
	per := map[string]string{}
	for key := range given {
		if _, required := known[key]; !required && !slices.Contains(optional, key) {
			per[fmt.Sprintf("%.80s", key)] = "is not a key of " + data.Category()
		}
	}
	for key := range known {
		if value, there := given[key]; !there || string(value) == "null" {
			per[key] = "is required"
		}
	}
	if len(per) > 0 {
		return invalidKeys(data.Category(), per)
	}
	within := json.NewDecoder(bytes.NewReader(raw)) // also of the objects in it: known keys only
	within.DisallowUnknownFields()
	if err := within.Decode(data); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return invalidKeys(data.Category(), map[string]string{wrong.Field: "must not be a JSON " + wrong.Value})
		}
		return Invalidf("the data of %s cannot be read: %v", data.Category(), err)
	}
	return nil
}

func invalidKeys(category string, per map[string]string) error {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(per)) {
		fmt.Fprintf(&b, "; %q %s", key, per[key])
	}
	return Invalid{What: "the data of " + category + " is not valid: " + strings.TrimPrefix(b.String(), "; "), Per: per}
}

// asInvalid turns what debian refuses into our fault.
func asInvalid(err error) error {
	var m debian.Malformed
	if errors.As(err, &m) {
		return Invalid{What: err.Error()}
	}
	return err
}

func (d *SourcePackageData) check(files []string) error {
	if err := checkNameAndVersion(d.Name, d.Version); err != nil {
		return err
	}
	if d.Type != "dpkg" {
		return Invalidf("the type of a source package must be dpkg, not %.80q", d.Type)
	}
	for key, want := range map[string]string{"Source": d.Name, "Version": d.Version} {
		if got, there := d.DscFields[key]; there && got != want {
			return Invalidf("dsc_fields says %s: %.80q, but the artifact is for %q", key, fmt.Sprint(got), want)
		}
	}
	_, err := checkListing(files, ".dsc", "dsc_fields", d.DscFields)
	return err
}

func (d *BinaryPackageData) check(files []string) error {
	if err := checkNameAndVersion(d.SrcpkgName, d.SrcpkgVersion); err != nil {
		return err
	}
	for _, key := range []string{"Package", "Version", "Architecture"} {
		if value, _ := d.DebFields[key].(string); value == "" {
			return Invalidf("deb_fields must have the field %s", key)
		}
	}
	// python-debian's names may have ./ at the front.
	isControl := func(name string) bool { return path.Clean(name) == "control" }
	if !slices.ContainsFunc(d.DebControlFiles, isControl) {
		return Invalidf("deb_control_files must name the file control")
	}
	return checkOnlyFile(files, ".deb", ".udeb")
}

func (d *UploadData) check(files []string) error {
	if d.Type != "dpkg" {
		return Invalidf("the type of an upload must be dpkg, not %.80q", d.Type)
	}
	text, _ := d.ChangesFields["Architecture"].(string)
	arches, err := debian.ParseArches(text)
	if err != nil {
		return err
	}
	if len(arches) == 0 {
		return Invalidf("changes_fields must have the field Architecture")
	}
	listed, err := checkListing(files, ".changes", "changes_fields", d.ChangesFields)
	if err != nil {
		return err
	}
	return checkUploadFiles(arches, listed)
}

func (d *PackageBuildLogData) check(files []string) error {
	if err := checkNameAndVersion(d.Source, d.Version); err != nil {
		return err
	}
	if d.Architecture != "" {
		if _, err := debian.ParseArch(d.Architecture); err != nil {
			return err
		}
	}
	if err := checkOnlyFile(files, ".build"); err != nil {
		return err
	}
	return checkFilename(d.Filename, files)
}

func (d *SystemTarballData) check(files []string) error {
	if err := d.checkSystem(); err != nil {
		return err
	}
	if err := checkOnlyFile(files, ".tar", ".tar.gz", ".tar.xz", ".tar.zst"); err != nil {
		return err
	}
	return checkFilename(d.Filename, files)
}

// mostSuiteArchitectures are more than any distribution has.
const mostSuiteArchitectures = 200

// checkSystem looks at what tarballs and images have in common.
func (d *SystemTarballData) checkSystem() error {
	for key, value := range map[string]string{"vendor": d.Vendor, "codename": d.Codename} {
		if value == "" || strings.ContainsAny(value, " \t\n/:") {
			return Invalidf("%s must be a word, not %.80q", key, value)
		}
	}
	if slices.Contains(d.Components, "") {
		return Invalidf("components must not have an empty name")
	}
	if mirror, err := url.Parse(d.Mirror); err != nil || mirror.Scheme == "" {
		return Invalidf("mirror must be a URL")
	}
	if len(d.SuiteArchitectures) > mostSuiteArchitectures {
		return Invalidf("suite_architectures has %d entries, %d are allowed", len(d.SuiteArchitectures), mostSuiteArchitectures)
	}
	for _, a := range d.SuiteArchitectures {
		if name, err := debian.ParseArch(a); err != nil || !name.IsReal() {
			return Invalidf("suite_architectures has %.80q, which is not the name of a machine's architecture", a)
		}
	}
	arch, err := debian.ParseArch(d.Architecture)
	if err != nil {
		return err
	}
	if !arch.IsReal() {
		return Invalidf("a system to build in cannot be for the architecture %s", arch)
	}
	return nil
}

func (*DebugLogsData) check([]string) error { return nil }
func (*TestData) check([]string) error      { return nil }

func checkNameAndVersion(name, version string) error {
	if _, err := debian.ParsePackageName(name); err != nil {
		return err
	}
	_, err := debian.ParseVersion(version)
	return err
}
