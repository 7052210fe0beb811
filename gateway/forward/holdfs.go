package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// An FS is the one directory in which a Hold keeps its files. What was written counts only once File.Sync returned, and
// a name only once Sync did: a crash may undo anything else.
type FS interface {
	Create(name string) (File, error) // which must not exist
	Open(name string) (File, error)   // to read and to append; only a regular file
	Rename(from, to string) error
	Remove(name string) error
	Names() ([]string, error)
	Sync() error
}

// A File is a file of an FS. Write appends.
type File interface {
	io.Writer
	io.ReaderAt
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// A Dir is a real directory. Names cannot lead out of it, nor through links.
type Dir struct {
	root *os.Root
	self *os.File // to sync, and to lock
	sync group
}

// ErrLocked tells that another process has the directory.
var ErrLocked = errors.New("directory is in use by another process")

// OpenDir makes path if need be, and locks it against other processes.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make hold directory: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open hold directory: %w", err)
	}
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("open hold directory: %w", err)
	}
	if err := syscall.Flock(int(self.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		self.Close()
		root.Close()
		return nil, fmt.Errorf("lock hold directory: %w", ErrLocked)
	}
	return &Dir{root: root, self: self}, nil
}

// Close gives the directory up.
func (d *Dir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

// Create makes a file that only our user can read.
func (d *Dir) Create(name string) (File, error) {
	return dirFile(d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600))
}

// Open opens a regular file.
func (d *Dir) Open(name string) (File, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return dirFile(d.root.OpenFile(name, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0))
}

func dirFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename replaces to.
func (d *Dir) Rename(from, to string) error { return d.root.Rename(from, to) }

// Remove takes a name away.
func (d *Dir) Remove(name string) error { return d.root.Remove(name) }

// Names are all names in the directory, in no order.
func (d *Dir) Names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Sync makes the names durable. Those who ask while one sync is under way share the next.
func (d *Dir) Sync() error { return d.sync.do(d.self.Sync) }

// A group lets one call serve all who ask for it before it begins. The zero value is ready.
type group struct {
	mu   sync.Mutex
	busy bool
	next *turn // not begun
}

// A turn is one call to come.
type turn struct {
	done chan struct{}
	err  error
}

// do returns once a call of work that began after it was asked for has returned, and that call's error.
func (g *group) do(work func() error) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &turn{done: make(chan struct{})}
	}
	mine := g.next
	if !g.busy {
		g.busy = true
		go g.run(work)
	}
	g.mu.Unlock()
	<-mine.done
	return mine.err
}

// run calls work for one turn after the other until nobody waits.
func (g *group) run(work func() error) {
	g.mu.Lock()
	for g.next != nil {
		t := g.next
		g.next = nil
		g.mu.Unlock()
		t.err = work()
		close(t.done)
		g.mu.Lock()
	}
	g.busy = false
	g.mu.Unlock()
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
