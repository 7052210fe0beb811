package state

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A Rate is how many events are allowed in a window of time.
type Rate struct {
	Count  int
	Window time.Duration
}

// A Local counts in this process alone. It forgets the keys that were not used for longest, so that strangers
// cannot make it grow (HOSTILE I-08).
type Local struct {
	mu    sync.Mutex
	keys  *lru.Cache[string, *window]
	marks *lru.Cache[string, time.Time] // when each ends
	now   func() time.Time
}

// window is the two-bucket estimate of a sliding window: the current bucket, and the one before by the share of it that
// is still inside.
type window struct {
	start     time.Time
	now, past int
}

// NewLocal makes a Local for at most keys counters and as many marks.
func NewLocal(keys int, now func() time.Time) *Local {
	windows, err := lru.New[string, *window](keys)
	if err != nil {
		panic("state: a positive number of keys is needed") // a programmer's mistake, not input
	}
	marks, err := lru.New[string, time.Time](keys)
	if err != nil {
		panic("state: a positive number of keys is needed")
	}
	return &Local{keys: windows, marks: marks, now: now}
}

// Take counts n events for key if the rate allows them; if not, it counts nothing and says how long to wait at most.
func (l *Local) Take(_ context.Context, key string, n int, r Rate) (ok bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	w, found := l.keys.Get(key)
	if !found {
		w = &window{start: now}
		l.keys.Add(key, w)
	}
	switch age := now.Sub(w.start); {
	case age < 0: // the clock was set back: what was counted stays counted
		w.start = now
	case age >= 2*r.Window:
		*w = window{start: now}
	case age >= r.Window:
		*w = window{start: w.start.Add(r.Window), past: w.now}
	}
	left := r.Window - now.Sub(w.start)
	estimate := w.now + int(float64(w.past)*float64(left)/float64(r.Window))
	if estimate+n > r.Count {
		return false, left
	}
	w.now += n
	return true, 0
}

// Remember marks key until life has passed.
func (l *Local) Remember(_ context.Context, key string, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks.Add(key, l.now().Add(life))
}

// Known reports whether key is marked now.
func (l *Local) Known(_ context.Context, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, found := l.marks.Get(key)
	return found && l.now().Before(end)
}
