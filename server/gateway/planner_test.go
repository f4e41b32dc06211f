package gateway

import (
	"context"
	"testing"
	"time"

	"debusine/store"
)

// A poll whose caller goes away in the moment in which the planner ends is
// answered: a handler that waited for ever would keep the server from stopping.
func TestAPollThatLeavesAsThePlannerEndsIsAnswered(t *testing.T) {
	for range 50 { // whether the planner's queue still takes its word is chance
		p := newPlanner(&Gateway{})
		p.table = 1 // no table of queues is read
		ctx, leave := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			p.wait(ctx, &waiter{worker: 1}, store.GatewayWorker{ID: 1})
			close(answered)
		}()
		(<-p.events)()
		leave()
		time.Sleep(time.Millisecond)
		close(p.done)
		select {
		case <-answered:
		case <-time.After(10 * time.Second):
			t.Fatal("the poll waits for ever")
		}
	}
}
