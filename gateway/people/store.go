package people

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/filters/spoof"
	"gatepost/gateway/db"
)

// steps are the tables. Days count from 1970.
var steps = []string{`
CREATE TABLE people_senders (address TEXT PRIMARY KEY, name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
	proven INTEGER NOT NULL, days INTEGER NOT NULL, ours INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX people_senders_last ON people_senders (last);
CREATE TABLE people_contacts (author TEXT NOT NULL, rcpt TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (author, rcpt)) WITHOUT ROWID;
CREATE INDEX people_contacts_last ON people_contacts (last);
CREATE TABLE people_ours (address TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, sources INTEGER NOT NULL,
	last INTEGER NOT NULL, count INTEGER NOT NULL, own INTEGER NOT NULL, PRIMARY KEY (address, key)) WITHOUT ROWID;
CREATE TABLE people_links (domain TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX people_links_last ON people_links (last);
CREATE TABLE people_forgotten (id INTEGER PRIMARY KEY AUTOINCREMENT, who TEXT NOT NULL, at INTEGER NOT NULL);
`, `
CREATE TABLE people_aged (day INTEGER PRIMARY KEY);
`}

// A Store is where a Book is written down.
type Store struct {
	db   *db.DB
	seen int64 // the last entry of people_forgotten that the book has followed
}

// Open prepares the tables.
func Open(ctx context.Context, d *db.DB) (*Store, error) {
	d = d.Part("people")
	if err := d.Migrate(ctx, "people", steps); err != nil {
		return nil, fmt.Errorf("open memory of people: %w", err)
	}
	return &Store{db: d}, nil
}

// Add writes observations down in one transaction, with one statement for each thing that they tell however often they tell it.
func (s *Store) Add(ctx context.Context, b *Book, list []Observation) error {
	n := gather(b, list)
	err := s.db.Write(ctx, func(tx *sql.Tx) error { return n.write(ctx, tx) })
	if err != nil {
		return fmt.Errorf("write down people: %w", err)
	}
	return nil
}

// Load fills a book with everything that is written down, newest first up to its limits. Mail is judged by what the book
// had meanwhile, and by that if the store cannot be read.
func (s *Store) Load(ctx context.Context, b *Book) error {
	fresh := &Book{limits: b.limits, look: b.look, sites: b.sites, seed: b.seed}
	fresh.clear()
	if err := s.load(ctx, fresh); err != nil {
		return fmt.Errorf("load people: %w", err)
	}
	b.mu.Lock()
	b.take(fresh)
	b.mu.Unlock()
	b.compile()
	return nil
}

