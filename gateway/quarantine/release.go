package quarantine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatepost/gateway/db"
)

// A Release is one request to release copies.
type Release struct {
	// Key names the request: the same key again, be it a second click or a retry after a lost answer, is the same
	// request. It must not be empty.
	Key   string
	By    string   // who asks
	Rcpts []string // addresses as the entry has them; empty: every copy in view that waits
}

// An Outcome is what came of releasing one copy.
type Outcome struct {
	Address  string
	Released bool   // the next hop took it; otherwise it waits again
	Reply    string // the next hop's words
}

// Lease is how long a claim holds. A claim without an outcome after that belongs to a process that is gone; the copy
// may have been delivered, so who claims it next risks one duplicate (P-05).
const Lease = 15 * time.Minute

// Claim takes copies for release and returns the addresses that the caller, and nobody else, is to deliver now. It
// must then call MarkReleased under the same key. Of many claims for one copy exactly one gets it, whatever their keys
// (P-05). No addresses and no error: there is nothing left to do, see Entry for what became of the copies.
// ErrUnderWay: another release of all these copies has not ended.
func (v View) Claim(ctx context.Context, id string, r Release) ([]string, error) {
	if r.Key == "" {
		return nil, errors.New("claim message: no key")
	}
	var claimed []string
	err := v.change(ctx, id, r.Rcpts, func(copies []held) error {
		claimed = nil
		now := time.Now()
		busy := false
		for i := range copies {
			c := &copies[i]
			switch {
			case c.State == Releasing && now.Sub(c.At) < Lease:
				busy = true
				continue
			case c.State != Waiting && c.State != Releasing:
				continue
			}
			c.State, c.By, c.At, c.key = Releasing, r.By, now, r.Key
			claimed = append(claimed, c.Address)
		}
		if busy && claimed == nil {
			return ErrUnderWay
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim message: %w", err)
	}
	return claimed, nil
}

// patience is how long MarkReleased waits for a store that is away: what the next hop has must not be sent again because
// the store was restarted at that moment.
const patience = time.Minute

// MarkReleased notes what came of copies claimed under key. Copies that this key does not hold are left as they are,
// so a late answer does no harm.
func (v View) MarkReleased(ctx context.Context, id, key string, outcomes []Outcome) error {
	for begin := time.Now(); ; {
		err := v.markReleased(ctx, id, key, outcomes)
		if !db.Away(err) && !errors.Is(err, db.ErrDoubt) || time.Since(begin) > patience || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

// markReleased is MarkReleased, once.
func (v View) markReleased(ctx context.Context, id, key string, outcomes []Outcome) error {
	err := v.change(ctx, id, nil, func(copies []held) error {
		for i := range copies {
			c := &copies[i]
			n := slices.IndexFunc(outcomes, func(o Outcome) bool { return o.Address == c.Address })
			if n < 0 || c.State != Releasing || c.key != key {
				continue
			}
			c.State, c.Reply, c.At = Waiting, outcomes[n].Reply, time.Now()
			if outcomes[n].Released {
				c.State = Released
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark message released: %w", err)
	}
	return nil
}

// Delete deletes copies, all in view if none are named. When every copy of an entry is deleted, the entry and its
// content are gone. A copy that is being released is ErrUnderWay, and nothing is deleted then.
func (v View) Delete(ctx context.Context, id, by string, rcpts []string) error {
	err := v.change(ctx, id, rcpts, func(copies []held) error {
		for i := range copies {
			c := &copies[i]
			if c.State == Releasing && time.Since(c.At) < Lease {
				return ErrUnderWay
			}
			c.State, c.By, c.At, c.key = Deleted, by, time.Now(), ""
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete message: %w", err)
	}
	return v.s.sweep(ctx)
}

// A Claimed is a copy that somebody began to release.
type Claimed struct {
	ID, Address, Key, By string
	At                   time.Time
}

// Unfinished lists claims without an outcome that are at least so old, entry by entry. Those older than Lease belong to
// processes that are gone, and are carried out by the daemon (FP-20).
func (s *Store) Unfinished(ctx context.Context, age time.Duration) ([]Claimed, error) {
	rows, err := s.db.Query(ctx, `SELECT e.id, r.address, r.key, r.by, r.at FROM recipients r JOIN entries e ON e.seq = r.entry
		WHERE r.state = 'releasing' AND r.at <= ? ORDER BY e.id, r.place`, time.Now().Add(-age).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("list unfinished releases: %w", err)
	}
	var list []Claimed
	for rows.Next() {
		var c Claimed
		var at int64
		if err := rows.Scan(&c.ID, &c.Address, &c.Key, &c.By, &at); err != nil {
			return nil, fmt.Errorf("list unfinished releases: %w", errors.Join(err, rows.Close()))
		}
		c.At = timeOf(at)
		list = append(list, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("list unfinished releases: %w", err)
	}
	return list, nil
}

// TakeOver claims anew what a process that is gone had claimed of one entry under one key, and returns the addresses that
// the caller, and nobody else, is to deliver: of many gateways that find the same claims, one gets each copy. What ended or
// was claimed anew meanwhile is left alone.
func (s *Store) TakeOver(ctx context.Context, claims []Claimed) ([]string, error) {
	var taken []string
	err := s.change(ctx, claims[0].ID, nil, func(copies []held) error {
		taken = nil
		for i := range copies {
			c := &copies[i]
			same := func(x Claimed) bool { return x.Address == c.Address && x.Key == c.key && x.At.Equal(c.At) }
			if c.State == Releasing && slices.ContainsFunc(claims, same) {
				c.At = time.Now()
				taken = append(taken, c.Address)
			}
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take over release: %w", err)
	}
	return taken, nil
}

// A held is one copy in a transaction.
type held struct {
	Recipient
	place int64
	key   string
}

// change lets edit alter the states of copies of an entry: those named, or all in view. One name that is not in view
// makes the whole ErrNotFound.
func (v View) change(ctx context.Context, id string, rcpts []string, edit func([]held) error) error {
	return v.s.db.Write(ctx, func(tx *sql.Tx) error {
		seq, sum, copies, err := v.lock(ctx, tx, id, rcpts)
		if err != nil {
			return err
		}
		before := slices.Clone(copies)
		if err := edit(copies); err != nil {
			return err
		}
		for i, c := range copies {
			if c == before[i] {
				continue
			}
			_, err := tx.ExecContext(ctx, `UPDATE recipients SET state = ?, reply = ?, by = ?, at = ?, key = ? WHERE entry = ? AND place = ?`,
				string(c.State), c.Reply, c.By, millis(c.At), c.key, seq, c.place)
			if err != nil {
				return err
			}
		}
		if slices.Equal(copies, before) {
			return nil
		}
		return v.s.settle(ctx, tx, seq, sum, id)
	})
}

// lock reads the copies of an entry within a write transaction, which no other process can begin meanwhile.
func (v View) lock(ctx context.Context, tx *sql.Tx, id string, rcpts []string) (seq int64, sum string, copies []held, err error) {
	err = tx.QueryRowContext(ctx, `SELECT seq, sha256 FROM entries WHERE id = ?`, id).Scan(&seq, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil, ErrNotFound
	}
	if err != nil {
		return 0, "", nil, err
	}
	c := v.copies()
	c.and("r.entry = ?", seq)
	copies, err = readCopies(ctx, tx, c)
	if err != nil {
		return 0, "", nil, err
	}
	for _, want := range rcpts {
		if !slices.ContainsFunc(copies, func(h held) bool { return h.Address == want }) {
			return 0, "", nil, ErrNotFound
		}
	}
	if len(rcpts) > 0 {
		copies = slices.DeleteFunc(copies, func(h held) bool { return !slices.Contains(rcpts, h.Address) })
	}
	if len(copies) == 0 {
		return 0, "", nil, ErrNotFound
	}
	return seq, sum, copies, nil
}

// readCopies reads rows of recipients in order.
func readCopies(ctx context.Context, tx *sql.Tx, c cond) ([]held, error) {
	rows, err := tx.QueryContext(ctx, `SELECT r.place, r.address, r.state, r.reply, r.by, r.at, r.key FROM recipients r
		WHERE `+c.where()+` ORDER BY r.place`, c.args...)
	if err != nil {
		return nil, err
	}
	var copies []held
	for rows.Next() {
		var h held
		var at int64
		if err := rows.Scan(&h.place, &h.Address, &h.State, &h.Reply, &h.By, &at, &h.key); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		h.At = timeOf(at)
		copies = append(copies, h)
	}
	return copies, errors.Join(rows.Err(), rows.Close())
}

// settle follows a change of copies: an entry of which all are deleted goes, another's record is written again.
func (s *Store) settle(ctx context.Context, tx *sql.Tx, seq int64, sum, id string) error {
	var c cond
	c.and("r.entry = ?", seq)
	copies, err := readCopies(ctx, tx, c)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(copies, func(h held) bool { return h.State != Deleted }) {
		return s.forget(ctx, tx, seq, sum, id)
	}
	if err := s.noted(&Entry{ID: id, SHA256: sum}, copies); err != nil {
		return fmt.Errorf("store record: %w", err)
	}
	return nil
}

// forget takes an entry out of the index; sweep removes its files.
func (s *Store) forget(ctx context.Context, tx *sql.Tx, seq int64, sum, id string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO gone (id, sha256) VALUES (?,?) ON CONFLICT (id) DO UPDATE SET sha256 = excluded.sha256`, id, sum); err != nil {
		return err
	}
	if !s.db.Shared() {
		if err := forgetWords(ctx, tx, seq); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM entries WHERE seq = ?`, seq)
	return err
}
