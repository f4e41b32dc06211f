package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"debusine/api"
	"debusine/client"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// another is a second server process over the same database and files.
func (w *world) another() (*Server, *httptest.Server) {
	s := New(w.db, w.disk, still{w.db}, Options{Version: "test"}, discard())
	web := httptest.NewUnstartedServer(nil)
	web.Config = s.HTTPServer()
	web.Start()
	w.Cleanup(web.Close)
	return s, web
}

// digest counts and hashes what it is written.
type digest struct {
	mu sync.Mutex
	hash.Hash
	n int64
}

func newDigest() *digest { return &digest{Hash: sha256.New()} }

func (d *digest) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n += int64(len(p))
	return d.Hash.Write(p)
}

func (d *digest) length() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// await waits for a condition.
func (w *world) await(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("waited 20 s for: %s", what)
		}
	}
}

// noisyLog is one endless line of bytes that are no text.
func noisyLog(size int) string {
	var seed [32]byte
	raw := make([]byte, size)
	rand.NewChaCha8(seed).Read(raw)
	return strings.ReplaceAll(string(raw), "\n", "\r")
}

// TestFollowersOutliveServersAndTheStalled: one follower stands still, one is
// slow, one's server dies and its client goes on at another, one is at another
// server from the beginning; all that read get every byte.
func TestFollowersOutliveServersAndTheStalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	dying, dyingWeb := w.another()
	_, otherWeb := w.another()
	proxy := newProxy(w, dyingWeb.Listener.Addr().String())

	stalled := w.follow(w.viewer, eventsOf(id)) // is never read from here on
	ended := make(chan error, 3)
	follow := func(url string, to io.Writer) {
		c := client.New(client.Options{BaseURL: url + "/api", Token: w.viewer, Patience: time.Minute})
		_, end, err := c.FollowLog(t.Context(), id, client.LogPosition{}, to, func(string, api.LogMark) {})
		if err == nil && end.Status != "completed" {
			err = fmt.Errorf("ended with %+v", end)
		}
		ended <- err
	}
	moved, elsewhere, slow := newDigest(), newDigest(), newDigest()
	go follow("http://"+proxy.address, moved)
	go follow(otherWeb.URL, elsewhere)
	go follow(w.url, slowly{slow})

	log := noisyLog(6 << 20)
	for at := 0; at < len(log); at += 256 << 10 {
		w.appendAs(b.Token, id, int64(at), log[at:at+256<<10])
		if at == 2<<20 {
			w.await("the follower of the dying server", func() bool { return moved.length() > 0 })
			proxy.move(otherWeb.Listener.Addr().String())
			dyingWeb.CloseClientConnections() // as kill -9 does
		}
	}
	w.leave(b.Token, log)
	w.want(200, b.Token, "PUT", fmt.Sprintf("work-request/%d/completed/", id), `{"result": "success"}`, nil)
	for range 3 {
		w.ok(<-ended)
	}
	for name, d := range map[string]*digest{"moved": moved, "elsewhere": elsewhere, "slow": slow} {
		if got := hex.EncodeToString(d.Sum(nil)); got != sum(log) || d.n != int64(len(log)) {
			t.Errorf("%s: %d of %d bytes, sha256 %s", name, d.n, len(log), got)
		}
	}
	w.await("the tails of the dead server to end", func() bool {
		dying.tails.mu.Lock()
		defer dying.tails.mu.Unlock()
		return len(dying.tails.open) == 0 && dying.tails.all == 0
	})
	stalled.answer.Body.Close()
}

// slowly takes its time over each piece.
type slowly struct{ io.Writer }

func (s slowly) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Writer.Write(p)
}

// proxy is one address of several servers, as a load balancer is.
type proxy struct {
	address string
	mu      sync.Mutex
	to      string
}

func newProxy(w *world, to string) *proxy {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	w.Cleanup(func() { listener.Close() })
	p := &proxy{address: listener.Addr().String(), to: to}
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			to := p.to
			p.mu.Unlock()
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go io.Copy(out, in)
				io.Copy(in, out)
			}()
		}
	}()
	return p
}

func (p *proxy) move(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func TestAStalledFollowerHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	s, web := w.another()
	for range 20 {
		one := *w
		one.url = web.URL
		one.follow(w.viewer, eventsOf(id))
	}
	log := noisyLog(8 << 20)
	for at := 0; at < len(log); at += 1 << 20 {
		w.appendAs(b.Token, id, int64(at), log[at:at+1<<20])
	}
	tail := s.tails.follow(id, 1)
	defer s.tails.leave(tail)
	w.await("the tail to have read it all", func() bool {
		state, _ := tail.look()
		return state != nil && state.Live == int64(len(log))
	})
	tail.mu.Lock()
	defer tail.mu.Unlock()
	if tail.held > ringBytes || len(tail.ring) > ringPieces || tail.users != 21 {
		t.Errorf("%d bytes in %d pieces are held for %d", tail.held, len(tail.ring), tail.users)
	}
}

func TestAFollowerThatTakesNothingIsLeft(t *testing.T) {
	t.Parallel()
	// A connection without anybody to read: writing to it fails when its
	// deadline has come.
	in, out := net.Pipe()
	defer in.Close()
	defer out.Close()
	e := newEvents(&piped{Conn: out})
	start := time.Now()
	e.stall = 50 * time.Millisecond
	if err := e.log("1-1", make([]byte, 1<<20)); err != errGone || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// piped is an answer that goes to a connection as it is.
type piped struct{ net.Conn }

func (*piped) Header() http.Header { return http.Header{} }
func (*piped) WriteHeader(int)     {}

func TestAServerThatStopsLeavesItsFollowersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, b := w.begun(worker, "first")
	_, web := w.another()
	one := *w
	one.url = web.URL
	s := one.follow(w.viewer, eventsOf(id))
	w.appendAs(b.Token, id, 0, "so far")
	s.has("so far")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	w.ok(web.Config.Shutdown(ctx))
	if kind, _ := s.next(); kind != "cut" || s.last != "1-6" {
		t.Errorf("%s, at %s", kind, s.last)
	}
}

func TestNobodyIsFollowedByNobody(t *testing.T) {
	w := newWorld(t)
	worker, _ := w.worker("builder")
	id, _ := w.begun(worker, "first")
	before := runtime.NumGoroutine()
	s, web := w.another()
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", web.URL+"/api/1.0/"+eventsOf(id), nil)
		w.ok(err)
		r.Header.Set("Token", w.viewer)
		answer, err := http.DefaultClient.Do(r)
		w.ok(err)
		cancel()
		answer.Body.Close()
	}
	w.await("all to have left", func() bool {
		s.tails.mu.Lock()
		defer s.tails.mu.Unlock()
		return s.tails.all == 0 && len(s.tails.open) == 0
	})
	http.DefaultClient.CloseIdleConnections()
	w.await("their goroutines to have ended", func() bool { return runtime.NumGoroutine() < before+20 })
}
