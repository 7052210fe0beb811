package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gatepost/filters/mail"
)

// ClientOptions say whom to speak to and how. Address and Hello must be set.
type ClientOptions struct {
	Address   string    // host:port, or unix:/path
	Hello     string    // the name that we give in EHLO
	LMTP      bool      // RFC 2033: LHLO, and one reply per recipient after the end of data
	Security  Security  // zero: no TLS
	Announce  Announce  // how the next hop is told of the original client; zero: not at all
	Chunking  bool      // content goes by BDAT (RFC 3030) where that is offered, else by DATA
	Deadlines Deadlines // zero fields stand for the defaults
	// Dial opens the connection; nil stands for a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Announce is a way of telling the next hop who the original client was. It is used only where the next hop offers it.
type Announce string

// The ways of Postfix's XCLIENT_README and XFORWARD_README.
const (
	Unannounced Announce = ""
	XForward    Announce = "xforward" // for the next hop's log
	XClient     Announce = "xclient"  // for the next hop's access decisions
)

// Deadlines bound the waits for a next hop. They are those of RFC 5321 section 4.5.3.2 where it gives a minimum.
type Deadlines struct {
	Connect  time.Duration // 30 s
	Greeting time.Duration // 60 s
	Hello    time.Duration // 60 s: EHLO, STARTTLS with its handshake, XCLIENT
	Envelope time.Duration // 300 s: MAIL, RCPT, RSET
	Data     time.Duration // 120 s: DATA until 354
	Block    time.Duration // 180 s: each write of at most 256 KiB, and the reply to a chunk that is not the last
	Dot      time.Duration // 600 s: a shorter wait for the last reply makes duplicates (RFC 1047)
}

func (d Deadlines) filled() Deadlines {
	for _, f := range []struct {
		at   *time.Duration
		with time.Duration
	}{
		{&d.Connect, 30 * time.Second}, {&d.Greeting, 60 * time.Second}, {&d.Hello, 60 * time.Second},
		{&d.Envelope, 300 * time.Second}, {&d.Data, 120 * time.Second}, {&d.Block, 180 * time.Second},
		{&d.Dot, 600 * time.Second},
	} {
		if *f.at <= 0 {
			*f.at = f.with
		}
	}
	return d
}

// Extensions are what a next hop offered in its last reply to EHLO.
type Extensions struct {
	Name       string // what it calls itself, printable ASCII
	Size       int64  // most bytes of a message; 0 if it names no limit
	SizeParam  bool   // SIZE is offered
	EightBit   bool
	SMTPUTF8   bool
	Pipelining bool
	StartTLS   bool
	Chunking   bool
	XClient    []string // attribute names, upper case
	XForward   []string // attribute names, upper case
}

// A StepError tells at which step a conversation with a next hop ended. Err is a *Reply when the next hop refused the
// step itself, and what the network, TLS or the context said otherwise.
type StepError struct {
	Step string // TLSA, connect, greeting, EHLO, STARTTLS, XCLIENT, MAIL, DATA, content, end of data, RSET
	Err  error
}

// Error names the step.
func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *StepError) Unwrap() error { return e.Err }

// ErrOutOfStep is the cause when a next hop says more, or other things, than the protocol lets it say.
var ErrOutOfStep = errors.New("next hop is out of step")

// errBroken is the cause when a connection is used after it failed.
var errBroken = errors.New("connection has failed before")

const (
	clientBuffer   = 32 << 10  // a message below this goes out in one write
	clientBlock    = 256 << 10 // most bytes under one Block deadline
	maxReplyLine   = 2 << 10
	maxReplyLines  = 128
	maxReplyBytes  = 64 << 10
	maxReplyText   = 512
	maxPipelined   = 100 // commands in one write; more could block both sides
	maxXCommand    = 480 // bytes of one XFORWARD or XCLIENT command; RFC 5321 section 4.5.3.1.4 allows 512
	quitPatience   = time.Second
	unixPrefix     = "unix:"
	pastByDistance = -time.Second
)

// A Client is one connection to a next hop, past EHLO and, as configured, STARTTLS. It is for one user at a time.
// After an error of any method the connection is closed, and so is every later call's.
type Client struct {
	opts    ClientOptions
	raw     net.Conn // below TLS
	conn    net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	ext     Extensions
	tls     *tls.ConnectionState
	ctx     context.Context // of the call in progress
	pace    time.Duration   // for each write of the step in progress, and for its reply
	told    Origin          // what XCLIENT said last
	records []TLSA          // usable ones, for DANE
	broken  bool
}

