package debusine

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The collection categories that exist here.
const (
	CategoryEnvironments     = "debian:environments"
	CategoryPackageBuildLogs = "debian:package-build-logs"
	CategoryWorkflowInternal = "debusine:workflow-internal" // made with each root of a workflow
	// Its items are entries of package taskconfig.
	CategoryTaskConfiguration = "debusine:task-configuration"
)

// CheckCollection says whether a collection of the category may have the name:
// a singleton is called "_" and nothing else is.
func CheckCollection(category, name string) error {
	switch category {
	case CategoryEnvironments, CategoryTaskConfiguration:
		if name == "" || strings.HasPrefix(name, "_") || strings.ContainsAny(name, "/@") || !plainText(name) {
			return Invalidf("a collection of %s cannot be called %.80q", category, name)
		}
	case CategoryPackageBuildLogs, CategoryTaskHistory:
		if name != "_" {
			return Invalid{What: category + " is a singleton of its workspace", Hint: `its name is "_"`}
		}
	case CategoryWorkflowInternal:
		return Invalid{What: "collections of " + category + " are made with their workflows, and by nobody else"}
	default:
		return Invalid{What: fmt.Sprintf("collection category %.80q is unknown", category),
			Hint: "the categories are " + CategoryEnvironments + ", " + CategoryPackageBuildLogs + ", " + CategoryTaskConfiguration + ", " + CategoryTaskHistory}
	}
	return nil
}

// NewItem names a new item of a collection by the rule of the collection's
// category, and gives the data that the item carries there (spec §1.6). item
// has the kind, the category and, for an artifact, the artifact's data; a bare
// item may leave its data out. The internal collection of a workflow alone takes
// the name that the item has. variables are what the adder says beside it.
func NewItem(category string, item CollectionItem, variables map[string]any) (name string, data json.RawMessage, err error) {
	values := map[string]any{}
	if len(item.Data) > 0 {
		if err := json.Unmarshal(item.Data, &values); err != nil {
			return "", nil, Invalidf("the data of an item must be an object")
		}
		if values == nil {
			return "", nil, Invalidf("the data of an item must be an object, not null")
		}
	}
	n := naming{collection: category, values: values, variables: variables}
	switch category {
	case CategoryEnvironments:
		name, data, err = n.environment(item)
	case CategoryPackageBuildLogs:
		name, data, err = n.buildLog(item)
	case CategoryWorkflowInternal:
		name, data, err = n.internal(item)
	case CategoryTaskHistory:
		name, data, err = n.historicalRun(item)
	case CategoryTaskConfiguration:
		return "", nil, Invalid{What: "a task configuration takes no single items", Hint: "all of its entries come at once, with debusine task-config push"}
	default:
		return "", nil, Invalidf("collections of category %q take no items", category)
	}
	if err == nil && len(name) > 500 {
		err = Invalidf("the name of the item would have %d bytes, 500 are allowed", len(name))
	}
	if err != nil {
		return "", nil, err
	}
	return name, data, nil
}

// naming is what a rule reads: variables win over the artifact's own data.
type naming struct {
	collection        string
	values, variables map[string]any
	err               error
}

// environment is {tarball|image}:{codename}:{architecture}, and with a variant
// or a backend also :{variant}:{backend}. The variant that the artifact itself
// names is debootstrap's (buildd, minbase); an item's says which task it is for.
func (n *naming) environment(item CollectionItem) (string, json.RawMessage, error) {
	kinds := map[string]string{CategorySystemTarball: "tarball", "debian:system-image": "image"}
	kind, ok := kinds[item.Category]
	if !ok || item.Kind != "artifact" {
		return "", nil, n.refuse(item, "artifacts of category "+CategorySystemTarball)
	}
	if err := n.known("codename", "variant", "backend"); err != nil {
		return "", nil, err
	}
	d := struct {
		Codename     string `json:"codename"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant,omitempty"`
		Backend      string `json:"backend,omitempty"`
	}{n.word("codename"), n.word("architecture"), n.optionalVariable("variant"), n.optionalVariable("backend")}
	if n.err != nil {
		return "", nil, n.err
	}
	name := kind + ":" + d.Codename + ":" + d.Architecture
	if d.Variant != "" || d.Backend != "" {
		name += ":" + d.Variant + ":" + d.Backend
	}
	data, err := json.Marshal(d)
	return name, data, err
}

