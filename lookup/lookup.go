// Package lookup is Debusine's language for naming what already exists: an
// artifact by its number, an environment by its properties, an item by its
// place in a collection.
//
//	421                                        an artifact, where one is expected
//	421@artifacts                              the same, said in full
//	debian@debian:environments/match:codename=bookworm:architecture=i386
//	debian/match:codename=bookworm             where environments are expected
//	_@debian:package-build-logs/NAME           an item by its name
//	//workspace=base/debian@debian:environments  searched from another workspace on
//	internal@collections/build-amd64           an output of the workflow itself
//	_@debusine:task-history/last-success:Worker:sbuild:hello:any%3Aamd64%3Aamd64
//
// Where many results are wanted, a dictionary chooses among the items of a
// collection, and a list holds any of these forms:
//
//   - collection: _@debian:package-build-logs
//     data__srcpkg_name: hello
//     name__endswith: _900
//   - 421@artifacts
//
// Parse and ParseMultiple turn the text into a Query or a Multiple, once; their
// Resolve walks them through a Source, which the store provides. What the reader
// may not see is not found. Not found (debusine.Missing) and malformed
// (debusine.Invalid) are kept apart: only the former may be taken for "no
// result".
package lookup

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"debusine"
)

// Query is a parsed single lookup.
type Query struct {
	text       string
	expect     Expect
	place      Place
	internal   bool  // internal@collections
	artifact   int64 // by number
	collection int64 // by number
	name       string
	category   string
	segments   []Segment
}

// Segment is one step into a collection: a name, or properties to match.
type Segment struct {
	Name  string            // of the item; empty for the others
	Match map[string]string // match:K=V(:K=V)*; an empty value means "without"
	Last  string            // of a task history: entry, success or failure
	Run   string            // with Last: what runs are alike, TYPE:NAME:SUBJECT:CONTEXT:
}

// Place is the workspace from which a collection is searched: it, then those it
// inherits from. Empty is the reader's own workspace, and its scope.
type Place struct{ Scope, Workspace string }

// The types of results that a place may expect.
const (
	Any               = "any"
	Bare              = "bare"
	Artifact          = "artifact"
	ArtifactOrPromise = "artifact-or-promise" // also bare data that announces one
	Collection        = "collection"
)

// Expect says what a place that takes a lookup accepts.
type Expect struct {
	DefaultCategory string // of a first segment without "@"; empty: none
	Type            string // of the result; empty: any
}

// Accepts says whether a result of that type is expected.
func (e Expect) Accepts(kind string) bool {
	return e.Type == "" || e.Type == Any || e.Type == kind || (e.Type == ArtifactOrPromise && (kind == Artifact || kind == Bare))
}

// check refuses types that do not exist.
func (e Expect) check() error {
	switch e.Type {
	case "", Any, Bare, Artifact, ArtifactOrPromise, Collection:
		return nil
	}
	return debusine.WithHint(debusine.Invalidf("%.80q is no type of a result", e.Type), "the types are any, bare, artifact, artifact-or-promise, collection")
}

// matchKeys are the properties of an environment that match: knows.
var matchKeys = map[string]bool{"format": true, "codename": true, "architecture": true, "variant": true, "backend": true}

const longest = 1000 // bytes of a lookup

// Parse reads a single lookup.
func Parse(l debusine.Lookup, expect Expect) (Query, error) {
	q := Query{text: l.String(), expect: expect}
	if err := expect.check(); err != nil {
		return q, err
	}
	if len(q.text) > longest {
		return q, debusine.Invalidf("a lookup has at most %d bytes, not %d", longest, len(q.text))
	}
	if strings.ContainsFunc(q.text, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }) {
		return q, debusine.Invalidf("lookup %q holds characters that no name has", q.text)
	}
	if n, err := strconv.ParseInt(q.text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if err != nil || n <= 0 {
			return q, debusine.Invalidf("lookup %s is not the number of anything", q.text)
		}
		if expect.Type == Collection {
			q.collection = n
		} else {
			q.artifact = n
		}
		return q, nil
	}
	rest, err := q.parsePlace()
	if err != nil {
		return q, err
	}
	parts := strings.Split(rest, "/")
	if err := q.parseFirst(parts[0], expect); err != nil {
		return q, err
	}
	for _, part := range parts[1:] {
		s, err := parseSegment(part)
		if err != nil {
			return q, debusine.Invalidf("lookup %q: %v", q.text, err)
		}
		q.segments = append(q.segments, s)
	}
	if q.artifact != 0 && len(q.segments) > 0 {
		return q, debusine.Invalidf("lookup %q: an artifact holds no items", q.text)
	}
	if len(q.segments) > 1 {
		return q, debusine.Invalidf("lookup %q: item %q is not a collection", q.text, parts[1])
	}
	return q, nil
}

