package disk

import (
	"sync"
	"time"
)

// A Clock says whether the wall clock may be believed when things are to be deleted for their age: only after it went
// along with the monotonic clock for two hours, so that a jump deletes nothing at once (S-06). The zero value is ready.
type Clock struct {
	mu    sync.Mutex
	start time.Time     // of the monotonic clock
	wall  time.Time     // at the last look
	mono  time.Duration // likewise, since start
	since time.Duration // beginning of the agreement
}

const (
	grace = 2 * time.Hour
	slip  = time.Minute // by which the two may part between looks, as clocks are slewed
)

// Agreed is the time now, and whether it may be believed. It must be asked from time to time to become so.
func (c *Clock) Agreed() (now time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = time.Now()
	if c.start.IsZero() {
		c.start = now
	}
	return now, c.look(now.Round(0), now.Sub(c.start)) // Round strips the monotonic reading
}

// look takes a reading of both clocks.
func (c *Clock) look(wall time.Time, mono time.Duration) bool {
	if !c.wall.IsZero() && (wall.Sub(c.wall)-(mono-c.mono)).Abs() > slip {
		c.since = mono
	}
	c.wall, c.mono = wall, mono
	return mono-c.since >= grace
}
