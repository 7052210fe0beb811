package admin

import (
	"net/netip"
	"sync"
	"time"
)

// delays makes guessing slow: from the fifth failure on, an account or a network must wait, twice as long after each
// (O-08). It is bounded and lives in memory: a restart forgives.
type delays struct {
	mu      sync.Mutex
	failed  map[string]failures
	maxKeys int
}

// failures are the failed attempts under one key.
type failures struct {
	count int
	last  time.Time
	until time.Time
}

const (
	freeFailures = 4                // failures without a delay
	firstDelay   = 2 * time.Second  // after the fifth
	longestDelay = 15 * time.Minute // and no longer
)

func newDelays() *delays { return &delays{failed: make(map[string]failures), maxKeys: 20000} }

// wait is how long one must wait before the next attempt under any of keys.
func (d *delays) wait(now time.Time, keys ...string) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var longest time.Duration
	for _, k := range keys {
		longest = max(longest, d.failed[k].until.Sub(now))
	}
	return longest
}

// fail notes a failed attempt under each of keys.
func (d *delays) fail(now time.Time, keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		f := d.failed[k]
		if now.Sub(f.last) > 24*time.Hour {
			f = failures{}
		}
		f.count++
		f.last = now
		if over := f.count - freeFailures; over > 0 {
			f.until = now.Add(min(longestDelay, firstDelay<<min(over-1, 20)))
		}
		if _, known := d.failed[k]; !known && len(d.failed) >= d.maxKeys {
			d.makeRoom()
		}
		d.failed[k] = f
	}
}

// succeed forgets the failures of a key.
func (d *delays) succeed(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failed, key)
}

// makeRoom drops the tenth of the keys that failed longest ago, roughly: the oldest of a few looked at, many times.
func (d *delays) makeRoom() {
	for range d.maxKeys / 10 {
		var oldest string
		var when time.Time
		looked := 0
		for k, f := range d.failed {
			if looked == 0 || f.last.Before(when) {
				oldest, when = k, f.last
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(d.failed, oldest)
	}
}

// loginKeys are the keys that an attempt counts under: the account, and the client's /24 or /56.
func loginKeys(name string, client netip.Addr) []string {
	bits := 56
	if client.Unmap().Is4() {
		bits = 24
	}
	p, err := client.Unmap().Prefix(bits)
	if err != nil {
		return []string{"name " + name}
	}
	return []string{"name " + name, "net " + p.String()}
}
