package endtoend

import (
	"slices"
	"strings"
	"testing"
	"time"

	"debusine/api"
)

// Three machines: each gets what it may and nothing else.
func TestEachMachineGetsWhatItMay(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	h.join(t, "plain64", "amd64", 2)
	h.join(t, "plain32", "i386", 2)
	h.join(t, "big64", "amd64", 2, "big")
	var small, other, big []int64
	for range 10 {
		small = append(small, ask(t, c, "noop", `{"build_architecture": "amd64"}`))
		other = append(other, ask(t, c, "noop", `{"build_architecture": "i386"}`))
		big = append(big, ask(t, c, "noop", `{"build_architecture": "amd64", "class": "big"}`))
	}
	for _, c2 := range []struct {
		ids  []int64
		may  []string
		what string
	}{{small, []string{"plain64", "big64"}, "amd64"}, {other, []string{"plain32"}, "i386"}, {big, []string{"big64"}, "amd64 of class big"}} {
		for _, id := range c2.ids {
			w := until(t, c, id, patient, "ended", ended)
			if w.Result != "success" || !slices.Contains(c2.may, w.WorkerName) {
				t.Errorf("noop %d for %s ended with %q on %q", id, c2.what, w.Result, w.WorkerName)
			}
		}
	}
}

// What no enabled machine can take says so, and why; when one comes it is done.
func TestWhatNobodyCanTakeSaysSo(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	h.join(t, "usual", "amd64", 1)
	id := ask(t, c, "noop", `{"build_architecture": "amd64", "class": "enormous"}`)
	w := until(t, c, id, 15*time.Second, "waiting with a reason", func(w api.WorkRequest) bool { return len(w.MissingTags) > 0 })
	if !slices.Contains(w.MissingTags, "worker:class:enormous") || !strings.Contains(w.WaitingReason, "enormous") {
		t.Errorf("missing %v: %q", w.MissingTags, w.WaitingReason)
	}
	h.join(t, "giant", "amd64", 1, "enormous")
	if w := until(t, c, id, patient, "ended", ended); w.WorkerName != "giant" {
		t.Errorf("done by %q", w.WorkerName)
	}
}

// A machine that nobody has enabled gets nothing; one that is disabled gets
// nothing more.
func TestAMachineMustBeEnabled(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	m := h.join(t, "trusted", "hppa", 1)
	first := ask(t, c, "noop", `{"build_architecture": "hppa"}`)
	until(t, c, first, patient, "ended", ended)
	h.admin(t, "worker", "disable", m.name)
	second := ask(t, c, "noop", `{"build_architecture": "hppa"}`)
	time.Sleep(3 * time.Second)
	if w, err := c.WorkRequest(t.Context(), second); err != nil || w.Status != "pending" {
		t.Errorf("a disabled machine was given work: %s %v", w.Status, err)
	}
	h.admin(t, "worker", "enable", m.name)
	until(t, c, second, patient, "ended", ended)
}

// Stopping a worker gives its work back, which is no loss; draining one lets it
// finish.
func TestAWorkerStopsGracefully(t *testing.T) {
	h := sharedHouse(t)
	c := h.user(t)
	m := h.join(t, "leaving", "alpha", 1)
	id := ask(t, c, "sleep", `{"seconds": 6, "build_architecture": "alpha"}`)
	until(t, c, id, patient, "running", running)
	m.signal(t, "TERM")
	until(t, c, id, 10*time.Second, "given back", func(w api.WorkRequest) bool { return w.Status == "pending" })
	m.start(t, 1)
	w := until(t, c, id, 40*time.Second, "running again", running)
	m.signal(t, "USR1")
	if w = until(t, c, id, patient, "ended", ended); w.Result != "success" || w.Attempt != 2 {
		t.Errorf("ended with %q in attempt %d", w.Result, w.Attempt)
	}
	var losses int
	if err := h.database(t).QueryRow(t.Context(), `SELECT losses FROM work_requests WHERE id = $1`, id).Scan(&losses); err != nil || losses != 0 {
		t.Errorf("%d losses are counted (%v)", losses, err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for alive(m.cmd.Process.Pid) {
		if time.Now().After(deadline) {
			t.Fatal("a drained worker does not exit")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
