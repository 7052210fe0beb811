package dns

import (
	"sync"
	"time"
)

const (
	breakAfter = 20          // unanswered questions in a row before the servers are suspected
	probeEvery = time.Second // how often suspected servers are asked whether they are back
)

// A breaker makes lookups fail at once while no server answers at all (L-01). Unanswered questions alone do not open
// it, since a sender chooses which names are asked and some never answer: a probe with a question of our own must
// fail as well.
type breaker struct {
	mu       sync.Mutex
	failures int
	open     bool
	probed   int64 // when the last probe began, Unix nanoseconds
}

// blocked reports whether lookups are to fail at once, and whether the caller should probe.
func (b *breaker) blocked(now int64) (blocked, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false, false
	}
	if now-b.probed < int64(probeEvery) {
		return true, false
	}
	b.probed = now
	return true, true
}

// failed counts an unanswered question and reports whether the caller should probe now.
func (b *breaker) failed(now int64) (probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.open || b.failures < breakAfter || now-b.probed < int64(probeEvery) {
		return false
	}
	b.probed = now
	return true
}

// answered notes that a server is alive.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	b.open = false
}

// trip opens the breaker after a probe that failed.
func (b *breaker) trip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

// isOpen reports the state for people.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}
