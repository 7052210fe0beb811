package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatepost/gateway/disk"
)

// A Reader reads the journal in a directory, beside whoever writes it, and what other gateways shipped if it was joined with
// a Commons. It is safe for concurrent use.
type Reader struct {
	fs    disk.FS
	dir   string
	codec disk.Codec
	// commons has the records of other gateways; nil: there are none.
	commons *Commons
	damaged *atomic.Int64
}

// Damaged is how many lines of this directory have been passed over so far because they are not what was written. A line that is
// read again counts again.
func (r *Reader) Damaged() int64 { return r.damaged.Load() }

// DamagedFiles are the paths of segments of which lines were lost; what could be read of them is in the journal.
func (r *Reader) DamagedFiles() ([]string, error) {
	names, err := r.fs.ReadDir(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	var list []string
	for _, e := range names {
		if strings.HasSuffix(e.Name(), damagedSuffix) {
			list = append(list, filepath.Join(r.dir, e.Name()))
		}
	}
	return list, nil
}

// NewReader reads the journal in dir; a directory that is not there is an empty journal.
func NewReader(dir string) *Reader { return newReader(disk.OS{}, dir) }

func newReader(fsys disk.FS, dir string) *Reader {
	return &Reader{fs: fsys, dir: dir, damaged: new(atomic.Int64)}
}

// ErrNotFound is returned for an id that the journal does not know: never accepted here, or longer ago than it keeps.
var ErrNotFound = errors.New("not in the journal")

// A Query selects records; zero fields do not restrict.
type Query struct {
	Word  string // an id, Message-ID, address, "@domain" or IP address: of the record, whole, in any case
	Since time.Time
	Until time.Time
	Kind  Kind
	Limit int // most records, the newest; 0: 1,000
}

// Scan gives fn every record with since <= Time < until; a zero bound does not restrict. Records come roughly in order
// of time: exactly in the order in which each process appended them. An error of fn ends the scan and is returned.
// Damaged lines, which Damaged counts, and records of unknown versions are passed over.
func (r *Reader) Scan(ctx context.Context, since, until time.Time, fn func(*Record) error) error {
	return r.ScanKind(ctx, "", since, until, fn)
}

// ScanKind is Scan for records of one kind, which costs less; all for none.
func (r *Reader) ScanKind(ctx context.Context, kind Kind, since, until time.Time, fn func(*Record) error) error {
	q := Query{Since: since, Until: until, Kind: kind}
	list, err := segments(r.fs, r.dir)
	if err != nil {
		return fmt.Errorf("scan journal: %w", err)
	}
	others := r.commons.others(q)
	for _, s := range list {
		err := r.scan(ctx, s, q, func(line []byte) error {
			if !q.mayBe(line) {
				return nil
			}
			rec, err := decode(line)
			if err != nil || !q.wants(rec) {
				return nil
			}
			if err := others.before(ctx, rec.Time, fn); err != nil {
				return err
			}
			return fn(rec)
		})
		if err != nil {
			return fmt.Errorf("scan journal: %w", err)
		}
	}
	if err := others.before(ctx, time.Time{}, fn); err != nil {
		return fmt.Errorf("scan journal: %w", err)
	}
	return nil
}

// Trace returns everything that the journal knows of a word, in order of time.
func (r *Reader) Trace(ctx context.Context, q Query) ([]*Record, error) {
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	list, err := segments(r.fs, r.dir)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if q.Word = fold(q.Word); q.Word == "" {
		return nil, errors.New("trace: nothing to look for")
	}
	var found []*Record
	if err := r.commons.trace(ctx, q, func(rec *Record) { found = append(found, rec) }); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	theirs := len(found)
	seen := map[string]bool{}
	for _, s := range slices.Backward(list) {
		err := r.scan(ctx, s, q, func(line []byte) error {
			if !mayHold(line, q.Word) || !q.mayBe(line) {
				return nil
			}
			rec, err := decode(line)
			if err != nil || !q.wants(rec) {
				return nil
			}
			if !eachWord(rec, func(w string) bool { return w != q.Word }) && !seen[string(line)] {
				seen[string(line)] = true
				found = append(found, rec)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		if len(found)-theirs >= q.Limit {
			break
		}
	}
	slices.SortStableFunc(found, func(a, b *Record) int { return a.Time.Compare(b.Time) })
	return found[max(0, len(found)-q.Limit):], nil
}

// Lookup returns the record of the transaction or refusal with this id, or ErrNotFound.
func (r *Reader) Lookup(ctx context.Context, id string) (*Record, error) {
	list, err := r.Trace(ctx, Query{Word: id})
	if err != nil {
		return nil, err
	}
	for _, rec := range list {
		if rec.ID == id && (rec.Kind == Message || rec.Kind == Refusal) {
			return rec, nil
		}
	}
	return nil, fmt.Errorf("look up %q: %w", id, ErrNotFound)
}

// mayBe reports whether a line may be of the kind that is asked for, without decoding it. It does not say no to one that is:
// kinds are written in one way only, and quotes within a text are escaped.
func (q *Query) mayBe(line []byte) bool {
	return q.Kind == "" || bytes.Contains(line, []byte(`"kind":"`+string(q.Kind)+`"`))
}

// wants reports whether a record is in the query's range and of its kind.
func (q *Query) wants(r *Record) bool {
	return !r.Time.Before(q.Since) && (q.Until.IsZero() || r.Time.Before(q.Until)) && (q.Kind == "" || r.Kind == q.Kind)
}

// scan gives fn the whole lines of a segment that may concern the query, whose word is folded.
func (r *Reader) scan(ctx context.Context, s segment, q Query, fn func([]byte) error) error {
	if !q.Until.IsZero() && s.began.After(q.Until.Add(clockSlack)) {
		return nil
	}
	if !s.sealed {
		err := r.scanRaw(ctx, s, fn)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.sealed = true // since it was listed
	}
	f, err := r.fs.Open(filepath.Join(r.dir, s.stem+sealedSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // expired since it was listed
	}
	if err != nil {
		return err
	}
	return errors.Join(r.scanSealed(ctx, f, s, q, fn), f.Close())
}

// clockSlack is how far the time of a record may lie before its segment's beginning: a transaction is recorded when it
// is over.
const clockSlack = 24 * time.Hour

// scanRaw reads a segment that is, or was, being written.
func (r *Reader) scanRaw(ctx context.Context, s segment, fn func([]byte) error) error {
	f, err := r.fs.Open(filepath.Join(r.dir, s.stem+rawSuffix))
	if err != nil {
		return err
	}
	err = r.lines(ctx, f, fn)
	return errors.Join(err, f.Close())
}

// lines gives fn every whole line, and counts those that are damaged.
func (r *Reader) lines(ctx context.Context, from io.Reader, fn func([]byte) error) error {
	got, err := eachLine(from, func(_ int64, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(line)
	})
	r.damaged.Add(int64(got.damaged))
	return err
}

// index reads the index of a sealed segment.
func (r *Reader) index(s segment) (*index, error) {
	f, err := r.fs.Open(filepath.Join(r.dir, s.stem+indexSuffix))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<30))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return decodeIndex(b)
}

// scanSealed reads the blocks of a sealed segment that may concern the query; without an index, all.
func (r *Reader) scanSealed(ctx context.Context, f disk.File, s segment, q Query, fn func([]byte) error) error {
	x, err := r.index(s)
	if err != nil {
		return r.codec.Expand(f, func(plain io.Reader) error { return r.lines(ctx, plain, fn) })
	}
	if !q.Since.IsZero() && x.last < q.Since.UnixMilli() || !q.Until.IsZero() && x.first >= q.Until.UnixMilli() {
		return nil
	}
	list := x.blocks(q.Word)
	for _, n := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.scanBlock(ctx, f, x.offsets[n], x.offsets[n+1], fn); err != nil {
			return fmt.Errorf("segment %s: %w", s.stem, err)
		}
	}
	return nil
}

// scanBlock reads one frame.
func (r *Reader) scanBlock(ctx context.Context, f disk.File, from, to int64, fn func([]byte) error) error {
	if to-from > 2*maxBlock {
		return errIndex
	}
	if to == from {
		return nil
	}
	frame := make([]byte, to-from)
	if _, err := f.ReadAt(frame, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	plain, err := r.codec.ExpandFrame(frame, maxBlock)
	if err != nil {
		return err
	}
	return r.lines(ctx, bytes.NewReader(plain), fn)
}

// mayHold reports whether a line may hold a word, without decoding it: it does not say no to one that does. Letters of
// the line may be of either case and special characters escaped, so the longest run of plain ones is looked for; of an
// address only in its domain, if that is written in one way only.
func mayHold(line []byte, word string) bool {
	if at := strings.LastIndexByte(word, '@'); at >= 0 {
		word = word[at+1:]
	}
	if strings.Contains(word, "xn--") {
		return true
	}
	run := plainRun(word)
	if len(run) < 3 {
		return true
	}
	return containsFold(line, run)
}

// plainRun is the longest run in word of characters that JSON writes as they are.
func plainRun(word string) string {
	best, from := "", 0
	for i := 0; i <= len(word); i++ {
		if i < len(word) && word[i] > ' ' && word[i] < 0x7f && word[i] != '"' && word[i] != '\\' {
			continue
		}
		if i-from > len(best) {
			best = word[from:i]
		}
		from = i + 1
	}
	return best
}

// containsFold reports whether line contains word, which is in lower case, in any case.
func containsFold(line []byte, word string) bool {
	upper := word[0]
	if upper >= 'a' && upper <= 'z' {
		upper -= 'a' - 'A'
	}
	return containsFrom(line, word, word[0]) || upper != word[0] && containsFrom(line, word, upper)
}

// containsFrom looks for word at each place where line has the byte first.
func containsFrom(line []byte, word string, first byte) bool {
	for {
		i := bytes.IndexByte(line, first)
		if i < 0 || len(line)-i < len(word) {
			return false
		}
		if equalFold(line[i:i+len(word)], word) {
			return true
		}
		line = line[i+1:]
	}
}

// equalFold compares ASCII in any case; word is in lower case.
func equalFold(b []byte, word string) bool {
	for i := range len(word) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
