package state

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gatepost/gateway/disk"
)

// A line is one mark or one visit as it stands in the file. Later lines of a key replace earlier ones.
type line struct {
	Key   string `json:"k"`
	Until int64  `json:"u,omitempty"` // of a mark, in milliseconds since 1970
	Visit *Visit `json:"v,omitempty"`
}

// Bounds of the file.
const (
	worthKeeping = time.Minute // marks that end sooner are not kept
	maxUnwritten = 4 << 20     // bytes; what comes while the disk fails is dropped beyond it
	maxBookLine  = 8 << 10
	slack        = 10_000 // lines that may be out of date before the file is written anew
	writeEvery   = time.Second
	farthest     = 10 * 366 * 24 * time.Hour // a mark that ends later was not written by us
)

// A book is the file behind a Local. It is written to by one process, in the order of events; what the last second
// brought may be lost with the process, which is allowed: state is memory, not custody.
type book struct {
	path  string
	f     *os.File
	buf   []byte
	lines int // in the file
}

// OpenLocal makes a Local whose marks and visits are kept in the file at path, and reads what is there. Lines that are
// not whole are passed over and counted. Run must be called for anything to be written.
func OpenLocal(path string, keys int, now func() time.Time) (l *Local, damaged int, err error) {
	l = NewLocal(keys, now)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, 0, fmt.Errorf("make directory of state: %w", err)
	}
	lines, damaged, err := readBook(path)
	if err != nil {
		return nil, 0, err
	}
	at := now()
	for _, e := range lines {
		switch end := time.UnixMilli(e.Until); {
		case e.Visit != nil:
			l.visits.Add(e.Key, *e.Visit)
		case at.Before(end) && end.Sub(at) < farthest:
			l.marks.Add(e.Key, end)
		}
	}
	l.book = &book{path: path} // Run writes it anew, and tells if it cannot: what may be forgotten never keeps mail from coming
	return l, damaged, nil
}

// ReadVisits lists who waits and who was let through according to the file of another process.
func ReadVisits(path string, now time.Time) ([]Visit, error) {
	lines, _, err := readBook(path)
	if err != nil {
		return nil, err
	}
	last := map[string]Visit{}
	for _, e := range lines {
		if e.Visit != nil {
			last[e.Key] = *e.Visit
		}
	}
	all := make([]Visit, 0, len(last))
	for _, v := range last {
		all = append(all, v)
	}
	return current(all, now), nil
}

// readBook reads the whole lines of a file; none is none.
func readBook(path string) (lines []line, damaged int, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read state: %w", err)
	}
	defer f.Close()
	return readLines(f)
}

// readLines reads the whole lines of src, and counts the others.
func readLines(src io.Reader) (lines []line, damaged int, err error) {
	r := bufio.NewReaderSize(src, maxBookLine)
	for {
		text, err := r.ReadSlice('\n')
		if err == nil {
			var e line
			if disk.CheckLine(text) != nil || json.Unmarshal(text, &e) != nil || e.Key == "" {
				damaged++
			} else {
				lines = append(lines, e)
			}
			continue
		}
		if len(text) > 0 {
			damaged++
		}
		if errors.Is(err, io.EOF) {
			return lines, damaged, nil
		}
		for errors.Is(err, bufio.ErrBufferFull) { // to the end of a line that is too long to be ours
			_, err = r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, damaged, fmt.Errorf("read state: %w", err)
		}
	}
}

// write puts a line behind those to be written. A nil book keeps nothing.
func (b *book) write(e line) {
	if b == nil || len(b.buf) > maxUnwritten {
		return
	}
	b.buf = b.append(b.buf, e)
}

// append appends the checked line of e to dst.
func (b *book) append(dst []byte, e line) []byte {
	text, err := json.Marshal(e)
	if err == nil {
		dst, err = disk.AppendLine(dst, text)
	}
	if err == nil {
		b.lines++
	}
	return dst
}

// Run writes what is to be kept, every second, until ctx ends, and then what is left. tell is told how each writing went.
func (l *Local) Run(ctx context.Context, tell func(error)) {
	if l.book == nil {
		return
	}
	t := time.NewTicker(writeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			tell(errors.Join(l.flush(), l.book.close()))
			return
		case <-t.C:
			tell(l.flush())
		}
	}
}

// flush appends what was not written yet, and writes the file anew once most of it is out of date.
func (l *Local) flush() error {
	l.mu.Lock()
	text := l.book.buf
	l.book.buf = nil
	stale := l.book.lines > 4*(l.marks.Len()+l.visits.Len())+slack
	l.mu.Unlock()
	if stale || l.book.f == nil {
		return l.rewrite()
	}
	if len(text) == 0 {
		return nil
	}
	if _, err := l.book.f.Write(text); err != nil {
		return fmt.Errorf("write state: %w", errors.Join(err, l.book.close())) // the next flush writes all anew
	}
	return nil
}

// close closes the file, if there is one.
func (b *book) close() error {
	if b.f == nil {
		return nil
	}
	f := b.f
	b.f = nil
	return f.Close()
}

// rewrite puts a file in place that holds what is known now, and nothing else.
func (l *Local) rewrite() error {
	l.mu.Lock()
	b := l.book
	b.lines, b.buf = 0, nil
	var text []byte
	now := l.now()
	for _, k := range l.marks.Keys() {
		if end, found := l.marks.Peek(k); found && now.Before(end) {
			text = b.append(text, line{Key: k, Until: end.UnixMilli()})
		}
	}
	for _, k := range l.visits.Keys() {
		if v, found := l.visits.Peek(k); found && now.Before(v.Until) {
			text = b.append(text, line{Key: k, Visit: &v})
		}
	}
	l.mu.Unlock()
	err := disk.WriteFile(disk.OS{}, b.path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if b.f != nil {
		b.f.Close()
	}
	b.f, err = os.OpenFile(b.path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	return nil
}