// buildLog is {vendor}_{codename}_{architecture}_{source}_{version}_{work request}.
func (n *naming) buildLog(item CollectionItem) (string, json.RawMessage, error) {
	if item.Category != CategoryPackageBuildLog || !slices.Contains([]string{"bare", "artifact"}, item.Kind) {
		return "", nil, n.refuse(item, "the bare data and the artifacts of category "+CategoryPackageBuildLog)
	}
	if err := n.known("work_request_id", "worker", "vendor", "codename", "architecture", "srcpkg_name", "srcpkg_version"); err != nil {
		return "", nil, err
	}
	// The artifact says source and version for what the item calls srcpkg_*.
	for from, to := range map[string]string{"source": "srcpkg_name", "version": "srcpkg_version"} {
		if _, given := n.values[to]; !given {
			n.values[to] = n.values[from]
		}
	}
	d := struct {
		WorkRequest  int64  `json:"work_request_id"`
		Worker       string `json:"worker,omitempty"`
		Vendor       string `json:"vendor"`
		Codename     string `json:"codename"`
		Architecture string `json:"architecture"`
		Source       string `json:"srcpkg_name"`
		Version      string `json:"srcpkg_version"`
	}{n.number("work_request_id"), n.optionalVariable("worker"), n.word("vendor"), n.word("codename"), n.word("architecture"), n.word("srcpkg_name"), n.word("srcpkg_version")}
	if n.err != nil {
		return "", nil, n.err
	}
	data, err := json.Marshal(d)
	return strings.Join([]string{d.Vendor, d.Codename, d.Architecture, d.Source, d.Version, strconv.FormatInt(d.WorkRequest, 10)}, "_"), data, err
}

// internal items have any name that a lookup can say; their data are the
// variables, by which a workflow finds them again.
func (n *naming) internal(item CollectionItem) (string, json.RawMessage, error) {
	if !slices.Contains([]string{"bare", "artifact"}, item.Kind) || item.Category == "" {
		return "", nil, n.refuse(item, "bare data and artifacts")
	}
	if item.Name == "" || strings.Contains(item.Name, "/") || !plainText(item.Name) {
		return "", nil, Invalidf("an item of %s cannot be called %.80q: a word without a slash is wanted", n.collection, item.Name)
	}
	values := map[string]any{}
	for key, value := range n.variables {
		if strings.HasPrefix(key, "promise_") {
			return "", nil, Invalidf("variable %.80q: names that begin with promise_ are reserved", key)
		}
		values[key] = value
	}
	data, err := json.Marshal(values)
	return item.Name, data, err
}

func (n *naming) refuse(item CollectionItem, takes string) error {
	return Invalid{What: fmt.Sprintf("%s takes no %s of category %.80q", n.collection, item.Kind, item.Category), Hint: "it takes " + takes}
}

// known refuses variables that the category does not have.
func (n *naming) known(names ...string) error {
	for v := range n.variables {
		if !slices.Contains(names, v) {
			return Invalid{What: fmt.Sprintf("%s knows no variable %.80q", n.collection, v), Hint: "it knows " + strings.Join(names, ", "),
				Per: map[string]string{fmt.Sprintf("%.80s", v): "unknown"}}
		}
	}
	return nil
}

func (n *naming) get(key string) any {
	if v, ok := n.variables[key]; ok && v != nil {
		return v
	}
	return n.values[key]
}

func (n *naming) word(key string) string {
	s := n.optional(key)
	if s == "" && n.err == nil {
		n.err = Invalid{What: fmt.Sprintf("an item of %s needs %s", n.collection, key), Per: map[string]string{key: "required"}}
	}
	return s
}

func (n *naming) optional(key string) string { return n.text(key, n.get(key)) }

// optionalVariable is never taken from the artifact's own data.
func (n *naming) optionalVariable(key string) string { return n.text(key, n.variables[key]) }

func (n *naming) text(key string, v any) string {
	if v == nil || n.err != nil {
		return ""
	}
	s, ok := v.(string)
	// A slash would split the lookup of the item, a colon its name.
	if !ok || !plainText(s) || strings.Contains(s, "/") || (strings.Contains(s, ":") && key != "srcpkg_version") {
		n.err = Invalid{What: fmt.Sprintf("%s of an item of %s must be a word", key, n.collection), Per: map[string]string{key: "not a word"}}
		return ""
	}
	return s
}

func (n *naming) number(key string) int64 {
	switch v := n.get(key).(type) {
	case int64:
		if v > 0 {
			return v
		}
	case float64:
		if v > 0 && v == math.Trunc(v) && v < 1<<53 {
			return int64(v)
		}
	}
	if n.err == nil {
		n.err = Invalid{What: fmt.Sprintf("an item of %s needs the number %s", n.collection, key), Per: map[string]string{key: "a number is wanted"}}
	}
	return 0
}

func plainText(s string) bool {
	return len(s) <= 300 && !strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) })
}
