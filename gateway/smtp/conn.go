package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/failpoint"
)

// A conn is one connection. All but the fields under mu belong to the goroutine of serve.
type conn struct {
	srv    *Server
	ln     *listener
	nc     net.Conn // the transport: deadlines and the end
	rw     net.Conn // what SMTP is spoken over: nc, or TLS over it
	in     input
	out    []byte // replies not yet sent
	peer   Peer
	sess   Session
	ctx    context.Context
	cancel context.CancelFunc

	start   time.Time
	verb    string // the last command known; "" before any
	closing bool   // the last reply is in out
	mute    bool   // nothing may be written: a handshake has begun and not succeeded, or a write has failed
	linger  bool   // the client may be sending still: take it, so that it can read the last reply
	tls     mail.TLS
	hello   hello
	tx      transaction
	tally   tally

	mu       sync.Mutex
	waiting  bool // for a command
	draining bool
	dropped  bool
	since    time.Time // when waiting began
	until    time.Time // when waiting ends
}

// A hello is what EHLO or HELO settled; the zero value is before it.
type hello struct {
	given bool
	esmtp bool
	caps  Capabilities
	size  int64 // the size limit that follows
	rcpts int   // the recipient limit that follows
}

// A transaction is the state between MAIL and the end of data. It is reset by replacing it.
type transaction struct {
	open    bool
	from    mail.Address
	params  MailParams
	rcpts   int // accepted
	refused int
}

// A tally is what a session's conduct is judged by.
type tally struct {
	messages int // MAIL commands accepted
	errors   int
	unknown  int // commands
	junk     int // commands since the last message
	rcpts    int // unknown recipients
	excess   int // recipients beyond the limit
	auth     bool
}

// Why a session ends without a word of the client's.
var (
	errDraining = errors.New("server is shutting down")
	errSession  = errors.New("session took too long")
	errSlow     = errors.New("command took too long")
	errIdle     = errors.New("client was idle")
	errUnsent   = errors.New("reply could not be sent")
	errDropped  = errors.New("session made room for others")
)

// newConn makes nc a connection of ln.
func newConn(s *Server, ln *listener, nc net.Conn) *conn {
	return &conn{srv: s, ln: ln, nc: nc, rw: nc, in: input{src: nc, pool: &s.pool}, start: time.Now()}
}

// serve speaks with the client until the connection ends.
func (c *conn) serve() {
	unwatch := context.AfterFunc(c.ctx, func() { _ = c.nc.Close() })
	defer c.srv.forget(c)
	defer c.cancel()
	defer unwatch()
	defer c.end()
	defer func() {
		if v := recover(); v != nil {
			c.panicked(v)
		}
	}()
	if !c.open() {
		return
	}
	for !c.closing {
		line, err := c.command()
		if err != nil {
			c.leave(err)
			return
		}
		c.obey(line)
	}
}

// open does all that comes before the first command; false means that the connection is over.
func (c *conn) open() bool {
	waited := time.Since(c.start)
	if !c.identify() {
		return false
	}
	identified := time.Now()
	if failpoint.Hit(failpoint.Connected) != nil {
		c.turnAway(ReplyOverload())
		return false
	}
	if c.srv.reservedOnly() && !c.srv.cfg.Reserved(c.peer.Remote) {
		c.srv.count(EventConnLimit)
		c.turnAway(ReplyOverload())
		return false
	}
	sess, refused := c.srv.handler.Connect(c.ctx, c.peer)
	c.srv.cfg.Served(waited + time.Since(identified))
	if refused != nil || sess == nil {
		c.srv.count(EventConnRefused)
		if refused == nil {
			refused = ReplyBroken()
		}
		c.turnAway(refused)
		return false
	}
	c.sess = sess
	if c.ln.opts.TLS == TLSImplicit {
		cfg := c.ln.tls.config()
		if cfg == nil || c.srv.cfg.AllowTLS(c.peer) != nil || c.handshake(cfg) != nil {
			c.closing = true
			return false
		}
	}
	return c.greet()
}

