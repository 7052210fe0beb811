package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// A DB is an open database. It is safe for concurrent use, and several processes may have the same one open: a command
// beside the daemon, or another gateway, reads at any time and waits its turn to write.
type DB struct {
	path    string  // of the file; empty: PostgreSQL
	server  *server // nil: SQLite
	readers *sql.DB
	writer  *sql.DB
	part    string // whose transactions happen one after the other; for SQLite all do
	jobs    chan *job
	quit    chan struct{}
	done    chan struct{}
	close   sync.Once
	mu      sync.Mutex
	parts   map[string]*DB
}

// Errors of the store.
var (
	// ErrURL means that the url names no store that this version has, or one that it must not use.
	ErrURL = errors.New("unsupported store url")
	// ErrNewer means that a later version of the program wrote the database.
	ErrNewer = errors.New("database was written by a newer version")
	// ErrClosed is returned by writes after Close.
	ErrClosed = errors.New("database is closed")
	// ErrAway means that the database does not answer. It is asked again by itself.
	ErrAway = errors.New("database cannot be reached")
	// ErrNotDurable means that the database forgets at a loss of power what it has confirmed.
	ErrNotDurable = errors.New("database is not durable")
	// ErrDoubt means that the connection was lost while a transaction was being committed: nobody knows whether it was.
	ErrDoubt = errors.New("outcome of the commit is not known")
)

// Open opens the store that url names.
//
// "sqlite:PATH" is made if it is not there: file mode 0600, missing directories 0700.
//
// "postgres://USER:PASSWORD@HOST:PORT/DATABASE" is a database that is there. Nothing is asked of it before the first use, so
// that Open succeeds while it is away. To another machine its connection is encrypted and the server's name verified
// (sslmode=verify-full) unless the url says otherwise; the modes that fall back to clear text by themselves are ErrURL.
func Open(url string) (*DB, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch {
	case ok && scheme == "sqlite":
		path, err := sqlitePath(rest)
		if err != nil {
			return nil, err
		}
		return openSQLite(path)
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres(url)
	}
	return nil, errScheme()
}

// A Place is where a store url leads.
type Place struct {
	Shared bool   // a database that several gateways may have open, each on its own machine
	Name   string // for people, without a secret
	Clear  bool   // the way to it leads to another machine in clear text, as the url says
	Blind  bool   // it leads to another machine that need not show who it is, as the url says
}

// Locate reads a store url without opening anything. Its errors are those of Open, and hold no secret.
func Locate(url string) (Place, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	switch {
	case ok && scheme == "sqlite":
		path, err := sqlitePath(rest)
		return Place{Name: path}, err
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		c, err := postgresConfig(url)
		if err != nil {
			return Place{}, err
		}
		far, way := remote(c), c.TLSConfig
		return Place{Shared: true, Name: placeOf(c), Clear: far && way == nil,
			Blind: far && way != nil && way.InsecureSkipVerify && way.VerifyPeerCertificate == nil && way.VerifyConnection == nil}, nil
	}
	return Place{}, errScheme()
}

// errScheme does not repeat the url, which may hold a password.
func errScheme() error {
	return fmt.Errorf("%w: want sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE", ErrURL)
}

// start sets the writer going.
func (d *DB) start() *DB {
	d.jobs, d.quit, d.done = make(chan *job, maxBatch), make(chan struct{}), make(chan struct{})
	go d.write()
	return d
}

// Shared reports whether gateways on several machines share the database.
func (d *DB) Shared() bool { return d.server != nil }

