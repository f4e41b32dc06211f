package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"debusine"
)

// Data is the checked input of a worker task: what it needs before it can run,
// which machines can run it, and how it is described.
type Data interface {
	// Needs are the lookups to resolve before a worker may have the task.
	Needs() []Need
	// Requires are the scheduler tags of the machine.
	Requires() []string
	// Describe says what the task is about, once the lookups are resolved.
	Describe(found map[string][]debusine.Artifact) Description
	// Configuration is the task configuration that changes the data.
	Configuration() (name string, named bool)
}

// Need is a lookup of the input and what it must come to.
type Need struct {
	Field           string            // name in dynamic data: input_source_artifact_id
	Lookups         []debusine.Lookup // one, or any number when Many
	Many            bool              // the field holds a list
	Categories      []string          // accepted artifact categories
	DefaultCategory string            // of the collection, in the lookup's text
	Environment     *Environment      // filters of an environment lookup
	Follow          []Follow          // in this order, after the categories were asked about
}

// Follow replaces artifacts that a lookup came to by those they are related to:
// each of category From by all of category To that it has the relation to.
type Follow struct{ From, Relation, To string }

// Environment are the filters that a task adds to its environment's lookup.
type Environment struct{ Architecture, Format, Backend, Task string }

// Description is the part of dynamic task data that people and rules see.
type Description struct {
	Subject              string `json:"subject,omitempty"`
	ParameterSummary     string `json:"parameter_summary,omitempty"`
	RuntimeContext       string `json:"runtime_context,omitempty"`
	ConfigurationContext string `json:"configuration_context,omitempty"`
	Architecture         string `json:"architecture,omitempty"`
	Suite                string `json:"suite,omitempty"` // its codename
	Source               string `json:"source,omitempty"`
	Version              string `json:"source_version,omitempty"`
}

// Definition is one line of the catalogue of worker tasks.
type Definition struct {
	Name  string
	About string        // for help: what it does
	Limit time.Duration // of one attempt, enforced by the worker
	parse func(json.RawMessage) (Data, error)
}

// workerTasks is the catalogue of what build machines can do.
var workerTasks = map[string]Definition{
	"noop":                    {"noop", "does nothing, as told", 10 * time.Minute, parser[NoopData]()},
	"sleep":                   {"sleep", "waits for some seconds", 24 * time.Hour, parser[SleepData]()},
	"mmdebstrap":              {"mmdebstrap", "makes a build environment (debian:system-tarball)", 2 * time.Hour, parser[MmdebstrapData]()},
	"simplesystemimagebuild":  {"simplesystemimagebuild", "makes the image of a disk to build in (debian:system-image)", 2 * time.Hour, parser[SystemImageBuildData]()},
	"sbuild":                  {"sbuild", "builds a source package for one architecture", 12 * time.Hour, parser[SbuildData]()},
	"extractforsigning":       {"extractforsigning", "takes the files that want a signature out of binary packages", time.Hour, parser[ExtractForSigningData]()},
	"assemblesignedsource":    {"assemblesignedsource", "makes a source package of a signing template and signatures", time.Hour, parser[AssembleSignedSourceData]()},
	"makesourcepackageupload": {"makesourcepackageupload", "makes an upload of a source package", time.Hour, parser[MakeSourcePackageUploadData]()},
	"mergeuploads":            {"mergeuploads", "makes one upload of several", 10 * time.Minute, parser[MergeUploadsData]()},
}

// WorkerTask gives the definition of a worker task by name; "-" may stand for "_".
func WorkerTask(name string) (Definition, error) {
	d, ok := workerTasks[Canonical(name)]
	if !ok {
		return d, debusine.WithHint(debusine.Invalidf("task %.80q is unknown", name), "known: "+strings.Join(WorkerTasks(), ", "))
	}
	return d, nil
}

// WorkerTasks are the names of all worker tasks, sorted.
func WorkerTasks() []string {
	return slices.Sorted(maps.Keys(workerTasks)) //workflowcheck:ignore (sorted)
}

// Canonical is the name as Debusine writes it: lower case, "_" for "-".
func Canonical(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// Parse checks the data of a task: unknown keys, types, ranges.
func (d Definition) Parse(raw json.RawMessage) (Data, error) {
	data, err := d.parse(raw)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", d.Name, err)
	}
	return data, nil
}

// versionTag is the tag of a task's version, which a worker reports.
func versionTag(name string) string { return "worker:task:worker:" + name + ":version:1" }

// checker is what each parameter struct has: defaults, then rules.
type checker[T any] interface {
	*T
	Data
	check() error
}

