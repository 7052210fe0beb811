package state

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"gatepost/filters/traffic"
)

// A Rate is how many events are allowed in a window of time.
type Rate struct {
	Count  int
	Window time.Duration
}

// A Local counts in this process alone. It forgets the keys that were not used for longest, so that strangers
// cannot make it grow (HOSTILE I-08). Marks and visits outlive the process where it was opened with a file.
type Local struct {
	mu     sync.Mutex
	keys   *lru.Cache[string, *window]
	marks  *lru.Cache[string, time.Time] // when each ends
	visits *lru.Cache[string, Visit]
	now    func() time.Time
	book   *book // nil: nothing is kept

	senders *lru.TwoQueueCache[string, *sender]
	bands   *lru.TwoQueueCache[string, []traffic.Sighting]
}

// window is the two-bucket estimate of a sliding window: the current bucket, and the one before by the share of it that
// is still inside.
type window struct {
	start     time.Time
	now, past int
}

// maxVisits bounds how many senders are remembered as waiting or let through.
const maxVisits = 1 << 17

// NewLocal makes a Local for at most keys counters and as many marks, which the process takes with it.
func NewLocal(keys int, now func() time.Time) *Local {
	return &Local{keys: cache[*window](keys), marks: cache[time.Time](keys), visits: cache[Visit](min(keys, maxVisits)), now: now,
		senders: twoQueues[*sender](min(keys, maxSenders)), bands: twoQueues[[]traffic.Sighting](min(keys, maxBands))}
}

// cache makes a cache of a positive size.
func cache[V any](size int) *lru.Cache[string, V] {
	c, err := lru.New[string, V](size)
	if err != nil {
		panic("state: a positive number of keys is needed") // a programmer's mistake, not input
	}
	return c
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

// Remember marks key until life has passed. It never makes a mark end earlier.
func (l *Local) Remember(_ context.Context, key string, life time.Duration) { l.remember(key, life) }

// remember marks key; it returns when the mark ends, and whether that was much later than before.
func (l *Local) remember(key string, life time.Duration) (end time.Time, news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	end = now.Add(life)
	if old, found := l.marks.Get(key); found && now.Before(old) {
		if old.After(end) {
			end = old
		}
		if old.Sub(now) >= life-life/10 {
			return end, false
		}
	}
	l.marks.Add(key, end)
	if life >= worthKeeping {
		l.book.write(line{Key: key, Until: end.UnixMilli()})
	}
	return end, true
}

// Known reports whether key is marked now.
func (l *Local) Known(_ context.Context, key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, found := l.marks.Get(key)
	return found && l.now().Before(end)
}

// Wait takes note of a visit and returns how long it still must wait: not at all if it came back after the delay and
// within the window, or did so before.
func (l *Local) Wait(_ context.Context, key string, v Visit, t Terms) (left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, found := l.visits.Get(key); found {
		v = known
	} else {
		v = v.fit(key)
	}
	was := v.Until
	v, left = v.come(l.now(), t)
	l.visits.Add(key, v)
	if v.Until.Sub(was) > t.Life/10 || !v.Passed {
		l.book.write(line{Key: key, Visit: &v})
	}
	return left
}

// Visits lists who waits and who was let through, the newest first.
func (l *Local) Visits(context.Context) ([]Visit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return current(l.visits.Values(), l.now()), nil
}

// current is the visits that are not forgotten at now, the newest first.
func current(all []Visit, now time.Time) []Visit {
	all = slices.DeleteFunc(all, func(v Visit) bool { return !now.Before(v.Until) })
	slices.SortFunc(all, func(a, b Visit) int { return cmp.Or(b.First.Compare(a.First), cmp.Compare(a.ID, b.ID)) })
	return all
}

// Pass lets the visit with an id through, for as long as if it had come back now.
func (l *Local) Pass(_ context.Context, id string, life time.Duration) (Visit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, key := range l.visits.Keys() {
		v, found := l.visits.Peek(key)
		if !found || v.ID != id || !now.Before(v.Until) {
			continue
		}
		v.Passed, v.Until = true, now.Add(life)
		l.visits.Add(key, v)
		l.book.write(line{Key: key, Visit: &v})
		return v, nil
	}
	return Visit{}, ErrNoVisit
}

// passed reports whether the visit under key was let through.
func (l *Local) passed(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, found := l.visits.Peek(key)
	return found && v.Passed && l.now().Before(v.Until)
}

// letPass remembers a visit that another gateway, or Redis, let through.
func (l *Local) letPass(key string, v Visit, life time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	v.First, v.Passed, v.Until = now, true, now.Add(life)
	l.visits.Add(key, v)
	l.book.write(line{Key: key, Visit: &v})
}
