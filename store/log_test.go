package store_test

import (
	"bytes"
	"errors"
	"testing"

	"debusine"
	"debusine/store"
)

// logged makes a noop that a worker has begun.
func (w *world) logged() (id int64, b store.Beginning) {
	w.Helper()
	id = w.create("noop", `{}`)
	return id, w.begin(w.deliver(id, 0))
}

// logState is how the log of an attempt stands; 0 is the newest.
func (w *world) logState(id int64, attempt int) store.LogState {
	w.Helper()
	s, err := w.LogState(w.Context(), id, attempt)
	w.must(err)
	return s
}

// leaveLog makes a complete artifact of an attempt with one file of that size.
func (w *world) leaveLog(id, attempt int64, category, path string, size int64) (artifact int64) {
	w.Helper()
	w.one(`INSERT INTO artifacts (category, workspace_id, data, created_by_work_request, created_by_attempt, complete) VALUES ($1, $2, '{}', $3, $4, true) RETURNING id`,
		&artifact, category, w.workspace, id, attempt)
	w.exec(`INSERT INTO artifact_files (artifact_id, path, sha256, size) VALUES ($1, $2, $3, $4)`, artifact, path, bytes.Repeat([]byte{7}, 32), size)
	return artifact
}

func TestALogHasNoGapsAndNoRepeats(t *testing.T) {
	w := newWorld(t)
	id, b := w.logged()
	other, _ := w.logged()
	for _, piece := range []struct {
		offset int64
		text   string
	}{{0, "abc"}, {0, "abc"}, {2, "cde"}, {5, "f"}, {1, "bc"}} {
		w.must(w.AppendLog(t.Context(), id, b.AttemptID, piece.offset, []byte(piece.text)))
	}
	for what, offset := range map[string]int64{"a gap": 9, "a gap without end": 1<<63 - 1} {
		if err := w.AppendLog(t.Context(), id, b.AttemptID, offset, []byte("gap")); !errors.As(err, new(debusine.Conflict)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.AppendLog(t.Context(), other, b.AttemptID, 0, []byte("x")); !errors.As(err, new(debusine.Conflict)) {
		t.Errorf("a piece for another's log: %v", err)
	}
	for offset, want := range map[int64]string{0: "abcdef", 4: "ef", 6: "", 100: ""} {
		got, err := w.LiveLog(t.Context(), id, b.AttemptID, offset, 100)
		if err != nil || string(got) != want {
			t.Errorf("from %d: %q, %v", offset, got, err)
		}
	}
}

func TestAFloodOfTinyPiecesIsNoFloodOfRows(t *testing.T) {
	w := newWorld(t)
	id, b := w.logged()
	var want []byte
	for i := range 300 {
		piece := bytes.Repeat([]byte{byte(i), 0xff, 0}, 100)
		w.must(w.AppendLog(t.Context(), id, b.AttemptID, int64(len(want)), piece))
		want = append(want, piece...)
	}
	var rows int
	w.one(`SELECT count(*) FROM work_request_logs`, &rows)
	if rows > 12 {
		t.Errorf("%d rows for %d bytes", rows, len(want))
	}
	for _, step := range []int64{1 << 20, 10_000, 777} {
		var got []byte
		for int64(len(got)) < int64(len(want)) {
			piece, err := w.LiveLog(t.Context(), id, b.AttemptID, int64(len(got)), step)
			w.must(err)
			if len(piece) == 0 || int64(len(piece)) > step {
				t.Fatalf("%d bytes at %d", len(piece), len(got))
			}
			got = append(got, piece...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("in steps of %d it is another log", step)
		}
	}
	if s := w.logState(id, 1); s.Live != int64(len(want)) {
		t.Errorf("%+v", s)
	}
}

func TestALiveLogIsBounded(t *testing.T) {
	w := newWorld(t)
	id, b := w.logged()
	w.exec(`INSERT INTO work_request_logs (work_request_id, attempt_id, start, chunk) VALUES ($1, $2, $3, $4)`,
		id, b.AttemptID, store.MaxLiveLog-100_000, make([]byte, 99_990))
	w.must(w.AppendLog(t.Context(), id, b.AttemptID, store.MaxLiveLog-10, []byte("0123456789abcdef")))
	if err := w.AppendLog(t.Context(), id, b.AttemptID, store.MaxLiveLog+6, []byte("more")); !errors.As(err, new(store.LogFull)) {
		t.Errorf("beyond the bound: %v", err)
	}
	if s := w.logState(id, 0); s.Live != store.MaxLiveLog || !s.Full() {
		t.Errorf("%+v", s)
	}
	if end, err := w.LiveLog(t.Context(), id, b.AttemptID, store.MaxLiveLog-3, 100); err != nil || string(end) != "789" {
		t.Errorf("it ends with %q, %v", end, err)
	}
}

func TestHowALogStands(t *testing.T) {
	w := newWorld(t)
	id := w.create("noop", `{}`)
	if s := w.logState(id, 0); s.Attempt != 0 || s.Complete() || s.Status != debusine.Pending {
		t.Errorf("before it began: %+v", s)
	}
	if _, err := w.LogState(t.Context(), id, 1); !errors.As(err, new(debusine.Missing)) {
		t.Errorf("an attempt that is not there: %v", err)
	}
	first := w.begin(w.deliver(id, 0))
	w.must(w.AppendLog(t.Context(), id, first.AttemptID, 0, []byte("half")))
	if s := w.logState(id, 0); s.Attempt != 1 || s.Live != 4 || s.Ended() || s.Complete() || s.Worker != "one" {
		t.Errorf("while it runs: %+v", s)
	}
	w.silence(first.AttemptID)
	_, err := w.LoseSilent(t.Context())
	w.must(err)
	if s := w.logState(id, 1); s.Ending != "lost" || s.Next != 0 || s.Complete() {
		t.Errorf("when it was lost: %+v", s)
	}
	second := w.begin(w.deliver(id, 1))
	if s := w.logState(id, 1); s.Next != 2 || s.Complete() || s.Live != 4 {
		t.Errorf("the lost one, later: %+v", s)
	}
	_, err = w.Abort(t.Context(), id, w.user)
	w.must(err)
	if s := w.logState(id, 2); s.Complete() || s.Status != debusine.Aborted || s.AbortedBy != "alice" {
		t.Errorf("aborted, and still stopping: %+v", s)
	}
	artifact := w.leaveLog(id, second.AttemptID, debusine.CategoryPackageBuildLog, "x.build", 9)
	if s := w.logState(id, 2); s.Artifact != nil {
		t.Errorf("an artifact that may yet be void is shown: %+v", s)
	}
	_, err = w.Complete(t.Context(), second.AttemptID, debusine.Failure, nil)
	w.must(err)
	if s := w.logState(id, 0); !s.Complete() || s.Size() != 9 || s.Artifact.ID != artifact {
		t.Errorf("when it has stopped: %+v", s)
	}
}

func TestLiveLogsAreSweptWhenTheArtifactIsThere(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(w *world, id, attempt int64)
		swept bool
	}{
		"one that runs": {func(*world, int64, int64) {}, false},
		"one with an artifact": {func(w *world, id, a int64) {
			w.leaveLog(id, a, debusine.CategoryPackageBuildLog, "x.build", 4)
			w.completed(a)
		}, true},
		"one with only debug logs": {func(w *world, id, a int64) {
			w.leaveLog(id, a, debusine.CategoryDebugLogs, "stages.log", 4)
			w.completed(a)
		}, false},
		"one among debug logs": {func(w *world, id, a int64) {
			w.leaveLog(id, a, debusine.CategoryDebugLogs, "cmd-output.log", 4)
			w.completed(a)
		}, true},
		"one that left none": {func(w *world, _, a int64) { w.completed(a) }, false},
		"one that was lost": {func(w *world, _, a int64) {
			w.exec(`UPDATE attempts SET ended_at = now() - interval '29 days', ending = 'lost' WHERE id = $1`, a)
		}, false},
		"one lost long ago": {func(w *world, _, a int64) {
			w.exec(`UPDATE attempts SET ended_at = now() - interval '31 days', ending = 'lost' WHERE id = $1`, a)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id, b := w.logged()
			w.must(w.AppendLog(t.Context(), id, b.AttemptID, 0, []byte("text")))
			beside, bb := w.logged()
			w.must(w.AppendLog(t.Context(), beside, bb.AttemptID, 0, []byte("text")))
			test.end(w, id, b.AttemptID)
			swept, err := w.SweepLogs(t.Context())
			w.must(err)
			if (w.logState(id, 1).Live == 0) != test.swept || (swept == 1) != test.swept || w.logState(beside, 1).Live != 4 {
				t.Errorf("swept %d: %+v", swept, w.logState(id, 1))
			}
		})
	}
}

func (w *world) completed(attempt int64) {
	w.Helper()
	_, err := w.Complete(w.Context(), attempt, debusine.Success, nil)
	w.must(err)
}
