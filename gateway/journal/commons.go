package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/gateway/db"
	"gatepost/gateway/disk"
)

// A Commons holds the records of all gateways that share a database. Each gateway writes its journal on its own disk, and
// ships what stands there in the background: mail never waits for it. It is safe for concurrent use.
type Commons struct {
	db    *db.DB
	node  string // this gateway
	keep  time.Duration
	clock disk.Clock

	mu      sync.Mutex
	shipped map[string]progress // by stem; nil: not read yet
	current time.Time           // when everything that stood on the disk was shipped
	pruned  time.Time
}

// progress is how much of a segment is shipped.
type progress struct {
	at    int64 // offset in the raw segment; -1: all of it
	lines int64 // whole lines
}

// commonsSteps are the tables. Time is in milliseconds since 1970; words are the hashes by which a record is found.
func commonsSteps() []string {
	return []string{`
CREATE TABLE journal_records (
	node TEXT NOT NULL,
	digest BYTEA NOT NULL,
	time BIGINT NOT NULL,
	kind TEXT NOT NULL,
	words BIGINT[] NOT NULL,
	line BYTEA NOT NULL,
	PRIMARY KEY (node, digest)
);
CREATE INDEX journal_records_time ON journal_records (time, digest);
CREATE INDEX journal_records_kind ON journal_records (kind, time, digest);
CREATE INDEX journal_records_words ON journal_records USING gin (words);
CREATE TABLE journal_segments (
	node TEXT NOT NULL,
	stem TEXT NOT NULL,
	shipped BIGINT NOT NULL,
	lines BIGINT NOT NULL,
	PRIMARY KEY (node, stem)
);
`}
}

// OpenCommons opens what the gateways share in d, which must be Shared. node names this gateway.
func OpenCommons(ctx context.Context, d *db.DB, node string, keep time.Duration) (*Commons, error) {
	if keep <= 0 {
		keep = defaultKeep
	}
	c := &Commons{db: d.Part("journal"), node: node, keep: keep, current: time.Now()}
	if err := c.db.Migrate(ctx, "journal", commonsSteps()); err != nil {
		return nil, fmt.Errorf("open shared journal: %w", err)
	}
	return c, nil
}

// How often records are shipped and old ones removed, and how many lines, and bytes of them, share one transaction.
const (
	shipEvery  = 2 * time.Second
	pruneEvery = time.Hour
	shipLines  = 200
	shipBytes  = 4 << 20
	pruneRows  = 5000
)

// Run ships the records in the directory of r until ctx ends; once more then, so that a gateway that is taken down leaves
// nothing behind. told is told how each round went.
func (c *Commons) Run(ctx context.Context, r *Reader, told func(error)) {
	t := time.NewTicker(shipEvery)
	defer t.Stop()
	for {
		err := c.Ship(ctx, r)
		if err == nil {
			err = c.prune(ctx, time.Now())
		}
		if ctx.Err() == nil {
			told(err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_ = c.Ship(last, r) // what is left is shipped by the next start
			return
		}
	}
}

// Lag is how long ago everything that stood on the disk was shipped.
func (c *Commons) Lag() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.current)
}