// Dial connects, waits for the greeting, and says EHLO; where opts.Security asks for it, STARTTLS follows and a second
// EHLO. With DANE the TLSA records are asked for first, and without any nobody is connected to. It never continues in a weaker way than asked. The error is a *StepError.
func Dial(ctx context.Context, opts ClientOptions) (*Client, error) {
	opts.Deadlines = opts.Deadlines.filled()
	if !printable(opts.Hello) || opts.Hello == "" {
		return nil, &StepError{"connect", fmt.Errorf("name %q cannot be given in EHLO", opts.Hello)}
	}
	c := &Client{opts: opts}
	if err := c.anchor(ctx); err != nil {
		return nil, &StepError{"TLSA", err}
	}
	conn, err := dial(ctx, opts)
	if err != nil {
		return nil, &StepError{"connect", err}
	}
	c.raw = conn
	c.over(conn)
	defer c.during(ctx)()
	if err := c.greet(); err != nil {
		c.abort()
		return nil, err
	}
	return c, nil
}

func dial(ctx context.Context, opts ClientOptions) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, opts.Deadlines.Connect)
	defer cancel()
	open := opts.Dial
	if open == nil {
		open = new(net.Dialer).DialContext
	}
	if path, ok := strings.CutPrefix(opts.Address, unixPrefix); ok {
		return open(ctx, "unix", path)
	}
	return open(ctx, "tcp", opts.Address)
}

// over puts the conversation on conn; what was read from another connection before is forgotten.
func (c *Client) over(conn net.Conn) {
	c.conn = conn
	c.in = bufio.NewReaderSize(conn, maxReplyLine)
	c.out = bufio.NewWriterSize((*wire)(c), clientBuffer)
}

func (c *Client) greet() error {
	d := c.opts.Deadlines
	r, err := c.wait("greeting", d.Greeting)
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return &StepError{"greeting", r}
	}
	if err := c.hello(); err != nil {
		return err
	}
	return c.secure()
}

// hello says EHLO or LHLO and learns what is offered. A hop that knows neither is asked with HELO, unless TLS is asked
// for, which HELO cannot offer.
func (c *Client) hello() error {
	verb := "EHLO "
	if c.opts.LMTP {
		verb = "LHLO "
	}
	ext := Extensions{}
	first := true
	r, err := c.exchange("EHLO", c.opts.Deadlines.Hello, verb+c.opts.Hello, func(line string) {
		if first {
			name, _, _ := strings.Cut(line, " ")
			ext.Name = name
		} else {
			ext.learn(line)
		}
		first = false
	})
	if err != nil {
		return err
	}
	if (r.Code == 500 || r.Code == 502) && !c.opts.LMTP && !c.opts.Security.Mode.demands() {
		ext = Extensions{}
		if r, err = c.exchange("EHLO", c.opts.Deadlines.Hello, "HELO "+c.opts.Hello, nil); err != nil {
			return err
		}
	}
	if r.Code != 250 {
		return &StepError{"EHLO", r}
	}
	c.ext = ext
	return nil
}

// learn reads one keyword line; keywords are case-insensitive (RFC 5321 section 2.4).
func (e *Extensions) learn(line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(word) {
	case "SIZE":
		e.SizeParam = true
		if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil && n > 0 {
			e.Size = n
		}
	case "8BITMIME":
		e.EightBit = true
	case "SMTPUTF8":
		e.SMTPUTF8 = true
	case "PIPELINING":
		e.Pipelining = true
	case "STARTTLS":
		e.StartTLS = true
	case "CHUNKING":
		e.Chunking = true
	case "XCLIENT":
		e.XClient = strings.Fields(strings.ToUpper(rest))
	case "XFORWARD":
		e.XForward = strings.Fields(strings.ToUpper(rest))
	}
}

// Extensions are what the next hop offers on this connection.
func (c *Client) Extensions() Extensions { return c.ext }

// Remote is the address at the other end.
func (c *Client) Remote() net.Addr { return c.raw.RemoteAddr() }

// Local is the address at our end.
func (c *Client) Local() net.Addr { return c.raw.LocalAddr() }

