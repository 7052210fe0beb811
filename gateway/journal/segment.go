package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatepost/gateway/disk"
)

// A segment is one file of records in the order in which they were appended. Its name is the time at which it began
// and its writer, so that names sort by time:
//
//	20261123T090507.123456789Z-1a2b.jsonl        being written, or left by a process that is gone: checked lines
//	20261123T090507.123456789Z-1a2b.jsonl.zst    sealed: the same lines in zstd frames; zstdcat shows them
//	20261123T090507.123456789Z-1a2b.idx          what the frames hold, see index.go
//	20261123T090507.123456789Z-1a2b.jsonl.damaged  as it was, for a person to look at: not every line is what was written
const (
	rawSuffix     = ".jsonl"
	sealedSuffix  = ".jsonl.zst"
	indexSuffix   = ".idx"
	damagedSuffix = rawSuffix + ".damaged"
	stampFormat   = "20060102T150405.000000000Z"
)

// blockBits is the size of a block, as a power of two: the lines that begin within it are one frame.
const blockBits = 18

// maxBlock bounds the content of one frame: a block, and the last line that began in it.
const maxBlock = 1<<blockBits + disk.MaxLine

// A segment names one file; stem is its name without suffix.
type segment struct {
	stem   string
	began  time.Time
	sealed bool
}

// segmentName makes the stem of a new segment.
func segmentName(now time.Time) string {
	return fmt.Sprintf("%s-%x", now.UTC().Format(stampFormat), os.Getpid())
}

// segments lists a directory in order of time. What is not ours is left alone.
func segments(fsys disk.FS, dir string) ([]segment, error) {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var list []segment
	for _, e := range names {
		stem, sealed := strings.CutSuffix(e.Name(), sealedSuffix)
		raw := false
		if !sealed {
			stem, raw = strings.CutSuffix(e.Name(), rawSuffix)
		}
		stamp, _, ok := strings.Cut(stem, "-")
		began, err := time.Parse(stampFormat, stamp)
		if !sealed && !raw || !ok || err != nil || !e.Type().IsRegular() {
			continue
		}
		if n := len(list); n > 0 && list[n-1].stem == stem { // sealed, and the raw one not removed yet
			list[n-1].sealed = true
			continue
		}
		list = append(list, segment{stem: stem, began: began, sealed: sealed})
	}
	slices.SortFunc(list, func(a, b segment) int { return strings.Compare(a.stem, b.stem) })
	return list, nil
}

// errStop ends a reading early, without being an error.
var errStop = errors.New("stop")

// A reading is what eachLine came across.
type reading struct {
	whole   int   // lines that were given to fn
	damaged int   // lines that are not what was written
	torn    bool  // the last line has no end
	first   int64 // offset of the first damaged line
}

