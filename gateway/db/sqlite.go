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
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxReaders is the number of queries that run at once.
const maxReaders = 4

// openSQLite opens the file that path names.
func openSQLite(path string) (*DB, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create database: %w", err)
	}
	d := &DB{path: path}
	var err error
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
		return nil, fmt.Errorf("open database %s: %w%s", path, errors.Join(err, d.writer.Close(), d.readers.Close()), damage(err))
	}
	return d.start(), nil
}

// damage says what to do about a file that is no database any more; empty if err says something else.
func damage(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_CORRUPT && e.Code()&0xff != sqlite3.SQLITE_NOTADB {
		return ""
	}
	return "; the file is damaged: put a copy of it back, or move it and its -wal and -shm away: held mail is found again by its files, accounts and what was learned are not"
}

// dsn names the file to the driver. busy_timeout comes first, so that the other pragmas wait too.
func dsn(path string, pragmas ...string) string {
	v := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "cache_size(-16000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: v.Encode()}).String()
}

// sqlitePath is the PATH of sqlite:PATH.
func sqlitePath(path string) (string, error) {
	if path == "" || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "?#\x00") {
		return "", fmt.Errorf("%w: want a plain path after sqlite:, without //, ? or #", ErrURL)
	}
	return filepath.Clean(path), nil
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
	_, err := d.writer.Exec(stepsTable)
	if err != nil {
		return fmt.Errorf("create schema table: %w", err)
	}
	return nil
}

// checkSQLite reads the whole file for damage.
func (d *DB) checkSQLite(ctx context.Context) error {
	var found string
	if err := d.QueryRow(ctx, "PRAGMA quick_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("check database: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("check database: %s", found)
	}
	return nil
}

// sqliteCode is SQLite's primary result code in err, 0 if there is none.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// sqliteFull reports whether the disk or the file's own limit has no room left.
func sqliteFull(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_FULL }

// sqliteBusy reports whether another process held the file too long.
func sqliteBusy(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_BUSY }
