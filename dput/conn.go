package dput

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// line keeps the connections to one server: each read and write must get on
// within the patience, and all end with the context.
type line struct {
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	patience time.Duration
	ctx      context.Context

	mu   sync.Mutex
	open []net.Conn
	stop func() bool
}

func (s *Sender) newLine(ctx context.Context) *line {
	l := &line{dial: s.Dial, patience: s.Patience, ctx: ctx}
	if l.dial == nil {
		l.dial = new(net.Dialer).DialContext
	}
	if l.patience == 0 {
		l.patience = time.Minute
	}
	l.stop = context.AfterFunc(ctx, l.hangUp)
	return l
}

func (l *line) connect(address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.patience)
	defer cancel()
	c, err := l.dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", address, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
	if l.ctx.Err() != nil {
		c.Close()
	}
	return &patient{c, l.patience}, nil
}

// hangUp closes what is open: who waits on it is told.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

// close ends it without a word.
func (l *line) close() {
	l.stop()
	l.hangUp()
}

// patient is a connection on which silence is an error.
type patient struct {
	net.Conn
	patience time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
