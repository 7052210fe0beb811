package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// batch is how many entries one transaction expires or sweeps: writers wait meanwhile.
const batch = 64

// Expire removes entries whose time is over at now, a copy that is being released excepted, and returns them, in batches:
// call it until it returns none. Their waiting copies are Expired in what it returns. tell, if not nil, is told of each
// entry just before it goes, and after a crash perhaps again; its error keeps the entry.
func (s *Store) Expire(ctx context.Context, now time.Time, tell func(Entry) error) ([]Entry, error) {
	rows, err := s.db.Query(ctx, "SELECT "+columns+` FROM entries e WHERE e.expires <= ? AND NOT EXISTS
		(SELECT 1 FROM recipients r WHERE r.entry = e.seq AND r.state = 'releasing') ORDER BY e.expires LIMIT ?`, now.UnixMilli(), batch)
	if err != nil {
		return nil, fmt.Errorf("expire quarantine: %w", err)
	}
	list, seqs, err := scan(rows)
	if err == nil {
		err = s.addCopies(ctx, list, seqs)
	}
	if err == nil && len(list) > 0 {
		list, err = s.expire(ctx, expired(list, now), seqs, tell)
	}
	if err != nil {
		return nil, fmt.Errorf("expire quarantine: %w", err)
	}
	return list, s.sweep(ctx)
}

// expire takes entries out of the index, and returns those it did: meanwhile a release may have begun, or another process
// may have done the same.
func (s *Store) expire(ctx context.Context, list []Entry, seqs []int64, tell func(Entry) error) ([]Entry, error) {
	var out []Entry
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		out = out[:0]
		for i, e := range list {
			var there, releasing int
			err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM entries WHERE seq = ?),
				(SELECT count(*) FROM recipients WHERE entry = ? AND state = 'releasing')`, seqs[i], seqs[i]).Scan(&there, &releasing)
			if err != nil {
				return err
			}
			if there == 0 || releasing > 0 {
				continue
			}
			if tell != nil {
				if err := tell(e); err != nil {
					return err
				}
			}
			if err := s.forget(ctx, tx, seqs[i], e.SHA256, e.ID); err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

// expired marks the copies that wait as such.
func expired(list []Entry, now time.Time) []Entry {
	for i := range list {
		for j := range list[i].Rcpts {
			if c := &list[i].Rcpts[j]; c.State == Waiting {
				c.State, c.At = Expired, now
			}
		}
	}
	return list
}

// sweep removes what is kept of entries that are gone. First the files and their directories, then the note that they must
// go: a crash between leaves the note.
func (s *Store) sweep(ctx context.Context) error {
	for {
		ids, sums, err := s.swept(ctx)
		if err != nil {
			return fmt.Errorf("remove files: %w", err)
		}
		if len(ids) == 0 {
			return s.count(ctx)
		}
		for sum := range sums {
			if err := s.dropped(sum); err != nil {
				return fmt.Errorf("remove files: %w", err)
			}
		}
		_, err = s.db.Exec(ctx, `DELETE FROM gone WHERE id IN (?`+strings.Repeat(",?", len(ids)-1)+`)`, ids...)
		if err != nil {
			return fmt.Errorf("remove files: %w", err)
		}
	}
}

// swept removes the files of one batch, content only if no entry needs it, in one transaction with the look.
func (s *Store) swept(ctx context.Context) (ids []any, sums map[string]bool, err error) {
	sums = map[string]bool{}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		list, err := gone(ctx, tx)
		if err != nil {
			return err
		}
		for id, sum := range list {
			if err := s.dropRecord(sum, id); err != nil {
				return err
			}
			done, err := s.dropContent(ctx, tx, sum)
			if err != nil {
				return err
			}
			if done {
				ids, sums[sum] = append(ids, id), true
			}
		}
		return nil
	})
	return ids, sums, err
}

// gone is a batch of what was removed from the index: ids with their content.
func gone(ctx context.Context, tx *sql.Tx) (map[string]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, sha256 FROM gone LIMIT ?`, batch)
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	for rows.Next() {
		var id, sum string
		if err := rows.Scan(&id, &sum); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list[id] = sum
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
