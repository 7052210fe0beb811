package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/gateway/smtp"
)

// A Directory asks the servers of one section. It connects when it is first asked, keeps one connection, over which
// questions are put side by side, and is safe for concurrent use.
type Directory struct {
	cfg   Config
	tls   *tls.Config
	known *forward.Memory
	slots chan struct{}

	mu      sync.Mutex
	conn    *ldap.Conn
	closed  bool
	failed  error // why no server could be asked the last time; nil: one answered
	since   time.Time
	tried   time.Time     // when an attempt to connect last failed
	dialing chan struct{} // closed when the attempt in progress ends
}

// atOnce bounds the questions on their way: somebody who guesses addresses shall wait, not the server.
const atOnce = 16

// New makes a Directory. It reads the certificates of ca and connects to nobody.
func New(c Config) (*Directory, error) {
	d := &Directory{
		cfg: c, tls: &tls.Config{MinVersion: tls.VersionTLS12}, slots: make(chan struct{}, atOnce),
		known: forward.NewMemory(forward.VerifyConfig{Keep: c.Keep, No: c.KeepNo, Stale: c.Stale}),
	}
	if c.CA != "" {
		pem, err := os.ReadFile(string(c.CA))
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificates: there are none in %s", c.CA)
		}
	}
	return d, nil
}

// Verify says whether a recipient exists. Yes and no are remembered; while no server can be asked, an old yes counts, and
// everybody else is neither known nor unknown.
func (d *Directory) Verify(ctx context.Context, rcpt mail.Address) forward.Standing {
	standing, _ := d.known.Ask(ctx, rcpt.Canonical(), func() (forward.Standing, *smtp.Reply) {
		found, err := d.find(ctx, rcpt)
		if err != nil && ctx.Err() == nil {
			d.note(err)
		}
		switch {
		case err != nil:
			return forward.CannotSay, nil
		case found:
			return forward.Known, nil
		}
		return forward.Unknown, nil
	})
	return standing
}

// Health is why the servers could not be asked the last time, nil if one answered, and since when.
func (d *Directory) Health() (since time.Time, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since, d.failed
}

// Probe logs in and asks for the base itself.
func (d *Directory) Probe(ctx context.Context) error {
	conn, _, err := d.connection(ctx)
	if err != nil {
		return err
	}
	result, err := conn.Search(ldap.NewSearchRequest(d.cfg.Base, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 10, true, "(objectClass=*)", []string{"1.1"}, nil))
	switch {
	case err != nil:
		d.drop(conn)
		return fmt.Errorf("search %s: %w", d.cfg.Base, err)
	case len(result.Entries) == 0:
		return fmt.Errorf("search %s: nothing is there that we may read", d.cfg.Base)
	}
	return nil
}

// Name is the servers and the base, for people.
func (d *Directory) Name() string { return strings.Join(d.cfg.URLs, ", ") + " " + d.cfg.Base }

// Close hangs up; who still asks is told that nobody can say.
func (d *Directory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}

// note keeps how the last question ended.
func (d *Directory) note(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.failed == nil {
		d.since = time.Now()
	}
	d.failed = err
}

// find asks once, and once more over a new connection if the old one turned out dead.
func (d *Directory) find(ctx context.Context, rcpt mail.Address) (bool, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	for try := 0; ; try++ {
		conn, fresh, err := d.connection(ctx)
		if err != nil {
			return false, err
		}
		found, err := d.search(conn, rcpt)
		if err == nil {
			d.note(nil)
			return found, nil
		}
		d.drop(conn)
		if fresh || try > 0 || ctx.Err() != nil {
			return false, err
		}
	}
}

// errReferral is an answer that says to ask elsewhere: the absence of an entry there is none.
var errReferral = errors.New("the server refers to another one")

// search asks for one recipient. That its base does not exist is a mistake of ours, and makes nobody unknown.
func (d *Directory) search(conn *ldap.Conn, rcpt mail.Address) (bool, error) {
	filter := places(d.cfg.Filter, rcpt.Canonical(), rcpt.Local(), rcpt.Domain())
	limit := max(1, int(d.cfg.Timeout/time.Second))
	result, err := conn.Search(ldap.NewSearchRequest(d.cfg.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, limit, true, filter, []string{"1.1"}, nil))
	switch {
	case result != nil && len(result.Entries) > 0, ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("search: %w", err)
	case len(result.Referrals) > 0:
		return false, errReferral
	}
	return false, nil
}

// connection is the one there is, or a new one; one attempt is made at a time, and whoever comes meanwhile waits for it.
func (d *Directory) connection(ctx context.Context) (conn *ldap.Conn, fresh bool, err error) {
	d.mu.Lock()
	for d.dialing != nil {
		wait := d.dialing
		d.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		d.mu.Lock()
		if d.conn == nil && d.dialing == nil && d.failed != nil {
			defer d.mu.Unlock()
			return nil, false, d.failed
		}
	}
	if d.conn != nil && !d.conn.IsClosing() {
		defer d.mu.Unlock()
		return d.conn, false, nil
	}
	if d.failed != nil && time.Since(d.tried) < pause {
		defer d.mu.Unlock()
		return nil, false, d.failed
	}
	done := make(chan struct{})
	d.dialing = done
	d.mu.Unlock()
	conn, err = d.dial()
	if err != nil {
		d.note(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialing = nil
	close(done)
	if err != nil {
		d.tried = time.Now()
	}
	if err == nil && d.closed {
		conn.Close()
		return nil, false, net.ErrClosed
	}
	d.conn = conn
	return conn, true, err
}

// pause is how long nobody tries to connect again after nobody answered.
const pause = time.Second

// drop hangs up a connection that failed, if nobody has replaced it yet.
func (d *Directory) drop(conn *ldap.Conn) {
	conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == conn {
		d.conn = nil
	}
}

// dial connects to the first server that lets us in.
func (d *Directory) dial() (*ldap.Conn, error) {
	var errs []error
	for _, s := range d.cfg.URLs {
		conn, err := d.dialOne(s)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s, err))
	}
	return nil, errors.Join(errs...)
}

// dialOne connects to one server and logs in, all of it within the timeout.
func (d *Directory) dialOne(server string) (*ldap.Conn, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"ldap": "389", "ldaps": "636"}[u.Scheme]
	}
	secure := d.tls.Clone()
	secure.ServerName = host
	tcp, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), d.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	wire := net.Conn(patient{tcp, d.cfg.Timeout})
	tcp.SetReadDeadline(time.Now().Add(d.cfg.Timeout)) // the library sets none for handshakes
	if u.Scheme == "ldaps" {
		client := tls.Client(wire, secure)
		if err := client.Handshake(); err != nil {
			tcp.Close()
			return nil, fmt.Errorf("handshake: %w", err)
		}
		wire = client
	}
	conn := ldap.NewConn(wire, u.Scheme == "ldaps")
	conn.Start()
	conn.SetTimeout(d.cfg.Timeout)
	if u.Scheme == "ldap" && d.cfg.TLS != "off" {
		err = conn.StartTLS(secure)
	}
	if err == nil && d.cfg.BindDN != "" {
		err = conn.Bind(d.cfg.BindDN, d.cfg.Password.Reveal())
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("log in: %w", err)
	}
	tcp.SetReadDeadline(time.Time{})
	return conn, nil
}

// A patient connection waits only so long for its peer to take what is written; the library's own timeout begins
// afterwards.
type patient struct {
	net.Conn
	timeout time.Duration
}

// Write writes within the timeout.
func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
