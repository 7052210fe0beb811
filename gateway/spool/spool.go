package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"gatepost/gateway/disk"
)

// A Config says where the spool is and how much it may hold. Zero fields take the defaults.
type Config struct {
	Dir          string // data_dir/spool; made if missing, mode 0700
	MessageBytes int64  // size of the largest message, for Admit; default 25 MiB
	Memory       int64  // bytes of pooled buffers in use at once; default 512 MiB
	Disk         int64  // bytes of spool files at once; default 16 GiB
	InMemory     int    // a longer message goes to a file; default and most 256 KiB
}

// The defaults (HOSTILE 3.3).
const (
	defaultMessage = 25 << 20
	defaultMemory  = 512 << 20
	defaultDisk    = 16 << 30
	maxInMemory    = 256 << 10
)

// Errors that a caller answers with 452 4.3.1.
var (
	// ErrFull means that the budget for memory and disk is used up.
	ErrFull = errors.New("spool full")
	// ErrStorage wraps every failure of the disk; it is never about the message or the client.
	ErrStorage = errors.New("spool failed")
)

// A Spool receives messages. It is safe for concurrent use.
type Spool struct {
	cfg     Config
	most    atomic.Int64 // of memory
	largest atomic.Int64 // message
	memory  atomic.Int64 // bytes of buffers in use
	disk    atomic.Int64 // bytes in files
	bodies  atomic.Int64 // open bodies
	classes [len(classSizes)]sync.Pool
	chunks  sync.Pool // *chunk, for readers that cannot write themselves, and for files
	gauge   disk.Gauge
	trouble disk.Trouble
}

// classSizes are the sizes of pooled buffers. A message moves to a larger one as it grows.
const (
	small  = 16 << 10
	medium = 64 << 10
)

var classSizes = [...]int{small, medium, maxInMemory}

// New opens the spool and removes what a process that was killed left in its directory.
func New(cfg Config) (*Spool, error) {
	if cfg.MessageBytes <= 0 {
		cfg.MessageBytes = defaultMessage
	}
	if cfg.Memory <= 0 {
		cfg.Memory = defaultMemory
	}
	if cfg.Disk <= 0 {
		cfg.Disk = defaultDisk
	}
	if cfg.InMemory <= 0 || cfg.InMemory > maxInMemory {
		cfg.InMemory = maxInMemory
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool directory: %w", err)
	}
	if err := sweep(cfg.Dir); err != nil {
		return nil, fmt.Errorf("clear spool directory: %w", err)
	}
	s := &Spool{cfg: cfg}
	s.gauge.Dir = cfg.Dir
	s.Adjust(cfg.MessageBytes, cfg.Memory)
	return s, nil
}

// Adjust replaces the size of the largest message and the bytes of buffers in use at once, from the next message on.
func (s *Spool) Adjust(messageBytes, memory int64) {
	s.largest.Store(messageBytes)
	s.most.Store(memory)
	s.gauge.Resize(messageBytes)
}

// sweep removes files whose process died between making and unlinking them. Nothing but our own names is touched; a
// file that another process made this instant lives on without its name.
func sweep(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range names {
		if strings.HasPrefix(e.Name(), "body-") && e.Type().IsRegular() {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Admit reports whether a new message may begin: nil, or an error that is answered with 452 4.3.1. A tenth of the
// memory is kept for those that have begun. It costs next to nothing and is asked at MAIL.
func (s *Spool) Admit() error {
	if s.memory.Load()+small > s.most.Load()-s.most.Load()/10 || s.disk.Load()+s.largest.Load() > s.cfg.Disk {
		return ErrFull
	}
	if err := s.trouble.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStorage, err)
	}
	if err := s.gauge.Enough(); err != nil {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return nil
}

// A Usage is what a spool holds now.
type Usage struct{ Bodies, Memory, Disk int64 }

// Usage reports what is held now, for metrics.
func (s *Spool) Usage() Usage {
	return Usage{Bodies: s.bodies.Load(), Memory: s.memory.Load(), Disk: s.disk.Load()}
}

// Receive reads one message from r to io.EOF. If r is an io.WriterTo it is asked to write itself, which saves a copy.
// hint is the size the client declared, 0 if it did not; it is not believed.
//
// An error of r is returned wrapped, so that errors.Is finds it. ErrFull and ErrStorage are ours: the rest of r has
// not been read then. In every case but success nothing is kept.
func (s *Spool) Receive(r io.Reader, hint int64) (*Body, error) {
	b := &Body{spool: s}
	s.bodies.Add(1)
	if err := b.fill(r, hint); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// fill takes in the whole of r.
func (b *Body) fill(r io.Reader, hint int64) error {
	b.reserve(min(hint, medium, int64(b.spool.cfg.InMemory)))
	var err error
	if w, ok := r.(io.WriterTo); ok {
		_, err = w.WriteTo(b)
	} else {
		err = b.readFrom(r)
	}
	if err == nil {
		err = b.flush()
		b.dropChunk()
	}
	if err != nil {
		return fmt.Errorf("receive message: %w", err)
	}
	if b.file == nil {
		b.sum = sha256.Sum256(b.bytes())
	} else {
		b.digest.Sum(b.sum[:0])
	}
	b.sealed = true
	return nil
}
