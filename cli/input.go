package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"
)

// maxData bounds what --data reads, in bytes.
const maxData = 16 << 20

func dataFlags(of string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "data", Usage: "the " + of + ", YAML or JSON, from `FILE`; - is standard input"},
		&cli.StringSliceFlag{Name: "set", Usage: "set one `KEY=VALUE` of it; the value is YAML, a dot in the key goes one level down"},
	}
}

// data reads --data and --set into one object.
func (s *session) data() (map[string]any, error) {
	data := map[string]any{}
	if s.IsSet("data") {
		raw, err := s.readFile(s.String("data"))
		if err != nil {
			return nil, err
		}
		if data, err = object(raw, s.String("data")); err != nil {
			return nil, err
		}
	}
	for _, assignment := range s.StringSlice("set") {
		if err := assign(data, assignment); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (s *session) readFile(name string) ([]byte, error) {
	var from io.Reader = s.App.Reader
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, usage{what: err.Error()}
		}
		defer file.Close()
		from = file
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxData+1))
	if err == nil && len(raw) > maxData {
		err = usage{what: fmt.Sprintf("%s is larger than %s", name, bytesOf(maxData))}
	}
	return raw, err
}

// object reads YAML, of which JSON is a part.
func object(raw []byte, name string) (map[string]any, error) {
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		return nil, usage{what: fmt.Sprintf("%s is neither YAML nor JSON: %v", name, err)}
	}
	switch v := value.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, usage{what: name + " must hold an object", hint: "lines of \"key: value\""}
}

// assign sets one KEY=VALUE.
func assign(data map[string]any, assignment string) error {
	key, text, found := strings.Cut(assignment, "=")
	if !found || key == "" {
		return usage{what: fmt.Sprintf("--set %q is no KEY=VALUE", assignment), hint: "for example --set architectures='[amd64, all]'"}
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		value = text // an unfinished YAML value is most likely meant as text
	}
	path := strings.Split(key, ".")
	for _, step := range path[:len(path)-1] {
		below, is := data[step].(map[string]any)
		if !is {
			if _, taken := data[step]; taken {
				return usage{what: fmt.Sprintf("--set %s: %s is no object", key, step)}
			}
			below = map[string]any{}
			data[step] = below
		}
		data = below
	}
	data[path[len(path)-1]] = value
	return nil
}

// raws gives each value as JSON.
func raws(data map[string]any) (map[string]json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(data))
	for key, value := range data {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, usage{what: fmt.Sprintf("%s cannot be written as JSON: %v", key, err)}
		}
		out[key] = raw
	}
	return out, nil
}

// taskName takes what people type for what tasks are called.
func taskName(s string) string { return strings.ReplaceAll(s, "-", "_") }
