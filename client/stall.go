package client

import (
	"context"
	"errors"
	"io"
	"time"
)

// stall is for how long a transfer may stand still before its connection is
// given up.
const stall = time.Minute

// errStalled says that nothing moved for too long.
var errStalled = errors.New("nothing has moved for " + stall.String())

// watched gives up a transfer that stands still.
type watched struct {
	from  io.Reader
	timer *time.Timer
}

func watch(from io.Reader, cancel context.CancelCauseFunc) *watched {
	return &watched{from, time.AfterFunc(stall, func() { cancel(errStalled) })}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if n > 0 {
		w.timer.Reset(stall)
	}
	return n, err
}

func (w *watched) stop() { w.timer.Stop() }

// stalledOr tells why a context was cancelled, where that was for standing
// still: then the transfer may be tried again.
func stalledOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}
