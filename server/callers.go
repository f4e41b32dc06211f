package server

import (
	"context"
	"sync"
	"time"

	"debusine"
	"debusine/store"
)

// callers remembers for a second which user has which token: people's programs
// poll. Nothing is remembered of machines and their attempts, whose tokens are
// fences that must hold at once, nor of tokens that opened nothing.
type callers struct {
	db    *store.DB
	mu    sync.Mutex
	known map[string]caller // by the secret's hash
}

type caller struct {
	who   debusine.Principal
	until time.Time
}

const (
	rememberCaller = time.Second
	rememberedMost = 10_000
)

func (c *callers) find(ctx context.Context, secret string) (debusine.Principal, error) {
	hash := debusine.HashSecret(secret)
	c.mu.Lock()
	known, ok := c.known[hash]
	c.mu.Unlock()
	if ok && time.Now().Before(known.until) {
		return known.who, nil
	}
	p, err := c.db.Principal(ctx, secret)
	if err != nil || p.Kind != debusine.Person {
		return p, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= rememberedMost {
		clear(c.known)
	}
	c.known[hash] = caller{p, time.Now().Add(rememberCaller)}
	return p, nil
}
