package endtoend

import (
	"testing"
	"time"

	"debusine/api"
)

// Each of the three is away for two minutes in the middle of a sleep of two and
// a half: the attempt that was under way ends it, and no loss is counted.
func TestAnOutageIsNotALostWorker(t *testing.T) {
	for _, part := range []string{"server", "postgresql", "temporal"} {
		t.Run(part, func(t *testing.T) {
			h := ownHouse(t)
			c := h.user(t)
			h.join(t, "patient", "amd64", 1)
			id := ask(t, c, "sleep", `{"seconds": 150}`)
			until(t, c, id, patient, "running", running)
			if err := h.HoldKilled(part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			if err := h.Release(within(t, 60*time.Second), part); err != nil {
				t.Fatal(err)
			}
			w := until(t, c, id, 3*time.Minute, "ended", ended)
			if w.Result != "success" || w.Attempt != 1 {
				t.Errorf("ended with result %q in attempt %d", w.Result, w.Attempt)
			}
			var losses int
			if err := h.database(t).QueryRow(t.Context(), `SELECT losses FROM work_requests WHERE id = $1`, id).Scan(&losses); err != nil || losses != 0 {
				t.Errorf("%d losses are counted (%v)", losses, err)
			}
			h.onceOnly(t, c, id)
			h.awaitAll(t)
		})
	}
}

// A machine that dies is noticed within the time of silence, and its work is
// done by another; the second machine that is lost makes an error.
func TestALostMachinesWorkIsDoneElsewhere(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	first := h.join(t, "first", "amd64", 1)
	id := ask(t, c, "sleep", `{"seconds": 20}`)
	until(t, c, id, 20*time.Second, "running", running)
	second := h.join(t, "second", "amd64", 1)
	died := time.Now()
	first.kill()
	w := until(t, c, id, patient, "begun elsewhere", func(w api.WorkRequest) bool { return w.Attempt == 2 })
	if noticed := time.Since(died); noticed > 40*time.Second {
		t.Errorf("noticed after %v", noticed)
	}
	if w.WorkerName != "second" {
		t.Errorf("done by %q", w.WorkerName)
	}
	second.kill()
	w = until(t, c, id, patient, "ended", ended)
	if w.Result != "error" {
		t.Errorf("two machines were lost, and it ended with %q: %s", w.Result, w.OutputData)
	}
}
