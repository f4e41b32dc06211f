package lookup_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"debusine"
	"debusine/lookup"
)

// shelf is a Source that knows one collection of environments, one of build
// logs, and the items that it was given, newest first.
type shelf struct {
	items     []debusine.CollectionItem
	artifacts []int64
	asked     []map[string]string
	outage    error

	conditions []lookup.Conditions
}

func (s *shelf) Artifact(_ context.Context, id int64) (debusine.Artifact, error) {
	if !slices.Contains(s.artifacts, id) {
		return debusine.Artifact{}, debusine.Missingf("artifact %d", id)
	}
	return debusine.Artifact{ID: id}, s.outage
}

func (s *shelf) CollectionByID(_ context.Context, id int64) (debusine.Collection, error) {
	category, known := map[int64]string{1: debusine.CategoryEnvironments, 2: debusine.CategoryPackageBuildLogs, 4: debusine.CategoryTaskHistory}[id]
	if !known {
		return debusine.Collection{}, debusine.Missingf("collection %d", id)
	}
	return debusine.Collection{ID: id, Name: map[int64]string{1: "debian", 2: "_", 4: "_"}[id], Category: category}, nil
}

func (s *shelf) Collection(ctx context.Context, _ lookup.Place, category, name string) (debusine.Collection, error) {
	return s.CollectionByID(ctx, map[string]int64{"debian@debian:environments": 1, "_@debian:package-build-logs": 2, "_@debusine:task-history": 4}[name+"@"+category])
}

func (s *shelf) Internal(context.Context) (debusine.Collection, error) {
	return debusine.Collection{ID: 3, Name: "workflow-9", Category: debusine.CategoryWorkflowInternal}, nil
}

func (s *shelf) Matching(_ context.Context, collection int64, c lookup.Conditions, limit int) (found []lookup.Result, err error) {
	s.conditions = append(s.conditions, c)
	for _, i := range s.items {
		if i.CollectionID == collection && len(found) < limit {
			found = append(found, lookup.Result{Item: &i})
			if i.ArtifactID != nil {
				found[len(found)-1].Artifact = &debusine.Artifact{ID: *i.ArtifactID}
			}
		}
	}
	return found, s.outage
}

func (s *shelf) ItemByName(_ context.Context, collection int64, name string) (debusine.CollectionItem, error) {
	for _, i := range s.items {
		if i.CollectionID == collection && i.Name == name {
			return i, nil
		}
	}
	return debusine.CollectionItem{}, debusine.Missingf("item %q", name)
}

func (s *shelf) ItemByMatch(_ context.Context, collection int64, match map[string]string) (debusine.CollectionItem, error) {
	s.asked = append(s.asked, match)
	for _, i := range s.items {
		if i.CollectionID == collection && strings.Contains(i.Name, match["variant"]+"!") {
			return i, s.outage
		}
	}
	return debusine.CollectionItem{}, debusine.Missingf("item")
}

func (s *shelf) LastRun(_ context.Context, collection int64, which, series string) (debusine.CollectionItem, error) {
	return debusine.CollectionItem{ID: 8, CollectionID: collection, Name: which + " " + series}, s.outage
}

func item(id, collection, artifact int64, name string) debusine.CollectionItem {
	i := debusine.CollectionItem{ID: id, CollectionID: collection, Name: name, Kind: "bare"}
	if artifact != 0 {
		i.Kind, i.ArtifactID = "artifact", &artifact
	}
	return i
}

func is[T error](err error) bool {
	var fault T
	return errors.As(err, &fault)
}

