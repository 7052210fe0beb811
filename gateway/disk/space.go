package disk

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// A Space is what a file system has left for an unprivileged process.
type Space struct {
	Bytes, Free   uint64 // of the file system, and left
	Inodes, Spare uint64 // likewise; zero Inodes: the file system does not count them
}

// SpaceOf asks the file system that holds dir.
func SpaceOf(dir string) (Space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return Space{}, fmt.Errorf("stat file system: %w", err)
	}
	block := uint64(st.Bsize)
	return Space{Bytes: st.Blocks * block, Free: uint64(st.Bavail) * block, Inodes: st.Files, Spare: uint64(st.Ffree)}, nil
}

// minInodes is the number of files that must remain possible (HOSTILE 3.3).
const minInodes = 2000

// Enough reports whether a new message of at most size bytes may begin: free must be max(1.5 size, 5 %) and 2,000 or
// 5 % of the inodes, whichever is less. Exactly zero free is not "unknown" (S-02).
func (s Space) Enough(size int64) error {
	need := max(uint64(size)+uint64(size)/2, s.Bytes/20)
	if s.Free == 0 || s.Free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB wanted", ErrSpace, s.Free>>20, need>>20)
	}
	if s.Inodes > 0 && s.Spare < min(minInodes, s.Inodes/20) {
		return fmt.Errorf("%w: %d inodes free", ErrSpace, s.Spare)
	}
	return nil
}

// ErrSpace means that the disk is too full to begin something new.
var ErrSpace = errors.New("disk too full")

// A Gauge asks a file system for its space at most once a second, so that it can be asked for each message.
type Gauge struct {
	Dir  string
	Size int64                       // of the largest message
	Ask  func(string) (Space, error) // nil: SpaceOf

	mu   sync.Mutex
	at   time.Time
	last error
}

// Resize replaces Size while the gauge is in use.
func (g *Gauge) Resize(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Size, g.at = size, time.Time{}
}

// Enough is Space.Enough as of the last second.
func (g *Gauge) Enough() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.at.IsZero() && time.Since(g.at) < time.Second {
		return g.last
	}
	ask := g.Ask
	if ask == nil {
		ask = SpaceOf
	}
	s, err := ask(g.Dir)
	if err == nil {
		err = s.Enough(g.Size)
	}
	g.at, g.last = time.Now(), err
	return err
}

// Trouble counts failures of a disk. The zero value is ready.
type Trouble struct {
	mu    sync.Mutex
	times [strikes]time.Time
	last  error
}

// Three failures within a minute mean that the disk is bad, until a minute has passed (S-03).
const (
	strikes = 3
	window  = time.Minute
)

// Note counts err unless it is nil or only says that the disk is full, and returns it.
func (t *Trouble) Note(err error) error {
	if err == nil || Full(err) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	copy(t.times[:], t.times[1:])
	t.times[strikes-1] = time.Now()
	t.last = err
	return err
}

// Err is the last failure while the disk counts as bad, else nil.
func (t *Trouble) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times[0].IsZero() || time.Since(t.times[0]) > window {
		return nil
	}
	return fmt.Errorf("disk failed %d times within a minute: %w", strikes, t.last)
}
