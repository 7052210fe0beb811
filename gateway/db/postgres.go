package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// What is asked of the server at once, at most, by one process, and for how long one answer may take. The server gives up
// first, so that a connection outlives a statement that was too slow.
const (
	serverReaders = 4
	serverWriters = 8

	connectTime   = 5 * time.Second
	statementTime = 15 * time.Second
	lockTime      = 10 * time.Second
	silence       = 20 * time.Second // of the server; after that it is taken for gone
)

// openPostgres prepares the pools. It does not ask the server anything.
func openPostgres(u string) (*DB, error) {
	c, err := postgresConfig(u)
	if err != nil {
		return nil, err
	}
	bounded := c.Copy()
	bound(bounded, silence)
	for name, t := range map[string]time.Duration{
		"statement_timeout": statementTime, "lock_timeout": lockTime, "idle_in_transaction_session_timeout": silence,
	} {
		bounded.RuntimeParams[name] = fmt.Sprint(t.Milliseconds())
	}
	d := &DB{readers: pool(bounded, serverReaders), writer: pool(bounded, serverWriters)}
	probe := bounded.Copy()
	bound(probe, lookTime)
	patient := c.Copy() // a step of a schema may take its time, and may be many statements
	patient.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	d.server = watch(placeOf(c), pool(probe, 1), pool(patient, 1))
	return d.start(), nil
}

// pool keeps at most n connections, and closes those that are not needed.
func pool(c *pgx.ConnConfig, n int) *sql.DB {
	p := sql.OpenDB(connector{stdlib.GetConnector(*c, stdlib.OptionAfterConnect(durable))})
	p.SetMaxOpenConns(n)
	p.SetMaxIdleConns(n)
	p.SetConnMaxIdleTime(5 * time.Minute)
	p.SetConnMaxLifetime(time.Hour) // so that a server that took over is found, and settings that changed
	return p
}

// postgresConfig reads a url. Its errors do not hold the password.
func postgresConfig(u string) (*pgx.ConnConfig, error) {
	before, query, _ := strings.Cut(u, "?")
	v, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("%w: what follows ? in it cannot be read", ErrURL)
	}
	mode := v.Get("sslmode")
	v.Set("sslmode", "disable") // to find out where it leads
	c, err := parsePostgres(before, v)
	if err != nil {
		return nil, err
	}
	switch far := remote(c); {
	case mode == "" && far:
		mode = "verify-full"
	case mode == "":
		mode = "disable"
	case far && (mode == "prefer" || mode == "allow"):
		return nil, fmt.Errorf("%w: sslmode=%s falls back to clear text by itself; say verify-full, verify-ca or require, or disable if the network is safe", ErrURL, mode)
	}
	v.Set("sslmode", mode)
	if c, err = parsePostgres(before, v); err != nil {
		return nil, err
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > silence {
		c.ConnectTimeout = connectTime
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "gatepost"
	}
	return c, nil
}

// parsePostgres reads a url whose query is v. Several hosts are tried in turn until one takes writes.
func parsePostgres(before string, v url.Values) (*pgx.ConnConfig, error) {
	if v.Get("target_session_attrs") == "" {
		v.Set("target_session_attrs", "read-write")
	}
	c, err := pgx.ParseConfig(before + "?" + v.Encode())
	if err == nil {
		return c, nil
	}
	why := errors.Unwrap(err) // the outer error shows the url
	var bad *url.Error
	if why == nil || errors.As(err, &bad) {
		return nil, fmt.Errorf("%w: want postgres://USER:PASSWORD@HOST:PORT/DATABASE, with what is special in the password written as %%XX", ErrURL)
	}
	return nil, fmt.Errorf("%w: %w", ErrURL, why)
}

// remote reports whether a connection may lead to another machine.
func remote(c *pgx.ConnConfig) bool {
	far := !local(c.Host)
	for _, f := range c.Fallbacks {
		far = far || !local(f.Host)
	}
	return far
}

