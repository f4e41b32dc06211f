package debusine

import (
	"path"
	"slices"
	"strings"
	"unicode"

	"debusine/debian"
)

// maxArtifactPath bounds the path of a file in an artifact, in bytes.
const maxArtifactPath = 500

// checkPaths refuses paths that would lead out of the folder into which an
// artifact is downloaded or unpacked, or that two files share.
func checkPaths(files []string) error {
	seen := make(map[string]bool, len(files))
	for _, file := range files {
		control := strings.ContainsFunc(file, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
		switch {
		case file == "" || file == "." || len(file) > maxArtifactPath:
			return Invalidf("the path of a file must have 1 to %d bytes", maxArtifactPath)
		case control || path.IsAbs(file) || path.Clean(file) != file || file == ".." || strings.HasPrefix(file, "../"):
			return Invalidf("path %.80q must be relative and plain, such as hello_2.10-3.dsc", file)
		case seen[file]:
			return Invalidf("path %.80q is given twice", file)
		}
		seen[file] = true
	}
	return nil
}

// withSuffix are the files whose names end with one of the suffixes.
func withSuffix(files []string, suffixes ...string) []string {
	var found []string
	for _, file := range files {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(file, s) }) {
			found = append(found, file)
		}
	}
	return found
}

// checkOnlyFile asks for one file, with one of the suffixes, and no other.
func checkOnlyFile(files []string, suffixes ...string) error {
	if len(files) != 1 || len(withSuffix(files, suffixes...)) != 1 {
		return Invalidf("the artifact must hold exactly one file, whose name ends with %s", strings.Join(suffixes, " or "))
	}
	return nil
}

// checkFilename holds the filename of the data to that of the one file.
func checkFilename(filename string, files []string) error {
	if filename != path.Base(files[0]) {
		return Invalidf("filename is %.80q, but the file is %.80q", filename, files[0])
	}
	return nil
}

// checkListing asks for exactly one file with the suffix, and beside it for
// exactly the files that the fields list. It returns those.
func checkListing(files []string, suffix, key string, fields map[string]any) ([]string, error) {
	if len(withSuffix(files, suffix)) != 1 {
		return nil, Invalidf("the artifact must hold exactly one %s file", suffix)
	}
	listed, err := listedNames(key, fields)
	if err != nil {
		return nil, err
	}
	held, named := setOf(files), setOf(listed)
	for _, name := range listed {
		if !held[name] {
			return nil, Invalidf("the %s lists %.80q, but the artifact does not hold it", suffix, name)
		}
	}
	for _, file := range files {
		if !strings.HasSuffix(file, suffix) && !named[file] {
			return nil, Invalidf("the artifact holds %.80q, but the %s does not list it", file, suffix)
		}
	}
	return listed, nil
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// listedNames are the names in Files. The lists of checksums that are there
// must have the same names: a client that downloads by another list than the
// one that was checked must get the same files.
func listedNames(key string, fields map[string]any) ([]string, error) {
	names, err := namesIn(key, "Files", fields)
	if err != nil {
		return nil, err
	}
	for _, list := range []string{"Checksums-Sha1", "Checksums-Sha256", "Checksums-Sha512"} {
		if _, there := fields[list]; !there {
			continue
		}
		others, err := namesIn(key, list, fields)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(others, names) {
			return nil, Invalidf("in %s, Files and %s do not list the same files", key, list)
		}
	}
	return names, nil
}

// namesIn reads one list of objects with a name each; the names are sorted.
func namesIn(key, list string, fields map[string]any) ([]string, error) {
	objects, ok := fields[list].([]any)
	if !ok {
		return nil, Invalidf("%s must have the field %s, a list of objects with a name each", key, list)
	}
	var names []string
	for _, object := range objects {
		values, _ := object.(map[string]any)
		text, _ := values["name"].(string)
		name, err := debian.ParseFileName(text)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		return nil, Invalidf("in %s, %s lists a file twice", key, list)
	}
	return names, nil
}

// checkUploadFiles holds the kinds of files to the architectures of an upload:
// a source has one .dsc, binaries have packages, and neither has the other's.
func checkUploadFiles(arches []debian.Arch, listed []string) error {
	dscs := withSuffix(listed, ".dsc")
	debs := withSuffix(listed, ".deb", ".udeb")
	source := slices.Contains(arches, debian.ArchSource)
	binary := slices.ContainsFunc(arches, func(a debian.Arch) bool { return a != debian.ArchSource })
	switch {
	case source && len(dscs) != 1:
		return Invalidf("an upload with source must list exactly one .dsc, not %d", len(dscs))
	case !source && len(dscs) > 0:
		return Invalidf("an upload without source must not list a .dsc")
	case binary && len(debs) == 0:
		return Invalidf("an upload with binaries must list at least one .deb or .udeb")
	case !binary && len(debs) > 0:
		return Invalidf("an upload of source alone must not list %.80q", debs[0])
	}
	if binary {
		return nil
	}
	for _, file := range withSuffix(listed, ".buildinfo") {
		if !strings.HasSuffix(file, "_source.buildinfo") {
			return Invalidf("an upload of source alone must not list %.80q, which describes a build of binaries", file)
		}
	}
	return nil
}
