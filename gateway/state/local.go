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
	mu   sync.Mutex
	keys *lru.Cache[string, *window]
	now  func() time.Time
}

// window is the two-bucket estimate of a sliding window: the current bucket, and the one before by the share of it that
// is still inside.
type window struct {
	start     time.Time
	now, past int
}

// NewLocal makes a Local for at most keys keys.
func NewLocal(keys int, now func() time.Time) *Local {
	c, err := lru.New[string, *window](keys)
	if err != nil {
		panic("state: a positive number of keys is needed") // a programmer's mistake, not input
	}
	return &Local{keys: c, now: now}
}

// Take counts n events for key if the rate allows them; if not, it counts nothing and says how long to wait.
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
	case age >= 2*r.Window || age < 0:
		*w = window{start: now}
	case age >= r.Window:
		*w = window{start: w.start.Add(r.Window), past: w.now}
	}
	left := r.Window - now.Sub(w.start)
	estimate := w.now + int(int64(w.past)*int64(left)/int64(r.Window))
	if estimate+n > r.Count {
		return false, left
	}
	w.now += n
	return true, 0
}
