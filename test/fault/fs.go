package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"gatepost/gateway/disk"
)

// An Op is one operation that is about to happen.
type Op struct {
	N    int    // counts from 0
	Kind string // create, open, write, sync, close, rename, remove, mkdir, syncdir, readdir
	Name string
}

// Short is an error of a hook that lets a write do its first N bytes before it fails with ENOSPC.
type Short struct{ N int }

func (e Short) Error() string { return fmt.Sprintf("no room after %d bytes", e.N) }

// Unwrap is what the operating system would say.
func (e Short) Unwrap() error { return syscall.ENOSPC }

// An FS is a file system in memory that knows, beside what it holds, what of it would outlive a loss of power: content
// since the file was synced, names since the directory was. Directories themselves always outlive it. It is a
// disk.FS, safe for concurrent use.
type FS struct {
	// Hook, if not nil, is called before each operation; its error is returned instead. It may call Crash.
	Hook func(Op) error

	mu      sync.Mutex
	ops     int
	dirs    map[string]bool
	live    map[string]*inode
	durable map[string]*inode
	pending []change // of names, since their directories were synced, in order
}

// An inode is the content of one file.
type inode struct{ live, durable []byte }

// A change is one of names, whole or not at all.
type change struct {
	dir      string
	from, to string // from is removed, to is made; either may be empty
	node     *inode
}

// NewFS is an empty file system.
func NewFS() *FS {
	return &FS{dirs: map[string]bool{}, live: map[string]*inode{}, durable: map[string]*inode{}}
}

// op counts an operation and asks the hook.
func (f *FS) op(kind, name string) error {
	f.mu.Lock()
	n, hook := f.ops, f.Hook
	f.ops++
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(Op{N: n, Kind: kind, Name: name}); err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

// Crash is the file system as it may be found after power was lost at this moment. pick(n) chooses among n
// possibilities for each thing that was not synced: a change of names happened or not; content is as last synced, as
// last written, half of what was added since, or zeros in its place.
func (f *FS) Crash(pick func(n int) int) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := maps.Clone(f.durable)
	for _, c := range f.pending {
		if pick(2) == 1 {
			continue
		}
		if c.from != "" {
			delete(names, c.from)
		}
		if c.to != "" {
			names[c.to] = c.node
		}
	}
	after := NewFS()
	maps.Copy(after.dirs, f.dirs)
	seen := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := names[name]
		if seen[node] == nil {
			b := node.survives(pick)
			seen[node] = &inode{live: b, durable: bytes.Clone(b)}
		}
		after.live[name], after.durable[name] = seen[node], seen[node]
	}
	return after
}

// clone is f at this moment, unsynced things and all.
func (f *FS) clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	nodes := map[*inode]*inode{}
	node := func(n *inode) *inode {
		if n != nil && nodes[n] == nil {
			nodes[n] = &inode{live: bytes.Clone(n.live), durable: bytes.Clone(n.durable)}
		}
		return nodes[n]
	}
	c := NewFS()
	maps.Copy(c.dirs, f.dirs)
	for name, n := range f.live {
		c.live[name] = node(n)
	}
	for name, n := range f.durable {
		c.durable[name] = node(n)
	}
	for _, ch := range f.pending {
		ch.node = node(ch.node)
		c.pending = append(c.pending, ch)
	}
	return c
}

// survives is the content after a crash. Files are only appended to, so what was synced is not touched.
func (n *inode) survives(pick func(int) int) []byte {
	synced, tail := len(n.durable), len(n.live)-len(n.durable)
	if tail == 0 {
		return bytes.Clone(n.live)
	}
	switch pick(4) {
	case 0:
		return bytes.Clone(n.live)
	case 1:
		return bytes.Clone(n.live[:synced+tail/2])
	case 2:
		return append(bytes.Clone(n.durable), make([]byte, tail)...)
	}
	return bytes.Clone(n.durable)
}

