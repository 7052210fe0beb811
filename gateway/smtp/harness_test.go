package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// A delivery is one message as a Session took it.
type delivery struct {
	from  string
	rcpts []string
	utf8  bool
	body  string
}

// A recorder is a Handler that takes everything, unless it is told otherwise, and remembers it.
type recorder struct {
	caps    Capabilities
	connect func(Peer) *Reply
	helo    func(Hello) *Reply
	from    func(mail.Address) *Reply
	rcpt    func(mail.Address) *Reply
	data    func() *Reply
	message func(ctx context.Context, body io.Reader) *Reply // instead of reading and accepting

	mu         sync.Mutex
	deliveries []delivery
	refused    []string // verb and code
	hellos     []Hello
	resets     int
	closed     int
	broken     []error // what reading a body failed with
	peers      []Peer
}

func (h *recorder) Connect(_ context.Context, p Peer) (Session, *Reply) {
	h.mu.Lock()
	h.peers = append(h.peers, p)
	h.mu.Unlock()
	if h.connect != nil {
		if r := h.connect(p); r != nil {
			return nil, r
		}
	}
	return &recording{h: h}, nil
}

// sent returns what was delivered so far.
func (h *recorder) sent() []delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]delivery(nil), h.deliveries...)
}

// refusals returns what the server refused by itself.
func (h *recorder) refusals() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.refused...)
}

// A recording is the recorder's Session.
type recording struct {
	h  *recorder
	tx delivery
}

func (s *recording) Hello(_ context.Context, hello Hello) (Capabilities, *Reply) {
	s.h.mu.Lock()
	s.h.hellos = append(s.h.hellos, hello)
	s.h.mu.Unlock()
	if s.h.helo != nil {
		return s.h.caps, s.h.helo(hello)
	}
	return s.h.caps, nil
}

func (s *recording) Mail(_ context.Context, from mail.Address, p MailParams) *Reply {
	s.tx = delivery{from: from.String(), utf8: p.SMTPUTF8}
	if s.h.from != nil {
		return s.h.from(from)
	}
	return nil
}

func (s *recording) Rcpt(_ context.Context, to mail.Address) *Reply {
	if s.h.rcpt != nil {
		if r := s.h.rcpt(to); r != nil {
			return r
		}
	}
	s.tx.rcpts = append(s.tx.rcpts, to.String())
	return nil
}

func (s *recording) Data(context.Context) *Reply {
	if s.h.data != nil {
		return s.h.data()
	}
	return nil
}

func (s *recording) Message(ctx context.Context, body io.Reader) *Reply {
	if s.h.message != nil {
		return s.h.message(ctx, body)
	}
	var b bytes.Buffer
	_, err := io.Copy(&b, body)
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if err != nil {
		s.h.broken = append(s.h.broken, err)
		return nil
	}
	s.tx.body = b.String()
	s.h.deliveries = append(s.h.deliveries, s.tx)
	return ReplyAccepted("T1")
}

func (s *recording) Reset() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.resets++
}

func (s *recording) Refused(_ context.Context, verb string, r *Reply) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.refused = append(s.h.refused, fmt.Sprintf("%s %d %s", verb, r.Code, r.Enhanced))
}

func (s *recording) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.closed++
}

// A house is a running Server with its recorder.
type house struct {
	*recorder
	srv  *Server
	addr string
	done chan error
}

// allCaps is what a capable next hop lets the server offer.
var allCaps = Capabilities{Size: 1 << 20, EightBit: true, SMTPUTF8: true}

// open starts a server on the loopback interface; cfg and opts may be zero.
func open(t testing.TB, h *recorder, cfg Config, opts ListenerOptions) *house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, l, h, cfg, opts)
}

// openOn is open on a listener of the test's own.
func openOn(t testing.TB, l net.Listener, h *recorder, cfg Config, opts ListenerOptions) *house {
	t.Helper()
	if cfg.Hostname == "" {
		cfg.Hostname = "mx.example.com"
	}
	if h.caps == (Capabilities{}) {
		h.caps = allCaps
	}
	o := &house{recorder: h, srv: NewServer(cfg, h), addr: l.Addr().String(), done: make(chan error, 1)}
	go func() { o.done <- o.srv.Serve(context.Background(), l, opts) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = o.srv.Shutdown(ctx)
		<-o.srv.empty
	})
	return o
}

// A client is the other end, speaking octet for octet what a test tells it to.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

// patience bounds a wait for something that must come; no test passes by it.
const patience = 20 * time.Second

// dial connects and does not read the banner.
func (o *house) dial(t testing.TB) *client {
	t.Helper()
	nc, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = nc.Close() })
	return &client{t: t, nc: nc, r: bufio.NewReader(nc)}
}

// greeted connects and has said EHLO.
func (o *house) greeted(t testing.TB) *client {
	t.Helper()
	c := o.dial(t)
	c.want("220 ")
	c.ask("EHLO client.example", "250 ")
	return c
}

// ready is greeted and has been given 354.
func (o *house) ready(t testing.TB) *client {
	t.Helper()
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@client.example>", "250 2.1.0")
	c.ask("RCPT TO:<b@example.com>", "250 2.1.5")
	c.ask("DATA", "354 ")
	return c
}

// send writes octets as they are.
func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, s); err != nil {
		c.t.Fatalf("send %.40q: %v", s, err)
	}
}

// reply reads one reply and returns its last line.
func (c *client) reply() string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return "closed"
		}
		if len(line) < 5 || !strings.HasSuffix(line, "\r\n") {
			c.t.Fatalf("malformed reply %q", line)
		}
		if line[3] == ' ' {
			return strings.TrimSuffix(line, "\r\n")
		}
	}
}

// want reads one reply that must begin with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
	return got
}

// ask sends a command line and wants a reply.
func (c *client) ask(line, prefix string) {
	c.t.Helper()
	c.send(line + "\r\n")
	if got := c.reply(); !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("after %.60q: got %q, want %q", line, got, prefix)
	}
}

// wantClosed wants nothing more but the end of the connection.
func (c *client) wantClosed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 {
		c.t.Fatalf("after the end: %q (%v)", rest, err)
	}
}

// inStep wants exactly one 250 for one NOOP.
func (c *client) inStep() {
	c.t.Helper()
	c.send("NOOP\r\nQUIT\r\n")
	c.want("250 2.0.0")
	c.want("221 2.0.0")
	c.wantClosed()
}

// secure begins TLS in a session that was told 220.
func (c *client) secure() *client {
	c.t.Helper()
	tc := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.com"})
	if err := tc.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return newClient(c.t, tc)
}

// testTLS returns a provider with one self-signed certificate.
func testTLS(t testing.TB) func() *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.com"}, DNSNames: []string{"mx.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return func() *tls.Config { return cfg }
}

// over is the default limits with those of l that are not zero in their place.
func over(l Limits) Limits {
	d := DefaultLimits()
	from, to := reflect.ValueOf(l), reflect.ValueOf(&d).Elem()
	for i := range to.NumField() {
		if !from.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return d
}

// hasty is the default timeouts with answers beyond the soft limits as quick as others.
func hasty() Timeouts {
	d := DefaultTimeouts()
	d.Normal.ErrorDelay = time.Nanosecond
	return d
}