// turnAway sends r in place of the banner. Where the handshake should come first nothing can be said.
func (c *conn) turnAway(r *Reply) {
	c.closing = true
	if c.ln.opts.TLS != TLSImplicit {
		c.send(r)
	}
}

// identify learns who connected; false means that nobody is to be served.
func (c *conn) identify() bool {
	src, dst := addrPort(c.nc.RemoteAddr()), addrPort(c.nc.LocalAddr())
	if trusted := c.ln.opts.ProxyProtocol; len(trusted) > 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.srv.pace().Proxy))
		if !within(trusted, src.Addr()) {
			c.srv.count(EventProxyBad)
			return false
		}
		p, err := readProxyHeader(c.nc)
		if err != nil {
			c.srv.count(EventProxyBad)
			return false
		}
		if !p.local {
			src, dst = p.src, p.dst
		}
	}
	c.peer = Peer{Remote: src.Addr(), Port: src.Port(), Local: dst, Listener: c.ln.opts.Name}
	return true
}

// addrPort is the canonical form of a; the zero value if a is not of TCP.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return unmap(t.AddrPort())
	}
	return netip.AddrPort{}
}

// within reports whether a is in one of the networks.
func within(nets []netip.Prefix, a netip.Addr) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// greet waits in silence and sends the banner. Who talks before it is not a mail client (RFC 5321 section 3.1).
func (c *conn) greet() bool {
	delay := c.srv.cfg.GreetDelay(c.peer)
	if delay > 0 {
		err := c.await(time.Now().Add(delay))
		switch {
		case err == nil:
			c.linger = true
			if first := c.in.pending()[0]; first == 0x16 {
				c.srv.count(EventForeign)
				c.refuse("", ReplyNotSMTP())
			} else {
				c.srv.count(EventEarlyTalker)
				c.refuse("", ReplyEarly())
			}
			return false
		case errors.Is(err, errDraining):
			c.refuse("", ReplyShutdown())
			return false
		case errors.Is(err, errDropped):
			c.srv.count(EventDropped)
			c.refuse("", ReplyOverload())
			return false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false // the client did not wait for us
		}
	}
	c.send(ReplyBanner(c.srv.cfg.Hostname))
	return true
}

// await reads once, until the deadline at most. It is where Shutdown finds idle sessions, and the only place where the
// server waits for a command.
func (c *conn) await(deadline time.Time) error {
	if err := c.flush(); err != nil {
		return err
	}
	now := time.Now()
	c.mu.Lock()
	if c.draining {
		c.mu.Unlock()
		return errDraining
	}
	c.waiting, c.dropped, c.since, c.until = true, false, now, deadline
	err := c.nc.SetReadDeadline(deadline)
	c.mu.Unlock()
	if err == nil {
		err = c.in.read()
	}
	c.mu.Lock()
	c.waiting = false
	drained, dropped := c.draining, c.dropped
	c.mu.Unlock()
	switch {
	case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case drained:
		return errDraining
	case dropped:
		return errDropped
	}
	return err
}

// idle is since when the session waits for a command, if it does, and whether it was dropped.
func (c *conn) idle() (since time.Time, waiting, dropped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.waiting && !c.dropped, c.dropped
}

// drop ends the session if it waits for a command.
func (c *conn) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		c.dropped = true
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// drain ends the wait for a command, now or when it next begins.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.waiting {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// hurry shortens a wait for a command that has begun to d.
func (c *conn) hurry(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.since.Add(d); c.waiting && until.Before(c.until) {
		c.until = until
		_ = c.nc.SetReadDeadline(until)
	}
}

// cut ends the connection at once, whatever it does.
func (c *conn) cut() {
	c.cancel()
	_ = c.nc.Close()
}

