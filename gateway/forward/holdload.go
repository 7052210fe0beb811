package forward

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/disk"
)

// OpenHold lists what is on hold, and reads none of it: that is for Load, so that a start need not wait for hundreds of
// thousands of files. Files that were never acknowledged are removed. It is an error if messages are sealed with a key that
// is not among ours. Nothing is sent before Run.
func OpenHold(cfg HoldConfig) (*Hold, error) {
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 5 * 24 * time.Hour
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 10
	}
	h := &Hold{cfg: cfg, items: make(map[string]*item), lanes: make(map[string]*lane), changed: make(chan struct{}, 1)}
	names, err := cfg.Directory.Names()
	if err != nil {
		return nil, fmt.Errorf("list hold queue: %w", err)
	}
	var keys []string
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, holdSuffix); ok {
			h.items[id] = &item{id: id, busy: true, unread: true}
		} else if key, ok := strings.CutSuffix(name, keySuffix); ok {
			keys = append(keys, key)
		} else if strings.HasSuffix(name, tempSuffix) {
			if err := cfg.Directory.Remove(name); err != nil {
				return nil, fmt.Errorf("remove unfinished hold file: %w", err)
			}
		}
	}
	return h, h.checkKeys(keys)
}

// checkKeys makes sure that what is on hold can be opened, given the keys that it may be sealed with, and notes ours before
// anything is sealed with it. Only if one is missing every file is looked at.
func (h *Hold) checkKeys(noted []string) error {
	for _, key := range noted {
		if h.cfg.Keys.Has(key) {
			continue
		}
		if err := h.findSealed(); err != nil {
			return fmt.Errorf("open hold queue: %w; put the key back into quarantine.key", err)
		}
		if err := h.cfg.Directory.Remove(key + keySuffix); err != nil {
			return fmt.Errorf("forget a key of the hold queue: %w", err)
		}
	}
	ours := h.cfg.Keys.Name()
	if ours == "" || slices.Contains(noted, ours) {
		return nil
	}
	f, err := h.cfg.Directory.Create(ours + keySuffix)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = h.cfg.Directory.Sync()
	}
	if err != nil {
		return fmt.Errorf("note the key of the hold queue: %w", err)
	}
	return nil
}

// findSealed is an error if any message cannot be opened for want of its key. What cannot be read at all is for Load.
func (h *Hold) findSealed() error {
	first, count := error(nil), 0
	for id := range h.items {
		f, err := h.open(id)
		if err != nil {
			continue
		}
		if _, err := f.source(); errors.Is(err, disk.ErrNoKey) && !f.settled() {
			first, count = err, count+1
		}
		f.Close()
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("%d messages: %w", count, first)
}

// loadedAtOnce is how many messages are read before Run is told to look at them.
const loadedAtOnce = 500

// Load reads what OpenHold listed, oldest first and several files at a time; Run may be under way. Damaged files are set
// aside under another name, those that cannot be read now are left for the next start, and both are named in damaged. It
// returns when everything is read, or when ctx ends.
func (h *Hold) Load(ctx context.Context) (damaged []string) {
	h.mu.Lock()
	ids := make([]string, 0, len(h.items))
	for id, it := range h.items {
		if it.unread {
			ids = append(ids, id)
		}
	}
	h.mu.Unlock()
	slices.Sort(ids)
	var mu sync.Mutex
	var all sync.WaitGroup
	next := make(chan string)
	for range max(2, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for id := range next {
				if !h.loadFile(id) {
					mu.Lock()
					damaged = append(damaged, id+holdSuffix)
					mu.Unlock()
				}
			}
		})
	}
	for n, id := range ids {
		if ctx.Err() != nil {
			break
		}
		next <- id
		if n%loadedAtOnce == loadedAtOnce-1 {
			h.signal()
		}
	}
	close(next)
	all.Wait()
	h.signal()
	slices.Sort(damaged)
	return damaged
}

// loadFile takes one file into the index, and reports whether it could be read.
func (h *Hold) loadFile(id string) bool {
	err := h.load(id)
	if err == nil {
		return true
	}
	h.mu.Lock()
	h.forget(id, 0)
	h.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist): // somebody took it away meanwhile
		return true
	case errors.Is(err, ErrHoldFile), errors.Is(err, fs.ErrInvalid):
		err = h.cfg.Directory.Rename(id+holdSuffix, id+damagedSuffix)
		if err != nil {
			err = fmt.Errorf("set damaged hold file aside: %w", err)
		}
	default: // it stays where it is: the disk may read it another time, and one file must not keep the others back
		err = fmt.Errorf("read hold file: %w", err)
	}
	h.trouble(id, err)
	return false
}

// load takes one file into the index.
func (h *Hold) load(id string) error {
	f, err := h.open(id)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.progress.Cancelled != "" {
		if err := h.cancelled(id, f); err != nil {
			return err
		}
		return h.discard(id)
	}
	if len(f.progress.Untold) > 0 && h.cfg.Tried != nil { // the crash came before that was told, or right after
		h.cfg.Tried(f.held(id), f.outcomes(f.progress.Untold))
	}
	if f.settled() { // the crash came between the last progress and the removal
		return h.discard(id)
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	it := h.items[id]
	it.size, it.tries, it.loaded = f.head.Size, f.progress.Attempts, now
	it.aged = max(0, now.Sub(f.head.Since)) // a clock that was ahead counts for nothing
	// A clock that jumped must not postpone an attempt beyond the longest pause.
	it.next = now.Add(min(max(0, f.progress.Next.Sub(now)), retryPauses[len(retryPauses)-1]))
	if it.urgent {
		it.next = now
	}
	it.unread, it.busy = false, false
	h.bytes += it.size
	l := h.lane(f.head.Rcpts[0].Domain())
	it.lane = l
	heap.Push(&l.waiting, it)
	return nil
}

// discard removes the file of a message whose fate was settled before the start.
func (h *Hold) discard(id string) error {
	if err := h.cfg.Directory.Remove(id + holdSuffix); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(id, 0)
	return nil
}

func (h *Hold) open(id string) (*holdFile, error) {
	f, err := h.cfg.Directory.Open(id + holdSuffix)
	if err != nil {
		return nil, err
	}
	hf, err := readHold(f, h.cfg.Keys)
	if err != nil {
		f.Close()
		return nil, err
	}
	return hf, nil
}
