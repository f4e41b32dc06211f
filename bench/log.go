package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"debusine"
	"debusine/api"
	"debusine/client"
	"debusine/store"
)

const (
	logRounds    = 20
	logFollowers = 3
	logCrowd     = 50
	logCrowdSize = 8 << 20 // bytes that each of the crowd follows
	logPiece     = 256 << 10
)

// liveLogs plays the worker of a build: how soon its first line is seen, how
// fast a log of 1 GiB gets to three followers, and fifty of a smaller one. What
// is behind the live log's bound comes from the artifact, as it does in a build.
func liveLogs(ctx context.Context, h *house) ([]Row, error) {
	db, err := store.Open(ctx, h.DSN(), "")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	b := &bard{house: h, db: db}
	name, err := h.admin(ctx, "worker", "create", "bard", "--enable")
	if err != nil || name == "" {
		return nil, errors.Join(err, errors.New("no worker was made"))
	}
	if b.worker, err = b.workerID(ctx); err != nil {
		return nil, err
	}
	first, err := several(logRounds, func() (float64, error) { return b.firstByte(ctx) })
	if err != nil {
		return nil, err
	}
	before, err := several(lookTimes, func() (float64, error) { return h.memory("server") })
	if err != nil {
		return nil, err
	}
	stop := h.watchMemory("server")
	crowd, err := b.sing(ctx, logCrowd, logCrowdSize)
	var long float64
	if err == nil {
		long, err = b.sing(ctx, logFollowers, large)
	}
	most, looking := stop()
	if err = errors.Join(err, looking); err != nil {
		return nil, err
	}
	return []Row{
		newRow("log-first-byte", first, "ms", atMost(250), 0),
		newRow("log-50-followers", crowd, "MiB/s", atLeast(15), 0),
		newRow("log-1gib-3-followers", long, "MiB/s", atLeast(20), 0),
		newRow("log-memory", most-before, "MiB more", atMost(96), before),
	}, nil
}

// bard is a worker that does nothing but talk.
type bard struct {
	*house
	db     *store.DB
	worker int64
}

func (b *bard) workerID(ctx context.Context) (id int64, err error) {
	return id, b.house.db.QueryRow(ctx, `SELECT id FROM workers WHERE name = 'bard'`).Scan(&id)
}

// begin makes a work request that no machine is there to take, and begins it.
func (b *bard) begin(ctx context.Context) (id int64, attempt *client.Attempt, err error) {
	w, err := b.CreateWorkRequest(ctx, api.WorkRequestCreate{TaskName: "noop", Workspace: workspace})
	if err != nil {
		return 0, nil, err
	}
	token := make([]byte, 16)
	rand.Read(token)
	begun, err := b.db.Begin(ctx, store.Delivery{WorkRequest: w.ID, Worker: b.worker, TaskToken: token, Attempt: 1})
	if err != nil {
		return 0, nil, err
	}
	if begun.Verdict != store.RunIt {
		return 0, nil, fmt.Errorf("the attempt may not run: %s", begun.Reason)
	}
	// Nobody beats for it.
	if _, err := b.db.Pool().Exec(ctx, `UPDATE attempts SET heard_at = now() + interval '1 hour' WHERE id = $1`, begun.AttemptID); err != nil {
		return 0, nil, err
	}
	return w.ID, b.Client.Attempt(w.ID, begun.Secret), nil
}

// firstByte is the time from a line being sent to a follower having it, in ms. A
// worker sends the first line at once, and later ones within 250 ms.
func (b *bard) firstByte(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id, attempt, err := b.begin(ctx)
	if err != nil {
		return 0, err
	}
	listening, heard := make(chan struct{}), make(chan time.Time, 1)
	go b.FollowLog(ctx, id, client.LogPosition{}, arrival{heard}, func(string, api.LogMark) { close(listening) })
	select {
	case <-listening:
	case <-time.After(10 * time.Second):
		return 0, errors.New("the stream does not begin")
	}
	time.Sleep(150 * time.Millisecond) // it stands still, as it does before a build talks
	began := time.Now()
	if err := attempt.AppendLog(ctx, 0, []byte("first\n")); err != nil {
		return 0, err
	}
	took := (<-heard).Sub(began)
	return float64(took.Microseconds()) / 1000, attempt.Complete(ctx, string(debusine.Success), json.RawMessage(`{}`))
}

// arrival tells when something was written.
type arrival struct{ at chan time.Time }

func (a arrival) Write(p []byte) (int, error) {
	select {
	case a.at <- time.Now():
	default:
	}
	return len(p), nil
}

// sing sends a log to so many followers, each of which must get all of it, and
// gives the speed of all together, in MiB a second.
func (b *bard) sing(ctx context.Context, followers int, size int64) (float64, error) {
	dir := filepath.Join(b.dir, "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "build.build")
	if err := randomFile(path, size, uint64(size)); err != nil {
		return 0, err
	}
	id, attempt, err := b.begin(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	all, ctx := errgroup.WithContext(ctx)
	for range followers {
		all.Go(func() error {
			var got counter
			_, end, err := b.FollowLog(ctx, id, client.LogPosition{}, &got, func(string, api.LogMark) {})
			if err == nil && (got.Load() != size || end.Offset != size) {
				err = fmt.Errorf("a follower got %d of %d bytes", got.Load(), size)
			}
			return err
		})
	}
	all.Go(func() error { return b.talk(ctx, attempt, path, size) })
	err = all.Wait()
	return float64(followers) * float64(size) / mebibyte / time.Since(began).Seconds(), err
}

// talk sends the log live as far as it is kept, then as the artifact, as a
// worker does.
func (b *bard) talk(ctx context.Context, attempt *client.Attempt, path string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	piece := make([]byte, logPiece)
	for at := int64(0); at < min(size, store.MaxLiveLog); at += logPiece {
		if _, err := file.ReadAt(piece, at); err != nil {
			return err
		}
		if err := attempt.AppendLog(ctx, at, piece); err != nil {
			return err
		}
	}
	data := debusine.PackageBuildLogData{Source: "bench", Version: "1", Filename: "build.build"}
	if _, err := attempt.CreateArtifact(ctx, debusine.CategoryPackageBuildLog, data, map[string]string{"build.build": path}); err != nil {
		return err
	}
	return attempt.Complete(ctx, string(debusine.Success), json.RawMessage(`{}`))
}

type counter struct{ atomic.Int64 }

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}