// Ship ships what stands in the directory of r and is not shipped yet. A record is shipped once.
func (c *Commons) Ship(ctx context.Context, r *Reader) error {
	begin := time.Now()
	if err := c.remember(ctx); err != nil {
		return fmt.Errorf("ship journal: %w", err)
	}
	list, err := segments(r.fs, r.dir)
	if err != nil {
		return fmt.Errorf("ship journal: %w", err)
	}
	for _, s := range list {
		p := c.of(s.stem)
		if p.at < 0 {
			continue
		}
		if s.sealed {
			err = c.shipSealed(ctx, r, s, p)
		} else {
			err = c.shipRaw(ctx, r, s, p)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // sealed or expired since it was listed: the next round
			return fmt.Errorf("ship journal: segment %s: %w", s.stem, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = begin
	return nil
}

// remember reads how far an earlier process came.
func (c *Commons) remember(ctx context.Context) error {
	c.mu.Lock()
	known := c.shipped != nil
	c.mu.Unlock()
	if known {
		return nil
	}
	rows, err := c.db.Query(ctx, `SELECT stem, shipped, lines FROM journal_segments WHERE node = ?`, c.node)
	if err != nil {
		return err
	}
	shipped := map[string]progress{}
	for rows.Next() {
		var stem string
		var p progress
		if err := rows.Scan(&stem, &p.at, &p.lines); err != nil {
			return errors.Join(err, rows.Close())
		}
		shipped[stem] = p
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shipped = shipped
	return nil
}

// of is how much of a segment is shipped.
func (c *Commons) of(stem string) progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shipped[stem]
}

// shipRaw ships what was appended to a segment that is being written.
func (c *Commons) shipRaw(ctx context.Context, r *Reader, s segment, p progress) error {
	f, err := r.fs.Open(filepath.Join(r.dir, s.stem+rawSuffix))
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil || size <= p.at {
		return errors.Join(err, f.Close())
	}
	l := &load{c: c, stem: s.stem, done: p}
	from := p.at
	_, err = eachLine(io.NewSectionReader(f, from, size-from), func(at int64, line []byte) error {
		return l.add(ctx, line, from+at+int64(len(line)))
	})
	if err == nil {
		err = l.send(ctx, l.done.at)
	}
	return errors.Join(err, f.Close())
}

// shipSealed ships what is left of a segment that will not change any more: the same lines in the same order.
func (c *Commons) shipSealed(ctx context.Context, r *Reader, s segment, p progress) error {
	l := &load{c: c, stem: s.stem, done: p}
	n := int64(0)
	err := r.scan(ctx, s, Query{}, func(line []byte) error {
		if n++; n <= p.lines {
			return nil
		}
		return l.add(ctx, line, p.at)
	})
	if err == nil {
		err = l.send(ctx, -1)
	}
	return err
}

// A load is records on their way, and how far the segment is shipped once they have arrived.
type load struct {
	c     *Commons
	stem  string
	done  progress
	rows  []any
	lines int
	bytes int
}

// add takes a line that ends at an offset.
func (l *load) add(ctx context.Context, line []byte, end int64) error {
	l.done.at, l.done.lines = end, l.done.lines+1
	rec, err := decode(line)
	if err != nil {
		return nil // damaged, or of a later version: nobody could read it there either
	}
	sum := sha256.Sum256(line)
	l.rows = append(l.rows, l.c.node, sum[:16], rec.Time.UnixMilli(), string(rec.Kind), wordsOf(rec), slices.Clone(line))
	l.lines++
	if l.bytes += len(line); l.lines >= shipLines || l.bytes >= shipBytes {
		return l.send(ctx, end)
	}
	return nil
}

// wordsOf are the hashes of the words of a record, as PostgreSQL writes a list.
func wordsOf(rec *Record) string {
	var list []string
	eachWord(rec, func(word string) bool {
		list = append(list, strconv.FormatInt(int64(hashOf(word)), 10))
		return true
	})
	slices.Sort(list)
	return "{" + strings.Join(slices.Compact(list), ",") + "}"
}

// send ships the load and notes how far that is, in one transaction.
func (l *load) send(ctx context.Context, at int64) error {
	l.done.at = at
	if l.lines == 0 && l.done == l.c.of(l.stem) {
		return nil
	}
	err := l.c.db.Transact(ctx, func(tx *sql.Tx) error {
		if l.lines > 0 {
			const row = "(?,?,?,?,?::bigint[],?)"
			_, err := tx.ExecContext(ctx, `INSERT INTO journal_records (node, digest, time, kind, words, line) VALUES `+
				row+strings.Repeat(","+row, l.lines-1)+` ON CONFLICT DO NOTHING`, l.rows...)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO journal_segments (node, stem, shipped, lines) VALUES (?,?,?,?)
			ON CONFLICT (node, stem) DO UPDATE SET shipped = excluded.shipped, lines = excluded.lines`, l.c.node, l.stem, l.done.at, l.done.lines)
		return err
	})
	if err != nil {
		return err
	}
	l.rows, l.lines, l.bytes = l.rows[:0], 0, 0
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	l.c.shipped[l.stem] = l.done
	return nil
}

// prune removes records that are older than they are kept, whoever shipped them. A clock that jumped removes nothing.
func (c *Commons) prune(ctx context.Context, now time.Time) error {
	agreed, ok := c.clock.Agreed()
	if !ok || now.Sub(c.pruned).Abs() < pruneEvery {
		return nil
	}
	c.pruned = now
	return c.remove(ctx, agreed.Add(-c.keep))
}

// remove removes records that are older than limit.
func (c *Commons) remove(ctx context.Context, limit time.Time) error {
	for {
		n, err := c.db.Exec(ctx, `DELETE FROM journal_records WHERE (node, digest) IN (SELECT node, digest FROM journal_records WHERE time < ? LIMIT ?)`,
			limit.UnixMilli(), pruneRows)
		if err != nil {
			return fmt.Errorf("remove old records: %w", err)
		}
		if n < pruneRows {
			break
		}
	}
	// A segment lasts a day, and is kept as long as its newest record.
	oldest := limit.Add(-segmentSlack).UTC().Format(stampFormat)
	if _, err := c.db.Exec(ctx, `DELETE FROM journal_segments WHERE stem < ?`, oldest); err != nil {
		return fmt.Errorf("remove old segments: %w", err)
	}
	return nil
}

// segmentSlack is how much longer than its records it is remembered that a segment was shipped.
const segmentSlack = 30 * 24 * time.Hour
