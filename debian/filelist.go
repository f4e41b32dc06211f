package debian

import (
	"slices"
	"strconv"
	"strings"
)

// maxListed bounds how many files a .dsc or .changes may list. The largest in
// Debian (linux) lists some hundreds.
const maxListed = 10000

// File is a file that a .dsc or .changes lists.
type File struct {
	Name   string // a plain name: no folder, no leading dot or hyphen
	Size   int64  // bytes
	SHA256 string // lower-case hexadecimal

	// Of a .changes alone: where the archive puts the file.
	Section  string
	Priority string
}

// ParseFileName accepts a name that is safe in any folder: ASCII letters,
// digits and . _ + ~ : , = @ % -, beginning with a letter or digit, without
// two dots in a row and at most 255 bytes long. Debian's archive needs less.
func ParseFileName(s string) (string, error) {
	switch {
	case s == "":
		return "", malformedf("a file name is empty")
	case len(s) > 255:
		return "", malformedf("file name %s is longer than 255 bytes", quote(s))
	case !isLetter(s[0]) && !isDigit(s[0]):
		return "", malformedf("file name %s must begin with a letter or digit", quote(s))
	case strings.Contains(s, ".."):
		return "", malformedf("file name %s holds two dots in a row", quote(s))
	case !only(s, "._+~:,=@%-"):
		return "", malformedf("file name %s holds a character that is not allowed in one", quote(s))
	}
	return s, nil
}

// ParsePackageName accepts the name of a source or binary package: Policy
// 5.6.1.
func ParsePackageName(s string) (string, error) {
	if len(s) < 2 || len(s) > 200 || !only(s, "+-.") || strings.ToLower(s) != s || !isLetter(s[0]) && !isDigit(s[0]) {
		return "", malformedf("%s is not a package name", quote(s))
	}
	return s, nil
}

// ParseSourceField reads a Source field, which may name the source's version
// where it differs from the binary's: "hello (2.10-3)". Without one, version
// is the zero Version.
func ParseSourceField(s string) (name string, version Version, err error) {
	name, rest, found := strings.Cut(s, " ")
	if name, err = ParsePackageName(name); err != nil {
		return "", Version{}, err
	}
	if !found {
		return name, Version{}, nil
	}
	inner, ok := strings.CutPrefix(strings.TrimSpace(rest), "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return "", Version{}, malformedf("Source field %s must be a name, or a name and a version in parentheses", quote(s))
	}
	if version, err = ParseVersion(strings.TrimSpace(inner)); err != nil {
		return "", Version{}, err
	}
	return name, version, nil
}

// digestList says how one of the fields that list files is built.
type digestList struct {
	field   string
	key     string   // the name of the digest in Debusine's JSON
	digits  int      // hexadecimal digits of the digest
	columns []string // names of the columns in Debusine's JSON
}

// digestLists are the lists that a .dsc or, with placed, a .changes may have.
func digestLists(placed bool) []digestList {
	files := []string{"md5sum", "size", "name"}
	if placed {
		files = []string{"md5sum", "size", "section", "priority", "name"}
	}
	return append(checksumLists(), digestList{"Files", "md5sum", 32, files})
}

// buildInfoLists are those of a .buildinfo.
func buildInfoLists() []digestList {
	return append(checksumLists(), digestList{"Checksums-Md5", "md5", 32, []string{"md5", "size", "name"}})
}

// checksumLists begin with the one that must be there.
func checksumLists() []digestList {
	return []digestList{
		{"Checksums-Sha256", "sha256", 64, []string{"sha256", "size", "name"}},
		{"Checksums-Sha1", "sha1", 40, []string{"sha1", "size", "name"}},
		{"Checksums-Sha512", "sha512", 128, []string{"sha512", "size", "name"}},
	}
}

