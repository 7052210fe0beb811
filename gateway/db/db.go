package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A DB is an open database. It is safe for concurrent use, and several processes may have the same file open: a
// command beside the daemon reads at any time and waits its turn to write.
type DB struct {
	path    string
	readers *sql.DB
	writer  *sql.DB
	jobs    chan *job
	quit    chan struct{}
	done    chan struct{}
	close   sync.Once
}

// Errors of Open.
var (
	// ErrURL means that the url names no store that this version has.
	ErrURL = errors.New("unsupported store url")
	// ErrNewer means that a later version of the program wrote the database.
	ErrNewer = errors.New("database was written by a newer version")
	// ErrClosed is returned by writes after Close.
	ErrClosed = errors.New("database is closed")
)

// maxReaders is the number of queries that run at once.
const maxReaders = 4

// Open opens the store that url names, and makes it if there is none: "sqlite:PATH", file mode 0600, missing
// directories 0700. Other stores are refused with ErrURL.
func Open(url string) (*DB, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	d := &DB{path: path, jobs: make(chan *job, maxBatch), quit: make(chan struct{}), done: make(chan struct{})}
	if d.writer, err = sql.Open("sqlite", dsn(path, "synchronous(FULL)", "foreign_keys(1)")+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.readers, err = sql.Open("sqlite", dsn(path, "query_only(1)", "mmap_size(268435456)")); err != nil {
		return nil, fmt.Errorf("open database: %w", errors.Join(err, d.writer.Close()))
	}
	d.readers.SetMaxOpenConns(maxReaders)
	d.readers.SetMaxIdleConns(maxReaders)
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, errors.Join(err, d.writer.Close(), d.readers.Close()))
	}
	go d.write()
	return d, nil
}

// sqlitePath is the PATH of sqlite:PATH.
func sqlitePath(u string) (string, error) {
	scheme, path, ok := strings.Cut(u, ":")
	switch {
	case !ok:
		return "", fmt.Errorf("%w %q: want sqlite:PATH", ErrURL, redact(u))
	case scheme == "postgres" || scheme == "postgresql":
		return "", fmt.Errorf("%w: the cluster store (postgres://) is not in this version; use sqlite:PATH", ErrURL)
	case scheme != "sqlite":
		return "", fmt.Errorf("%w %q: want sqlite:PATH", ErrURL, redact(u))
	case path == "" || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "?#\x00"):
		return "", fmt.Errorf("%w: want a plain path after sqlite:, without //, ? or #", ErrURL)
	}
	return filepath.Clean(path), nil
}

// redact takes the password out of a url, so that an error can show it.
func redact(u string) string {
	if v, err := url.Parse(u); err == nil {
		return v.Redacted()
	}
	return "that cannot be parsed"
}

// dsn names the file to the driver. busy_timeout comes first, so that the other pragmas wait too.
func dsn(path string, pragmas ...string) string {
	v := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "cache_size(-16000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: v.Encode()}).String()
}

// create makes the file with its mode before SQLite opens it; what SQLite puts beside it takes the mode over.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	return errors.Join(err, f.Close())
}

// prepare sets what is a property of the file rather than of a connection.
func (d *DB) prepare() error {
	var mode string
	if err := d.writer.QueryRow("PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return fmt.Errorf("set journal mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("set journal mode: file system does not allow write-ahead logging, mode is %s", mode)
	}
	_, err := d.writer.Exec(`CREATE TABLE IF NOT EXISTS schema_steps (part TEXT PRIMARY KEY, step INTEGER NOT NULL) WITHOUT ROWID`)
	if err != nil {
		return fmt.Errorf("create schema table: %w", err)
	}
	return nil
}

// Migrate brings one part's tables up to date: steps are SQL scripts, run once each, in order, each in a transaction
// with the note that it ran. Steps that were released are never edited, only added to.
func (d *DB) Migrate(ctx context.Context, part string, steps []string) error {
	return d.Write(ctx, func(tx *sql.Tx) error {
		var at int
		err := tx.QueryRowContext(ctx, `SELECT step FROM schema_steps WHERE part = ?`, part).Scan(&at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read schema of %s: %w", part, err)
		}
		if at > len(steps) {
			return fmt.Errorf("schema of %s is at step %d, this version knows %d: %w", part, at, len(steps), ErrNewer)
		}
		for i, s := range steps[at:] {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("run step %d of %s: %w", at+i+1, part, err)
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO schema_steps VALUES (?, ?)`, part, len(steps))
		if err != nil {
			return fmt.Errorf("note schema of %s: %w", part, err)
		}
		return nil
	})
}

// Query runs a query on a read connection; it sees what was committed when it began.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.readers.QueryContext(ctx, query, args...)
}

// QueryRow is Query for at most one row.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return d.readers.QueryRowContext(ctx, query, args...)
}

// Exec runs one statement as a transaction of its own and reports how many rows it changed. It is durable when Exec
// returns.
func (d *DB) Exec(ctx context.Context, query string, args ...any) (changed int64, err error) {
	err = d.Write(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, query, args...)
		if err == nil {
			changed, err = r.RowsAffected()
		}
		return err
	})
	return changed, err
}

// Check reads the whole database for damage; the error names what SQLite found.
func (d *DB) Check(ctx context.Context) error {
	var found string
	if err := d.QueryRow(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("check database: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("check database: %s", found)
	}
	return nil
}

// Close ends the writer after what it has begun, and closes the file.
func (d *DB) Close() error {
	d.close.Do(func() { close(d.quit) })
	<-d.done
	if err := errors.Join(d.readers.Close(), d.writer.Close()); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// Full reports whether err means that the disk or the file's own limit has no room left.
func Full(err error) bool { return code(err) == sqlite3.SQLITE_FULL }

// Busy reports whether err means that another process held the database too long.
func Busy(err error) bool { return code(err) == sqlite3.SQLITE_BUSY }

// code is SQLite's primary result code in err, 0 if there is none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}
