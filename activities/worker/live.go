package workeract

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"
)

// liveLog sends a growing log to the server. It reads the file that the
// executor writes, so a server that is away costs no memory and no line: what
// was not sent is sent when it is back.
type liveLog struct {
	server Server
	path   string
	log    *slog.Logger
	grown  chan struct{}
	stop   chan struct{}
	done   chan struct{}
	sent   int64
	over   bool // the server wants no more of it
	// lastWords cancels what is under way some time after the command's end.
	ctx       context.Context
	lastWords context.CancelFunc
}

// The pace of a live log: people read it, so a quarter of a second is soon
// enough, and a thousand builds must not be a thousand requests a line.
const (
	livePause = 250 * time.Millisecond
	liveRetry = time.Second
	liveChunk = 256 << 10
	liveEnd   = 10 * time.Second // after the command's end; the artifact has it all
)

func follow(ctx context.Context, server Server, path string, log *slog.Logger) *liveLog {
	l := &liveLog{server: server, path: path, log: log,
		grown: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	l.ctx, l.lastWords = context.WithCancel(ctx)
	go l.loop()
	return l
}

// Write takes note that there is more; the bytes are read from the file.
func (l *liveLog) Write(p []byte) (int, error) {
	select {
	case l.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

// finish sends the rest and returns when it is there, or was given up.
func (l *liveLog) finish() {
	timer := time.AfterFunc(liveEnd, l.lastWords)
	defer timer.Stop()
	close(l.stop)
	<-l.done
	l.lastWords()
}

func (l *liveLog) loop() {
	defer close(l.done)
	for last := false; ; {
		select {
		case <-l.grown:
		case <-l.stop:
			last = true
		}
		for !l.ship() {
			if !l.rest(liveRetry, false) {
				l.log.Warn("the end of a live log was not sent", "path", l.path)
				return
			}
		}
		if last || !l.rest(livePause, true) {
			return
		}
	}
}

// rest waits; false when there is no time left. The command's end cuts a pause
// short, where ended says so.
func (l *liveLog) rest(pause time.Duration, ended bool) bool {
	stop := l.stop
	if !ended {
		stop = nil
	}
	select {
	case <-l.ctx.Done():
		return false
	case <-stop:
	case <-time.After(pause):
	}
	return true
}

// ship sends all that the file has; false when the server did not take it. What
// it refuses (it keeps so much of a live log, and the attempt may be void) it is
// not asked again: the artifact has all of it.
func (l *liveLog) ship() bool {
	if l.over {
		return true
	}
	file, err := os.Open(l.path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) // the command was never started
	}
	defer file.Close()
	chunk := make([]byte, liveChunk)
	for {
		n, err := file.ReadAt(chunk, l.sent)
		if n > 0 {
			if err := l.server.AppendLog(l.ctx, l.sent, chunk[:n]); err != nil {
				l.over = refused(err)
				return l.over
			}
			l.sent += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
	}
}