// TLS names the protection of the connection; zero if it is in clear text.
func (c *Client) TLS() mail.TLS {
	if c.tls == nil {
		return mail.TLS{}
	}
	return mail.TLS{
		Version: tls.VersionName(c.tls.Version), Cipher: tls.CipherSuiteName(c.tls.CipherSuite), ServerName: c.tls.ServerName,
	}
}

// TLSState is the whole state of the protection; nil if the connection is in clear text.
func (c *Client) TLSState() *tls.ConnectionState { return c.tls }

// Ready reports, without a word to the next hop, whether the connection can take another transaction: it did not fail,
// was not closed by the other end, and nothing unasked lies in it.
func (c *Client) Ready() bool {
	return !c.broken && c.in.Buffered() == 0 && quiet(c.raw)
}

// Broken reports whether the connection can no longer be used.
func (c *Client) Broken() bool { return c.broken }

// Reset sends RSET and waits for the reply: proof that the next hop is alive and between transactions.
func (c *Client) Reset(ctx context.Context) error {
	defer c.during(ctx)()
	if c.broken {
		return &StepError{"RSET", errBroken}
	}
	return c.reset()
}

func (c *Client) reset() error {
	r, err := c.exchange("RSET", c.opts.Deadlines.Envelope, "RSET", nil)
	if err != nil {
		return err
	}
	if r.Code != 250 {
		c.abort()
		return &StepError{"RSET", r}
	}
	return nil
}

// Quit says QUIT, does not wait for the answer, and closes.
func (c *Client) Quit() {
	if c.broken {
		return
	}
	c.broken = true
	c.conn.SetDeadline(time.Now().Add(quitPatience))
	c.conn.Write([]byte("QUIT\r\n"))
	c.conn.Close()
}

// abort closes so that nothing said before can be taken for complete: what waits to be written is dropped.
func (c *Client) abort() {
	if c.broken {
		return
	}
	c.broken = true
	if t, ok := c.raw.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.raw.Close()
}

// during makes ctx the one that bounds the call in progress, until the returned function is called.
func (c *Client) during(ctx context.Context) func() {
	c.ctx = ctx
	if ctx.Done() == nil {
		return func() {}
	}
	stop := context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Now().Add(pastByDistance)) })
	return func() {
		if !stop() { // the deadline may be set at any time from now
			c.abort()
		}
	}
}

// arm gives the next reads and writes d, or less if the context ends before.
func (c *Client) arm(d time.Duration) error {
	at := time.Now().Add(d)
	if end, ok := c.ctx.Deadline(); ok && end.Before(at) {
		at = end
	}
	if err := c.conn.SetDeadline(at); err != nil {
		return err
	}
	return c.ctx.Err() // after SetDeadline: a cancellation in between is seen here or undoes the deadline
}

// fail closes the connection and makes err the error of a step; the context's own error is preferred.
func (c *Client) fail(step string, err error) error {
	c.abort()
	if cause := c.ctx.Err(); cause != nil {
		err = cause
	}
	return &StepError{step, err}
}

// exchange sends one command alone and waits for its reply.
func (c *Client) exchange(step string, d time.Duration, command string, each func(line string)) (*Reply, error) {
	c.pace = d
	c.out.WriteString(command)
	c.out.WriteString("\r\n")
	if err := c.out.Flush(); err != nil {
		return nil, c.fail(step, err)
	}
	return c.await(step, each)
}

// wait waits for a reply that nothing is to be sent for.
func (c *Client) wait(step string, d time.Duration) (*Reply, error) {
	if err := c.arm(d); err != nil {
		return nil, c.fail(step, err)
	}
	return c.await(step, nil)
}

// await reads the one reply that is due, after which there must be silence.
func (c *Client) await(step string, each func(line string)) (*Reply, error) {
	r, err := readReply(c.in, each)
	if err == nil && c.in.Buffered() > 0 {
		err = ErrOutOfStep
	}
	if err != nil {
		return nil, c.fail(step, err)
	}
	return r, nil
}

// wire writes to the connection in blocks, each within the pace of the step. The deadline of the last block is that of
// the reply.
type wire Client

func (w *wire) Write(p []byte) (int, error) {
	c := (*Client)(w)
	done := 0
	for done < len(p) {
		if err := c.arm(c.pace); err != nil {
			return done, err
		}
		n, err := c.conn.Write(p[done:min(len(p), done+clientBlock)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