func TestALookupComesToOneThing(t *testing.T) {
	s := &shelf{artifacts: []int64{421, 77}, items: []debusine.CollectionItem{item(5, 1, 77, "tarball:sid:amd64!"), item(6, 2, 0, "log"), item(7, 2, 0, "1:2.10")}}
	for name, c := range map[string]struct {
		text                       string
		expect                     lookup.Expect
		artifact, collection, item int64
	}{
		"an artifact by its number":        {text: "421", artifact: 421},
		"a number where one is expected":   {text: "1", expect: lookup.Expect{Type: lookup.Collection}, collection: 1},
		"an artifact, said in full":        {text: "421@artifacts", artifact: 421},
		"the same where it is a default":   {text: "421@artifacts", expect: lookup.Expect{DefaultCategory: debusine.CategoryEnvironments}, artifact: 421},
		"a collection by its number":       {text: "2@collections", collection: 2},
		"a collection by its name":         {text: "debian@debian:environments", collection: 1},
		"by the default category":          {text: "debian", expect: lookup.Expect{DefaultCategory: debusine.CategoryEnvironments}, collection: 1},
		"the singleton":                    {text: "_@debian:package-build-logs", collection: 2},
		"an item by its name":              {text: "_@debian:package-build-logs/log", item: 6},
		"an item by its name, in full":     {text: "_@debian:package-build-logs/name:log", item: 6},
		"a name that has colons itself":    {text: "_@debian:package-build-logs/name:1:2.10", item: 7},
		"an environment by its properties": {text: "debian@debian:environments/match:codename=sid:variant=", item: 5, artifact: 77},
		"the internal collection":          {text: "internal@collections", collection: 3},
		"a collection elsewhere":           {text: "//scope=a:workspace=b/debian@debian:environments", collection: 1},
		"the last run of a task":           {text: "_@debusine:task-history/last-success:Worker:sbuild:hello:any%3Aamd64", item: 8},
		"of one without a subject":         {text: "_@debusine:task-history/last-entry:Worker:noop::", item: 8},
		"an item of a numbered collection": {text: "1@collections/match:codename=sid:variant=", item: 5, artifact: 77},
	} {
		q, err := lookup.Parse(debusine.LookupOf(c.text), c.expect)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, err := q.Resolve(t.Context(), s, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got [3]int64
		if r.Artifact != nil {
			got[0] = r.Artifact.ID
		}
		if r.Collection != nil {
			got[1] = r.Collection.ID
		}
		if r.Item != nil {
			got[2] = r.Item.ID
		}
		if got != [3]int64{c.artifact, c.collection, c.item} {
			t.Errorf("%s: artifact, collection and item are %v", name, got)
		}
	}
}

func TestMalformedLookupsAreInvalid(t *testing.T) {
	environments := lookup.Expect{DefaultCategory: debusine.CategoryEnvironments}
	for name, c := range map[string]struct {
		text   string
		expect lookup.Expect
		want   string
	}{
		"nothing at all":                {"", lookup.Expect{}, "names no category"},
		"nothing where there is one":    {"", environments, "incomplete"},
		"zero":                          {"0", lookup.Expect{}, "not the number of anything"},
		"a negative number":             {"-7", environments, "not the number of anything"},
		"a number out of range":         {"99999999999999999999", environments, "not the number of anything"},
		"a name without a category":     {"sid", lookup.Expect{}, "names no category"},
		"a category without a name":     {"@debian:environments", lookup.Expect{}, "incomplete"},
		"a name with an empty category": {"debian@", environments, "incomplete"},
		"a word for an artifact":        {"hello@artifacts", lookup.Expect{}, "is not a number"},
		"artifact zero":                 {"0@artifacts", lookup.Expect{}, "is not a number"},
		"an artifact with items":        {"7@artifacts/x", lookup.Expect{}, "holds no items"},
		"an item with items":            {"debian/a/b", environments, "is not a collection"},
		"a workspace without a name":    {"//workspace=/debian@debian:environments", lookup.Expect{}, "was not given yet"},
		"a workspace twice":             {"//workspace=a:workspace=b/debian@debian:environments", lookup.Expect{}, "was not given yet"},
		"an option that is unknown":     {"//user=root/debian@debian:environments", lookup.Expect{}, "was not given yet"},
		"a scope alone":                 {"//scope=debian/debian@debian:environments", lookup.Expect{}, "needs a workspace"},
		"a workspace and nothing in it": {"//workspace=a", lookup.Expect{}, "names no category"},
		"a number in a workspace":       {"//workspace=a/7@artifacts", lookup.Expect{}, "need no workspace"},
		"internal of a workspace":       {"//workspace=a/internal@collections", lookup.Expect{}, "need no workspace"},
		"a type that does not exist":    {"7@artifacts", lookup.Expect{Type: "file"}, "no type of a result"},
		"a segment without a name":      {"debian/", environments, "name is missing"},
		"a prefix that is unknown":      {"debian/latest:x", environments, "no way to look into"},
		"no property":                   {"debian/match:", environments, "is not one of"},
		"a property that is unknown":    {"debian/match:colour=red", environments, "is not one of"},
		"a property without a value":    {"debian/match:codename", environments, "is not one of"},
		"a property given twice":        {"debian/match:codename=sid:codename=forky", environments, "twice"},
		"a format that is none":         {"debian/match:format=zip", environments, "neither tarball nor image"},
		"no format":                     {"debian/match:format=", environments, "neither tarball nor image"},
		"a NUL byte":                    {"debian/x\x00y", environments, "characters that no name has"},
		"an escape sequence":            {"debian/\x1b[2J", environments, `\x1b[2J`},
		"bytes that are no UTF-8":       {"debian/\xff", environments, "characters"},
		"a huge lookup":                 {strings.Repeat("x/", 1<<20), environments, "at most 1000 bytes"},
	} {
		_, err := lookup.Parse(debusine.LookupOf(c.text), c.expect)
		if !is[debusine.Invalid](err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

func TestWhatIsNotThereIsMissing(t *testing.T) {
	s := &shelf{items: []debusine.CollectionItem{item(5, 1, 77, "tarball:sid:amd64!")}}
	for name, text := range map[string]string{
		"an artifact":                     "421@artifacts",
		"a collection by number":          "9@collections",
		"a collection by name":            "ubuntu@debian:environments",
		"an item":                         "debian@debian:environments/tarball",
		"an environment":                  "debian@debian:environments/match:codename=forky:variant=x",
		"an item's artifact is invisible": "debian@debian:environments/match:codename=sid:variant=",
	} {
		q, err := lookup.Parse(debusine.LookupOf(text), lookup.Expect{})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := q.Resolve(t.Context(), s, nil); !is[debusine.Missing](err) || r.Item != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestPropertiesLookIntoEnvironmentsAlone(t *testing.T) {
	q, err := lookup.Parse(debusine.LookupOf("_@debian:package-build-logs/match:codename=sid"), lookup.Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Resolve(t.Context(), &shelf{}, nil); !is[debusine.Invalid](err) {
		t.Errorf("%v", err)
	}
}

func TestATaskAddsWhatItsEnvironmentLookupLeavesOut(t *testing.T) {
	env := lookup.Environment{Architecture: "amd64", Format: "tarball", Backend: "unshare", Task: "sbuild"}
	type asked = map[string]string
	for text, want := range map[string][]asked{
		"debian/match:codename=sid": {
			{"codename": "sid", "architecture": "amd64", "format": "tarball", "backend": "unshare", "variant": "sbuild"},
			{"codename": "sid", "architecture": "amd64", "format": "tarball", "backend": "unshare", "variant": ""}},
		"debian/match:codename=sid:variant=":              {{"codename": "sid", "architecture": "amd64", "format": "tarball", "backend": "unshare", "variant": ""}},
		"debian/match:variant=x:architecture=i386":        {{"architecture": "i386", "format": "tarball", "backend": "unshare", "variant": "x"}},
		"debian/match:variant=x:backend=:format=image":    {{"architecture": "amd64", "format": "image", "backend": "", "variant": "x"}},
		"debian/match:variant=x:codename=a=b":             {{"codename": "a=b", "architecture": "amd64", "format": "tarball", "backend": "unshare", "variant": "x"}},
		"debian@debian:environments/match:variant=buildd": {{"architecture": "amd64", "format": "tarball", "backend": "unshare", "variant": "buildd"}},
	} {
		q, err := lookup.Parse(debusine.LookupOf(text), lookup.Expect{DefaultCategory: debusine.CategoryEnvironments})
		if err != nil {
			t.Fatal(err)
		}
		s := &shelf{}
		_, err = q.Resolve(t.Context(), s, &env)
		if !is[debusine.Missing](err) || !strings.Contains(err.Error(), "architecture=") {
			t.Errorf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(s.asked, want) {
			t.Errorf("%s: asked %v", text, s.asked)
		}
		if !reflect.DeepEqual(q, mustParse(t, text)) {
			t.Errorf("%s: resolving changed the query", text)
		}
	}
}

func mustParse(t *testing.T, text string) lookup.Query {
	t.Helper()
	q, err := lookup.Parse(debusine.LookupOf(text), lookup.Expect{DefaultCategory: debusine.CategoryEnvironments})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnEnvironmentForTheTaskGoesBeforeOneForAll(t *testing.T) {
	env := lookup.Environment{Architecture: "amd64", Task: "sbuild"}
	s := &shelf{artifacts: []int64{1, 2}, items: []debusine.CollectionItem{item(5, 1, 1, "general!"), item(6, 1, 2, "sbuild!")}}
	r, err := mustParse(t, "debian/match:codename=sid").Resolve(t.Context(), s, &env)
	if err != nil || r.Item.ID != 6 {
		t.Errorf("%+v, %v", r.Item, err)
	}
	s.items = s.items[:1]
	if r, err = mustParse(t, "debian/match:codename=sid").Resolve(t.Context(), s, &env); err != nil || r.Item.ID != 5 {
		t.Errorf("without one for the task: %+v, %v", r.Item, err)
	}
}

func TestAnOutageIsNotTakenForNothingFound(t *testing.T) {
	s := &shelf{artifacts: []int64{1}, items: []debusine.CollectionItem{item(5, 1, 1, "general!")}, outage: errors.New("connection refused")}
	for _, text := range []string{"debian/match:codename=sid", "1@artifacts"} {
		_, err := mustParse(t, text).Resolve(t.Context(), s, &lookup.Environment{Task: "general"})
		if !errors.Is(err, s.outage) || is[debusine.Missing](err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestANumberIsUsedAsItStands(t *testing.T) {
	s := &shelf{artifacts: []int64{421}}
	r, err := mustParse(t, "421").Resolve(t.Context(), s, &lookup.Environment{Architecture: "amd64", Task: "sbuild"})
	if err != nil || r.Artifact.ID != 421 || len(s.asked) != 0 {
		t.Errorf("%+v, %v, asked %v", r, err, s.asked)
	}
}

// Whatever is given, Parse answers with a query that can be resolved or with an
// Invalid, and never asks the source for what no name has.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"421", "-1", "421@artifacts", "debian/match:codename=bookworm:variant=", "_@debian:package-build-logs/name:1:2",
		"//scope=a:workspace=b/x", "a@b@c/d", "/", "@", "x/match::=", "\x00", "1@collections/", "99999999999999999999"} {
		f.Add(seed, "", false)
		f.Add(seed, debusine.CategoryEnvironments, true)
	}
	f.Fuzz(func(t *testing.T, text, category string, collection bool) {
		expect := lookup.Expect{DefaultCategory: category}
		if collection {
			expect.Type = lookup.Collection
		}
		q, err := lookup.Parse(debusine.LookupOf(text), expect)
		if err != nil {
			if !is[debusine.Invalid](err) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		_, err = q.Resolve(t.Context(), &shelf{}, &lookup.Environment{Architecture: "amd64", Task: "sbuild"})
		if err != nil && !is[debusine.Missing](err) && !is[debusine.Invalid](err) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
