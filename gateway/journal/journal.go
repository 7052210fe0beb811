package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"gatepost/gateway/disk"
	"gatepost/gateway/failpoint"
)

// Options of a Journal; zero fields take the defaults.
type Options struct {
	// Daemon says that this process looks after the directory: it seals what others left and removes what is older
	// than Keep. Only the one that holds the lock of the data directory says so.
	Daemon       bool
	Keep         time.Duration // default 90 days
	SegmentBytes int64         // a segment is sealed when it is longer, or when the day (UTC) is over; default 64 MiB
	FS           disk.FS       // nil: the operating system's
}

// The defaults and bounds.
const (
	defaultKeep    = 90 * 24 * time.Hour
	defaultSegment = 64 << 20
	maxSegment     = 1 << 37 // that an index can address

	syncEvery  = time.Second            // what was written is durable at most so much later
	retryEvery = 250 * time.Millisecond // after a failure
	patience   = 10 * time.Second       // how long records may wait in memory for a failing disk (S-04)
	maxBacklog = 64 << 20               // bytes of them
)

// Errors of Append.
var (
	// ErrUnwritable means that the journal could not be written for ten seconds. What it would record must not be
	// done: 451, never an unlogged accept (S-04).
	ErrUnwritable = errors.New("journal cannot be written")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("journal is closed")
)

// A Journal appends records to the segments in a directory, and reads them: its Reader sees what other processes
// appended as well. It is safe for concurrent use. Several processes may each have a Journal on one directory; each
// writes segments of its own.
type Journal struct {
	*Reader
	Counters Counters // of all records appended by this process

	opts  Options
	enc   encoder
	seal  sealer
	clock disk.Clock

	mu       sync.Mutex
	pending  batch
	appended uint64    // records ever
	written  uint64    // of them, with the operating system
	waiting  []waiter  // of Written and Sync
	failing  time.Time // since when the writer fails; zero: it does not
	failure  error
	closed   bool

	wake, quit, done chan struct{}
	sealing          sync.WaitGroup
	sealed           sync.Mutex // one segment at a time is sealed
}

// A waiter is told once what was appended before it has got somewhere.
type waiter struct {
	done    chan error
	durable bool // on the disk; otherwise with the operating system
}

// A batch is lines on their way to the disk, with their keys at offsets within the batch.
type batch struct {
	lines []byte
	keys  []key
}

// Open opens the journal in dir, which it makes, mode 0700, if there is none. What a process that was killed left is
// sealed in the background, without what it did not finish writing.
func Open(dir string, o Options) (*Journal, error) {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	if o.SegmentBytes <= 0 || o.SegmentBytes > maxSegment {
		o.SegmentBytes = defaultSegment
	}
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if err := o.FS.Mkdir(dir); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{
		Reader: newReader(o.FS, dir), opts: o,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	j.seal = sealer{fs: o.FS, dir: dir, codec: &j.codec}
	go (&writer{j: j}).run()
	return j, nil
}

// Append records r. It returns as soon as the record is on its way, at most a second before it is durable; see Written
// and Sync, which cost one write and one sync for all that wait at the same time.
// It sets r.V, and r.Time if that is zero. What people did (an Actor, and Management or Disposal) is also chained into
// the audit, durably, before Append returns.
func (j *Journal) Append(r *Record) error {
	r.V = Version
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	if err := j.ready(); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.AtRecord); err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	if r.Actor != "" && r.Actor != Itself && (r.Kind == Management || r.Kind == Disposal) {
		if err := j.chain(r); err != nil {
			return fmt.Errorf("append record: %w", err)
		}
	}
	b, err := j.enc.encode(r)
	if err != nil {
		return fmt.Errorf("append record: %w", err)
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	at := int64(len(j.pending.lines))
	j.pending.lines = append(j.pending.lines, b.line...)
	j.pending.keys = appendKeys(j.pending.keys, r, at)
	j.appended++
	j.mu.Unlock()
	j.enc.put(b)
	j.signal()
	j.Counters.Add(r)
	return nil
}

// ready reports whether a record can be taken.
func (j *Journal) ready() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return ErrClosed
	case !j.failing.IsZero() && (time.Since(j.failing) >= patience || len(j.pending.lines) >= maxBacklog):
		return fmt.Errorf("%w: %w", ErrUnwritable, j.failure)
	}
	return nil
}

// Health is nil, or why records do not reach the disk now, as soon as they do not.
func (j *Journal) Health() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failing.IsZero() {
		return nil
	}
	return fmt.Errorf("%w since %s: %w", ErrUnwritable, j.failing.UTC().Format(time.RFC3339), j.failure)
}

// signal wakes the writer.
func (j *Journal) signal() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Written returns nil once everything appended before it is with the operating system: the end of this process, however
// it comes, no longer loses it. After an error it is still on its way, and lost only if the process ends first.
func (j *Journal) Written() error { return j.wait(false) }

// Sync returns nil once everything appended before it is durable. After an error it is still on its way.
func (j *Journal) Sync() error { return j.wait(true) }

// wait waits for the writer.
func (j *Journal) wait(durable bool) error {
	w := waiter{make(chan error, 1), durable}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return ErrClosed
	}
	if !durable && j.written == j.appended {
		j.mu.Unlock()
		return nil
	}
	j.waiting = append(j.waiting, w)
	j.mu.Unlock()
	j.signal()
	return <-w.done
}

// Close makes everything durable and ends the journal.
func (j *Journal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.mu.Unlock()
	close(j.quit)
	<-j.done
	j.sealing.Wait()
	return err
}

// maintain seals what other processes left, and removes what is old.
func (j *Journal) maintain(own string) error {
	list, err := segments(j.fs, j.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range list {
		if !s.sealed && s.stem != own {
			errs = append(errs, j.adopt(s.stem))
		}
	}
	if now, ok := j.clock.Agreed(); ok {
		errs = append(errs, j.expire(list, now.Add(-j.opts.Keep)))
	}
	return errors.Join(errs...)
}

// adopt seals a segment whose writer is gone.
func (j *Journal) adopt(stem string) error {
	f, err := j.fs.Open(filepath.Join(j.dir, stem+rawSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // sealed since it was listed
	}
	if err != nil {
		return fmt.Errorf("adopt segment: %w", err)
	}
	err = disk.TryLock(f)
	if errors.Is(err, disk.ErrLocked) {
		return f.Close()
	}
	if err == nil && !j.gone(stem) {
		err = j.seal.seal(stem, nil)
	}
	return errors.Join(err, f.Close())
}

// gone reports whether another process sealed a segment between our opening it and our lock.
func (j *Journal) gone(stem string) bool {
	f, err := j.fs.Open(filepath.Join(j.dir, stem+rawSuffix))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	f.Close()
	return false
}

// expire removes sealed segments whose newest record is older than limit.
func (j *Journal) expire(list []segment, limit time.Time) error {
	var errs []error
	for _, s := range list {
		if !s.sealed || !s.began.Before(limit) {
			continue
		}
		x, err := j.index(s)
		if err != nil {
			continue // unreadable: kept, for its age is not known
		}
		if time.UnixMilli(x.last).Before(limit) {
			errs = append(errs, j.seal.remove(s.stem))
		}
	}
	return errors.Join(errs...)
}
