package admin

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Shelf keeps small documents by kind and key: accounts, sessions, tokens. Accounts is built on one.
type Shelf interface {
	// Get returns the document, or nil if there is none or it expired.
	Get(ctx context.Context, kind, key string) ([]byte, error)
	// Put stores a document; a zero expiry keeps it until it is deleted.
	Put(ctx context.Context, d Document) error
	// Swap stores a document in the place of one whose body is was, or of none if was is nil, and reports whether it did:
	// of many who swap the same one, one is told yes.
	Swap(ctx context.Context, d Document, was []byte) (bool, error)
	// Delete removes a document and reports whether it was there: only one of two deleters is told yes.
	Delete(ctx context.Context, kind, key string) (bool, error)
	// List returns a kind's documents that have not expired, ordered by key; an empty owner: everyone's.
	List(ctx context.Context, kind, owner string) ([]Document, error)
	// ListOf is List for several owners, of whom there is one at least.
	ListOf(ctx context.Context, kind string, owners []string) ([]Document, error)
}

// A Document is one thing on a Shelf.
type Document struct {
	Kind, Key, Owner string
	Body             []byte
	Expires          time.Time
}

// MemoryShelf is a Shelf that forgets everything at exit. The zero value is ready.
type MemoryShelf struct {
	mu   sync.Mutex
	docs map[[2]string]Document
}

// Get implements Shelf.
func (m *MemoryShelf) Get(_ context.Context, kind, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[[2]string{kind, key}]
	if !ok || d.expired(time.Now()) {
		return nil, nil
	}
	return d.Body, nil
}

// Put implements Shelf.
func (m *MemoryShelf) Put(_ context.Context, d Document) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.docs == nil {
		m.docs = make(map[[2]string]Document)
	}
	for k, old := range m.docs {
		if old.expired(time.Now()) {
			delete(m.docs, k)
		}
	}
	m.docs[[2]string{d.Kind, d.Key}] = d
	return nil
}

// Swap implements Shelf.
func (m *MemoryShelf) Swap(_ context.Context, d Document, was []byte) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, there := m.docs[[2]string{d.Kind, d.Key}]
	there = there && !old.expired(time.Now())
	if there != (was != nil) || there && !bytes.Equal(old.Body, was) {
		return false, nil
	}
	if m.docs == nil {
		m.docs = make(map[[2]string]Document)
	}
	m.docs[[2]string{d.Kind, d.Key}] = d
	return true, nil
}

// Delete implements Shelf.
func (m *MemoryShelf) Delete(_ context.Context, kind, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.docs[[2]string{kind, key}]
	delete(m.docs, [2]string{kind, key})
	return ok, nil
}

// List implements Shelf.
func (m *MemoryShelf) List(_ context.Context, kind, owner string) ([]Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Document
	for _, d := range m.docs {
		if d.Kind == kind && (owner == "" || d.Owner == owner) && !d.expired(time.Now()) {
			out = append(out, d)
		}
	}
	sortDocuments(out)
	return out, nil
}

// ListOf implements Shelf.
func (m *MemoryShelf) ListOf(ctx context.Context, kind string, owners []string) ([]Document, error) {
	all, err := m.List(ctx, kind, "")
	return slices.DeleteFunc(all, func(d Document) bool { return !slices.Contains(owners, d.Owner) }), err
}

func (d Document) expired(now time.Time) bool { return !d.Expires.IsZero() && !now.Before(d.Expires) }

// SQLShelf is a Shelf in one table of an SQL database, SQLite or PostgreSQL alike.
type SQLShelf struct{ db Database }

// Database is what an SQLShelf needs of the durable store.
type Database interface {
	// Migrate runs those of a part's steps that have not run yet, in order.
	Migrate(ctx context.Context, part string, steps []string) error
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	// Exec runs one statement durably and reports how many rows it changed.
	Exec(ctx context.Context, query string, args ...any) (changed int64, err error)
}

// NewSQLShelf prepares the table in db, which stays the caller's to close.
func NewSQLShelf(ctx context.Context, db Database) (*SQLShelf, error) {
	// Expiry is seconds since 1970, 0 for never.
	err := db.Migrate(ctx, "admin", []string{`CREATE TABLE admin_shelf (
	kind TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, body TEXT NOT NULL, expires BIGINT NOT NULL,
	PRIMARY KEY (kind, key))`, `CREATE INDEX admin_shelf_owner ON admin_shelf (kind, owner)`})
	if err != nil {
		return nil, fmt.Errorf("prepare table admin_shelf: %w", err)
	}
	return &SQLShelf{db}, nil
}

