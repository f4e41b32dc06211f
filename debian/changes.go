package debian

import (
	"io"
	"slices"
	"strings"
)

// Changes describes an upload: deb-changes(5).
type Changes struct {
	Source        string
	SourceVersion Version // differs from Version where only binaries were rebuilt
	Version       Version
	Architectures []Arch   // source, all and machines, in the order of the file
	Distribution  string   // "unstable"
	Binaries      []string // empty in an upload of source alone
	Files         []File   // without the .changes itself
	Paragraph     Paragraph

	fields map[string]any
}

// ParseChanges reads a .changes, signed or not (the signature is not checked).
// What does not fit deb-changes(5) is a Malformed.
func ParseChanges(r io.Reader) (*Changes, error) {
	p, err := readOne(r, maxUploadControl)
	if err != nil {
		return nil, err
	}
	if err := require(p, "Source", "Version", "Architecture", "Distribution"); err != nil {
		return nil, err
	}
	c := &Changes{Distribution: p.Get("Distribution"), Paragraph: p}
	if strings.ContainsAny(c.Distribution, " \t\n/") || strings.HasPrefix(c.Distribution, ".") {
		return nil, malformedf("Distribution %s must be the name of one suite", quote(c.Distribution))
	}
	if c.Source, c.SourceVersion, c.Version, err = sourceAndVersion(p); err != nil {
		return nil, err
	}
	if c.Architectures, err = ParseArches(p.Get("Architecture")); err != nil {
		return nil, err
	}
	if c.Binaries, err = parseBinaries(p.Get("Binary")); err != nil {
		return nil, err
	}
	if c.Files, err = parseFileLists(p, digestLists(true)); err != nil {
		return nil, err
	}
	if c.fields, err = debusineFields(p, true); err != nil {
		return nil, err
	}
	return c, nil
}

// HasSource tells whether the upload holds the source package.
func (c *Changes) HasSource() bool { return slices.Contains(c.Architectures, ArchSource) }

// Fields are the fields in the form of Debusine's changes_fields: as
// DSC.Fields, and with section and priority in Files.
func (c *Changes) Fields() map[string]any { return c.fields }
