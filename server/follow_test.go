package server

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"debusine/api"
	"debusine/store"
)

// stream is a followed log, event by event.
type stream struct {
	*testing.T
	answer *http.Response
	lines  *bufio.Scanner
	log    []byte
	last   string // id
}

// follow opens a stream; headers are those of the request.
func (w *world) follow(token, path string, headers ...string) *stream {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), "GET", w.url+"/api/1.0/"+path, nil)
	w.ok(err)
	r.Header.Set("Token", token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	w.ok(err)
	w.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" {
		w.Fatalf("%s: %s", path, answer.Status)
	}
	s := &stream{T: w.T, answer: answer, lines: bufio.NewScanner(answer.Body)}
	s.lines.Buffer(nil, 1<<20)
	return s
}

// next gives the next event; log is gathered.
func (s *stream) next() (kind string, mark api.LogMark) {
	s.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			s.last = value
		case "event":
			kind = value
		case "data":
			raw, err := []byte(value), error(nil)
			if kind == api.LogPiece {
				raw, err = base64.StdEncoding.DecodeString(value)
				s.log = append(s.log, raw...)
			} else {
				err = json.Unmarshal(raw, &mark)
			}
			if err != nil {
				s.Fatal(err)
			}
			return kind, mark
		}
	}
	return "cut", mark
}

// until reads on to an event, or to the end of the stream.
func (s *stream) until(kind string) api.LogMark {
	s.Helper()
	for {
		switch got, mark := s.next(); got {
		case kind:
			return mark
		case "cut":
			s.Fatalf("the stream was cut before %q, after %d bytes", kind, len(s.log))
		}
	}
}

// has reads on until the log is so long.
func (s *stream) has(want string) {
	s.Helper()
	for len(s.log) < len(want) {
		if kind, _ := s.next(); kind == "cut" {
			break
		}
	}
	if string(s.log) != want {
		s.Fatalf("log %q, wanted %q", s.log, want)
	}
}

// appendAs sends a piece of log.
func (w *world) appendAs(token string, id, offset int64, piece string) {
	w.Helper()
	w.want(204, token, "POST", fmt.Sprintf("work-request/%d/log/?offset=%d", id, offset), piece, nil)
}

// leave uploads the whole log as a build does.
func (w *world) leave(token, log string) (artifact int64) {
	w.Helper()
	in := testArtifact(map[string]string{"hello.build": log})
	in.Category, in.Data = "debian:package-build-log", []byte(`{"source": "hello", "version": "1", "filename": "hello.build"}`)
	var made api.Artifact
	w.want(201, token, "POST", "artifact/", in, &made)
	w.want(201, token, "PUT", fmt.Sprintf("artifact/%d/files/hello.build/", made.ID), log, nil)
	return made.ID
}

func eventsOf(id int64) string { return fmt.Sprintf("work-request/%d/log/events/", id) }

func TestALogIsFollowedToItsArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	var one api.WorkRequest
	w.want(200, w.maker, "POST", "work-request/", api.WorkRequestCreate{TaskName: "noop"}, &one)
	early := w.follow(w.viewer, eventsOf(one.ID)) // before anybody has begun
	var b api.BeginAnswer
	w.want(200, worker, "POST", fmt.Sprintf("work-request/%d/begin/", one.ID), api.Begin{TaskToken: []byte("x")}, &b)
	if m := early.until(api.LogFromAttempt); m.Attempt != 1 || !strings.Contains(m.Message, "attempt 1 on worker builder") {
		t.Errorf("%+v", m)
	}
	text := "hällo \xff\x00\r\n"
	w.appendAs(b.Token, one.ID, 0, text)
	start := time.Now()
	early.has(text)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the first byte took %v", took)
	}
	w.appendAs(b.Token, one.ID, int64(len(text)), "more\n")
	late := w.follow(w.viewer, eventsOf(one.ID)+"?tail=1")
	late.has("more\n")
	whole := text + "more\nand the rest, which was never sent live\n"
	artifact := w.leave(b.Token, whole)
	w.want(200, b.Token, "PUT", fmt.Sprintf("work-request/%d/completed/", one.ID), `{"result": "success"}`, nil)
	for _, s := range []*stream{early, late} {
		m := s.until(api.LogEnd)
		if m.Status != "completed" || m.Result != "success" || m.Artifact == nil || *m.Artifact != artifact || m.SHA256 != sum(whole) || m.Offset != int64(len(whole)) {
			t.Errorf("%+v", m)
		}
		if !strings.HasSuffix(whole, string(s.log)) || s == early && sum(string(s.log)) != sum(whole) {
			t.Errorf("followed %q", s.log)
		}
		if kind, _ := s.next(); kind != "cut" {
			t.Errorf("%s after the end", kind)
		}
	}
	w.must(w.db.SweepLogs(t.Context()))
	again := w.follow(w.viewer, eventsOf(one.ID), "Last-Event-ID", "1-3")
	if again.until(api.LogEnd); string(again.log) != whole[3:] {
		t.Errorf("taken up: %q", again.log)
	}
	if a := w.want(200, w.viewer, "GET", fmt.Sprintf("work-request/%d/log/?tail=2", one.ID), nil, nil); string(a.body) != whole[len(text):] || a.header.Get("Debusine-Log-Complete") != "true" {
		t.Errorf("%q %v", a.body, a.header)
	}
}

func TestFollowersOfALostWorkerAreToldAndGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	s := w.follow(w.viewer, eventsOf(id))
	w.appendAs(b.Token, id, 0, "half a li")
	s.has("half a li")
	w.lose()
	if m := s.until(api.LogWaits); m.Ending != "lost" || m.Message != "the worker builder was lost; another attempt follows" {
		t.Errorf("%+v", m)
	}
	var second store.Beginning
	second, err := w.db.Begin(t.Context(), store.Delivery{WorkRequest: id, Worker: 1, TaskToken: []byte("second"), Attempt: 2})
	w.ok(err)
	if m := s.until(api.LogFromAttempt); m.Attempt != 2 || m.Message != "the worker builder was lost; attempt 2 follows" {
		t.Errorf("%+v", m)
	}
	s.log = nil
	w.appendAs(second.Secret, id, 0, "whole line\n")
	s.has("whole line\n")
	w.want(200, second.Secret, "PUT", fmt.Sprintf("work-request/%d/completed/", id), `{"result": "success"}`, nil)
	s.until(api.LogEnd)
	old := w.follow(w.viewer, eventsOf(id)+"?attempt=1&offset=5")
	old.until(api.LogFromAttempt)
	if m := old.until(api.LogFromAttempt); m.Attempt != 2 || string(old.log) != "a li" {
		t.Errorf("%q, then %+v", old.log, m)
	}
	if a := w.want(200, w.viewer, "GET", fmt.Sprintf("work-request/%d/log/?attempt=1", id), nil, nil); string(a.body) != "half a li" || a.header.Get("Debusine-Log-Ending") != "lost" {
		t.Errorf("%q %v", a.body, a.header)
	}
	w.want(404, w.viewer, "GET", fmt.Sprintf("work-request/%d/log/?attempt=3", id), nil, nil)
}

// lose has every open attempt fall silent.
func (w *world) lose() {
	w.Helper()
	w.must(w.db.Pool().Exec(w.Context(), `UPDATE attempts SET heard_at = now() - interval '31 seconds' WHERE ended_at IS NULL`))
	w.must(w.db.LoseSilent(w.Context()))
}