// Part is the database as one part of the program uses it: transactions of Write that belong to one part happen one after
// the other, whoever has the database open, and do not wait for those of other parts where the database allows it. Only
// one part writes to a table.
func (d *DB) Part(name string) *DB {
	if d.server == nil || d.part == name {
		return d
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.parts[name]
	if p == nil {
		p = (&DB{server: d.server, readers: d.readers, writer: d.writer, part: name}).start()
		if d.parts == nil {
			d.parts = map[string]*DB{}
		}
		d.parts[name] = p
	}
	return p
}

// stepsTable holds how far each part's schema is.
const stepsTable = `CREATE TABLE IF NOT EXISTS schema_steps (part TEXT PRIMARY KEY, step INTEGER NOT NULL) WITHOUT ROWID`

// Migrate brings one part's tables up to date: steps are SQL scripts, run once each, in order, each in a transaction
// with the note that it ran, by one of all that have the database open. Steps that were released are never edited, only
// added to.
func (d *DB) Migrate(ctx context.Context, part string, steps []string) error {
	do := func(tx *sql.Tx) error {
		var at int
		err := tx.QueryRowContext(ctx, `SELECT step FROM schema_steps WHERE part = ?`, part).Scan(&at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read schema of %s: %w", part, err)
		}
		if at > len(steps) {
			return fmt.Errorf("schema of %s is at step %d, this version knows %d: %w", part, at, len(steps), ErrNewer)
		}
		for i, s := range steps[at:] {
			if _, err := tx.ExecContext(ctx, d.schema(s)); err != nil {
				return fmt.Errorf("run step %d of %s: %w", at+i+1, part, err)
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO schema_steps VALUES (?, ?) ON CONFLICT (part) DO UPDATE SET step = excluded.step`, part, len(steps))
		if err != nil {
			return fmt.Errorf("note schema of %s: %w", part, err)
		}
		return nil
	}
	if d.server != nil {
		return d.server.migrate(ctx, do)
	}
	return d.Write(ctx, do)
}

// schema spells a step of a schema for the database.
func (d *DB) schema(step string) string {
	if d.server != nil {
		return postgresSchema(step)
	}
	return step
}

// Query runs a query on a read connection; it sees what was committed when it began.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := d.Health(); err != nil {
		return nil, err
	}
	rows, err := d.readers.QueryContext(ctx, query, args...)
	return rows, d.seen(err)
}

// A Row is the answer of QueryRow.
type Row struct {
	row *sql.Row
	d   *DB
	err error
}

// Scan copies the columns of the row; sql.ErrNoRows if there is none.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.d.seen(r.row.Scan(dest...))
}

// QueryRow is Query for at most one row.
func (d *DB) QueryRow(ctx context.Context, query string, args ...any) Row {
	if err := d.Health(); err != nil {
		return Row{err: err}
	}
	return Row{row: d.readers.QueryRowContext(ctx, query, args...), d: d}
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

// Health is nil, or why the database cannot be used now, as of the last look: ErrAway or ErrNotDurable. It costs nothing. A
// file of SQLite is always there.
func (d *DB) Health() error {
	if d.server == nil {
		return nil
	}
	return d.server.health()
}

// seen takes note of an error that says that the database is away, and returns it.
func (d *DB) seen(err error) error {
	if d.server != nil && err != nil {
		return d.server.seen(err)
	}
	return err
}

// Check reads the whole of an SQLite file for damage, and asks PostgreSQL, which looks after itself, whether it can be
// relied on; the error names what was found.
func (d *DB) Check(ctx context.Context) error {
	if d.server != nil {
		return d.server.look(ctx)
	}
	return d.checkSQLite(ctx)
}

// Close ends the writer after what it has begun, and closes the database.
func (d *DB) Close() error {
	d.mu.Lock()
	for _, p := range d.parts {
		p.end()
	}
	d.mu.Unlock()
	d.end()
	var errs []error
	if d.server != nil {
		errs = append(errs, d.server.close())
	}
	if err := errors.Join(append(errs, d.readers.Close(), d.writer.Close())...); err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return nil
}

// end ends the writer of one part.
func (d *DB) end() {
	d.close.Do(func() { close(d.quit) })
	<-d.done
}

// Full reports whether err means that the disk or the file's own limit has no room left.
func Full(err error) bool { return sqliteFull(err) || sqlState(err) == "53100" }

// Busy reports whether err means that others held the database too long.
func Busy(err error) bool { return sqliteBusy(err) || postgresBusy(err) }

// Away reports whether err means that the database could not be asked, and may be later.
func Away(err error) bool { return errors.Is(err, ErrAway) }
