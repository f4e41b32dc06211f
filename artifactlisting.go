package debusine

import (
	"strconv"
	"strings"
)

// CheckListed holds the sizes and SHA-256 of an artifact's files to what its
// .dsc or .changes says of them, as far as it says it: an upload whose bytes
// are others than those that were signed for must not come to exist. data has
// passed ParseArtifactData with the paths of the files.
func CheckListed(data ArtifactData, files []ArtifactFile) error {
	var (
		key    string
		fields map[string]any
	)
	switch d := data.(type) {
	case *SourcePackageData:
		key, fields = "dsc_fields", d.DscFields
	case *UploadData:
		key, fields = "changes_fields", d.ChangesFields
	default:
		return nil
	}
	byName := make(map[string]ArtifactFile, len(files))
	for _, f := range files {
		byName[f.Path] = f
	}
	for _, list := range []string{"Files", "Checksums-Sha1", "Checksums-Sha256", "Checksums-Sha512"} {
		objects, _ := fields[list].([]any)
		for _, object := range objects {
			values, _ := object.(map[string]any)
			name, _ := values["name"].(string)
			f, held := byName[name]
			if !held {
				continue
			}
			if err := agrees(key, list, values, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func agrees(key, list string, values map[string]any, f ArtifactFile) error {
	if size, said := sizeOf(values["size"]); said && size != f.Size {
		return Invalidf("%s says in %s that %.80q has %d bytes, but the file has %d", key, list, f.Path, size, f.Size)
	}
	if sum, _ := values["sha256"].(string); list == "Checksums-Sha256" && !strings.EqualFold(sum, f.SHA256) {
		return WithHint(Invalidf("%s says that %.80q has the SHA-256 %.80q, but the file has %s", key, f.Path, sum, f.SHA256),
			"the file was changed after it was listed: make the .dsc or .changes anew")
	}
	return nil
}

// sizeOf reads a size, which python-debian writes as text.
func sizeOf(v any) (size int64, said bool) {
	switch v := v.(type) {
	case nil:
		return 0, false
	case float64:
		return int64(v), true
	case string:
		size, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return -1, true
		}
		return size, true
	}
	return -1, true
}

// CheckRelation says whether an artifact of one category may have a relation of
// the type to one of another. Most may; an upload extends packages, and, merged, the
// uploads that it was merged of; debugging files belong to a binary package. single says that the artifact may
// have only one such relation.
func CheckRelation(kind, from, to string) (single bool, err error) {
	switch {
	case from == CategoryUpload && kind == "extends":
		if to != CategorySourcePackage && to != CategoryBinaryPackage && to != CategoryUpload {
			return false, Invalidf("an upload extends source and binary packages, or uploads, not an artifact of category %s", to)
		}
		return to == CategorySourcePackage, nil
	case from == CategoryDebugSymbols && kind == "relates-to":
		if to != CategoryBinaryPackage {
			return false, Invalidf("debugging symbols relate to a binary package, not to an artifact of category %s", to)
		}
		return true, nil
	}
	return false, nil
}