// eachLine gives fn every whole line of r with its offset; the line is good until fn returns. Damaged lines are
// counted and passed over: the next line is found by its line feed.
func eachLine(r io.Reader, fn func(at int64, line []byte) error) (got reading, err error) {
	br := bufio.NewReaderSize(r, 128<<10)
	var at int64
	var long []byte
	for {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(long) > 0 {
			if len(long) <= disk.MaxLine {
				long = append(long, line...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				at += int64(len(line))
				continue
			}
		}
		start := at
		at += int64(len(line))
		if len(long) > 0 {
			start, line = at-int64(len(long)), long
		}
		long = long[:0]
		switch {
		case errors.Is(err, io.EOF):
			got.torn = len(line) > 0
			return got, nil
		case err != nil:
			return got, fmt.Errorf("read journal: %w", err)
		case disk.CheckLine(line) != nil:
			if got.damaged == 0 {
				got.first = start
			}
			got.damaged++
			continue
		}
		got.whole++
		if err := fn(start, line); errors.Is(err, errStop) {
			return got, nil
		} else if err != nil {
			return got, err
		}
	}
}

// A sealer turns raw segments into sealed ones.
type sealer struct {
	fs    disk.FS
	dir   string
	codec *disk.Codec
}

// seal writes the sealed form of a raw segment, with its index, and removes the raw one. keys are those of its
// records, in any order; nil: they are taken from the records. A segment without a whole line only goes.
func (s *sealer) seal(stem string, keys []key) error {
	raw := filepath.Join(s.dir, stem+rawSuffix)
	f, err := s.fs.Open(raw)
	if err != nil {
		return fmt.Errorf("seal journal: %w", err)
	}
	b := &blocks{codec: s.codec, keys: keys, decode: keys == nil}
	var got reading
	err = disk.WriteFile(s.fs, filepath.Join(s.dir, stem+sealedSuffix), func(w io.Writer) (err error) {
		b.w = w
		if got, err = eachLine(f, b.line); err != nil {
			return err
		}
		return b.end()
	})
	err = errors.Join(err, f.Close())
	if err == nil {
		err = disk.WriteFile(s.fs, filepath.Join(s.dir, stem+indexSuffix), func(w io.Writer) error {
			_, err := w.Write(b.index().encode())
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("seal journal: %w", err)
	}
	switch {
	case got.damaged > 0: // kept for a person to look at
		err = s.fs.Rename(raw, filepath.Join(s.dir, stem+damagedSuffix))
	default:
		err = s.fs.Remove(raw)
	}
	if got.whole == 0 {
		err = errors.Join(err, s.remove(stem))
	}
	if err != nil {
		return fmt.Errorf("seal journal: %w", err)
	}
	return nil
}

// remove removes a sealed segment. The index goes last: without the other it means nothing.
func (s *sealer) remove(stem string) error {
	var errs []error
	for _, suffix := range []string{sealedSuffix, indexSuffix} {
		if err := s.fs.Remove(filepath.Join(s.dir, stem+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// blocks gathers lines into frames.
type blocks struct {
	w      io.Writer
	codec  *disk.Codec
	decode bool
	keys   []key

	block       int64 // that is being gathered
	plain, file []byte
	at          int64   // bytes written
	offsets     []int64 // where each block's frame begins; the next one's is where it ends
	first, last int64   // times of records, milliseconds
}

// line takes the next line.
func (b *blocks) line(at int64, line []byte) error {
	if n := at >> blockBits; n != b.block || b.offsets == nil {
		if err := b.flush(); err != nil {
			return err
		}
		for int64(len(b.offsets)) <= n {
			b.offsets = append(b.offsets, b.at)
		}
		b.block = n
	}
	b.plain = append(b.plain, line...)
	ms, ok := lineTime(line)
	if b.decode || !ok {
		r, err := decode(line)
		if err != nil {
			return nil // of another version: kept, and found by a full scan
		}
		ms = r.Time.UnixMilli()
		if b.decode {
			b.keys = appendKeys(b.keys, r, at)
		}
	}
	if b.first == 0 || ms < b.first {
		b.first = ms
	}
	b.last = max(b.last, ms)
	return nil
}

// flush writes the frame of the block that was gathered.
func (b *blocks) flush() (err error) {
	if len(b.plain) == 0 {
		return nil
	}
	if b.file, err = b.codec.Append(b.file[:0], b.plain); err != nil {
		return err
	}
	n, err := b.w.Write(b.file)
	b.at += int64(n)
	b.plain = b.plain[:0]
	return err
}

// end writes what is left.
func (b *blocks) end() error {
	err := b.flush()
	b.offsets = append(b.offsets, b.at)
	return err
}

// index is what end left known.
func (b *blocks) index() *index {
	return &index{first: b.first, last: b.last, offsets: b.offsets, entries: entriesOf(b.keys)}
}

// lineTime reads the time of a line without decoding it. The member stands near the beginning, before anything that a
// stranger can write.
func lineTime(line []byte) (ms int64, ok bool) {
	head := line[:min(len(line), 256)]
	_, rest, ok := bytes.Cut(head, []byte(`,"time":"`))
	if !ok {
		return 0, false
	}
	stamp, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	return t.UnixMilli(), err == nil
}
