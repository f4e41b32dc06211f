package debusine

import (
	"errors"
	"strings"
	"testing"
)

func TestFilesMustBeWhatTheListingSaysOfThem(t *testing.T) {
	sum, other := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	deb := func(size int64, sum string) []ArtifactFile {
		return []ArtifactFile{{Path: "a.changes", Size: 700, SHA256: other}, {Path: "a.deb", Size: size, SHA256: sum}}
	}
	listed := func(size any, sum any) map[string]any {
		return object{"Architecture": "amd64", "Files": []any{object{"name": "a.deb", "size": size}},
			"Checksums-Sha256": []any{object{"name": "a.deb", "size": size, "sha256": sum}}}
	}
	for name, c := range map[string]struct {
		fields map[string]any
		files  []ArtifactFile
		good   bool
	}{
		"the same":                        {listed("5", sum), deb(5, sum), true},
		"the same in upper case":          {listed("5", strings.ToUpper(sum)), deb(5, sum), true},
		"the same with a number":          {listed(float64(5), sum), deb(5, sum), true},
		"a list without checksums":        {object{"Files": []any{object{"name": "a.deb", "size": "5"}}}, deb(5, sum), true},
		"another SHA-256":                 {listed("5", other), deb(5, sum), false},
		"a SHA-256 that is left out":      {listed("5", nil), deb(5, sum), false},
		"another size":                    {listed("6", sum), deb(5, sum), false},
		"a size that is none":             {listed("many", sum), deb(5, sum), false},
		"a size of another type":          {listed([]any{5}, sum), deb(5, sum), false},
		"another size in Files":           {with(listed("5", sum), "Files", []any{object{"name": "a.deb", "size": "6"}}), deb(5, sum), false},
		"another size beside the SHA-512": {with(listed("5", sum), "Checksums-Sha512", []any{object{"name": "a.deb", "size": "6"}}), deb(5, sum), false},
	} {
		for _, data := range []ArtifactData{&UploadData{ChangesFields: c.fields}, &SourcePackageData{DscFields: c.fields}} {
			err := CheckListed(data, c.files)
			if (err == nil) != c.good || (err != nil && !errors.As(err, new(Invalid))) {
				t.Errorf("%s, in %s: %v", name, data.Category(), err)
			}
		}
	}
	if err := CheckListed(&TestData{}, deb(5, sum)); err != nil {
		t.Errorf("an artifact without a listing: %v", err)
	}
}

func TestRelationsThatCategoriesAllow(t *testing.T) {
	for name, c := range map[string]struct {
		from, kind, to string
		good, single   bool
	}{
		"an upload extends its source":          {CategoryUpload, "extends", CategorySourcePackage, true, true},
		"an upload extends its binaries":        {CategoryUpload, "extends", CategoryBinaryPackage, true, false},
		"a merged upload extends uploads":       {CategoryUpload, "extends", CategoryUpload, true, false},
		"an upload extends no log":              {CategoryUpload, "extends", CategoryPackageBuildLog, false, false},
		"an upload may relate to anything":      {CategoryUpload, "relates-to", CategoryPackageBuildLog, true, false},
		"symbols relate to their package":       {CategoryDebugSymbols, "relates-to", CategoryBinaryPackage, true, true},
		"symbols do not relate to an upload":    {CategoryDebugSymbols, "relates-to", CategoryUpload, false, false},
		"other categories are free":             {CategoryTest, "extends", CategoryTest, true, false},
		"a signing input relates to its upload": {CategorySigningInput, "relates-to", CategoryUpload, true, false},
	} {
		single, err := CheckRelation(c.kind, c.from, c.to)
		if (err == nil) != c.good || single != c.single {
			t.Errorf("%s: %v, %v", name, single, err)
		}
	}
}
