package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"debusine"
	"debusine/api"
	"debusine/client"
)

func TestRefusalsBecomeFaults(t *testing.T) {
	for status, is := range map[int]func(error) bool{
		404: func(err error) bool { return errors.As(err, new(debusine.Missing)) },
		400: func(err error) bool { return errors.As(err, new(debusine.Invalid)) },
		422: func(err error) bool { return errors.As(err, new(debusine.Invalid)) },
		413: func(err error) bool { return errors.As(err, new(debusine.Invalid)) },
		401: func(err error) bool { return errors.As(err, new(debusine.Forbidden)) },
		403: func(err error) bool { return errors.As(err, new(debusine.Forbidden)) },
		409: func(err error) bool { return errors.As(err, new(debusine.Conflict)) },
		423: func(err error) bool { return errors.As(err, new(debusine.Conflict)) },
		500: func(err error) bool { return errors.As(err, new(client.Answered)) },
		507: func(err error) bool { return errors.As(err, new(client.Answered)) },
	} {
		f := newFake(t)
		f.mux.HandleFunc("GET /api/1.0/whoami/", func(w http.ResponseWriter, r *http.Request) { problem(w, status, "the detail says it all") })
		_, err := f.client(time.Minute).Whoami(t.Context())
		if err == nil || !is(err) || !strings.Contains(err.Error(), "the detail says it all") {
			t.Errorf("%d: %T %v", status, err, err)
		}
		if n := len(f.seen()); n != 1 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

func TestARefusalThatIsNoProblemIsReadAllTheSame(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"Debusine's own":  {`{"title": "Cannot deserialize the work request now", "validation_errors": {"task_name": ["unknown"]}}`, "Cannot deserialize the work request now"},
		"Django's own":    {`{"detail": "Invalid token."}`, "Invalid token."},
		"a proxy's HTML":  {`<html>Bad Request</html>`, "the server does not take the request"},
		"nothing":         {``, "the server does not take the request"},
		"title of a kind": {`{"title": "Invalid", "detail": "architecture \"amd46\" is unknown"}`, `architecture "amd46" is unknown`},
	} {
		f := newFake(t)
		f.mux.HandleFunc("GET /api/1.0/whoami/", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(test.body))
		})
		if _, err := f.client(0).Whoami(t.Context()); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

func TestWhatMayBeAskedTwiceIsAskedAgain(t *testing.T) {
	f := newFake(t)
	f.answer("GET /api/1.0/whoami/", 200, api.Whoami{User: "me"})
	f.busy = 2
	waited := 0
	c := f.client(0).WithPatience(5*time.Second, func(error, time.Duration) { waited++ })
	if w, err := c.Whoami(t.Context()); err != nil || w.User != "me" || waited != 2 {
		t.Errorf("%v %v, waited %d times", w, err, waited)
	}
}

func TestWhatMakesSomethingNewIsNotAskedAgain(t *testing.T) {
	f := newFake(t)
	f.busy = 1
	_, err := f.client(5*time.Second).CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: "noop"})
	if !errors.As(err, new(client.Answered)) || len(f.seen()) != 1 {
		t.Errorf("%v after %q", err, f.seen())
	}
	f.mux.HandleFunc("POST /api/1.0/work-request/", func(w http.ResponseWriter, r *http.Request) { breakConnection(w) })
	_, err = f.client(5*time.Second).CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: "noop"})
	if !errors.As(err, new(client.Unreachable)) || len(f.seen()) != 2 {
		t.Errorf("%v after %q", err, f.seen())
	}
}

func TestWhatWasSurelyNotSentIsSentAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nobody listens now
	c := client.New(client.Options{BaseURL: "http://" + address + "/api", Patience: 20 * time.Second})
	started := make(chan *httptest.Server, 1)
	time.AfterFunc(300*time.Millisecond, func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			started <- nil
			return
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{"id": 7}`)) }))
		s.Listener.Close()
		s.Listener = listener
		s.Start()
		started <- s
	})
	w, err := c.CreateWorkRequest(t.Context(), api.WorkRequestCreate{TaskName: "noop"})
	if s := <-started; s == nil {
		t.Skip("another took the port")
	} else {
		defer s.Close()
	}
	if err != nil || w.ID != 7 {
		t.Errorf("%v %v", w.ID, err)
	}
}

func TestUnreachableNamesTheAddress(t *testing.T) {
	c := client.New(client.Options{BaseURL: "http://127.0.0.1:1/api", Token: "secret"})
	_, err := c.Whoami(t.Context())
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1/api cannot be reached") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestAWrongCertificateIsNotTriedAgain(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	s.Config.ErrorLog = nil
	begin := time.Now()
	_, err := client.New(client.Options{BaseURL: s.URL + "/api", Patience: time.Minute}).Whoami(t.Context())
	if !errors.As(err, new(client.Unreachable)) || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}

func TestAnAddressThatIsNone(t *testing.T) {
	for _, address := range []string{"", "debusine.example.org", "ftp://debusine.example.org/api", "http://"} {
		_, err := client.New(client.Options{BaseURL: address}).Whoami(t.Context())
		var invalid debusine.Invalid
		if !errors.As(err, &invalid) || invalid.Hint == "" {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestTheTokenDoesNotFollowARedirectToAnotherHost(t *testing.T) {
	var got http.Header
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = w.Write([]byte("content"))
	}))
	defer elsewhere.Close()
	f := newFake(t)
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer s.Close()
	c := client.New(client.Options{BaseURL: s.URL + "/api", Token: "secret", Scope: "debian"})
	a := api.Artifact{ID: 1, Files: map[string]api.File{"a": fileOf([]byte("content"))}}
	if err := c.Download(t.Context(), a, "a", target(t, ""), nil); err != nil {
		t.Fatal(err)
	}
	if got.Get("Token") != "" || got.Get("X-Debusine-Scope") != "" {
		t.Errorf("the other host got %v", got)
	}
	_ = f
}

func TestPagesAreWalked(t *testing.T) {
	f := newFake(t)
	f.mux.HandleFunc("GET /api/1.0/work-request/", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("cursor") {
		case "":
			_, _ = w.Write([]byte(`{"next": "http://elsewhere.example.org/work-request/?cursor=b&status=pending", "previous": null, "results": [{"id": 3}, {"id": 2}]}`))
		default:
			_, _ = w.Write([]byte(`{"next": null, "previous": null, "results": [{"id": 1}]}`))
		}
	})
	all, err := client.Collect(f.client(0).WorkRequests(t.Context(), client.WorkRequestFilter{Status: "pending", IDs: []int64{1, 2}}), 0)
	if err != nil || len(all) != 3 || all[2].ID != 1 {
		t.Errorf("%v %v", all, err)
	}
	want := []string{"GET /api/1.0/work-request/?ids=1%2C2&status=pending", "GET /api/1.0/work-request/?cursor=b&status=pending"}
	if got := f.seen(); !slices.Equal(got, want) {
		t.Errorf("requests %q", got)
	}
	if some, err := client.Collect(f.client(0).WorkRequests(t.Context(), client.WorkRequestFilter{}), 1); err != nil || len(some) != 1 {
		t.Errorf("%v %v", some, err)
	}
}

func TestCtrlCEndsAtOnce(t *testing.T) {
	f := newFake(t)
	f.busy = 1000
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := f.client(time.Hour).Whoami(ctx); err == nil || time.Since(begin) > 3*time.Second {
		t.Errorf("%v after %s", err, time.Since(begin))
	}
}
