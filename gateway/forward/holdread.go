package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/disk"
)

// A HoldView reads a hold directory beside the process that has it. It changes nothing and takes no lock: a message may
// be delivered, and its file gone, at any moment.
type HoldView struct {
	path string
	keys *disk.Keys
}

// ViewHold is a view of the directory at path, which need not be there. What is sealed is shown with keys; without them it is
// listed all the same.
func ViewHold(path string, keys *disk.Keys) HoldView { return HoldView{path, keys} }

// List gives what is on hold, oldest first. What cannot be read is left out and named in damaged.
func (v HoldView) List() (list []Held, damaged []string, err error) {
	dir, err := os.Open(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list hold queue: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, nil, fmt.Errorf("list hold queue: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		id, ok := strings.CutSuffix(name, holdSuffix)
		if !ok {
			if strings.HasSuffix(name, damagedSuffix) {
				damaged = append(damaged, name)
			}
			continue
		}
		f, err := v.open(id)
		switch {
		case errors.Is(err, ErrNotHeld):
		case err != nil:
			damaged = append(damaged, name)
		default:
			list = append(list, f.held(id))
			f.Close()
		}
	}
	return list, damaged, nil
}

// Show is one message with its content; the caller closes it.
func (v HoldView) Show(id string) (Held, mail.Source, io.Closer, error) {
	f, err := v.open(id)
	if err != nil {
		return Held{}, nil, nil, err
	}
	src, err := f.source()
	if err != nil {
		return Held{}, nil, nil, errors.Join(fmt.Errorf("show held message: %w", err), f.Close())
	}
	return f.held(id), src, f, nil
}

// open reads the file of a message but for its content.
func (v HoldView) open(id string) (*holdFile, error) {
	if !fileSafe(id) {
		return nil, ErrNotHeld
	}
	root, err := os.OpenRoot(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotHeld
	}
	if err != nil {
		return nil, fmt.Errorf("show held message: %w", err)
	}
	defer root.Close()
	f, err := root.OpenFile(id+holdSuffix, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotHeld
	}
	if err != nil {
		return nil, fmt.Errorf("show held message: %w", err)
	}
	hf, err := readHold(osFile{f}, v.keys)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("show held message: %w", err), f.Close())
	}
	if hf.settled() { // and about to be removed
		return nil, errors.Join(ErrNotHeld, f.Close())
	}
	return hf, nil
}

// Oldest is how long the message that waits longest is on hold; zero if none is.
func (h *Hold) Oldest() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var oldest time.Duration
	for _, it := range h.items {
		if it.lane != nil {
			oldest = max(oldest, it.age())
		}
	}
	return oldest
}
