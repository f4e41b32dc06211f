package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
}

// Need is a lookup of the input and what it must come to.
type Need struct {
	Field           string            // name in dynamic data: input_source_artifact_id
	Lookups         []debusine.Lookup // one, or any number when Many
	Many            bool              // the field holds a list
	Categories      []string          // accepted artifact categories
	DefaultCategory string            // of the collection, in the lookup's text
	Environment     *Environment      // filters of an environment lookup
}

// Environment are the filters that a task adds to its environment's lookup.
type Environment struct{ Architecture, Format, Backend, Task string }

// Description is the part of dynamic task data that people and rules see.
type Description struct {
	Subject              string `json:"subject,omitempty"`
	ParameterSummary     string `json:"parameter_summary,omitempty"`
	RuntimeContext       string `json:"runtime_context,omitempty"`
	ConfigurationContext string `json:"configuration_context,omitempty"`
	Architecture         string `json:"architecture,omitempty"`
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
	"noop":       {"noop", "does nothing, as told", 10 * time.Minute, parser[NoopData]()},
	"sleep":      {"sleep", "waits for some seconds", 24 * time.Hour, parser[SleepData]()},
	"mmdebstrap": {"mmdebstrap", "makes a build environment (debian:system-tarball)", 2 * time.Hour, parser[MmdebstrapData]()},
	"sbuild":     {"sbuild", "builds a source package for one architecture", 12 * time.Hour, parser[SbuildData]()},
}

// WorkerTask gives the definition of a worker task by name; "-" may stand for "_".
func WorkerTask(name string) (Definition, error) {
	d, ok := workerTasks[Canonical(name)]
	if !ok {
		return d, debusine.WithHint(debusine.Invalidf("task %q is unknown", name), "known: "+strings.Join(WorkerTasks(), ", "))
	}
	return d, nil
}

// WorkerTasks are the names of all worker tasks, sorted.
func WorkerTasks() []string { return slices.Sorted(maps.Keys(workerTasks)) }

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

// decode reads JSON strictly into to; absent input is an empty object.
func decode(raw json.RawMessage, to any) error {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return decodeFault(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return debusine.Invalidf("there is more than one value in the data")
	}
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
		return debusine.Invalid{What: fmt.Sprintf("%s must be a %s, not a %s", typed.Field, typed.Type, typed.Value),
			Per: map[string]string{typed.Field: "wrong type"}}
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return debusine.Invalid{What: "parameter " + field + " is unknown", Per: map[string]string{strings.Trim(field, `"`): "unknown"}}
	}
	return debusine.Invalidf("the data are not JSON of the right shape: %v", err)
}

// common are the parameters of every task.
type common struct {
	TaskConfiguration *debusine.Lookup `json:"task_configuration,omitempty"`
}
