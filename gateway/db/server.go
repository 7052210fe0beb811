package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// How often a server is looked at, and how long it may take to answer.
const (
	lookEvery = 2 * time.Second
	lookTime  = 3 * time.Second
)

// A server is a PostgreSQL that is looked at now and then, so that nobody waits for one that is away.
type server struct {
	place  string
	probe  *sql.DB // one connection, for looking
	schema *sql.DB // one connection, for steps of schemas

	mu     sync.Mutex
	known  bool // it was looked at
	err    error
	slow   bool // the last look got no answer in time
	skew   time.Duration
	notify func(error)

	wake, quit, done chan struct{}
	stop             sync.Once
}

// watch begins to look.
func watch(place string, probe, schema *sql.DB) *server {
	s := &server{place: place, probe: probe, schema: schema, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

// run looks until close.
func (s *server) run() {
	defer close(s.done)
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		_ = s.look(context.Background()) // it is noted
		select {
		case <-t.C:
		case <-s.wake:
		case <-s.quit:
			return
		}
	}
}

// look asks the server whether it can be relied on, and notes the answer.
func (s *server) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var fsync string
	var standby bool
	var clock int64
	begin := time.Now()
	err := s.probe.QueryRowContext(ctx, `SELECT current_setting('fsync'), pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint`).Scan(&fsync, &standby, &clock)
	switch {
	case Away(err):
		err = fmt.Errorf("%s: %w", s.place, err)
	case err != nil && !errors.Is(err, ErrNotDurable) && !errors.Is(err, ErrURL):
		err = fmt.Errorf("%w: %s: %w", ErrAway, s.place, err)
	case err == nil && standby:
		err = fmt.Errorf("%w: %s is a standby that takes no writes", ErrAway, s.place)
	case err == nil && fsync != "on":
		err = fmt.Errorf("%w: the server runs with fsync=%s", ErrNotDurable, fsync)
	}
	select {
	case <-s.quit:
		return err
	default:
	}
	s.mu.Lock()
	late := errors.Is(err, context.DeadlineExceeded)
	once := late && !s.slow && s.known && s.err == nil // a server that has much to do is not away
	s.slow = late
	if once {
		s.mu.Unlock()
		return err
	}
	changed := s.known && (err == nil) != (s.err == nil) || !s.known && err != nil
	s.known, s.err = true, err
	if err == nil {
		s.skew = time.UnixMilli(clock).Sub(begin.Add(time.Since(begin) / 2))
	}
	notify := s.notify
	s.mu.Unlock()
	if changed && notify != nil {
		notify(err)
	}
	return err
}

// health is what the last look found.
func (s *server) health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// seen has the server looked at at once if err says that it is away.
func (s *server) seen(err error) error {
	if Away(err) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// migrate runs do in a transaction that is the only one of its kind, whoever begins one.
func (s *server) migrate(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.schema.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	err = takeTurn(ctx, tx, "schema")
	if err == nil {
		_, err = tx.ExecContext(ctx, postgresSchema(stepsTable))
	}
	if err == nil {
		err = do(tx)
	}
	if err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// close ends the looking.
func (s *server) close() error {
	s.stop.Do(func() { close(s.quit) })
	<-s.done
	return errors.Join(s.probe.Close(), s.schema.Close())
}

// OnChange lets told be called whenever the database goes away, with the reason, and when it is back, with nil.
func (d *DB) OnChange(told func(error)) {
	if d.server == nil {
		return
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	d.server.notify = told
}

// Skew is by how much the database's clock is ahead of ours, as of the last look; 0 for SQLite.
func (d *DB) Skew() time.Duration {
	if d.server == nil {
		return 0
	}
	d.server.mu.Lock()
	defer d.server.mu.Unlock()
	return d.server.skew
}

// Wait returns nil once the database can be used. told is called with the reason each time it cannot.
func (d *DB) Wait(ctx context.Context, told func(error)) error {
	if d.server == nil {
		return nil
	}
	for {
		err := d.server.look(ctx)
		if err == nil || !errors.Is(err, ErrAway) {
			return err
		}
		told(err)
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return err
		}
	}
}

// bound lets a connection wait only so long for one answer of the server, whoever asked and however patiently: a server that
// was stopped, or whose machine is gone, says nothing at all.
func bound(c *pgx.ConnConfig, silence time.Duration) {
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		made, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &line{Conn: made, silence: silence}, nil
	}
}

// A line is a connection whose every read and write has a deadline.
type line struct {
	net.Conn
	silence time.Duration
	mu      sync.Mutex
	asked   time.Time // deadline that was asked for
}

// deadline is the earlier of ours and the one asked for.
func (l *line) deadline() time.Time {
	t := time.Now().Add(l.silence)
	if !l.asked.IsZero() && l.asked.Before(t) {
		return l.asked
	}
	return t
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = t
	return l.Conn.SetDeadline(l.deadline())
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	l.mu.Lock()
	err := l.Conn.SetReadDeadline(l.deadline())
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

// Write implements net.Conn.
func (l *line) Write(p []byte) (int, error) {
	l.mu.Lock()
	err := l.Conn.SetWriteDeadline(l.deadline())
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return l.Conn.Write(p)
}
