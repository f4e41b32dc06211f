package debian

import (
	"io"
	"slices"
	"strings"
)

// maxUploadControl bounds a .dsc or .changes in bytes. The .changes of linux,
// Debian's largest, has some hundreds of kilobytes.
const maxUploadControl = 8 << 20

// DSC is a Debian source control file: dsc(5).
type DSC struct {
	Source        string
	Version       Version
	Format        string         // "3.0 (quilt)"
	Architectures []ArchWildcard // what it can be built for
	Binaries      []string       // binary packages that it makes; may be empty
	Targets       Targets        // the same with what is known of each package
	Files         []File         // without the .dsc itself
	Paragraph     Paragraph      // all fields as they were written

	fields map[string]any
}

// ParseDSC reads a .dsc, signed or not (the signature is not checked). What
// does not fit dsc(5) is a Malformed.
func ParseDSC(r io.Reader) (*DSC, error) {
	p, err := readOne(r, maxUploadControl)
	if err != nil {
		return nil, err
	}
	if err := require(p, "Format", "Source", "Version", "Architecture"); err != nil {
		return nil, err
	}
	d := &DSC{Format: p.Get("Format"), Paragraph: p}
	if d.Source, err = ParsePackageName(p.Get("Source")); err != nil {
		return nil, err
	}
	if d.Version, err = ParseVersion(p.Get("Version")); err != nil {
		return nil, err
	}
	if d.Architectures, err = ParseArchWildcards(p.Get("Architecture")); err != nil {
		return nil, err
	}
	if d.Targets, err = ParseTargets(p.Get); err != nil {
		return nil, err
	}
	if d.Binaries, err = parseBinaries(p.Get("Binary")); err != nil {
		return nil, err
	}
	if d.Files, err = parseFileLists(p, digestLists(false)); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(d.Files, func(f File) bool { return strings.HasSuffix(f.Name, ".dsc") }) {
		return nil, malformedf("a .dsc must not list a .dsc")
	}
	if d.fields, err = debusineFields(p, false); err != nil {
		return nil, err
	}
	return d, nil
}

// FileName is the name that the .dsc has by custom.
func (d *DSC) FileName() string { return d.Source + "_" + d.Version.WithoutEpoch() + ".dsc" }

// Fields are the fields in the form of Debusine's dsc_fields: Files and
// Checksums-* are lists of objects with text values (md5sum or sha256 …, size,
// name), everything else is text.
func (d *DSC) Fields() map[string]any { return d.fields }

// require asks for fields that are there and not empty.
func require(p Paragraph, names ...string) error {
	for _, name := range names {
		if strings.TrimSpace(p.Get(name)) == "" {
			return malformedf("the field %s is missing or empty", name)
		}
	}
	return nil
}

// parseBinaries reads a Binary field, whose names are separated by commas in a
// .dsc and by spaces in a .changes.
func parseBinaries(field string) ([]string, error) {
	names := strings.FieldsFunc(field, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
	for _, name := range names {
		if _, err := ParsePackageName(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}
