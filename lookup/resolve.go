package lookup

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"debusine"
)

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
	// Collection searches the place, then the workspaces that it inherits from.
	Collection(ctx context.Context, place Place, category, name string) (debusine.Collection, error)
	// Internal is the internal collection of the workflow on whose behalf it is read.
	Internal(ctx context.Context) (debusine.Collection, error)
	ItemByName(ctx context.Context, collection int64, name string) (debusine.CollectionItem, error)
	// ItemByMatch gives the newest active item with these properties.
	ItemByMatch(ctx context.Context, collection int64, match map[string]string) (debusine.CollectionItem, error)
	// LastRun gives the newest item of a series in a task history: entry, success
	// or failure says which.
	LastRun(ctx context.Context, collection int64, which, series string) (debusine.CollectionItem, error)
	// Matching gives at most limit active items for which all conditions hold, by
	// number, with their artifacts; an item whose artifact the reader may not see
	// is left out.
	Matching(ctx context.Context, collection int64, conditions Conditions, limit int) ([]Result, error)
}

// Result is what a lookup came to: an item and what it holds, or one of the two.
type Result struct {
	Item       *debusine.CollectionItem
	Artifact   *debusine.Artifact
	Collection *debusine.Collection
	Parent     string // the lookup of the collection that the item came from
}

// Type is artifact, collection or bare.
func (r Result) Type() string {
	switch {
	case r.Artifact != nil:
		return Artifact
	case r.Collection != nil:
		return Collection
	}
	return Bare
}

// Lookup says the result again, so that it keeps its meaning: an item by its
// name in its collection, anything else by its number.
func (r Result) Lookup() debusine.Lookup {
	switch {
	case r.Item != nil && r.Parent != "":
		return debusine.LookupOf(r.Parent + "/name:" + r.Item.Name)
	case r.Artifact != nil:
		return debusine.LookupID(r.Artifact.ID)
	case r.Collection != nil:
		return debusine.LookupOf(strconv.FormatInt(r.Collection.ID, 10) + "@collections")
	}
	return debusine.Lookup{}
}

// Resolve finds the one result of the query. env may be nil.
func (q Query) Resolve(ctx context.Context, src Source, env *Environment) (Result, error) {
	r, err := q.resolve(ctx, src, env)
	if err == nil && !q.expect.Accepts(r.Type()) {
		return Result{}, debusine.Invalidf("lookup %q comes to a result of type %s, not %s", q.text, r.Type(), q.expect.Type)
	}
	return r, err
}

func (q Query) resolve(ctx context.Context, src Source, env *Environment) (Result, error) {
	if q.artifact != 0 {
		a, err := src.Artifact(ctx, q.artifact)
		return Result{Artifact: &a}, err
	}
	c, err := q.from(ctx, src)
	if err != nil || len(q.segments) == 0 {
		return Result{Collection: &c}, err
	}
	item, err := q.item(ctx, src, c, env)
	if err != nil {
		return Result{}, err
	}
	r := Result{Item: &item, Parent: q.parent()}
	if item.ArtifactID != nil {
		a, err := src.Artifact(ctx, *item.ArtifactID)
		if err != nil {
			return Result{}, err
		}
		r.Artifact = &a
	}
	return r, nil
}

// from finds the collection of the first segment.
func (q Query) from(ctx context.Context, src Source) (debusine.Collection, error) {
	switch {
	case q.internal:
		return src.Internal(ctx)
	case q.collection != 0:
		return src.CollectionByID(ctx, q.collection)
	}
	return src.Collection(ctx, q.place, q.category, q.name)
}

// parent is the lookup of the first segment's collection alone.
func (q Query) parent() string {
	switch {
	case q.internal:
		return "internal@collections"
	case q.collection != 0:
		return strconv.FormatInt(q.collection, 10) + "@collections"
	}
	prefix := ""
	if q.place.Scope != "" {
		prefix = "scope=" + q.place.Scope + ":"
	}
	if q.place.Workspace != "" {
		prefix = "//" + prefix + "workspace=" + q.place.Workspace + "/"
	}
	return prefix + q.name + "@" + q.category
}

func (q Query) item(ctx context.Context, src Source, c debusine.Collection, env *Environment) (debusine.CollectionItem, error) {
	s := q.segments[0]
	if s.Last != "" {
		if c.Category != debusine.CategoryTaskHistory {
			return debusine.CollectionItem{}, debusine.Invalidf("lookup %q: last-%s: looks into %s alone, not into %s", q.text, s.Last, debusine.CategoryTaskHistory, c.Category)
		}
		return src.LastRun(ctx, c.ID, s.Last, s.Run)
	}
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
	return debusine.CollectionItem{}, debusine.Missing{What: "lookup " + strconv.Quote(q.text) + ": " + c.Category + " item with " + s.words(env),
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
