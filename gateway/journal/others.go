package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// Join returns a reader of what r reads and of what the other gateways shipped to c.
func (r *Reader) Join(c *Commons) *Reader {
	return &Reader{fs: r.fs, dir: r.dir, commons: c, damaged: r.damaged}
}

// page is how many records of other gateways are read at once.
const page = 500

// A stream reads the records of other gateways in order of time. A nil stream is empty.
type stream struct {
	c      *Commons
	q      Query
	list   []*Record
	time   int64 // of the last that was read
	digest []byte
	end    bool
}

// others begins to read. No Commons is an empty stream.
func (c *Commons) others(q Query) *stream {
	if c == nil {
		return nil
	}
	s := &stream{c: c, q: q, time: math.MinInt64}
	if !q.Since.IsZero() {
		s.time = q.Since.UnixMilli() - 1
	}
	return s
}

// before gives fn every record that is older than t and was not given yet; all of them for the zero time.
func (s *stream) before(ctx context.Context, t time.Time, fn func(*Record) error) error {
	for s != nil {
		if len(s.list) == 0 {
			if s.end {
				return nil
			}
			if err := s.read(ctx); err != nil {
				return err
			}
			continue
		}
		rec := s.list[0]
		if !t.IsZero() && !rec.Time.Before(t) {
			return nil
		}
		s.list = s.list[1:]
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

// read reads the next page.
func (s *stream) read(ctx context.Context) error {
	until := int64(math.MaxInt64)
	if !s.q.Until.IsZero() {
		until = s.q.Until.UnixMilli() + 1
	}
	if s.digest == nil {
		s.digest = []byte{}
	}
	which, args := "", []any{s.c.node, s.time, s.digest, until}
	if s.q.Kind != "" {
		which, args = "AND kind = ?", append(args, string(s.q.Kind))
	}
	rows, err := s.c.db.Query(ctx, `SELECT time, digest, line FROM journal_records WHERE node <> ? AND (time, digest) > (?, ?) AND time < ? `+
		which+` ORDER BY time, digest LIMIT ?`, append(args, page)...)
	if err != nil {
		return fmt.Errorf("read records of other gateways: %w", err)
	}
	n := 0
	s.list = s.list[:0]
	for rows.Next() {
		var line []byte
		if err := rows.Scan(&s.time, &s.digest, &line); err != nil {
			return errors.Join(err, rows.Close())
		}
		n++
		if rec, err := decode(line); err == nil && s.q.wants(rec) {
			s.list = append(s.list, rec)
		}
	}
	s.end = n < page
	return errors.Join(rows.Err(), rows.Close())
}

// trace gives fn what other gateways know of the folded word, the newest up to the limit.
func (c *Commons) trace(ctx context.Context, q Query, fn func(*Record)) error {
	if c == nil {
		return nil
	}
	since, until := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.Since.IsZero() {
		since = q.Since.UnixMilli()
	}
	if !q.Until.IsZero() {
		until = q.Until.UnixMilli() + 1
	}
	rows, err := c.db.Query(ctx, `SELECT line FROM journal_records WHERE node <> ? AND words @> ?::bigint[] AND time >= ? AND time < ?
		ORDER BY time DESC LIMIT ?`, c.node, fmt.Sprintf("{%d}", int64(hashOf(q.Word))), since, until, q.Limit)
	if err != nil {
		return fmt.Errorf("read records of other gateways: %w", err)
	}
	for rows.Next() {
		var line []byte
		if err := rows.Scan(&line); err != nil {
			return errors.Join(err, rows.Close())
		}
		rec, err := decode(line)
		if err == nil && q.wants(rec) && !eachWord(rec, func(w string) bool { return w != q.Word }) {
			fn(rec)
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}
