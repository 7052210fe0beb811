package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gatepost/gateway/failpoint"
)

// An FS is the few operations on files that custody depends on, so that tests can make each of them fail or crash
// after it. Names are paths as package filepath writes them.
type FS interface {
	// Create makes a new file for reading and writing, mode 0600. It fails if the name exists.
	Create(name string) (File, error)
	// Open opens a regular file for reading. Links, pipes and devices are ErrNotRegular (S-05).
	Open(name string) (File, error)
	// Rename replaces newname.
	Rename(oldname, newname string) error
	Remove(name string) error
	// Mkdir makes a directory and those above it, mode 0700; one that exists is no error.
	Mkdir(name string) error
	// SyncDir makes what was created, renamed and removed in a directory durable.
	SyncDir(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
}

// A File is an open file of an FS.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes the content durable. After an error the file must be given up, never synced again: the kernel may
	// have marked pages clean that were not written (FP-06).
	Sync() error
	// Size is the length in bytes.
	Size() (int64, error)
}

// ErrNotRegular is returned for a name that is not a regular file.
var ErrNotRegular = errors.New("not a regular file")

// OS is the FS of the operating system.
type OS struct{}

// osFile adds Size to an os.File.
type osFile struct{ *os.File }

// Size is the length in bytes.
func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Create makes a new file.
func (OS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Open opens a regular file for reading. It never waits: a pipe without a writer is refused like any other.
func (OS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("open %s: %w", name, ErrNotRegular)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("open %s: %w", name, ErrNotRegular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f}, nil
}

// Rename replaces newname.
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove unlinks a file.
func (OS) Remove(name string) error { return os.Remove(name) }

// Mkdir makes a directory and those above it.
func (OS) Mkdir(name string) error { return os.MkdirAll(name, 0o700) }

// ReadDir lists a directory by name.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// SyncDir makes the entries of a directory durable.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteFile puts content durably in place under name: a new file beside it, synced, renamed, and the directory
// synced (P-01). After an error name holds what it held before, or the new content, and which of them survives a
// crash is not known. Only one writer at a time may write a name.
func WriteFile(fsys FS, name string, write func(io.Writer) error) error {
	if err := Place(fsys, name+Unfinished, name, write); err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// Place is WriteFile by way of the file temp, in the same directory, and without the last step: the content is
// durable, its name is not until the directory is synced. After an error name is what it was.
func Place(fsys FS, temp, name string, write func(io.Writer) error) error {
	f, err := fsys.Create(temp)
	if errors.Is(err, fs.ErrExist) { // left by a writer that was killed
		if err = fsys.Remove(temp); err == nil {
			f, err = fsys.Create(temp)
		}
	}
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}
	if err = write(f); err == nil {
		err = failpoint.Hit(failpoint.BeforeSync)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := errors.Join(f.Close(), failpoint.Hit(failpoint.AtClose)); err == nil {
		err = cerr // FP-12: an error of close is a failure to write
	}
	if err == nil {
		err = failpoint.Hit(failpoint.BeforeRename)
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), fsys.Remove(temp))
	}
	return nil
}

// Unfinished ends the names of files that are still being written. After a crash they may be removed.
const Unfinished = ".tmp"

// Full reports whether err means that there is no room: the disk, its inodes or a quota.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
