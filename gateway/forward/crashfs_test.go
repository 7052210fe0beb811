package forward

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
)

// errCrashed is what every operation returns after the crash.
var errCrashed = errors.New("the machine is off")

// A crashFS is a directory in memory that forgets as a real one may: of content written since File.Sync any part from
// the end, and of changed names since Sync any number from the last. It can crash at a chosen operation, and fail one.
type crashFS struct {
	mu      sync.Mutex
	names   map[string]*crashFile
	durable map[string]*crashFile
	pending []func(map[string]*crashFile) // changes of names since Sync
	ops     int
	crashAt int // 0: never
	failAt  int // 0: never
	log     []string
}

type crashFile struct {
	data   []byte
	synced int
}

func newCrashFS() *crashFS {
	return &crashFS{names: map[string]*crashFile{}, durable: map[string]*crashFile{}}
}

var errDisk = errors.New("input/output error")

// op counts an operation and says whether it happens; mu is held.
func (c *crashFS) op(name string) error {
	c.ops++
	c.log = append(c.log, name)
	if c.crashAt > 0 && c.ops >= c.crashAt {
		return errCrashed
	}
	if c.ops == c.failAt {
		return errDisk
	}
	return nil
}

// reboot is the directory as the next start finds it.
func (c *crashFS) reboot(r *rand.Rand) *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := newCrashFS()
	kept := c.durable
	for _, change := range c.pending[:r.IntN(len(c.pending)+1)] {
		change(kept)
	}
	for name, f := range kept {
		n := f.synced + r.IntN(len(f.data)-f.synced+1)
		data := slices.Clone(f.data[:n])
		if n > f.synced && r.IntN(2) == 0 { // a page that was allocated and never written
			clear(data[f.synced+r.IntN(n-f.synced):])
		}
		next.names[name] = &crashFile{data, len(data)}
		next.durable[name] = next.names[name]
	}
	return next
}

func (c *crashFS) change(f func(map[string]*crashFile)) {
	f(c.names)
	c.pending = append(c.pending, f)
}

func (c *crashFS) Create(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("create"); err != nil {
		return nil, err
	}
	if c.names[name] != nil {
		return nil, fs.ErrExist
	}
	f := &crashFile{}
	c.change(func(m map[string]*crashFile) { m[name] = f })
	return crashHandle{c, f}, nil
}

func (c *crashFS) Open(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crashAt > 0 && c.ops >= c.crashAt {
		return nil, errCrashed
	}
	if c.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return crashHandle{c, c.names[name]}, nil
}

func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("rename"); err != nil {
		return err
	}
	if c.names[from] == nil {
		return fs.ErrNotExist
	}
	c.change(func(m map[string]*crashFile) {
		if m[from] != nil {
			m[to] = m[from]
			delete(m, from)
		}
	})
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("remove"); err != nil {
		return err
	}
	if c.names[name] == nil {
		return fs.ErrNotExist
	}
	c.change(func(m map[string]*crashFile) { delete(m, name) })
	return nil
}

func (c *crashFS) Names() ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for n := range c.names {
		names = append(names, n)
	}
	return names, nil
}

func (c *crashFS) Sync() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.op("sync directory"); err != nil {
		return err
	}
	for _, change := range c.pending {
		change(c.durable)
	}
	c.pending = nil
	return nil
}

type crashHandle struct {
	fs *crashFS
	f  *crashFile
}

func (h crashHandle) Write(p []byte) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.op("write"); err != nil {
		h.f.data = append(h.f.data, p[:len(p)/2]...) // torn
		return len(p) / 2, err
	}
	h.f.data = append(h.f.data, p...)
	return len(p), nil
}

func (h crashHandle) ReadAt(p []byte, at int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if at >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h crashHandle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h crashHandle) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.op("truncate"); err != nil {
		return err
	}
	h.f.data = h.f.data[:size]
	h.f.synced = min(h.f.synced, int(size))
	return nil
}

func (h crashHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.op("sync"); err != nil {
		return err
	}
	h.f.synced = len(h.f.data)
	return nil
}

func (h crashHandle) Close() error { return nil }
