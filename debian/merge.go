package debian

import (
	"maps"
	"slices"
	"strings"
)

// MergeChanges makes one .changes of several, as mergechanges(1) does: all have the
// same Format, Source and Version; architectures, binaries, descriptions and files
// are those of all; every other field is that of the first. Two that describe a
// package differently, or list another file under one name, cannot be merged.
func MergeChanges(all ...*Changes) (Paragraph, error) {
	if len(all) < 2 {
		return Paragraph{}, malformedf("merging takes two .changes or more")
	}
	first := all[0].Paragraph
	for _, field := range []string{"Format", "Source", "Version"} {
		for _, c := range all[1:] {
			if one, other := first.Get(field), c.Paragraph.Get(field); one != other {
				return Paragraph{}, malformedf("the uploads have different %s fields: %s and %s", field, quote(one), quote(other))
			}
		}
	}
	if format := first.Get("Format"); format != "1.8" {
		return Paragraph{}, malformedf("the uploads have the format %s, not 1.8", quote(format))
	}
	descriptions, err := mergedDescriptions(all)
	if err != nil {
		return Paragraph{}, err
	}
	lists, err := mergedLists(all)
	if err != nil {
		return Paragraph{}, err
	}
	lists["Architecture"] = mergedWords(all, "Architecture")
	lists["Binary"] = mergedWords(all, "Binary")
	lists["Description"] = descriptions
	return mergedFields(first, lists)
}

// mergedFields puts merged values in the places where mergechanges has them.
func mergedFields(first Paragraph, merged map[string]string) (out Paragraph, err error) {
	set := func(name, value string) {
		if err == nil && value != "" {
			err = out.Set(name, value)
		}
	}
	for _, f := range first.Fields() {
		switch name := strings.ToLower(f.Name); {
		case name == "binary" || name == "description" || name == "files" || strings.HasPrefix(name, "checksums-"):
			continue
		case name == "architecture":
			set(f.Name, merged["Architecture"])
			continue
		case name == "source":
			set("Binary", merged["Binary"])
		case name == "changes":
			set("Description", merged["Description"])
		}
		set(f.Name, f.Value)
	}
	for _, name := range []string{"Checksums-Sha1", "Checksums-Sha256", "Checksums-Sha512", "Files"} {
		set(name, merged[name])
	}
	if _, described := out.Lookup("Description"); !described {
		set("Description", merged["Description"])
	}
	return out, err
}

// mergedWords are the words of a field in all, sorted.
func mergedWords(all []*Changes, field string) string {
	words := map[string]bool{}
	for _, c := range all {
		for _, word := range strings.Fields(c.Paragraph.Get(field)) {
			words[word] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(words)), " ")
}

// mergedDescriptions are those lines of all that name different packages.
func mergedDescriptions(all []*Changes) (string, error) {
	of := map[string]string{}
	for _, c := range all {
		for _, line := range c.Paragraph.Lines("Description") {
			name, _, _ := strings.Cut(line, " ")
			if known, found := of[name]; found && known != line {
				return "", malformedf("the uploads describe %s differently", quote(name))
			}
			of[name] = line
		}
	}
	return asLines(slices.Sorted(maps.Values(of))), nil
}

// mergedLists are the lists of files that all have, in the order of the uploads.
func mergedLists(all []*Changes) (map[string]string, error) {
	merged := map[string]string{}
	for _, list := range digestLists(true) {
		if slices.ContainsFunc(all, func(c *Changes) bool { _, has := c.Paragraph.Lookup(list.field); return !has }) {
			continue
		}
		var lines []string
		seen := map[string][]string{}
		for _, c := range all {
			for _, line := range c.Paragraph.Lines(list.field) {
				words := strings.Fields(line)
				name := words[len(words)-1]
				known, found := seen[name]
				switch {
				case !found:
					seen[name] = words
					lines = append(lines, strings.Join(words, " "))
				case !strings.EqualFold(known[0], words[0]) || known[1] != words[1]:
					return nil, malformedf("the uploads list different files of the name %s", quote(name))
				}
			}
		}
		merged[list.field] = asLines(lines)
	}
	return merged, nil
}

func asLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\n " + strings.Join(lines, "\n ")
}