// Get implements Shelf.
func (s *SQLShelf) Get(ctx context.Context, kind, key string) ([]byte, error) {
	docs, err := s.read(ctx, `SELECT kind, key, owner, body FROM admin_shelf
		WHERE kind = $1 AND key = $2 AND (expires = 0 OR expires > $3)`, kind, key, time.Now().Unix())
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	return docs[0].Body, nil
}

// Put implements Shelf. It also sweeps out what expired.
func (s *SQLShelf) Put(ctx context.Context, d Document) error {
	if !d.Expires.IsZero() {
		if _, err := s.db.Exec(ctx, `DELETE FROM admin_shelf WHERE expires <> 0 AND expires <= $1`, time.Now().Unix()); err != nil {
			return fmt.Errorf("sweep admin_shelf: %w", err)
		}
	}
	_, err := s.db.Exec(ctx, `INSERT INTO admin_shelf (kind, key, owner, body, expires) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, body = excluded.body, expires = excluded.expires`,
		d.Kind, d.Key, d.Owner, string(d.Body), d.until())
	if err != nil {
		return fmt.Errorf("put %s: %w", d.Kind, err)
	}
	return nil
}

// Swap implements Shelf.
func (s *SQLShelf) Swap(ctx context.Context, d Document, was []byte) (bool, error) {
	var n int64
	var err error
	if was == nil {
		n, err = s.db.Exec(ctx, `INSERT INTO admin_shelf (kind, key, owner, body, expires) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, body = excluded.body, expires = excluded.expires
			WHERE admin_shelf.expires <> 0 AND admin_shelf.expires <= $6`, d.Kind, d.Key, d.Owner, string(d.Body), d.until(), time.Now().Unix())
	} else {
		n, err = s.db.Exec(ctx, `UPDATE admin_shelf SET owner = $1, body = $2, expires = $3 WHERE kind = $4 AND key = $5 AND body = $6`,
			d.Owner, string(d.Body), d.until(), d.Kind, d.Key, string(was))
	}
	if err != nil {
		return false, fmt.Errorf("swap %s: %w", d.Kind, err)
	}
	return n > 0, nil
}

// until is when a document expires, in seconds since 1970; 0 for never.
func (d Document) until() int64 {
	if d.Expires.IsZero() {
		return 0
	}
	return d.Expires.Unix()
}

// Delete implements Shelf.
func (s *SQLShelf) Delete(ctx context.Context, kind, key string) (bool, error) {
	n, err := s.db.Exec(ctx, `DELETE FROM admin_shelf WHERE kind = $1 AND key = $2`, kind, key)
	if err != nil {
		return false, fmt.Errorf("delete %s: %w", kind, err)
	}
	return n > 0, nil
}

// List implements Shelf.
func (s *SQLShelf) List(ctx context.Context, kind, owner string) ([]Document, error) {
	return s.read(ctx, `SELECT kind, key, owner, body FROM admin_shelf
		WHERE kind = $1 AND ($2 = '' OR owner = $2) AND (expires = 0 OR expires > $3) ORDER BY key`,
		kind, owner, time.Now().Unix())
}

// ListOf implements Shelf.
func (s *SQLShelf) ListOf(ctx context.Context, kind string, owners []string) ([]Document, error) {
	args := []any{kind, time.Now().Unix()}
	places := make([]string, len(owners))
	for i, o := range owners {
		args, places[i] = append(args, o), "$"+strconv.Itoa(i+3)
	}
	return s.read(ctx, `SELECT kind, key, owner, body FROM admin_shelf
		WHERE kind = $1 AND (expires = 0 OR expires > $2) AND owner IN (`+strings.Join(places, ",")+`) ORDER BY key`, args...)
}

func (s *SQLShelf) read(ctx context.Context, query string, args ...any) ([]Document, error) {
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read admin_shelf: %w", err)
	}
	defer rows.Close()
	var out []Document
	for rows.Next() {
		var d Document
		var body string
		if err := rows.Scan(&d.Kind, &d.Key, &d.Owner, &body); err != nil {
			return nil, fmt.Errorf("read admin_shelf: %w", err)
		}
		d.Body = []byte(body)
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read admin_shelf: %w", err)
	}
	return out, nil
}
