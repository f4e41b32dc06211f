package debusine

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// NewItem checks whether a collection of the category takes the item, names it
// by the category's rule, and gives the data that the item keeps (spec §1.6).
// variables are what the one who adds it says beside the item's own data.
func NewItem(category string, item CollectionItem, variables map[string]any) (name string, data json.RawMessage, err error) {
	switch category {
	case "debian:environments":
		return environmentItem(item, variables)
	case "debian:package-build-logs":
		return buildLogItem(item, variables)
	}
	return "", nil, Invalidf("collections of category %s take no items yet", category)
}

// environmentItem: {tarball|image}:{codename}:{architecture}, and
// :{variant}:{backend} when either is set.
func environmentItem(item CollectionItem, variables map[string]any) (string, json.RawMessage, error) {
	format, ok := map[string]string{"debian:system-tarball": "tarball", "debian:system-image": "image"}[item.Category]
	if item.Kind != "artifact" || !ok {
		return "", nil, Invalidf("debian:environments takes system tarballs and system images, not %s", item.Category)
	}
	own, err := objectOf(item.Data)
	if err != nil {
		return "", nil, err
	}
	keep := map[string]string{"codename": text(own["codename"]), "architecture": text(own["architecture"])}
	for k, v := range variables {
		if k != "codename" && k != "variant" && k != "backend" {
			return "", nil, Invalidf("debian:environments knows no variable %q", k)
		}
		if text(v) != "" {
			keep[k] = text(v)
		}
	}
	if keep["codename"] == "" || keep["architecture"] == "" {
		return "", nil, Invalidf("an environment needs a codename and an architecture")
	}
	for k, v := range keep {
		if strings.ContainsAny(v, ":/=") {
			return "", nil, Invalidf("%s %q of an environment may not contain ':', '/' or '='", k, v)
		}
	}
	name := format + ":" + keep["codename"] + ":" + keep["architecture"]
	if keep["variant"] != "" || keep["backend"] != "" {
		name += ":" + keep["variant"] + ":" + keep["backend"]
	}
	data, err := json.Marshal(keep)
	return name, data, err
}

// buildLogItem: {vendor}_{codename}_{architecture}_{source}_{version}_{work request}.
// The bare item announces the log and the artifact takes its place: they share
// the name.
func buildLogItem(item CollectionItem, variables map[string]any) (string, json.RawMessage, error) {
	if item.Category != "debian:package-build-log" || item.Kind == "collection" {
		return "", nil, Invalidf("debian:package-build-logs takes build logs, not %s", item.Category)
	}
	keep := maps.Clone(variables)
	var parts []string
	for _, k := range []string{"vendor", "codename", "architecture", "srcpkg_name", "srcpkg_version", "work_request_id"} {
		v := text(keep[k])
		if v == "" {
			return "", nil, Invalidf("a build log's item needs the variable %s", k)
		}
		parts = append(parts, v)
	}
	for k := range keep {
		switch k {
		case "vendor", "codename", "architecture", "srcpkg_name", "srcpkg_version", "work_request_id", "worker":
		default:
			return "", nil, Invalidf("debian:package-build-logs knows no variable %q", k)
		}
	}
	data, err := json.Marshal(keep)
	return strings.ReplaceAll(strings.Join(parts, "_"), "/", "%2F"), data, err
}

func objectOf(raw json.RawMessage) (map[string]any, error) {
	m := map[string]any{}
	if len(raw) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, Invalidf("the data are not an object: %v", err)
	}
	return m, nil
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
