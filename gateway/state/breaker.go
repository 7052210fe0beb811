package state

import (
	"math/rand/v2"
	"sync"
	"time"
)

// The breaker's measures: so many failures in a row open it, and after a pause of one to two seconds one caller at a time
// tries again. The pause varies so that the gateways of a site do not all knock at once.
const (
	maxFailures = 5
	pause       = time.Second
)

// A breaker keeps callers away from a server that does not answer.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time // no try before it; the zero time while closed
	probing  bool
}

// admit reports whether the server may be asked now; if it may, done must be called.
func (b *breaker) admit(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < maxFailures {
		return true
	}
	if b.probing || now.Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// done says how it went. turned is true when this opened or closed the breaker.
func (b *breaker) done(now time.Time, ok bool) (turned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.failures >= maxFailures
	b.probing = false
	if ok {
		b.failures = 0
		return was
	}
	b.failures = min(b.failures+1, maxFailures)
	b.until = now.Add(pause + rand.N(pause))
	return !was && b.failures == maxFailures
}

// open reports whether callers are kept away.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= maxFailures
}
