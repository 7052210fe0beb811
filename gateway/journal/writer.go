package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"gatepost/gateway/disk"
)

// A writer is the one goroutine that touches the segment being written. A file that failed is never written again:
// what is not known to be durable goes, whole, to a new one (FP-06).
type writer struct {
	j *Journal

	stem     string
	file     disk.File // nil: none is open
	began    time.Time
	size     int64
	keys     []key
	rebuild  bool // keys are not right for this segment; sealing takes them from the records
	unsynced pile // what file holds beyond the last sync, or must be written again when there is no file
	dirty    time.Time
	spare    batch // to swap with the pending one
	upkeep   time.Time
	suspect  bool // the last turn failed: only a sync shows that the disk works again
}

// maintainEvery is how often old and foreign segments are looked after.
const maintainEvery = time.Hour

// run writes until quit.
func (w *writer) run() {
	defer close(w.j.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		quit := false
		select {
		case <-w.j.wake:
		case <-timer.C:
		case <-w.j.quit:
			quit = true
		}
		timer.Reset(w.turn())
		if quit {
			w.end()
			return
		}
	}
}

// turn writes what is pending, syncs what is due, and returns when to come again without being woken.
func (w *writer) turn() time.Duration {
	j := w.j
	j.mu.Lock()
	got, waiting, count := j.pending, j.waiting, j.appended
	j.pending, j.waiting = w.spare, nil
	j.mu.Unlock()

	err := w.write(got)
	w.spare = batch{lines: got.lines[:0], keys: got.keys[:0]}
	if err == nil {
		j.mu.Lock()
		j.written = count
		j.mu.Unlock()
		waiting = answered(waiting)
	}
	if err == nil && w.unsynced.size > 0 && (len(waiting) > 0 || w.suspect || time.Since(w.dirty) >= syncEvery) {
		err = w.sync()
	}
	if err != nil {
		w.abandon()
	}
	w.suspect = err != nil
	w.report(err)
	for _, c := range waiting {
		c.done <- err
	}
	if j.opts.Daemon && time.Since(w.upkeep) >= maintainEvery && err == nil {
		w.upkeep = time.Now()
		own := w.stem
		w.background(func() error { return j.maintain(own) })
	}
	switch {
	case err != nil:
		return retryEvery
	case w.unsynced.size > 0:
		return max(syncEvery-time.Since(w.dirty), time.Millisecond)
	}
	return maintainEvery
}

// answered tells those who wait for a write alone that it is done, and returns the others.
func answered(waiting []waiter) []waiter {
	return slices.DeleteFunc(waiting, func(c waiter) bool {
		if !c.durable {
			c.done <- nil
		}
		return !c.durable
	})
}

// report notes whether the writer fails, for Append.
func (w *writer) report(err error) {
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	switch {
	case err == nil:
		w.j.failing, w.j.failure = time.Time{}, nil
	case w.j.failing.IsZero():
		w.j.failing, w.j.failure = time.Now(), err
	default:
		w.j.failure = err
	}
}

// write writes a batch. Whatever happens, its lines are in unsynced afterwards.
func (w *writer) write(b batch) error {
	now := time.Now()
	if w.file != nil && w.size > 0 && len(b.lines) > 0 &&
		(w.size >= w.j.opts.SegmentBytes || now.UTC().YearDay() != w.began.UTC().YearDay()) {
		if err := w.rotate(); err != nil {
			w.unsynced.add(b.lines)
			return err
		}
	}
	before := w.unsynced.size
	w.unsynced.add(b.lines)
	if w.unsynced.size == 0 {
		return nil
	}
	lines := [][]byte{b.lines}
	if w.file == nil {
		if err := w.create(now); err != nil {
			return err
		}
		w.rebuild = before > 0 // lines of an abandoned file come first: offsets of keys are not known
		before, lines = 0, w.unsynced.blocks
	}
	if before == 0 || w.dirty.IsZero() {
		w.dirty = now
	}
	if before == w.unsynced.size {
		return nil
	}
	for _, l := range lines {
		if _, err := w.file.Write(l); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
	}
	for _, k := range b.keys {
		w.keys = append(w.keys, key{k.hash, w.size + k.at})
	}
	w.size += int64(w.unsynced.size - before)
	return nil
}

// create begins a new segment.
func (w *writer) create(now time.Time) error {
	stem := segmentName(now)
	f, err := w.j.fs.Create(filepath.Join(w.j.dir, stem+rawSuffix))
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	if err = disk.TryLock(f); err == nil {
		err = w.j.fs.SyncDir(w.j.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create segment: %w", err), f.Close())
	}
	w.stem, w.file, w.began, w.size, w.keys, w.rebuild = stem, f, now, 0, nil, false
	return nil
}

// sync makes what was written durable.
func (w *writer) sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	w.dirty = time.Time{}
	w.unsynced.clear()
	return nil
}

// abandon gives up a file that failed. What it holds whole is sealed by the next upkeep; what is in unsynced is written
// again, so that a record may stand in two segments, and readers pass over the second.
func (w *writer) abandon() {
	if w.file == nil {
		return
	}
	_ = w.file.Close() // the error that led here is the one that counts
	if w.size == 0 {
		_ = w.j.fs.Remove(filepath.Join(w.j.dir, w.stem+rawSuffix))
	}
	w.file, w.stem, w.keys = nil, "", nil
	w.upkeep = time.Time{}
}

// rotate ends the segment and has it sealed.
func (w *writer) rotate() error {
	if err := w.sync(); err != nil {
		return err
	}
	stem, keys, f := w.stem, w.keys, w.file
	if w.rebuild {
		keys = nil
	}
	w.file, w.stem, w.keys = nil, "", nil
	w.background(func() error { return errors.Join(w.j.seal.seal(stem, keys), f.Close()) }) // the lock is held till then
	return nil
}

// background runs work on sealed segments, one at a time. An error leaves the raw segment, which the next upkeep takes
// up again, so nothing is lost and nothing is said.
func (w *writer) background(work func() error) {
	w.j.sealing.Go(func() {
		w.j.sealed.Lock()
		defer w.j.sealed.Unlock()
		_ = work()
	})
}

// end closes the file.
func (w *writer) end() {
	if w.file == nil {
		return
	}
	if w.unsynced.size > 0 {
		_ = w.sync() // Close has said what failed before; what came since was not promised
	}
	_ = w.file.Close()
	if w.size == 0 {
		_ = w.j.fs.Remove(filepath.Join(w.j.dir, w.stem+rawSuffix))
	}
}
