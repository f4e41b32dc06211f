// Package lookup is Debusine's language for naming what already exists: an
// artifact by its number, an environment by its properties, an item by its
// place in a collection.
//
//	421                                        an artifact, where one is expected
//	421@artifacts                              the same, said in full
//	debian@debian:environments/match:codename=bookworm:architecture=i386
//	debian/match:codename=bookworm             where environments are expected
//	_@debian:package-build-logs/NAME           an item by its name
//
// Parse turns the text into a Query, once; Query.Resolve walks it through a
// Source, which the store provides. What the reader may not see is not found.
// Not found (debusine.Missing) and malformed (debusine.Invalid) are kept apart:
// only the former may be taken for "no result".
package lookup

import (
	"context"
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
	artifact   int64 // by number
	collection int64 // by number
	name       string
	category   string
	segments   []Segment
}

// Segment is one step into a collection: a name, or properties to match.
type Segment struct {
	Name  string            // of the item; empty for match
	Match map[string]string // match:K=V(:K=V)*; an empty value means "without"
}

// Expect says what a place that takes a lookup accepts.
type Expect struct {
	DefaultCategory string // of a first segment without "@"; empty: none
	Collection      bool   // a bare number is a collection's, not an artifact's
}

// matchKeys are the properties of an environment that match: knows.
var matchKeys = map[string]bool{"format": true, "codename": true, "architecture": true, "variant": true, "backend": true}

const longest = 1000 // bytes of a lookup

// Parse reads a single lookup.
func Parse(l debusine.Lookup, expect Expect) (Query, error) {
	q := Query{text: l.String()}
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
		if expect.Collection {
			q.collection = n
		} else {
			q.artifact = n
		}
		return q, nil
	}
	if strings.HasPrefix(q.text, "//") {
		return q, debusine.Invalidf("lookup %q: lookups in other workspaces are not supported yet", q.text)
	}
	parts := strings.Split(q.text, "/")
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
	n, err := strconv.ParseInt(q.name, 10, 64)
	if err != nil || n <= 0 {
		return debusine.WithHint(debusine.Invalidf("lookup %q: %q is not a number", q.text, q.name), "an artifact is named by its number")
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
	}
	return Segment{}, debusine.Invalidf("%q is no way to look into a collection", prefix+":")
}

// Environment are the properties that a task adds to a lookup of its
// environment where it does not give them (spec §2.6).
type Environment struct {
	Architecture string
	Format       string // tarball or image
	Backend      string
	Task         string // tried as the variant first, then no variant
}

// Source finds things for a reader whom it knows.
type Source interface {
	Artifact(ctx context.Context, id int64) (debusine.Artifact, error)
	CollectionByID(ctx context.Context, id int64) (debusine.Collection, error)
	// Collection searches the workspace of the work, then those it inherits from.
	Collection(ctx context.Context, category, name string) (debusine.Collection, error)
	ItemByName(ctx context.Context, collection int64, name string) (debusine.CollectionItem, error)
	// ItemByMatch gives the newest active item with these properties.
	ItemByMatch(ctx context.Context, collection int64, match map[string]string) (debusine.CollectionItem, error)
}

// Result is what a lookup came to: an item and what it holds, or one of the two.
type Result struct {
	Item       *debusine.CollectionItem
	Artifact   *debusine.Artifact
	Collection *debusine.Collection
}

// Resolve finds the one result of the query. env may be nil.
func (q Query) Resolve(ctx context.Context, src Source, env *Environment) (Result, error) {
	if q.artifact != 0 {
		a, err := src.Artifact(ctx, q.artifact)
		return Result{Artifact: &a}, err
	}
	var (
		c   debusine.Collection
		err error
	)
	if q.collection != 0 {
		c, err = src.CollectionByID(ctx, q.collection)
	} else {
		c, err = src.Collection(ctx, q.category, q.name)
	}
	if err != nil || len(q.segments) == 0 {
		return Result{Collection: &c}, err
	}
	item, err := q.item(ctx, src, c, env)
	if err != nil {
		return Result{}, err
	}
	r := Result{Item: &item}
	if item.ArtifactID != nil {
		a, err := src.Artifact(ctx, *item.ArtifactID)
		if err != nil {
			return Result{}, err
		}
		r.Artifact = &a
	}
	return r, nil
}

func (q Query) item(ctx context.Context, src Source, c debusine.Collection, env *Environment) (debusine.CollectionItem, error) {
	s := q.segments[0]
	if s.Match == nil {
		return src.ItemByName(ctx, c.ID, s.Name)
	}
	if c.Category != debusine.CategoryEnvironments {
		return debusine.CollectionItem{}, debusine.WithHint(debusine.Invalidf("lookup %q: match: looks into %s alone, not into %s", q.text, debusine.CategoryEnvironments, c.Category),
			"name the item: name:NAME")
	}
	for _, match := range s.variants(env) {
		item, err := src.ItemByMatch(ctx, c.ID, match)
		if err == nil || !isMissing(err) {
			return item, err
		}
	}
	return debusine.CollectionItem{}, debusine.Missing{What: "lookup " + strconv.Quote(q.text) + ": no " + c.Category + " item with " + s.words(env),
		Hint: "see what there is: debusine collection show " + c.Name + "@" + c.Category}
}

// variants gives the matches to try in order.
func (s Segment) variants(env *Environment) []map[string]string {
	m := s.with(env)
	if _, given := m["variant"]; given || env == nil {
		return []map[string]string{m}
	}
	first, second := clone(m), clone(m)
	first["variant"], second["variant"] = env.Task, ""
	return []map[string]string{first, second}
}

func (s Segment) with(env *Environment) map[string]string {
	m := clone(s.Match)
	if env == nil {
		return m
	}
	for k, v := range map[string]string{"architecture": env.Architecture, "format": env.Format, "backend": env.Backend} {
		if _, given := m[k]; !given && v != "" {
			m[k] = v
		}
	}
	return m
}

func (s Segment) words(env *Environment) string {
	m := s.with(env)
	var words []string
	for _, k := range []string{"codename", "architecture", "variant", "backend", "format"} {
		if v, ok := m[k]; ok {
			words = append(words, k+"="+v)
		}
	}
	return strings.Join(words, " ")
}

func clone(m map[string]string) map[string]string {
	c := make(map[string]string, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}

func isMissing(err error) bool {
	var m debusine.Missing
	return errors.As(err, &m)
}
