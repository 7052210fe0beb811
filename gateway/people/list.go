package people

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Kind is one of the lists that can be looked at.
type Kind string

// The kinds.
const (
	Ours     Kind = "ours"     // the site's own people and the names that mail gives them
	Senders  Kind = "senders"  // authors
	Partners Kind = "partners" // their domains
	Links    Kind = "links"    // domains that mail links to
)

// An Entry is one thing that is remembered.
type Entry struct {
	Kind     Kind      `json:"kind"`
	Who      string    `json:"who"` // an address or a domain
	Name     string    `json:"name,omitempty"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last"`
	Messages int       `json:"messages"`
	Proven   int       `json:"authenticated"` // of Messages
	Used     bool      `json:"used"`          // enough was seen for filters to go by it
}

// A Query chooses entries.
type Query struct {
	Kind  Kind
	Word  string // that who or name must contain; empty: all
	Limit int    // default 100
}

// ErrKind means that there is no such list.
var ErrKind = errors.New("unknown list of people; want ours, senders, partners or links")

// List is what is remembered, the most seen first.
func (s *Store) List(ctx context.Context, q Query) ([]Entry, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	var query string
	switch q.Kind {
	case Ours:
		query = `SELECT address, name, 0, last, count, sources, own FROM people_ours WHERE lower(address) LIKE ?1 ESCAPE '\' OR lower(name) LIKE ?1 ESCAPE '\' ORDER BY count DESC, address LIMIT ?2`
	case Senders:
		query = `SELECT address, name, first, last, count, proven, 1 FROM people_senders WHERE lower(address) LIKE ?1 ESCAPE '\' OR lower(name) LIKE ?1 ESCAPE '\' ORDER BY count DESC, address LIMIT ?2`
	case Partners:
		query = `SELECT substr(address, instr(address, '@') + 1) AS domain, '', min(first), max(last), sum(count), sum(proven), max(days) FROM people_senders
			WHERE ours = 0 AND lower(address) LIKE ?1 ESCAPE '\' GROUP BY domain HAVING sum(proven) > 0 ORDER BY sum(proven) DESC, domain LIMIT ?2`
	case Links:
		query = `SELECT domain, '', first, last, count, 0, 1 FROM people_links WHERE domain LIKE ?1 ESCAPE '\' ORDER BY count DESC, domain LIMIT ?2`
	default:
		return nil, fmt.Errorf("%q: %w", q.Kind, ErrKind)
	}
	list := []Entry{}
	err := s.rows(ctx, func(rows *sql.Rows) error {
		e := Entry{Kind: q.Kind}
		var first, last day
		var extra int
		if err := rows.Scan(&e.Who, &e.Name, &first, &last, &e.Messages, &e.Proven, &extra); err != nil {
			return err
		}
		if first > 0 {
			e.First = first.time()
		}
		e.Last = last.time()
		switch q.Kind {
		case Ours:
			n := bearer{count: int32(e.Messages), sources: int32(e.Proven), own: extra > 0}
			e.Proven, e.Used = e.Messages, n.sure()
		case Partners:
			e.Used = (&partner{days: int32(extra), count: int32(e.Proven)}).is()
		default:
			e.Used = true
		}
		list = append(list, e)
		return nil
	}, query, like(q.Word), q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return list, nil
}

// Forget lets everything be forgotten about an address, or about a domain and all addresses of it; it reports how much that was. A
// gateway that runs on the same store follows within seconds.
func (s *Store) Forget(ctx context.Context, who string) (int64, error) {
	who = strings.ToLower(strings.TrimSpace(who))
	domain := strings.TrimPrefix(who, "@")
	var forgotten int64
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		forgotten = 0
		type deletion struct{ from, whose string }
		var do []deletion
		if at := strings.IndexByte(who, '@'); at > 0 {
			do = []deletion{{`people_senders WHERE address = ?1`, who}, {`people_contacts WHERE author = ?1 OR rcpt = ?1`, who}, {`people_ours WHERE address = ?1`, who}}
		} else {
			all := "%@" + escape(domain)
			do = []deletion{{`people_senders WHERE address LIKE ?1 ESCAPE '\'`, all}, {`people_contacts WHERE author LIKE ?1 ESCAPE '\' OR rcpt LIKE ?1 ESCAPE '\'`, all},
				{`people_ours WHERE address LIKE ?1 ESCAPE '\'`, all}, {`people_links WHERE domain = ?1`, domain}}
		}
		for _, d := range do {
			r, err := tx.ExecContext(ctx, `DELETE FROM `+d.from, d.whose)
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return err
			}
			forgotten += n
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO people_forgotten (who, at) VALUES (?, ?)`, who, dayOf(time.Now()))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget %s: %w", who, err)
	}
	return forgotten, nil
}
