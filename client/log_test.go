package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/client"
)

func TestALogIsReadFromAnOffsetAndTakenUp(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("GET /api/1.0/work-request/7/log/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Debusine-Log-Attempt", "3")
		w.Header().Set("Debusine-Log-Offset", r.URL.Query().Get("offset"))
		if r.URL.Query().Get("offset") == "2" {
			w.Header().Set("Content-Length", "4")
			_, _ = w.Write([]byte("ab"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Debusine-Log-Complete", "true")
		_, _ = w.Write([]byte("cd"))
	})
	var b bytes.Buffer
	read, err := f.client(5*time.Second).WorkRequestLog(t.Context(), 7, client.LogPosition{Offset: 2}, &b)
	if read.Bytes != 4 || read.Offset != 6 || !read.Complete || err != nil || b.String() != "abcd" {
		t.Errorf("%+v %v %q", read, err, b.String())
	}
	if got := f.seen(); !slices.Equal(got, []string{"GET /api/1.0/work-request/7/log/?offset=2", "GET /api/1.0/work-request/7/log/?attempt=3&offset=4"}) {
		t.Errorf("%q", got)
	}
}

// stream answers with events, one text for each connection, and then breaks.
func (f *fake) stream(texts ...string) {
	f.mux.HandleFunc("GET /api/1.0/work-request/7/log/events/", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		text := ""
		if len(texts) > 0 {
			text, texts = texts[0], texts[1:]
		}
		f.mu.Unlock()
		_, _ = w.Write([]byte(text))
		_ = http.NewResponseController(w).Flush()
		if len(text) < 1<<20 { // a reset would overtake the rest
			breakConnection(w)
		}
	})
}

// follow follows work request 7 and gives the log with the marks in it.
func follow(t *testing.T, c *client.Client, from client.LogPosition) (string, api.LogMark, error) {
	var log strings.Builder
	_, end, err := c.FollowLog(t.Context(), 7, from, &log, func(kind string, m api.LogMark) { fmt.Fprintf(&log, "<%s %s>", kind, m.Message) })
	return log.String(), end, err
}

const begins = "id: 1-0\nevent: attempt\ndata: {\"attempt\": 1, \"message\": \"one\"}\n\n"

func TestAFollowedLogIsTakenUpWhereItBroke(t *testing.T) {
	f := newFake(t)
	f.stream(begins+":\n\nid: 1-4\nevent: log\ndata: AAH/Cg==\n\nid: 1-8\nevent: log\ndata: bG9z",
		begins+"id: 1-8\nevent: log\ndata: bG9zdA==\n\nid: 1-8\nevent: wait\ndata: {\"attempt\": 1, \"message\": \"lost\"}\n\n",
		"id: 1-8\nevent: attempt\ndata: {\"attempt\": 1, \"message\": \"one, seen from elsewhere\"}\n\nid: 1-8\nevent: wait\ndata: {\"attempt\": 1, \"message\": \"lost\"}\n\n"+
			"id: 2-0\nevent: attempt\ndata: {\"attempt\": 2, \"message\": \"two\"}\n\nid: 2-1\nevent: log\ndata: IQ==\n\nid: 2-1\nevent: end\ndata: {\"message\": \"over\"}\n\n")
	log, end, err := follow(t, f.client(20*time.Second), client.LogPosition{})
	if want := "<attempt one>\x00\x01\xff\nlost<wait lost><attempt two>!"; log != want || end.Message != "over" || err != nil {
		t.Errorf("%q, then %+v, %v", log, end, err)
	}
	var ids []string
	for _, h := range f.headers {
		ids = append(ids, h.Get("Last-Event-ID"))
	}
	if !slices.Equal(ids, []string{"", "1-4", "1-8"}) {
		t.Errorf("went on after %q", ids)
	}
}

func TestAStreamThatIsNotOneEnds(t *testing.T) {
	for name, text := range map[string]string{
		"an endless line":     "data: " + strings.Repeat("A", 5<<20),
		"no base64":           "id: 1-4\nevent: log\ndata: ????\n\n",
		"no id":               "event: log\ndata: IQ==\n\n",
		"a mark that is none": "id: 1-1\nevent: end\ndata: x\n\n",
	} {
		f := newFake(t)
		f.stream(text)
		if _, _, err := follow(t, f.client(3*time.Second), client.LogPosition{}); err == nil || len(f.seen()) != 1 {
			t.Errorf("%s: %v after %d requests", name, err, len(f.seen()))
		}
	}
}

func TestWhoMayNotFollowIsToldAtOnce(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("GET /api/1.0/work-request/7/log/events/", func(w http.ResponseWriter, r *http.Request) { problem(w, 404, "work request 7 not found") })
	if _, _, err := follow(t, f.client(time.Hour), client.LogPosition{}); !errors.As(err, new(debusine.Missing)) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	f = newFake(t)
	f.stream(begins, begins, begins, begins, begins, begins, begins, begins)
	at, _, err := f.client(time.Hour).FollowLog(ctx, 7, client.LogPosition{}, &bytes.Buffer{}, func(string, api.LogMark) {})
	if err == nil || at.Attempt != 1 {
		t.Errorf("at %+v: %v", at, err)
	}
}
