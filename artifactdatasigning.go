package debusine

import (
	"encoding/hex"
	"slices"
	"strings"

	"debusine/debian"
)

// SystemImageData describes a disk image to build or test in.
type SystemImageData struct {
	SystemTarballData
	ImageFormat   string `json:"image_format"` // raw, qcow2
	Filesystem    string `json:"filesystem"`
	Size          int64  `json:"size"`           // bytes
	BootMechanism string `json:"boot_mechanism"` // efi, bios
}

// DebugSymbolsData describes the debugging files of one -dbgsym package. Each is
// a file of the artifact, and its path is the build id.
type DebugSymbolsData struct {
	BuildIDs []string `json:"build_ids"` // 40 hexadecimal digits in lower case
}

// SigningInputData describes files to be signed, of any names.
type SigningInputData struct {
	TrustedCerts      []string `json:"trusted_certs,omitempty"`       // SHA-256 of certificates that the code trusts
	BinaryPackageName string   `json:"binary_package_name,omitempty"` // that the files come from
}

// SigningOutputData describes signatures, and what could not be signed.
type SigningOutputData struct {
	Purpose           string          `json:"purpose"`     // uefi, openpgp, openpgp-repository
	Fingerprint       string          `json:"fingerprint"` // of the key
	Results           []SigningResult `json:"results"`
	BinaryPackageName string          `json:"binary_package_name,omitempty"`
}

// SigningResult says what became of one file: a signature, or an error.
type SigningResult struct {
	File         string `json:"file"`
	OutputFile   string `json:"output_file,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
}

// Category is debian:system-image.
func (*SystemImageData) Category() string { return CategorySystemImage }

// Category is debian:debug-symbols.
func (*DebugSymbolsData) Category() string { return CategoryDebugSymbols }

// Category is debusine:signing-input.
func (*SigningInputData) Category() string { return CategorySigningInput }

// Category is debusine:signing-output.
func (*SigningOutputData) Category() string { return CategorySigningOutput }

func (d *SystemImageData) check(files []string) error {
	if err := d.checkSystem(); err != nil {
		return err
	}
	// A raw image is mostly holes: it travels as root.img in a tar file.
	suffixes := map[string][]string{"raw": {".tar.xz"}, "qcow2": {".qcow2", ".img"}}[d.ImageFormat]
	switch {
	case suffixes == nil:
		return Invalidf("image_format must be raw or qcow2, not %.80q", d.ImageFormat)
	case d.BootMechanism != "efi" && d.BootMechanism != "bios":
		return Invalidf("boot_mechanism must be efi or bios, not %.80q", d.BootMechanism)
	case d.Filesystem == "":
		return Invalidf("filesystem must not be empty")
	case d.Size <= 0:
		return Invalidf("size must be a number of bytes above zero")
	}
	if err := checkOnlyFile(files, suffixes...); err != nil {
		return err
	}
	return checkFilename(d.Filename, files)
}

func (d *DebugSymbolsData) check(files []string) error {
	for _, id := range d.BuildIDs {
		if !isDigest(id, 40) || strings.ToLower(id) != id {
			return Invalidf("build id %.80q is not one of 40 hexadecimal digits in lower case", id)
		}
	}
	ids, paths := slices.Sorted(slices.Values(d.BuildIDs)), slices.Sorted(slices.Values(files))
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		return Invalidf("build_ids names an id twice")
	}
	if len(ids) == 0 || !slices.Equal(ids, paths) {
		return Invalidf("the files must be exactly those of build_ids, each called by its id")
	}
	return nil
}

func (d *SigningInputData) check(files []string) error {
	for _, sum := range d.TrustedCerts {
		if !isDigest(sum, 64) {
			return Invalidf("trusted_certs holds %.80q, which is not the SHA-256 fingerprint of a certificate", sum)
		}
	}
	if len(files) == 0 {
		return Invalidf("there must be at least one file to be signed")
	}
	return checkOptionalPackage(d.BinaryPackageName)
}

func (d *SigningOutputData) check(files []string) error {
	if !slices.Contains([]string{"uefi", "openpgp", "openpgp-repository"}, d.Purpose) {
		return Invalidf("purpose must be uefi, openpgp or openpgp-repository, not %.80q", d.Purpose)
	}
	if !isDigest(d.Fingerprint, 0) {
		return Invalidf("fingerprint must be hexadecimal, not %.80q", d.Fingerprint)
	}
	held, named := setOf(files), map[string]bool{}
	for _, r := range d.Results {
		switch {
		case r.File == "":
			return Invalidf("each of results must name the file that was to be signed")
		case (r.OutputFile == "") == (r.ErrorMessage == ""):
			return Invalidf("the result of %.80q must have exactly one of output_file and error_message", r.File)
		case r.OutputFile != "" && !held[r.OutputFile]:
			return Invalidf("the result of %.80q is in %.80q, but the artifact does not hold it", r.File, r.OutputFile)
		}
		named[r.OutputFile] = true
	}
	for _, file := range files {
		if !named[file] {
			return Invalidf("the artifact holds %.80q, but no result names it", file)
		}
	}
	return checkOptionalPackage(d.BinaryPackageName)
}

func checkOptionalPackage(name string) error {
	if name == "" {
		return nil
	}
	_, err := debian.ParsePackageName(name)
	return err
}

// isDigest asks for that many hexadecimal digits; 0 for any even number above zero.
func isDigest(text string, digits int) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) > 0 && (digits == 0 || len(text) == digits)
}
