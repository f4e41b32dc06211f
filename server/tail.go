package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"debusine"
	"debusine/store"
)

// The pace and the bounds of following. What is appended through this process
// is seen at once, through another when the database is looked at next.
const (
	tailPause    = 100 * time.Millisecond // between looks at a log that grows
	tailIdle     = 250 * time.Millisecond // at one that waits for an attempt
	tailAway     = time.Second            // after the database did not answer
	tailGather   = 10 * time.Millisecond  // what is appended within is one look
	ringBytes    = 1 << 20                // of a followed log that are held in memory
	ringPieces   = 256
	mostFollow   = 1000 // followers of one server process
	mostFollowBy = 200  // of them by one user, or by everybody without a token
)

// tails has each followed log read by one goroutine a process, however many
// follow it. A follower takes what it gets from the ring of that tail, at its own
// pace; one that is behind reads from the store what it missed, when it can take
// it. So one that stands still holds nothing but its own small buffer.
type tails struct {
	db       *store.DB
	log      *slog.Logger
	stopping context.Context
	stop     context.CancelFunc

	mu        sync.Mutex
	open      map[int64]map[int]*tail // by work request and attempt
	following map[string]int          // by who
	all       int
}

func newTails(db *store.DB, log *slog.Logger) *tails {
	t := &tails{db: db, log: log, open: map[int64]map[int]*tail{}, following: map[string]int{}}
	t.stopping, t.stop = context.WithCancel(context.Background())
	return t
}

// admit counts a follower; leave takes it back.
func (t *tails) admit(who debusine.Principal) (leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := string(who.Kind) + "/" + who.User + "/" + who.Worker
	if t.all >= mostFollow || t.following[name] >= mostFollowBy {
		return nil, tooMany{"too many logs are being followed", 2 * time.Second}
	}
	t.all++
	t.following[name]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.all--
		if t.following[name]--; t.following[name] == 0 {
			delete(t.following, name)
		}
	}, nil
}

// follow joins the tail of an attempt's log, or begins it.
func (t *tails) follow(workRequest int64, attempt int) *tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[workRequest] == nil {
		t.open[workRequest] = map[int]*tail{}
	}
	one := t.open[workRequest][attempt]
	if one == nil {
		one = &tail{db: t.db, log: t.log, workRequest: workRequest, attempt: attempt, woken: make(chan struct{}, 1), changed: make(chan struct{})}
		var ctx context.Context
		ctx, one.stop = context.WithCancel(context.Background())
		t.open[workRequest][attempt] = one
		go one.run(ctx)
	}
	one.users++
	return one
}

// leave ends a tail that nobody follows any more.
func (t *tails) leave(one *tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users > 0 {
		return
	}
	one.stop()
	delete(t.open[one.workRequest], one.attempt)
	if len(t.open[one.workRequest]) == 0 {
		delete(t.open, one.workRequest)
	}
}

// wake has the tails of a work request look at once.
func (t *tails) wake(workRequest int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.open[workRequest] {
		select {
		case one.woken <- struct{}{}:
		default:
		}
	}
}

// tail is the newest of one attempt's log, and how it stands.
type tail struct {
	db          *store.DB
	log         *slog.Logger
	workRequest int64
	attempt     int // 0: the newest, to learn which that is
	stop        context.CancelFunc
	woken       chan struct{}
	users       int // guarded by tails.mu

	mu      sync.Mutex
	state   *store.LogState // nil: not known yet
	changed chan struct{}   // closed when the state is another
	ring    []ringPiece     // without gaps, up to end
	held    int             // bytes in the ring
	end     int64
}

type ringPiece struct {
	start int64
	bytes []byte
}

// look gives the state, and what is closed when there is another.
func (t *tail) look() (*store.LogState, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.changed
}

// at gives what the ring has from offset on; nothing when that is not there.
func (t *tail) at(offset int64) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.ring) - 1; i >= 0; i-- {
		if p := t.ring[i]; p.start <= offset {
			if offset < p.start+int64(len(p.bytes)) {
				return p.bytes[offset-p.start:]
			}
			return nil
		}
	}
	return nil
}

func (t *tail) run(ctx context.Context) {
	for {
		pause := tailPause
		state, err := t.db.LogState(ctx, t.workRequest, t.attempt)
		if err == nil {
			err = t.take(ctx, state)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			t.log.Debug("looking at a log that is followed", "work_request", t.workRequest, "error", err)
			pause = tailAway
		case state.Attempt == 0 || state.Ended():
			pause = tailIdle
		}
		select {
		case <-ctx.Done():
			return
		case <-t.woken:
			time.Sleep(tailGather)
		case <-time.After(pause):
		}
	}
}

// take reads what is new into the ring and tells the followers. What was there
// before anybody followed is for each of them to read.
func (t *tail) take(ctx context.Context, state store.LogState) error {
	if t.state == nil || state.Artifact != nil || t.attempt == 0 {
		t.end = state.Live
	}
	if state.Live-t.end > ringBytes {
		t.forget(state.Live - ringBytes)
	}
	for t.end < state.Live {
		piece, err := t.db.LiveLog(ctx, t.workRequest, state.AttemptID, t.end, min(ringBytes/4, state.Live-t.end))
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			break
		}
		t.push(piece)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == nil || !alike(*t.state, state) {
		t.state = &state
		close(t.changed)
		t.changed = make(chan struct{})
	}
	return nil
}

func (t *tail) push(piece []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring = append(t.ring, ringPiece{t.end, piece})
	t.end += int64(len(piece))
	t.held += len(piece)
	for t.held > ringBytes || len(t.ring) > ringPieces {
		t.held -= len(t.ring[0].bytes)
		t.ring = append([]ringPiece(nil), t.ring[1:]...)
	}
}

// forget empties the ring: it goes on from another offset.
func (t *tail) forget(end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring, t.held, t.end = nil, 0, end
}

func alike(a, b store.LogState) bool {
	if (a.Artifact == nil) != (b.Artifact == nil) || a.Artifact != nil && *a.Artifact != *b.Artifact {
		return false
	}
	a.Artifact, b.Artifact = nil, nil
	return a == b
}
