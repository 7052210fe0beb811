package main

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// A trouble is something that does not work now, and since when.
type trouble struct {
	err   error
	since time.Time
}

// troubles remembers what does not work. The zero value is ready and safe for concurrent use.
type troubles struct {
	mu  sync.Mutex
	now map[string]trouble
}

// note says how something went the last time; nil ends the trouble with it.
func (t *troubles) note(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		delete(t.now, what)
		return
	}
	since := time.Now()
	if was, ok := t.now[what]; ok {
		since = was.since
	}
	if t.now == nil {
		t.now = map[string]trouble{}
	}
	t.now[what] = trouble{err, since}
}

// list gives every trouble, by name.
func (t *troubles) list() (names []string, all map[string]trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.now)), maps.Clone(t.now)
}
