package disk

import (
	"sync"
	"time"
)

// A Clock says whether the wall clock may be believed when things are to be deleted for their age: only after it went
// along with the monotonic clock for two hours, so that a jump deletes nothing at once (S-06). The zero value is ready.
type Clock struct {
	mu    sync.Mutex
	since time.Time // of the agreement, with its monotonic reading
	last  time.Time
}

const (
	grace = 2 * time.Hour
	slip  = time.Minute // by which the two may part, as clocks are slewed
)

// Agreed is the time now, and whether it may be believed.
func (c *Clock) Agreed() (now time.Time, ok bool) { return c.agreed(time.Now()) }

// agreed is Agreed at now, which has both readings.
func (c *Clock) agreed(now time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() || parted(c.last, now) {
		c.since = now
	}
	c.last = now
	return now, now.Sub(c.since) >= grace
}

// parted reports whether wall and monotonic clock disagree about the time between two readings.
func parted(from, to time.Time) bool {
	wall := to.Round(0).Sub(from.Round(0)) // Round strips the monotonic reading
	return (wall - to.Sub(from)).Abs() > slip
}
