package debian

import (
	"io"
	"strings"
	"time"
)

// BuildInfo describes a build and what was installed for it:
// deb-buildinfo(5).
type BuildInfo struct {
	Source        string
	SourceVersion Version // differs from Version where only binaries were rebuilt
	Version       Version
	Architectures []Arch // source, all and machines
	Binaries      []string
	Files         []File // without section and priority

	BuildArchitecture Arch              // of the machine that built
	BuildOrigin       string            // the distribution of that machine; may be ""
	BuildDate         time.Time         // zero where none is given
	BuildPath         string            // may be ""
	TaintedBy         []string          // what made the machine unlike others
	Installed         Relations         // one package each, with its exact version
	Environment       map[string]string // variables that could change the result
	Paragraph         Paragraph
}

// ParseBuildInfo reads a .buildinfo, signed or not (the signature is not
// checked). What does not fit deb-buildinfo(5) is a Malformed.
func ParseBuildInfo(r io.Reader) (*BuildInfo, error) {
	p, err := readOne(r, maxUploadControl)
	if err != nil {
		return nil, err
	}
	if err := require(p, "Format", "Source", "Version", "Architecture", "Build-Architecture", "Installed-Build-Depends"); err != nil {
		return nil, err
	}
	b := &BuildInfo{Paragraph: p, BuildOrigin: p.Get("Build-Origin"), BuildPath: p.Get("Build-Path"),
		TaintedBy: strings.Fields(p.Get("Build-Tainted-By")), BuildDate: parseDate(p.Get("Build-Date"))}
	if b.Source, b.SourceVersion, b.Version, err = sourceAndVersion(p); err != nil {
		return nil, err
	}
	if b.Architectures, err = ParseArches(p.Get("Architecture")); err != nil {
		return nil, err
	}
	if b.BuildArchitecture, err = ParseArch(p.Get("Build-Architecture")); err != nil {
		return nil, err
	}
	if b.Binaries, err = parseBinaries(p.Get("Binary")); err != nil {
		return nil, err
	}
	if b.Files, err = parseFileLists(p, buildInfoLists()); err != nil {
		return nil, err
	}
	if b.Installed, err = parseInstalled(p.Get("Installed-Build-Depends")); err != nil {
		return nil, err
	}
	b.Environment, err = parseEnvironment(p.Get("Environment"))
	return b, err
}

// sourceAndVersion reads the two fields that a .changes and a .buildinfo
// share.
func sourceAndVersion(p Paragraph) (source string, sourceVersion, version Version, err error) {
	if version, err = ParseVersion(p.Get("Version")); err != nil {
		return "", Version{}, Version{}, err
	}
	if source, sourceVersion, err = ParseSourceField(p.Get("Source")); err != nil {
		return "", Version{}, Version{}, err
	}
	if sourceVersion.IsZero() {
		sourceVersion = version
	}
	return source, sourceVersion, version, nil
}

// parseInstalled wants one package and its exact version in each place.
func parseInstalled(field string) (Relations, error) {
	installed, err := ParseRelations(field)
	if err != nil {
		return nil, err
	}
	for _, either := range installed {
		if len(either) != 1 || either[0].Operator != Exactly {
			return nil, malformedf("Installed-Build-Depends has %s, which is not one package with its exact version", quote(either.String()))
		}
	}
	return installed, nil
}

// parseEnvironment reads lines of the form NAME="value", in which dpkg writes
// \" for a quotation mark. A value may hold newlines.
func parseEnvironment(field string) (map[string]string, error) {
	variables := map[string]string{}
	name, open := "", false
	for line := range strings.SplitSeq(strings.TrimPrefix(field, "\n"), "\n") {
		line = strings.TrimPrefix(line, " ")
		if !open && line == "" {
			continue
		}
		value := line
		if !open {
			before, after, found := strings.Cut(line, `="`)
			if _, twice := variables[before]; !found || before == "" || !only(before, "_") || twice {
				return nil, malformedf(`Environment has the line %s, which is not of the form NAME="value"`, quote(line))
			}
			name, value = before, after
		}
		value, closed := unquoteEnd(value)
		variables[name] += value
		if open = !closed; open {
			variables[name] += "\n"
		}
	}
	if open {
		return nil, malformedf("the value of %s in Environment has no end", name)
	}
	return variables, nil
}

// unquoteEnd takes away the quotation mark that ends a value, where it is not
// one of the value's own.
func unquoteEnd(s string) (value string, closed bool) {
	value, closed = strings.CutSuffix(s, `"`)
	if closed && strings.HasSuffix(value, `\`) {
		value, closed = s, false
	}
	return strings.ReplaceAll(value, `\"`, `"`), closed
}
