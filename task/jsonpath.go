package task

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"debusine"
)

// The bounds of a path. Each step looks at each value at most once: without
// steps that go to any depth, the work is bounded by the data's size times these.
const (
	longestPath = 500 // bytes
	mostSteps   = 16
)

// step is one of a path: the key of an object, the number of a list's element,
// or all of either.
type step struct {
	key string
	at  int
	how byte // 'k', 'n' or '*'
}

// pathStep is .key, ['key'], ["key"], [3], [*] or .*; the first dot may be left out.
var pathStep = regexp.MustCompile(`^(?:\.?([A-Za-z_][A-Za-z0-9_-]*)|\.?(\*)|\['([^'\\]*)'\]|\["([^"\\]*)"\]|\[(\d{1,9})\]|\[(\*)\])`)

// parsePath reads the part of JSONPath that names things in an artifact's data:
// deb_fields.Package, $.packages[0], $['deb_fields']['Package'], binaries[*].name.
func parsePath(text string) ([]step, error) {
	bad := func(why string) ([]step, error) {
		return nil, debusine.WithHint(debusine.Invalidf("path %.80q %s", text, why), "a path is like deb_fields.Package, $.names[0] or names[*]")
	}
	if len(text) > longestPath {
		return bad("is too long")
	}
	rest, rooted := strings.CutPrefix(text, "$")
	var steps []step
	for rest != "" {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil || (m[0][0] != '.' && m[0][0] != '[' && (rooted || len(steps) > 0)) {
			return bad("is no path that is understood here")
		}
		switch {
		case m[2] != "" || m[6] != "":
			steps = append(steps, step{how: '*'})
		case m[5] != "":
			n, err := strconv.Atoi(m[5])
			if err != nil {
				return bad("has a number that is too large")
			}
			steps = append(steps, step{at: n, how: 'n'})
		default:
			steps = append(steps, step{key: m[1] + m[3] + m[4], how: 'k'})
		}
		if len(steps) > mostSteps {
			return bad("has too many steps")
		}
		rest = rest[len(m[0]):]
	}
	if len(steps) == 0 {
		return bad("is empty")
	}
	return steps, nil
}

// onlyMatch gives what the path finds in the data, which must be exactly one.
func onlyMatch(text string, data json.RawMessage) (any, error) {
	steps, err := parsePath(text)
	if err != nil {
		return nil, err
	}
	var root any
	if err := json.Unmarshal(data, &root); err != nil {
		return nil, debusine.Invalidf("the data are not JSON: %v", err)
	}
	found := []any{root}
	for _, s := range steps {
		var next []any
		for _, v := range found {
			next = s.from(v, next)
		}
		found = next
	}
	if len(found) != 1 {
		return nil, debusine.Invalidf("path %.80q matches %d times; once is wanted", text, len(found))
	}
	return found[0], nil
}

// from adds what the step leads to from v.
func (s step) from(v any, to []any) []any {
	switch v := v.(type) {
	case map[string]any:
		if s.how == '*' {
			for _, each := range v { //workflowcheck:ignore (only one may be left)
				to = append(to, each)
			}
		} else if each, there := v[s.key]; there && s.how == 'k' {
			to = append(to, each)
		}
	case []any:
		if s.how == '*' {
			to = append(to, v...)
		} else if s.how == 'n' && s.at < len(v) {
			to = append(to, v[s.at])
		}
	}
	return to
}
