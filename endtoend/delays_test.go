package endtoend

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
	"debusine/crash"
)

// failing starts a workflow whose steps fail, and are tried again after delays.
func failing(t *testing.T, c *client.Client, children int, delays string) int64 {
	t.Helper()
	w, err := c.StartWorkflow(t.Context(), api.WorkflowCreate{TaskName: "noop", Workspace: "System", TaskData: map[string]json.RawMessage{
		"children": json.RawMessage(fmt.Sprint(children)), "failing": json.RawMessage("true"), "retry_on": json.RawMessage(`"any"`), "retry_delays": json.RawMessage(delays)}})
	if err != nil {
		t.Fatal(err)
	}
	return w.ID
}

// below lists the work requests below a workflow.
func below(t *testing.T, c *client.Client, id int64) (all []api.WorkRequest) {
	t.Helper()
	for w, err := range c.WorkRequests(t.Context(), client.WorkRequestFilter{Parent: id}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

func waitsFor(steps int) func(api.WorkRequest) bool {
	return func(w api.WorkRequest) bool { return w.RuntimeStatus == "waiting" && w.StepsToRetry == steps }
}

// Steps that wait for their next try wait on while PostgreSQL, Temporal and the
// server are killed and start anew, many of them at once, and do what people say.
func TestStepsWaitForTheirNextTryThroughRestarts(t *testing.T) {
	h := ownHouse(t)
	c := h.user(t)
	h.join(t, "delays", "amd64", 8)
	const many = 200
	root := failing(t, c, many, `["1h"]`)
	w := until(t, c, root, 180*time.Second, "waiting", waitsFor(many))
	if w.NextRetry == nil || time.Until(*w.NextRetry) > time.Hour || time.Until(*w.NextRetry) < 50*time.Minute || !strings.HasPrefix(w.WaitingReason, fmt.Sprint(many)+" steps wait") {
		t.Errorf("it waits for %v: %s", w.NextRetry, w.WaitingReason)
	}
	for _, part := range []string{"server", "temporal", "postgresql"} {
		if err := syscall.Kill(h.pid(t, part), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		h.awaitAll(t)
	}
	until(t, c, root, patient, "waiting after all was killed", waitsFor(many))
	one := below(t, c, root)[0]
	if one.Retry == nil || one.Retry.Number != 1 || one.Retry.Of != 1 || one.Status != "completed" || one.Result != "failure" {
		t.Fatalf("a step that waits is %+v, with %+v", one, one.Retry)
	}
	// Other delays for one of them: it is tried again at once, and is over.
	if now, err := c.SetRetryDelays(t.Context(), one.ID, []string{"0s", "soon"}); err == nil {
		t.Errorf("nonsense was taken: %+v", now.Retry)
	}
	if _, err := c.SetRetryDelays(t.Context(), one.ID, []string{"0s"}); err != nil {
		t.Fatal(err)
	}
	second := until(t, c, one.ID, patient, "superseded", func(w api.WorkRequest) bool { return w.SupersededBy != nil })
	until(t, c, *second.SupersededBy, patient, "over", func(w api.WorkRequest) bool { return w.Retry != nil && w.Retry.Stands == "over" })
	if _, err := c.RetryNow(t.Context(), *second.SupersededBy); err == nil {
		t.Error("what is over is tried again")
	}
	until(t, c, root, patient, "waiting for the others", waitsFor(many-1))
	// One is given up, all others are tried now.
	if now, err := c.GiveUp(t.Context(), below(t, c, root)[5].ID); err != nil || now.Retry == nil || now.Retry.Stands != "over" {
		t.Fatalf("given up: %+v, %v", now.Retry, err)
	}
	if _, err := c.RetryNow(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if end := until(t, c, root, 180*time.Second, "ended", ended); end.Result != "failure" || end.RuntimeStatus != "completed" {
		t.Errorf("it ended with %q as %q", end.Result, end.RuntimeStatus)
	}
	tries := map[string]int{}
	for _, w := range below(t, c, root) {
		tries[w.Step]++
	}
	once, twice := 0, 0
	for _, n := range tries {
		switch n {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	if once != 1 || twice != many-1 {
		t.Errorf("%d steps have one try, %d have two, of %d", once, twice, len(tries))
	}
}

// Each part is killed in the gaps around the waiting: every try is made once.
func TestKilledWhileTriesFollowOneAnother(t *testing.T) {
	h := ownHouse(t)
	c := h.user(t)
	h.join(t, "tries", "amd64", 2)
	for _, gap := range []string{crash.Noted, crash.Planned} {
		for _, victim := range []string{"", "server", "temporal", "postgresql"} {
			t.Run(victim+" when "+gap, func(t *testing.T) {
				root := failing(t, c, 1, `["1s", "0s"]`)
				pid := 0
				if victim != "" {
					pid = h.pid(t, victim)
				}
				h.arm(t, gap, pid)
				until(t, c, root, 100*time.Second, "ended", ended)
				h.awaitAll(t)
				all := below(t, c, root)
				if len(all) != 3 {
					t.Fatalf("%d tries", len(all))
				}
				if last := all[0]; last.Retry == nil || last.Retry.Stands != "over" || last.Retry.Number != 2 || all[1].SupersededBy == nil || *all[1].SupersededBy != last.ID {
					t.Errorf("the last try is %+v", last.Retry)
				}
			})
		}
	}
}
