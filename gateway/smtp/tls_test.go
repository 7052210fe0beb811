package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// insecure is a client's Config that asks no questions.
func insecure() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.com"}
}

// B-02: what is sent ahead of the ClientHello is no part of the session, in clear or protected.
func TestInjectionBehindStartTLS(t *testing.T) {
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSOffered})
	c := o.greeted(t)
	c.ask("STARTTLS", "220 2.0.0")
	c.send("MAIL FROM:<x@y.example>\r\n")
	if err := tls.Client(c.nc, insecure()).Handshake(); err == nil {
		t.Fatal("handshake succeeded")
	}
	if got := strings.Join(o.afterAll(), "|"); got != "STARTTLS 454 4.7.0" {
		t.Errorf("refusals %q", got)
	}
}

// afterAll waits for the sessions to end and returns what was refused.
func (o *house) afterAll() []string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = o.srv.Shutdown(ctx)
	return o.refusals()
}

// B-06, B-12, B-13, B-11: a failed handshake is followed by nothing in clear text, and is counted by its cause.
func TestFailedHandshakeIsSilent(t *testing.T) {
	old, alpn, fine := insecure(), insecure(), insecure()
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	alpn.NextProtos = []string{"h2", "http/1.1"}
	fine.NextProtos = []string{"smtp", "h2"}
	for name, tt := range map[string]struct {
		junk  string
		cfg   *tls.Config
		event string
		cause string
	}{
		"B-06 junk":   {junk: strings.Repeat("junk\r\n", 20), event: "tls_failed", cause: "did not speak TLS"},
		"B-06 SMTP":   {junk: "EHLO client.example\r\n", event: "tls_failed", cause: "did not speak TLS"},
		"B-13 TLS1.1": {cfg: old, event: "tls_too_old", cause: "no version as new as"},
		"B-11 ALPN":   {cfg: alpn, event: "tls_alpn", cause: "another protocol"},
		"B-11 smtp":   {cfg: fine},
	} {
		for _, mode := range []TLSMode{TLSOffered, TLSImplicit} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				h := &refusalText{recorder: &recorder{}}
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				h.caps = allCaps
				srv := NewServer(Config{Hostname: "mx.example.com", TLS: testTLS(t)}, h)
				go func() { _ = srv.Serve(context.Background(), l, ListenerOptions{TLS: mode}) }()
				o := &house{recorder: h.recorder, srv: srv, addr: l.Addr().String()}
				c := o.dial(t)
				if mode == TLSOffered {
					c.want("220 ")
					c.ask("EHLO client.example", "250 ")
					c.ask("STARTTLS", "220 2.0.0")
				}
				if tt.cfg != nil {
					err := tls.Client(c.nc, tt.cfg).Handshake()
					if (err == nil) != (tt.event == "") {
						t.Fatalf("handshake: %v", err)
					}
				} else {
					c.send(tt.junk)
					b, _ := io.ReadAll(c.nc) // an alert record at most
					if len(b) > 0 && b[0] != 0x15 {
						t.Errorf("answered %q", b)
					}
				}
				_ = c.nc.Close()
				o.afterAll()
				if tt.event == "" {
					return
				}
				if srv.Stats().Events[tt.event] != 1 || !strings.Contains(h.text, tt.cause) {
					t.Errorf("event %s: %d, cause %q", tt.event, srv.Stats().Events[tt.event], h.text)
				}
			})
		}
	}
}

// refusalText remembers the text of the last refusal.
type refusalText struct {
	*recorder
	text string
}

func (h *refusalText) Connect(ctx context.Context, p Peer) (Session, *Reply) {
	s, r := h.recorder.Connect(ctx, p)
	return &refusalTextSession{s, h}, r
}

type refusalTextSession struct {
	Session
	h *refusalText
}

func (s *refusalTextSession) Refused(ctx context.Context, verb string, r *Reply) {
	s.h.text = r.Text
	s.Session.Refused(ctx, verb, r)
}