// parse reads the lines of the list into rows by column.
func (l digestList) parse(p Paragraph) ([]map[string]string, error) {
	lines := p.Lines(l.field)
	if len(lines) > maxListed {
		return nil, malformedf("%s lists more than %d files", l.field, maxListed)
	}
	rows := make([]map[string]string, 0, len(lines))
	seen := make(map[string]bool, len(lines))
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) != len(l.columns) {
			return nil, malformedf("%s must hold %d words a line, not %s", l.field, len(l.columns), quote(line))
		}
		row := make(map[string]string, len(words))
		for i, column := range l.columns {
			row[column] = words[i]
		}
		if err := l.check(row); err != nil {
			return nil, err
		}
		if seen[row["name"]] {
			return nil, malformedf("%s lists %s twice", l.field, row["name"])
		}
		seen[row["name"]] = true
		rows = append(rows, row)
	}
	return rows, nil
}

func (l digestList) check(row map[string]string) error {
	if _, err := ParseFileName(row["name"]); err != nil {
		return err
	}
	if _, err := parseSize(row["size"]); err != nil {
		return err
	}
	digest := row[l.key]
	if len(digest) != l.digits || strings.Trim(digest, "0123456789abcdefABCDEF") != "" {
		return malformedf("%s has %s for %s: that is not a checksum of %d hexadecimal digits",
			l.field, quote(digest), row["name"], l.digits)
	}
	return nil
}

func parseSize(s string) (int64, error) {
	size, err := strconv.ParseInt(s, 10, 64)
	if err != nil || size < 0 || s[0] == '+' || s[0] == '-' {
		return 0, malformedf("%s is not a file size", quote(s))
	}
	return size, nil
}

// parseFileLists reads all lists of a paragraph. Checksums-Sha256 and, where it
// is among them, Files must be there, and all must agree on names and sizes: a verifier that looks
// at another list than we do must see the same files.
func parseFileLists(p Paragraph, lists []digestList) ([]File, error) {
	var files []File
	for i, list := range lists {
		if _, found := p.Lookup(list.field); !found {
			if i == 0 || list.field == "Files" {
				return nil, malformedf("the field %s is missing", list.field)
			}
			continue
		}
		rows, err := list.parse(p)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			files = filesOf(rows)
			continue
		}
		if err := agree(files, rows, list.field); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// filesOf takes rows that check has seen.
func filesOf(rows []map[string]string) []File {
	files := make([]File, len(rows))
	for i, row := range rows {
		size, _ := parseSize(row["size"])
		files[i] = File{Name: row["name"], Size: size, SHA256: strings.ToLower(row["sha256"])}
	}
	return files
}

// agree compares another list with the files of the first, and takes section
// and priority from it where it has them.
func agree(files []File, rows []map[string]string, field string) error {
	if len(rows) != len(files) {
		return malformedf("%s and Checksums-Sha256 do not list the same files", field)
	}
	at := make(map[string]int, len(files))
	for i, f := range files {
		at[f.Name] = i
	}
	for _, row := range rows {
		i, found := at[row["name"]]
		size, _ := parseSize(row["size"])
		if !found || files[i].Size != size {
			return malformedf("%s and Checksums-Sha256 do not agree on %s", field, row["name"])
		}
		if row["section"] != "" {
			files[i].Section, files[i].Priority = row["section"], row["priority"]
		}
	}
	return nil
}

// debusineFields is a paragraph in the form that Debusine gives dsc_fields and
// changes_fields (and python-debian its Dsc and Changes): the lists of files
// as lists of objects, everything else as text.
func debusineFields(p Paragraph, placed bool) (map[string]any, error) {
	fields := make(map[string]any, p.Len())
	lists := digestLists(placed)
	for _, f := range p.fields {
		fields[f.Name] = f.Value
		i := slices.IndexFunc(lists, func(l digestList) bool { return strings.EqualFold(l.field, f.Name) })
		if i < 0 {
			continue
		}
		rows, err := lists[i].parse(p)
		if err != nil {
			return nil, err
		}
		list := make([]any, len(rows))
		for j, row := range rows {
			object := make(map[string]any, len(row))
			for k, v := range row {
				object[k] = v
			}
			list[j] = object
		}
		fields[f.Name] = list
	}
	return fields, nil
}
