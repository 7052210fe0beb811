package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("in use by another process")

// A Lock is a held lock. It ends with Release or with the process, however that ends.
type Lock struct{ f *os.File }

// LockDir takes the lock of a data directory, which only one daemon may hold (S-07). It makes the directory, mode
// 0700, if there is none. Commands that work beside the daemon do not take it.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := TryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	// The number is for people and for gatepost reload; the lock itself is what counts.
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("write lock: %w", err), f.Close())
		}
	}
	return &Lock{f}, nil
}

// Holder is the process that holds the lock of a data directory; ok is false if none does.
func Holder(dir string) (pid int, ok bool) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	if TryLock(f) == nil { // nobody holds it: closing the file gives it back
		return 0, false
	}
	b := make([]byte, 20)
	n, _ := f.Read(b)
	pid, err = strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid, err == nil && pid > 1
}

// Release gives the lock up.
func (l *Lock) Release() error { return l.f.Close() }

// TryLock takes the exclusive advisory lock of an open file, or returns ErrLocked at once. Closing the file, or the
// end of the process, frees it. A File that is no file of the operating system has no lock, and needs none.
func TryLock(f any) error {
	d, ok := f.(interface{ Fd() uintptr })
	if !ok {
		return nil
	}
	err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}