// B-04.
func TestRequiredTLS(t *testing.T) {
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSRequired})
	c := o.dial(t)
	c.want("220 ")
	dialogue{
		{"HELO client.example", "530 5.7.0"}, {"EHLO client.example", "250 "}, {"NOOP", "250"},
		{"MAIL FROM:<a@client.example>", "530 5.7.0"}, {"RCPT TO:<b@example.com>", "530 5.7.0"}, {"DATA", "530 5.7.0"},
		{"RSET", "530 5.7.0"}, {"VRFY x", "530 5.7.0"}, {"EXPN x", "530 5.7.0"}, {"AUTH PLAIN x", "530 5.7.0"}, {"STARTTLS", "220"},
	}.play(t, c)
	s := c.secure()
	s.ask("EHLO client.example", "250 ")
	s.ask("MAIL FROM:<a@client.example>", "250")
	s.ask("STARTTLS", "503 5.5.1") // B-07
	s.ask("RCPT TO:<b@example.com>", "250")
	s.ask("DATA", "354")
	s.ask("\r\nx\r\n.", "250")
	s.inStep()
	if len(o.sent()) != 1 || o.srv.Stats().Events["tls_missing"] != 8 {
		t.Errorf("sent %d, stats %v", len(o.sent()), o.srv.Stats().Events["tls_missing"])
	}
}

// B-05: exemptions by network, sender and recipient.
func TestExemptionsFromRequiredTLS(t *testing.T) {
	opts := ListenerOptions{TLS: TLSRequired, PlainAllowed: func(peer netip.Addr, from, rcpt mail.Address) bool {
		if rcpt.IsNull() {
			return true // there is an exempted recipient
		}
		return peer.IsLoopback() && (rcpt.Local() == "tlsrpt" || from.Domain() == "legacy.example")
	}}
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, opts)
	c := o.greeted(t)
	dialogue{
		{"MAIL FROM:<a@client.example>", "250"}, {"RCPT TO:<b@example.com>", "530 5.7.0"}, {"RCPT TO:<tlsrpt@example.com>", "250"},
		{"DATA", "354"}, {"\r\nx\r\n.", "250"},
		{"MAIL FROM:<a@client.example>", "250"}, {"RCPT TO:<b@example.com>", "530 5.7.0"}, {"DATA", "554 5.5.1"}, {"RSET", "250"},
		{"MAIL FROM:<a@legacy.example>", "250"}, {"RCPT TO:<b@example.com>", "250"}, {"RSET", "250"},
	}.play(t, c)
	c.inStep()
}

// B-07 and B-08 and B-15: STARTTLS that cannot be.
func TestStartTLSRefused(t *testing.T) {
	var cfg atomic.Pointer[tls.Config]
	var deny atomic.Bool
	o := open(t, &recorder{}, Config{TLS: cfg.Load, AllowTLS: func(Peer) *Reply {
		if deny.Load() {
			return ReplyTLSUnavailable()
		}
		return nil
	}}, ListenerOptions{TLS: TLSOffered})
	c := o.dial(t)
	c.want("220 ")
	c.send("EHLO client.example\r\n")
	for line := ""; !strings.HasPrefix(line, "250 "); {
		line, _ = c.r.ReadString('\n')
		if strings.Contains(line, "STARTTLS") {
			t.Error("STARTTLS offered without a certificate")
		}
	}
	c.ask("STARTTLS", "454 4.7.0")
	c.ask("STARTTLS now", "501 5.5.4")
	cfg.Store(testTLS(t)()) // reload: the session sees it
	deny.Store(true)
	c.ask("STARTTLS", "454 4.7.0")
	deny.Store(false)
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("STARTTLS", "220")
	s := c.secure()
	s.ask("MAIL FROM:<a@client.example>", "503 5.5.1")
	s.ask("GET / HTTP/1.1", "521 5.5.1") // B-12
	s.wantClosed()
}

// Implicit TLS: the banner comes inside, and a refused connection is closed without a word in clear text (I-01).
func TestImplicitTLS(t *testing.T) {
	var refuse atomic.Bool
	h := &recorder{connect: func(Peer) *Reply {
		if refuse.Load() {
			return ReplyTooManyConnections()
		}
		return nil
	}}
	o := open(t, h, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSImplicit})
	s := o.dial(t).secure()
	s.want("220 ")
	s.ask("EHLO client.example", "250 ")
	s.ask("STARTTLS", "503 5.5.1")
	s.inStep()
	refuse.Store(true)
	o.dial(t).wantNothing()
	plain := open(t, h, Config{}, ListenerOptions{})
	c := plain.dial(t)
	c.want("421 4.7.0")
	c.wantClosed()
}

