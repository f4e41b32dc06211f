package store_test

import (
	"fmt"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
	"debusine/store"
)

// family makes workspaces that inherit: "child:first,second". Each name that
// is written with a star has the collection debian@debian:environments, each
// with a plus is public.
func (w *world) family(lines ...string) map[string]int64 {
	w.Helper()
	ids := map[string]int64{}
	id := func(marked string) int64 {
		name := strings.Trim(marked, "*+")
		if ids[name] == 0 {
			var made int64
			w.one(`INSERT INTO workspaces (scope_id, name, public) SELECT id, $1, $2 FROM scopes WHERE name = 'debusine' RETURNING id`, &made, name, strings.Contains(marked, "+"))
			ids[name] = made
			if strings.Contains(marked, "*") {
				w.must(w.CreateCollection(w.Context(), debusine.Collection{WorkspaceID: made, Category: debusine.CategoryEnvironments, Name: "debian"}))
			}
		}
		return ids[name]
	}
	for _, line := range lines {
		child, rest, _ := strings.Cut(line, ":")
		var parents []int64
		for _, p := range strings.Split(rest, ",") {
			parents = append(parents, id(p))
		}
		w.must(w.SetInheritance(w.Context(), id(child), parents))
	}
	return ids
}

func TestACollectionIsSearchedInTheWorkspacesThatOneInheritsFrom(t *testing.T) {
	for name, c := range map[string]struct {
		family string
		want   string
	}{
		"its own first":                       {"a*:b*", "a"},
		"then its parents":                    {"a:b*", "b"},
		"the first of two":                    {"a:b,c*,d*", "c"},
		"depth before breadth":                {"a:b,c* b:d*", "d"},
		"none":                                {"a:b b:c", ""},
		"in a circle":                         {"a:b b:c c:a,d*", "d"},
		"none in a circle":                    {"a:b b:a", ""},
		"by the way that comes first":         {"a:b,c b:d d:e* c:f*", "e"},
		"a parent twice on different ways":    {"a:b,c b:d c:d d:e*", "e"},
		"in the order that was said the last": {"a:b*,c* a:c*,b*", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ids := w.family(strings.Fields(c.family)...)
			r, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: ids["a"]}, debusine.LookupOf("debian@debian:environments"), lookup.Expect{})
			if c.want == "" {
				w.missing(name, err)
			} else if err != nil || r.Collection.WorkspaceID != ids[c.want] {
				t.Errorf("%+v, %v; the workspaces are %v", r.Collection, err, ids)
			}
		})
	}
}

func TestWorkspacesThatMayNotBeSeenAreSkipped(t *testing.T) {
	w := newWorld(t)
	// Anybody sees a and d; c is private, and b lies behind it.
	ids := w.family("a+:c*,d+*", "c:b+*")
	found := func(user int64, text string) (int64, error) {
		r, err := w.LookupSingle(t.Context(), store.Asking{User: user, Workspace: ids["a"]}, debusine.LookupOf(text), lookup.Expect{})
		if err != nil {
			return 0, err
		}
		return r.Collection.WorkspaceID, nil
	}
	for _, c := range []struct {
		user int64
		text string
		want string
	}{
		{w.user, "debian@debian:environments", "c"},
		{0, "debian@debian:environments", "d"},
		{w.user, "//workspace=d/debian@debian:environments", "d"},
		{0, "//scope=debusine:workspace=b/debian@debian:environments", "b"},
		{w.user, "//workspace=c/debian@debian:environments", "c"},
	} {
		if got, err := found(c.user, c.text); err != nil || got != ids[c.want] {
			t.Errorf("%s for %d: workspace %d, %v", c.text, c.user, got, err)
		}
	}
	for _, text := range []string{"//workspace=c/debian@debian:environments", "//workspace=none/debian@debian:environments", "//scope=none:workspace=d/debian@debian:environments",
		"//workspace=' OR true --/debian@debian:environments"} {
		_, err := found(0, text)
		w.missing(text, err)
	}
	parents, err := w.Inheritance(t.Context(), 0, ids["a"])
	if err != nil || len(parents) != 1 || parents[0].Name != "d" {
		t.Errorf("anybody is shown the parents %+v, %v", parents, err)
	}
}

func TestInheritanceThatCrossesManyTimesCostsLittle(t *testing.T) {
	w := newWorld(t)
	// Forty layers of two, each inheriting from both below: 2^40 ways down.
	var lines []string
	for i := range 40 {
		for _, side := range "ab" {
			lines = append(lines, fmt.Sprintf("%c%d:a%d,b%d", side, i, i+1, i+1))
		}
	}
	ids := w.family(lines...)
	_, err := w.LookupSingle(t.Context(), store.Asking{User: w.user, Workspace: ids["a0"]}, debusine.LookupOf("debian@debian:environments"), lookup.Expect{})
	w.missing("a collection that nobody has", err)
}