// send puts r behind the replies to be sent.
func (c *conn) send(r *Reply) {
	c.out = appendReply(c.out, r)
	if r.Close || r.Code == 421 || r.Code == 521 {
		c.closing = true
	}
}

// refuse sends a refusal of the server's own, and tells the Session of it.
func (c *conn) refuse(verb string, r *Reply) {
	if c.sess != nil {
		c.sess.Refused(c.ctx, verb, r)
	}
	c.send(r)
}

// flush writes the replies to be sent: one write for all that a pipelined group of commands has earned.
func (c *conn) flush() error {
	if len(c.out) == 0 || c.mute {
		return nil
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.srv.pace().Write))
	_, err := c.rw.Write(c.out)
	c.out = c.out[:0]
	if cap(c.out) > smallBuffer {
		c.out = nil
	}
	if err == nil {
		return nil
	}
	c.closing, c.mute = true, true
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.srv.count(EventWrite)
	}
	return errUnsent
}

// appendReply writes r as it goes over the wire. Whatever r holds, what is written is one line of printable ASCII
// whose enhanced code is of the code's class.
func appendReply(b []byte, r *Reply) []byte {
	code := r.Code
	if !lawfulCode(code) {
		code = ReplyLocalError().Code
	}
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	if r.Enhanced != "" {
		b = append(b, lawfulEnhanced(code, r.Enhanced)...)
		b = append(b, ' ')
	}
	b = append(b, Sanitize(r.Text)...)
	return append(b, '\r', '\n')
}

// leave says why a session ends for which no command came, if there is anyone to say it to.
func (c *conn) leave(err error) {
	switch {
	case errors.Is(err, errDraining):
		c.refuse(c.verb, ReplyShutdown())
	case errors.Is(err, errDropped):
		c.srv.count(EventDropped)
		c.refuse(c.verb, ReplyOverload())
	case errors.Is(err, errSession):
		c.srv.count(EventSessionLong)
		c.refuse(c.verb, ReplyTimeout())
	case errors.Is(err, errSlow):
		c.srv.count(EventCommandSlow)
		c.refuse(c.verb, ReplyTimeout())
	case errors.Is(err, errIdle):
		c.srv.count(EventIdle)
		c.refuse(c.verb, ReplyTimeout())
	}
	c.closing = true
}

// panicked ends a session in which the Handler's code panicked. The process lives on.
func (c *conn) panicked(v any) {
	c.srv.count(EventPanic)
	c.srv.cfg.Panicked(v, debug.Stack())
	c.closing, c.linger = true, true
	c.out = appendReply(c.out, ReplyBroken())
}

// end sends what is to be sent, hangs up, and closes the Session.
func (c *conn) end() {
	defer func() {
		if v := recover(); v != nil { // Session.Close panicked
			c.srv.count(EventPanic)
			c.srv.cfg.Panicked(v, debug.Stack())
		}
	}()
	c.hangUp()
	c.in.release()
	if c.sess != nil {
		c.sess.Close()
	}
}

const (
	lingerTime   = time.Second
	lingerStress = 100 * time.Millisecond
	lingerBytes  = 1 << 20
)

// hangUp closes the connection. Closing while the client is sending would reset it, and the client would lose the
// reply that tells it why; so what it sends is taken for a moment, and thrown away.
func (c *conn) hangUp() {
	defer func() { _ = c.nc.Close() }()
	if c.flush() != nil || c.mute {
		return
	}
	if tc, ok := c.rw.(interface{ CloseWrite() error }); ok && c.rw != c.nc {
		_ = tc.CloseWrite() // close_notify
	}
	if !c.linger || c.ctx.Err() != nil {
		return
	}
	if tc, ok := c.nc.(*net.TCPConn); ok {
		_ = tc.CloseWrite()
	}
	wait := lingerTime
	if c.srv.cfg.Stress() {
		wait = lingerStress
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}