// Names are the files that exist, in order.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.live))
}

// Ops is the number of operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Create makes a new file.
func (f *FS) Create(name string) (disk.File, error) {
	if err := f.op("create", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if !f.dirs[filepath.Dir(name)] {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	node := &inode{}
	f.live[name] = node
	f.pending = append(f.pending, change{dir: filepath.Dir(name), to: name, node: node})
	return &file{fs: f, name: name, node: node}, nil
}

// Open opens a file for reading.
func (f *FS) Open(name string) (disk.File, error) {
	if err := f.op("open", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.live[name]
	if node == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{fs: f, name: name, node: node}, nil
}

// Rename replaces newname.
func (f *FS) Rename(oldname, newname string) error {
	if err := f.op("rename", newname); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.live[oldname]
	if node == nil {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	delete(f.live, oldname)
	f.live[newname] = node
	f.pending = append(f.pending, change{dir: filepath.Dir(newname), from: oldname, to: newname, node: node})
	return nil
}

// Remove unlinks a file.
func (f *FS) Remove(name string) error {
	if err := f.op("remove", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(f.live, name)
	f.pending = append(f.pending, change{dir: filepath.Dir(name), from: name})
	return nil
}

// Mkdir makes a directory and those above it.
func (f *FS) Mkdir(name string) error {
	if err := f.op("mkdir", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; !f.dirs[name]; name = filepath.Dir(name) {
		f.dirs[name] = true
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(name string) error {
	if err := f.op("syncdir", name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = slices.DeleteFunc(f.pending, func(c change) bool {
		if c.dir != name {
			return false
		}
		if c.from != "" {
			delete(f.durable, c.from)
		}
		if c.to != "" {
			f.durable[c.to] = c.node
		}
		return true
	})
	return nil
}

// ReadDir lists a directory.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.op("readdir", name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.dirs[name] {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	var list []fs.DirEntry
	for _, n := range slices.Sorted(maps.Keys(f.live)) {
		if filepath.Dir(n) == name {
			list = append(list, fs.FileInfoToDirEntry(info{filepath.Base(n), int64(len(f.live[n].live))}))
		}
	}
	return list, nil
}

// info describes a file.
type info struct {
	name string
	size int64
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o600 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

// A file is an open file.
type file struct {
	fs   *FS
	name string
	node *inode
	at   int
}

// Write appends.
func (f *file) Write(p []byte) (int, error) {
	err := f.fs.op("write", f.name)
	var short Short
	if errors.As(err, &short) {
		p = p[:min(short.N, len(p))]
	} else if err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.live = append(f.node.live, p...)
	return len(p), err
}

// Read reads on.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.at))
	f.at += n
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// ReadAt reads as io.ReaderAt says.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return bytes.NewReader(f.node.live).ReadAt(p, off)
}

// Sync makes the content durable. When it fails, what was not durable may never become so (FP-06): a later Sync
// returns nil and changes nothing.
func (f *file) Sync() error {
	err := f.fs.op("sync", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err != nil {
		return err
	}
	f.node.durable = bytes.Clone(f.node.live)
	return nil
}

// Size is the length in bytes.
func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.live)), nil
}

// Close closes the file; that makes nothing durable.
func (f *file) Close() error { return f.fs.op("close", f.name) }

// Choices calls try with every sequence of picks that it asks for, but at most limit times, and reports whether that
// was all of them.
func Choices(limit int, try func(pick func(n int) int)) bool {
	var path, width []int
	for range limit {
		at := 0
		try(func(n int) int {
			if at == len(path) {
				path, width = append(path, 0), append(width, n)
			}
			at++
			return path[at-1]
		})
		path, width = path[:at], width[:at]
		for len(path) > 0 && path[len(path)-1]+1 == width[len(path)-1] {
			path, width = path[:len(path)-1], width[:len(path)-1]
		}
		if len(path) == 0 {
			return true
		}
		path[len(path)-1]++
	}
	return false
}
