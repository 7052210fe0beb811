package main

import (
	"context"
	"sync/atomic"
	"time"

	"gatepost/gateway/access"
	"gatepost/gateway/state"
)

// replays counts to how many recipients one signature was brought, where the gateways of a site count. Until there is a
// counter, nothing is a replay. It is an auth.Replays.
type replays struct {
	counter atomic.Pointer[access.Counter]
}

// replayRate is how many recipients of one signature are no replay: a letter to a list is not, a campaign is.
var replayRate = state.Rate{Count: 50, Window: 10 * time.Minute}

// count begins to count.
func (r *replays) count(by access.Counter) { r.counter.Store(&by) }

// Replayed implements auth.Replays.
func (r *replays) Replayed(ctx context.Context, token string, rcpts int) bool {
	by := r.counter.Load()
	if by == nil || token == "" {
		return false
	}
	ok, _ := (*by).Take(ctx, "dkim replay "+token, rcpts, replayRate)
	return !ok
}