// parsePlace reads //workspace=NAME/ or //scope=NAME:workspace=NAME/, and gives
// the text after it.
func (q *Query) parsePlace() (rest string, err error) {
	options, there := strings.CutPrefix(q.text, "//")
	if !there {
		return q.text, nil
	}
	options, rest, _ = strings.Cut(options, "/")
	for _, option := range strings.Split(options, ":") {
		key, value, _ := strings.Cut(option, "=")
		into := map[string]*string{"workspace": &q.place.Workspace, "scope": &q.place.Scope}[key]
		if into == nil || *into != "" || value == "" {
			return "", debusine.WithHint(debusine.Invalidf("lookup %q: option %q is not a workspace=NAME or scope=NAME that was not given yet", q.text, option),
				"write //workspace=NAME/COLLECTION@CATEGORY, or //scope=NAME:workspace=NAME/…")
		}
		*into = value
	}
	if q.place.Workspace == "" {
		return "", debusine.Invalidf("lookup %q: a scope needs a workspace beside it", q.text)
	}
	return rest, nil
}

func (q *Query) parseFirst(first string, expect Expect) error {
	at := strings.LastIndexByte(first, '@')
	if at < 0 {
		if expect.DefaultCategory == "" {
			return debusine.WithHint(debusine.Invalidf("lookup %q names no category", q.text), "write NAME@CATEGORY, or NUMBER@artifacts")
		}
		q.name, q.category = first, expect.DefaultCategory
	} else {
		q.name, q.category = first[:at], first[at+1:]
	}
	if q.name == "" || q.category == "" {
		return debusine.Invalidf("lookup %q is incomplete", q.text)
	}
	if q.category != "artifacts" && q.category != "collections" {
		return nil
	}
	if q.place != (Place{}) {
		return debusine.Invalidf("lookup %q: numbers and internal@collections need no workspace", q.text)
	}
	if first == "internal@collections" {
		q.internal = true
		return nil
	}
	n, err := strconv.ParseInt(q.name, 10, 64)
	if err != nil || n <= 0 {
		return debusine.WithHint(debusine.Invalidf("lookup %q: %q is not a number", q.text, q.name), "artifacts and collections are named by their number")
	}
	if q.category == "artifacts" {
		q.artifact = n
	} else {
		q.collection = n
	}
	q.name, q.category = "", ""
	return nil
}

func parseSegment(text string) (Segment, error) {
	prefix, rest, found := strings.Cut(text, ":")
	if !found {
		prefix, rest = "name", text
	}
	switch prefix {
	case "name":
		if rest == "" {
			return Segment{}, debusine.Invalidf("an item's name is missing")
		}
		return Segment{Name: rest}, nil
	case "match":
		match := map[string]string{}
		for _, pair := range strings.Split(rest, ":") {
			k, v, ok := strings.Cut(pair, "=")
			if !ok || !matchKeys[k] {
				return Segment{}, debusine.Invalidf("%q is not one of codename=, architecture=, variant=, backend=, format=", pair)
			}
			if _, twice := match[k]; twice {
				return Segment{}, debusine.Invalidf("%s= is given twice", k)
			}
			if k == "format" && v != "tarball" && v != "image" {
				return Segment{}, debusine.Invalidf("format=%s is neither tarball nor image", v)
			}
			match[k] = v
		}
		return Segment{Match: match}, nil
	case "last-entry", "last-success", "last-failure":
		if strings.Count(rest, ":") != 3 || strings.HasPrefix(rest, ":") {
			return Segment{}, debusine.Invalidf("%s: wants TASKTYPE:TASKNAME:SUBJECT:CONTEXT, of which the last two may be empty", prefix)
		}
		return Segment{Last: strings.TrimPrefix(prefix, "last-"), Run: rest + ":"}, nil
	}
	return Segment{}, debusine.Invalidf("%q is no way to look into a collection; an item whose name has colons is written name:NAME", prefix+":")
}