// load reads every table into a book that nobody else has.
func (s *Store) load(ctx context.Context, b *Book) error {
	if err := s.db.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM people_forgotten`).Scan(&s.seen); err != nil {
		return err
	}
	for _, t := range [...]struct {
		query string
		limit int
		take  func(*sql.Rows) error
	}{
		{`SELECT address, name, first, last, count, proven, days, ours FROM people_senders ORDER BY last DESC LIMIT ?`, b.limits.Senders, b.loadSender},
		{`SELECT author, rcpt, last FROM people_contacts ORDER BY last DESC LIMIT ?`, b.limits.Contacts, b.loadContact},
		{`SELECT key, address, source, sources, last, count, own FROM people_ours ORDER BY count DESC LIMIT ?`, b.limits.Ours, b.loadName},
		{`SELECT domain, first, last FROM people_links ORDER BY last DESC LIMIT ?`, b.limits.Links, b.loadLink},
	} {
		if err := s.rows(ctx, t.take, t.query, t.limit); err != nil {
			return err
		}
	}
	return nil
}

// rows hands every row of a query to take.
func (s *Store) rows(ctx context.Context, take func(*sql.Rows) error, query string, args ...any) error {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (b *Book) loadSender(rows *sql.Rows) error {
	var address, name string
	var s sender
	var days int32
	var ours bool
	if err := rows.Scan(&address, &name, &s.first, &s.last, &s.count, &s.proven, &days, &ours); err != nil {
		return err
	}
	b.when(s.first)
	b.when(s.last)
	b.messages += int(s.count)
	b.sender(b.key(address), s)
	org := mail.OrganizationalDomain(address[lastAt(address)+1:])
	if ours || s.proven == 0 || org == "" {
		return nil
	}
	b.partner(org, partner{s.last, days, s.proven})
	if key := spoof.Key(b.look, name); key != "" {
		b.writer(key, writer{org, s.last, s.proven})
	}
	return nil
}

func (b *Book) loadContact(rows *sql.Rows) error {
	var author, rcpt string
	var last day
	if err := rows.Scan(&author, &rcpt, &last); err != nil {
		return err
	}
	b.contacts[b.key(author, rcpt)] = last
	return nil
}

func (b *Book) loadName(rows *sql.Rows) error {
	var key string
	var n bearer
	if err := rows.Scan(&key, &n.address, &n.source, &n.sources, &n.last, &n.count, &n.own); err != nil {
		return err
	}
	b.name(key, &n)
	return nil
}

func (b *Book) loadLink(rows *sql.Rows) error {
	var domain string
	var l linked
	if err := rows.Scan(&domain, &l.first, &l.last); err != nil {
		return err
	}
	b.link(b.key(domain), l)
	return nil
}

// keep is for how long what is not seen again is remembered.
const keep = 400 * 24 * time.Hour

// prune drops what is old and, beyond the limits, what is oldest; counts age: of what was not seen for ninety days they halve. Then the
// book is loaded anew.
func (s *Store) prune(ctx context.Context, b *Book, now time.Time) error {
	old, quiet := dayOf(now.Add(-keep)), dayOf(now.Add(-90*24*time.Hour))
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, t := range [...]struct {
			name  string
			limit int
		}{{"senders", b.limits.Senders}, {"contacts", b.limits.Contacts}, {"links", b.limits.Links}, {"ours", b.limits.Ours}} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM people_`+t.name+` WHERE last < ? OR last < coalesce((SELECT last FROM people_`+t.name+` ORDER BY last DESC LIMIT 1 OFFSET ?), 0)`, old, t.limit); err != nil {
				return err
			}
		}
		first, err := firstOfDay(ctx, tx, dayOf(now), old)
		if err != nil || !first { // another gateway let them age today
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE people_senders SET count = (count + 1) / 2, proven = proven / 2 WHERE last < ? AND count > 1 AND (last - ?) % 90 = 0`, quiet, quiet)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM people_forgotten WHERE at < ?`, quiet)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("prune people: %w", err)
	}
	return s.Load(ctx, b)
}

// firstOfDay notes the day, and reports whether it was not noted yet. Days before old are forgotten.
func firstOfDay(ctx context.Context, tx *sql.Tx, today, old day) (bool, error) {
	if _, err := tx.ExecContext(ctx, `DELETE FROM people_aged WHERE day < ?`, old); err != nil {
		return false, err
	}
	r, err := tx.ExecContext(ctx, `INSERT INTO people_aged VALUES (?) ON CONFLICT DO NOTHING`, today)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// follow takes out of the book what another process let be forgotten.
func (s *Store) follow(ctx context.Context, b *Book) error {
	var newest int64
	if err := s.db.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM people_forgotten`).Scan(&newest); err != nil {
		return fmt.Errorf("read what was forgotten: %w", err)
	}
	if newest == s.seen {
		return nil
	}
	return s.Load(ctx, b)
}

// like is the pattern for LIKE of what contains a word.
func like(word string) string {
	return "%" + escape(strings.ToLower(word)) + "%"
}

// escape takes what is special to LIKE out of text.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text)
}

// least and most are SQL for the smaller and the larger of two values.
func least(a, b string) string {
	return "CASE WHEN " + a + " < " + b + " THEN " + a + " ELSE " + b + " END"
}
func most(a, b string) string {
	return "CASE WHEN " + a + " > " + b + " THEN " + a + " ELSE " + b + " END"
}