func TestAnAbortedLogIsCompleteWhenTheWorkerHasStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	w.appendAs(b.Token, id, 0, "working\n")
	w.want(200, w.maker, "POST", fmt.Sprintf("work-request/%d/abort/", id), nil, nil)
	if a := w.want(200, w.viewer, "GET", fmt.Sprintf("work-request/%d/log/", id), nil, nil); a.header.Get("Debusine-Log-Complete") != "false" {
		t.Error("the log was called complete while the worker stops")
	}
	s := w.follow(w.viewer, eventsOf(id))
	s.has("working\n")
	w.appendAs(b.Token, id, 8, "Terminated\n")
	s.has("working\nTerminated\n")
	w.want(200, b.Token, "PUT", fmt.Sprintf("work-request/%d/completed/", id), `{"result": "failure"}`, nil)
	if m := s.until(api.LogEnd); m.Status != "aborted" || m.Message != "aborted by mike: the log ends here" {
		t.Errorf("%+v", m)
	}
	never, _ := w.begun(worker, "second")
	w.want(200, w.maker, "POST", fmt.Sprintf("work-request/%d/abort/", never), nil, nil)
	w.lose()
	if m := w.follow(w.viewer, eventsOf(never)).until(api.LogEnd); m.Ending != "lost" {
		t.Errorf("%+v", m)
	}
}

func TestWhoMayFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	other, ob := w.begun(worker, "second")
	w.want(404, w.other, "GET", eventsOf(id), nil, nil)
	w.want(404, "", "GET", eventsOf(id), nil, nil)
	w.want(404, ob.Token, "GET", eventsOf(id), nil, nil)
	w.want(404, ob.Token, "POST", fmt.Sprintf("work-request/%d/log/", id), "forged", nil)
	w.want(403, w.maker, "POST", fmt.Sprintf("work-request/%d/log/", id), "forged", nil)
	w.want(404, w.other, "POST", fmt.Sprintf("work-request/%d/log/", id), "forged", nil)
	w.want(404, worker, "POST", fmt.Sprintf("work-request/%d/log/", other), "forged", nil)
	for _, wrong := range []string{"?offset=-1", "?attempt=x", "?tail=many", "?attempt=99999999999999999999"} {
		w.want(400, w.viewer, "GET", eventsOf(id)+wrong, nil, nil)
		w.want(400, w.viewer, "GET", fmt.Sprintf("work-request/%d/log/%s", id, wrong), nil, nil)
	}
	for _, wrong := range []string{"x", "1", "1-x", "-1-0", "1--5", "99999999999999999999-0"} {
		w.want(400, w.viewer, "GET", eventsOf(id), nil, nil, "Last-Event-ID", wrong)
	}
	for _, gone := range []string{"7-0", "9999999999-0"} {
		w.want(404, w.viewer, "GET", eventsOf(id), nil, nil, "Last-Event-ID", gone)
	}
	w.appendAs(b.Token, id, 0, "x")
	w.want(413, b.Token, "POST", fmt.Sprintf("work-request/%d/log/?offset=1", id), strings.Repeat("x", longestPiece+1), nil)
}

func TestAFloodOfPiecesIsSlowedDown(t *testing.T) {
	p, now := newPace(), time.Unix(1e9, 0)
	taken := 0
	for range 10_000 { // in 10 seconds
		if now = now.Add(time.Millisecond); p.take(1, now) {
			taken++
		}
	}
	if taken < paceBurst || taken > paceBurst+11*paceRate {
		t.Errorf("%d of 10,000 in 10 s were taken", taken)
	}
	if !p.take(2, now) {
		t.Error("another attempt was made to wait")
	}
	for i := range int64(3 * paceMost) {
		p.take(i, now)
	}
	if len(p.buckets) > paceMost {
		t.Errorf("%d attempts are remembered", len(p.buckets))
	}
}

func TestThereIsABoundToFollowers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, _ := w.begun(worker, "first")
	s := New(w.db, w.disk, still{w.db}, Options{}, discard())
	who, err := w.db.Principal(t.Context(), w.viewer)
	w.ok(err)
	var leave []func()
	for range mostFollowBy {
		one, err := s.tails.admit(who)
		w.ok(err)
		leave = append(leave, one)
	}
	recorder := newRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/1.0/"+eventsOf(id), nil)
	r.Header.Set("Token", w.viewer)
	s.Handler().ServeHTTP(recorder, r)
	if recorder.Code != 429 || recorder.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
	for _, one := range leave {
		one()
	}
	if len(s.tails.following) != 0 || s.tails.all != 0 {
		t.Errorf("left: %v", s.tails.following)
	}
}