// local reports whether a host is a socket in the file system, or this machine's loopback.
func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || err == nil && a.IsLoopback()
}

// placeOf names a server and database for people.
func placeOf(c *pgx.ConnConfig) string {
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), c.Database)
}

// durable looks at a new connection: what it confirms must outlive a loss of power. A transaction that would be confirmed
// before it is on the disk is raised to one that is not; a server that does not write to the disk at all is refused.
func durable(ctx context.Context, c *pgx.Conn) error {
	var fsync, commit, encoding string
	err := c.QueryRow(ctx, `SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding')`).Scan(&fsync, &commit, &encoding)
	switch {
	case err != nil:
	case fsync != "on":
		err = fmt.Errorf("%w: the server runs with fsync=%s", ErrNotDurable, fsync)
	case encoding != "UTF8":
		err = fmt.Errorf("%w: the database is encoded as %s, not UTF8", ErrURL, encoding)
	case commit == "off":
		_, err = c.Exec(ctx, `SET synchronous_commit = on`)
	}
	if err != nil {
		return errors.Join(err, c.Close(ctx))
	}
	return nil
}

// A connector makes connections that spell statements for PostgreSQL.
type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, absence(err)
	}
	return &conn{made.(*stdlib.Conn)}, nil
}

// A conn is one connection.
type conn struct{ *stdlib.Conn }

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	made, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	v.Value = postgresValue(made)
	return err
}

// steady is ctx outside of a transaction. Within one it does not end: to give up a statement is to lose the connection, and
// with it the transactions of others that share the commit. The server's and our own bounds of time hold all the same.
func (c *conn) steady(ctx context.Context) context.Context {
	if c.Conn.Conn().PgConn().TxStatus() == 'I' {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.Conn.ExecContext(c.steady(ctx), postgresQuery(q), args)
	return r, absence(err)
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	made, err := c.Conn.QueryContext(c.steady(ctx), postgresQuery(q), args)
	if err != nil {
		return nil, absence(err)
	}
	return rows{made.(*stdlib.Rows)}, nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.BeginTx(ctx, o)
	return tx, absence(err)
}

// rows are the answer to a query.
type rows struct{ *stdlib.Rows }

// Next implements driver.Rows.
func (r rows) Next(dest []driver.Value) error {
	err := r.Rows.Next(dest)
	if err == io.EOF { // the regular end
		return err
	}
	return absence(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	s, err := c.Conn.PrepareContext(c.steady(ctx), postgresQuery(q))
	return s, absence(err)
}

// lockOf is the number of the advisory lock by which the transactions of a part take turns.
func lockOf(part string) int64 {
	h := fnv.New64a()
	io.WriteString(h, "gatepost "+part)
	return int64(h.Sum64())
}

// takeTurn waits until no other transaction of the part is under way, on any gateway.
func takeTurn(ctx context.Context, tx *sql.Tx, part string) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(?)`, lockOf(part)); err != nil {
		return fmt.Errorf("wait for the turn: %w", err)
	}
	return nil
}

// sqlState is the code by which PostgreSQL names an error (its manual, appendix A); empty if err is not one of its.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// postgresBusy reports whether others held locks, connections or the processor too long.
func postgresBusy(err error) bool {
	switch sqlState(err) {
	case "55P03", "57014", "40001", "40P01", "53300":
		return true
	}
	return false
}

// absence makes errors of a server that is not there ErrAway.
func absence(err error) error {
	if unreachable(err) {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}

// unreachable reports whether the server was not there, went away, or does not take writes now.
func unreachable(err error) bool {
	var refused *pgconn.ConnectError
	var n net.Error
	switch s := sqlState(err); {
	case strings.HasPrefix(s, "08") || strings.HasPrefix(s, "57P") || s == "25006" || s == "25P03" || s == "53300":
		return true
	case s != "":
		return false
	}
	return errors.As(err, &refused) || errors.As(err, &n) && !errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "conn closed")
}
