package store_test

import (
	"fmt"
	"testing"
	"time"

	"debusine"
	"debusine/forecast"
)

func TestWhatWaitsIsReadWithItsHistory(t *testing.T) {
	w := newWorld(t)
	w.tarball()
	for range 3 {
		w.build(debusine.Success, `{"runtime_statistics": {"duration": 1}}`)
	}
	w.exec(`UPDATE collection_items SET data = jsonb_set(data, '{runtime_statistics,duration}', '120') WHERE category = 'debusine:historical-task-run'`)
	hello, err := w.sbuild(w.source("hello", "2.10-4", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	other, err := w.sbuild(w.source("other", "1", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	running, err := w.sbuild(w.source("hello", "2.10-5", "any"), "debian/match:codename=sid", "amd64")
	w.must(err)
	w.begin(w.deliver(running, 0))
	noop := w.create("noop", `{}`)
	q, err := w.Queued(t.Context())
	w.must(err)
	var got []string
	for _, x := range q.Waiting {
		took, basis := q.History.Duration(x.Kind)
		got = append(got, fmt.Sprintf("%d %s %s %s %s", x.ID, x.Queue, x.About, took, basis))
	}
	want := []string{fmt.Sprintf("%d build/amd64 hello_2.10-4 2m0s %s", hello, forecast.SameKind), fmt.Sprintf("%d build/amd64 other_1 2m0s %s", other, forecast.SameTask),
		fmt.Sprintf("%d build/amd64/noop  5m0s %s", noop, forecast.Guess)}
	if fmt.Sprint(got) != fmt.Sprint(want) || q.More != 0 {
		t.Errorf("%q, wanted %q", got, want)
	}
	if len(q.InHand) != 1 || q.InHand[0].Worker != w.workers[0] || q.InHand[0].Kind.Subject != "hello" || q.Now.Sub(q.InHand[0].Since) > time.Minute {
		t.Errorf("%+v", q.InHand)
	}
	// A history of lies makes no estimate, and no fault.
	w.exec(`UPDATE collection_items SET data = jsonb_set(data, '{runtime_statistics,duration}', '-9223372036854775808') WHERE category = 'debusine:historical-task-run'`)
	if q, err = w.Queued(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took, basis := q.History.Duration(q.Waiting[0].Kind); basis != forecast.Guess {
		t.Errorf("%s from %s", took, basis)
	}
}

func TestVisibleWorkspacesAreThoseOfTheUser(t *testing.T) {
	w := newWorld(t)
	w.must(w.CreateWorkspace(t.Context(), "debusine", "open", true))
	w.must(w.CreateScope(t.Context(), "far", "Far"))
	w.must(w.CreateWorkspace(t.Context(), "far", "hidden", false))
	for user, want := range map[int64]int{0: 1, w.user: 2, 999: 1} {
		if seen, err := w.VisibleWorkspaces(t.Context(), user); err != nil || len(seen) != want {
			t.Errorf("user %d sees %v, %v", user, seen, err)
		}
	}
}