func parser[T any, P checker[T]]() func(json.RawMessage) (Data, error) {
	return func(raw json.RawMessage) (Data, error) {
		p := P(new(T))
		if err := decode(raw, p); err != nil {
			return nil, err
		}
		return p, p.check()
	}
}

// longestData is what task data may measure, in bytes. Workflows carry theirs in
// Temporal's payloads, which hold 2 MB.
const longestData = 1 << 20

// decode reads JSON strictly into to; absent input is an empty object.
func decode(raw json.RawMessage, to any) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	if len(raw) > longestData {
		return debusine.Invalidf("the data have %d bytes, %d are allowed", len(raw), longestData)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return withNames(decodeFault(err), raw, to)
	}
	if _, err := d.Token(); err != io.EOF {
		return debusine.Invalidf("there is more than one value in the data")
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return debusine.Invalidf("the data must be an object") // null is what is left
	}
	return checkKeys(raw)
}

// checkKeys refuses what encoding/json lets pass: keys that match a parameter
// in another case, and keys that stand twice. Which of two wins would differ
// between us and PostgreSQL, and so between what was checked and what is run.
// raw is known to be one value.
func checkKeys(raw json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	var open []map[string]bool // the keys of each open object; nil for a list
	key := false               // whether a key or the end of an object comes next
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return debusine.Invalidf("the data are not JSON: %v", err)
		}
		switch {
		case token == json.Delim('{'):
			open = append(open, map[string]bool{})
		case token == json.Delim('['):
			open = append(open, nil)
		case token == json.Delim('}'), token == json.Delim(']'):
			open = open[:len(open)-1]
		case key:
			if err := newKey(open[len(open)-1], token); err != nil {
				return err
			}
			key = false
			continue
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

func newKey(seen map[string]bool, token json.Token) error {
	name, _ := token.(string)
	per := map[string]string{fmt.Sprintf("%.80s", name): "unknown"}
	if strings.ContainsFunc(name, func(r rune) bool { return r > '~' || r >= 'A' && r <= 'Z' }) {
		return debusine.Invalid{What: fmt.Sprintf("parameter %.80q is unknown", name), Hint: "the names of parameters are in lower case", Per: per}
	}
	if seen[name] {
		return debusine.Invalidf("parameter %.80q is given twice", name)
	}
	seen[name] = true
	return nil
}

func decodeFault(err error) error {
	var (
		typed *json.UnmarshalTypeError
		fault debusine.Invalid
	)
	switch {
	case errors.As(err, &fault):
		return fault
	case errors.As(err, &typed):
		field := typed.Field
		if field == "" {
			return debusine.Invalidf("the data must be an object, not a JSON %.40s", typed.Value)
		}
		return debusine.Invalid{What: fmt.Sprintf("%s must be %s, not a JSON %.40s", field, words(typed.Type), typed.Value),
			Per: map[string]string{field: "wrong type"}}
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return debusine.Invalid{What: fmt.Sprintf("parameter %.80s is unknown", field), Per: map[string]string{fmt.Sprintf("%.80s", strings.Trim(field, `"`)): "unknown"}}
	}
	return debusine.Invalidf("the data are not JSON of the right shape: %v", err)
}

// words name a type of ours as JSON calls it.
func words(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "a number"
}

// common are the parameters of every task.
type common struct {
	TaskConfiguration configuration `json:"task_configuration,omitzero"`
}

// Configuration names the task configuration that applies; named says that it was
// asked for by name, and must therefore exist.
func (c common) Configuration() (name string, named bool) {
	if c.TaskConfiguration == "" {
		return "default", false
	}
	return string(c.TaskConfiguration), true
}

// configuration is the lookup of a task configuration: NAME@debusine:task-configuration.
type configuration string

// UnmarshalJSON takes the name out of the lookup.
func (c *configuration) UnmarshalJSON(raw []byte) error {
	var text *string
	if err := json.Unmarshal(raw, &text); err != nil {
		return debusine.Invalidf("task_configuration must be a string, not %.80s", raw)
	}
	if text == nil {
		return nil
	}
	name, category, _ := strings.Cut(*text, "@")
	if name == "" || category != debusine.CategoryTaskConfiguration {
		return debusine.Invalid{What: fmt.Sprintf("task configuration %.80q is no collection of task configuration", *text),
			Hint: "it is looked up as NAME@" + debusine.CategoryTaskConfiguration, Per: map[string]string{"task_configuration": "malformed"}}
	}
	*c = configuration(name)
	return nil
}

// MarshalJSON writes the lookup.
func (c configuration) MarshalJSON() ([]byte, error) {
	return json.Marshal(string(c) + "@" + debusine.CategoryTaskConfiguration)
}
