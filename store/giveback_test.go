package store_test

import (
	"testing"

	"debusine/store"
)

// A machine that begins and gives back, again and again, does not hold the work
// up for ever: after some times it counts as lost, and the work ends.
func TestGivingBackForEverIsALoss(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	for range 20 {
		d := w.deliver(id, 0)
		if b := w.begin(d); b.Verdict != store.RunIt {
			t.Fatalf("begin: %+v", b)
		}
		a, err := w.GiveBack(t.Context(), d, store.GivenBack)
		w.must(err)
		if a.Ended {
			w.wants(id, "completed:error")
			return
		}
	}
	t.Error("it goes on for ever")
}