// Tickets resume, across handshakes of one listener, and a reload serves the new certificate without dropping anyone.
func TestResumptionAndReload(t *testing.T) {
	var cfg atomic.Pointer[tls.Config]
	cfg.Store(testTLS(t)())
	o := open(t, &recorder{}, Config{TLS: cfg.Load}, ListenerOptions{TLS: TLSImplicit})
	other := open(t, &recorder{}, Config{TLS: cfg.Load}, ListenerOptions{TLS: TLSImplicit})
	client := insecure()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	dial := func(o *house) (*client2, bool) {
		nc, err := tls.Dial("tcp", o.addr, client)
		if err != nil {
			t.Fatal(err)
		}
		c := &client2{newClient(t, nc), nc.ConnectionState().PeerCertificates[0].Raw}
		c.want("220 ")
		return c, nc.ConnectionState().DidResume
	}
	first, resumed := dial(o)
	if resumed {
		t.Error("resumed from nothing")
	}
	if _, resumed = dial(o); !resumed {
		t.Error("not resumed")
	}
	if _, resumed = dial(other); resumed {
		t.Error("a ticket of one listener is good at another (B-14)")
	}
	cfg.Store(testTLS(t)())
	second, _ := dial(o)
	if string(first.cert) == string(second.cert) {
		t.Error("old certificate after reload")
	}
	first.ask("NOOP", "250")
	if cfg.Load().NextProtos != nil {
		t.Error("the provider's Config was modified")
	}
}

type client2 struct {
	*client
	cert []byte
}

// A-11 over real connections: every case cut at every octet, in clear text and under TLS; the session that follows an
// accepted message is in step.
func TestSmugglingAtEverySplitPoint(t *testing.T) {
	for _, mode := range []TLSMode{TLSOff, TLSImplicit} {
		t.Run(mode.String(), func(t *testing.T) {
			h := &recorder{}
			in(t, h, Config{TLS: testTLS(t)}, ListenerOptions{TLS: mode}, func(t *testing.T, o *clockwork) {
				for id, data := range endings {
					m := model(data, false)
					if !m.ended {
						continue
					}
					data = strings.TrimSuffix(data, m.rest)
					for i := 1; i <= len(data); i++ {
						smuggle(t, o, mode, id, m, data[:i], data[i:])
					}
				}
			})
		})
	}
}

// smuggle sends one case as two segments and judges the outcome.
func smuggle(t *testing.T, o *clockwork, mode TLSMode, id string, m modelled, list ...string) {
	t.Helper()
	c := o.dial(t)
	if mode == TLSImplicit {
		tc := tls.Client(c.nc, insecure())
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		c = newClient(t, tc)
		_ = tc.SetDeadline(time.Time{})
	}
	c.want("220 ")
	c.ask("EHLO client.example", "250 ")
	c.ask("MAIL FROM:<a@client.example>", "250 ")
	c.ask("RCPT TO:<b@example.com>", "250 ")
	c.ask("DATA", "354 ")
	before := len(o.sent())
	for _, s := range list {
		if s != "" {
			c.send(s)
		}
	}
	switch m.flaw(false) {
	case sound:
		c.want("250 2.0.0")
		c.inStep()
	case flawNUL:
		c.want("550 5.6.0")
		c.wantClosed()
	default:
		c.want("550 5.5.2")
		c.wantClosed()
	}
	want := 0
	if m.flaw(false) == sound {
		want = 1
	}
	if got := o.sent()[before:]; len(got) != want || want == 1 && got[0].body != m.content {
		t.Fatalf("%s %q: delivered %+v", id, list, got)
	}
}

// I-02, I-04: no more connections than the limit, the last of them for reserved networks.
func TestConnectionLimit(t *testing.T) {
	var reserved atomic.Bool
	cfg := Config{Limits: over(Limits{Connections: 10, Reserve: 20}), Reserved: func(netip.Addr) bool { return reserved.Load() }}
	o := open(t, &recorder{}, cfg, ListenerOptions{})
	for range 8 {
		c := o.dial(t)
		c.want("220 ")
	}
	c := o.dial(t)
	c.want("421 4.3.2")
	c.wantClosed()
	reserved.Store(true)
	for range 2 {
		o.dial(t).want("220 ")
	}
	c = o.dial(t)
	c.want("421 4.3.2")
	c.wantClosed()
	if st := o.srv.Stats(); st.Open != 10 || st.Events["connection_limit"] != 2 {
		t.Errorf("open %d, refused %d", st.Open, st.Events["connection_limit"])
	}
}

// I-05: a listener that cannot accept now is asked again, and again.
func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	l := &exhausted{}
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listener = real
	o := openOn(t, l, &recorder{}, Config{}, ListenerOptions{})
	o.dial(t).want("220 ")
	if n := o.srv.Stats().Events["accept_error"]; n != 3 {
		t.Errorf("%d accept errors", n)
	}
}

// exhausted fails three times as when no file is left.
type exhausted struct {
	net.Listener
	n int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.n++; l.n <= 3 {
		return nil, errors.New("accept: too many open files")
	}
	return l.Listener.Accept()
}
