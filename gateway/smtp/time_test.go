package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a Listener of net.Pipe connections, for tests in which time is not real.
type pipes struct {
	ch   chan net.Conn
	once sync.Once
	done chan struct{}
}

func newPipes() *pipes { return &pipes{ch: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.ch:
		return nc, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A clockwork is a house inside a synctest bubble.
type clockwork struct {
	*house
	l *pipes
}

// in runs f in a bubble with a server in it.
func in(t *testing.T, h *recorder, cfg Config, opts ListenerOptions, f func(t *testing.T, o *clockwork)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		o := &clockwork{openOn(t, l, h, cfg, opts), l}
		f(t, o)
		time.Sleep(time.Minute) // what trickles comes to its end
	})
}

// dial connects; the client has no deadline of its own.
func (o *clockwork) dial(t *testing.T) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	o.l.ch <- theirs
	c := newClient(t, ours)
	_ = ours.SetDeadline(time.Time{})
	return c
}

// greeted is dial with the EHLO said.
func (o *clockwork) greeted(t *testing.T) *client {
	c := o.dial(t)
	c.want("220 ")
	c.ask("EHLO client.example", "250 ")
	return c
}

// ready is greeted with 354 given.
func (o *clockwork) ready(t *testing.T) *client {
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@client.example>", "250 ")
	c.ask("RCPT TO:<b@example.com>", "250 ")
	c.ask("DATA", "354 ")
	return c
}

// took runs f and returns how long it took.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// wantAfter fails unless the reply comes after d, in the bubble's time.
func (c *client) wantAfter(d time.Duration, prefix string) {
	c.t.Helper()
	if got := took(func() { c.want(prefix) }); got != d {
		c.t.Fatalf("%s after %v, want %v", prefix, got, d)
	}
}

// trickle sends s in pieces of n octets, with a pause behind each, until it cannot.
func (c *client) trickle(s string, n int, pause time.Duration) {
	for ; len(s) > 0; s = s[n:] {
		n = min(n, len(s))
		if _, err := io.WriteString(c.nc, s[:n]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// C-01: the greet delay, and who talks within it.
func TestGreetDelay(t *testing.T) {
	cfg := Config{GreetDelay: func(Peer) time.Duration { return 3 * time.Second }}
	h := &recorder{}
	in(t, h, cfg, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.dial(t)
		c.wantAfter(3*time.Second, "220 ")
		c.inStep()

		c = o.dial(t)
		time.Sleep(time.Second)
		c.send("EHLO x\r\n")
		c.wantAfter(0, "554 5.5.0")
		c.wantClosed()

		c = o.dial(t)
		c.send("\x16\x03\x01")
		c.want("500 5.5.2")
		c.wantClosed()

		if got := strings.Join(h.refusals(), "|"); got != " 554 5.5.0| 500 5.5.2" {
			t.Errorf("refusals %q", got)
		}
	})
}

// The wait for a command, from its first octet to its last (I-03), and for a session.
func TestCommandTimeouts(t *testing.T) {
	in(t, &recorder{}, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.greeted(t)
		c.wantAfter(300*time.Second, "421 4.4.2")
		c.wantClosed()

		c = o.greeted(t)
		c.ask("FOO", "500")
		c.wantAfter(60*time.Second, "421 4.4.2") // doubtful now
		c.wantClosed()

		c = o.greeted(t)
		go c.trickle("NNNNNNNNNNNNNNNNNNNN", 1, 5*time.Second) // an octet every 5 s keeps no session
		c.wantAfter(30*time.Second, "421 4.4.2")
		c.wantClosed()

		c = o.greeted(t)
		start := time.Now()
		for time.Since(start) < 29*time.Minute {
			time.Sleep(250 * time.Second)
			c.ask("NOOP", "250")
		}
		c.want("421 4.4.2")
		if d := time.Since(start); d != 30*time.Minute {
			t.Errorf("session of %v", d)
		}
		st := o.srv.Stats().Events
		if st["idle"] != 2 || st["command_slow"] != 1 || st["session_long"] != 1 {
			t.Errorf("events %v", st)
		}
	})
}

// 60 s until STARTTLS where TLS is required.
func TestIdleBeforeRequiredTLS(t *testing.T) {
	in(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSRequired}, func(t *testing.T, o *clockwork) {
		c := o.greeted(t)
		c.wantAfter(60*time.Second, "421 4.4.2")
		c.wantClosed()
	})
}

// C-25: content idle, too slow, too long; each ends the session, and what follows is never a command.
func TestContentTimeouts(t *testing.T) {
	h := &recorder{}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.ready(t)
		c.send("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 2000)) // a credit of 400 s
		c.wantAfter(180*time.Second, "421 4.4.2")
		c.wantClosed()

		c = o.ready(t)
		c.send("NOOP\r\n")
		c.wantAfter(30*time.Second, "421 4.4.2") // the grace: 6 octets earn nothing
		c.wantClosed()

		for _, rate := range []int{400, 600} {
			c = o.ready(t)
			c.send("\r\n")
			go c.trickle(strings.Repeat(strings.Repeat("x", rate-2)+"\r\n", 2000), rate, time.Second)
			d := took(func() { c.want("") })
			if slow := d < 3*time.Minute; slow != (rate < 500) || !slow && d != 20*time.Minute {
				t.Errorf("%d B/s: %v", rate, d)
			}
		}
		if len(h.sent()) != 0 || o.srv.Stats().Events["data_slow"] != 4 {
			t.Errorf("sent %v, stats %v", h.sent(), o.srv.Stats().Events)
		}
		for _, err := range h.broken {
			if err == io.EOF {
				t.Error("a timeout was taken for the end")
			}
		}
	})
}

// A slow Session is not the client's fault.
func TestRateCountsOnlyTheWaitForTheClient(t *testing.T) {
	h := &recorder{message: func(_ context.Context, body io.Reader) *Reply {
		buf := make([]byte, 100)
		for {
			time.Sleep(time.Minute)
			if _, err := body.Read(buf); err == io.EOF {
				return nil
			} else if err != nil {
				return ReplyLocalError()
			}
		}
	}}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.ready(t)
		go c.send("\r\n" + strings.Repeat("x", 600) + "\r\n.\r\n")
		c.want("250 2.0.0")
		c.inStep()
	})
}

// CRLF "." CR, a pause, LF.
func TestPauseWithinTheEnd(t *testing.T) {
	h := &recorder{}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.ready(t)
		c.send("Subject: x\r\n\r\nx\r\n.\r")
		time.Sleep(10 * time.Second)
		if len(h.sent()) != 0 {
			t.Error("ended without LF")
		}
		c.send("\n")
		c.want("250 2.0.0")
		c.inStep()
	})
}

// C-28: a client that takes no replies.
func TestClientThatReadsNothing(t *testing.T) {
	h := &recorder{}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.dial(t)
		c.want("220 ")
		c.send("EHLO client.example\r\n")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if st := o.srv.Stats(); st.Open != 0 || st.Events["write"] != 1 {
			t.Errorf("open %d, events %v", st.Open, st.Events)
		}
	})
}

// B-09: a handshake of one octet per second.
func TestSlowHandshake(t *testing.T) {
	for _, opts := range []ListenerOptions{{TLS: TLSOffered}, {TLS: TLSImplicit}} {
		h := &recorder{}
		in(t, h, Config{TLS: testTLS(t)}, opts, func(t *testing.T, o *clockwork) {
			c := o.dial(t)
			if opts.TLS == TLSOffered {
				c.want("220 ")
				c.ask("STARTTLS", "220 2.0.0")
			}
			go c.trickle("\x16\x03\x01\x02\x00\x01\x00\x01\xfc"+strings.Repeat("\x03", 503), 1, time.Second)
			if d := took(func() { _, _ = io.Copy(io.Discard, c.nc) }); d != 60*time.Second {
				t.Errorf("%v: %v", opts.TLS, d)
			}
			synctest.Wait()
			if got := strings.Join(h.refusals(), "|"); got != "STARTTLS 454 4.7.0" || o.srv.Stats().Events["tls_failed"] != 1 {
				t.Errorf("refusals %q", got)
			}
		})
	}
}

// Errors beyond the soft limit are answered late: 5 at once, then 1 s each.
func TestErrorsAreAnsweredLate(t *testing.T) {
	in(t, &recorder{}, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.greeted(t)
		for i := range 15 {
			want := time.Duration(0)
			if i >= 5 {
				want = time.Second
			}
			c.send("EXPN x\r\n")
			c.wantAfter(want, "502 5.5.1")
		}
		c.send("EXPN x\r\n")
		c.wantAfter(0, "421 4.7.0")
	})
}

// The verdict has a time: then the context ends.
func TestVerdictDeadline(t *testing.T) {
	h := &recorder{message: func(ctx context.Context, body io.Reader) *Reply {
		_, _ = io.Copy(io.Discard, body)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			return ReplyLocalError()
		}
		return ReplyTooLate()
	}}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		c := o.ready(t)
		time.Sleep(20 * time.Second)
		c.send("x\r\n.\r\n")
		c.wantAfter(270*time.Second, "451 4.4.5")
		c.inStep()
	})
}

// The stress column: shorter waits, fewer errors, and sessions that wait already are hurried (I-02).
func TestStress(t *testing.T) {
	var stress atomic.Bool
	in(t, &recorder{}, Config{Stress: stress.Load}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		waiting := o.greeted(t)
		time.Sleep(30 * time.Second)
		busy := o.ready(t)
		stress.Store(true)
		start := time.Now()
		waiting.want("421 4.4.2")
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("an idle session lived for %v", d)
		}
		busy.ask("x\r\n.", "250")

		c := o.greeted(t)
		c.wantAfter(10*time.Second, "421 4.4.2")
		c = o.greeted(t)
		c.ask("EXPN", "502")
		c.ask("EXPN", "421 4.7.0")
		c = o.greeted(t)
		c.ask("NOOP", "250")
		c.ask("NOOP", "421 4.7.0")

		stress.Store(false)
		c = o.greeted(t)
		c.wantAfter(300*time.Second, "421 4.4.2")
	})
}

// Shutdown: 421 4.3.2 to the idle, and the message that is on its way finishes.
func TestShutdownIsGentle(t *testing.T) {
	h := &recorder{}
	in(t, h, Config{GreetDelay: func(Peer) time.Duration { return time.Second }}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		idle, busy := o.greeted(t), o.ready(t)
		early := o.dial(t)
		busy.send("Subject: x\r\n\r\nx\r\n")
		done := make(chan error)
		go func() { done <- o.srv.Shutdown(context.Background()) }()
		early.want("421 4.3.2")
		idle.want("421 4.3.2")
		idle.wantClosed()
		time.Sleep(10 * time.Second)
		busy.ask(".", "250 2.0.0")
		busy.want("421 4.3.2")
		busy.wantClosed()
		if err := <-done; err != nil || len(h.sent()) != 1 {
			t.Errorf("shutdown: %v, sent %v", err, h.sent())
		}
		if err := <-o.done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := o.srv.Serve(context.Background(), newPipes(), ListenerOptions{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve after shutdown: %v", err)
		}
	})
}

// When Shutdown's context ends, what is left is cut, and a Session that waits is told.
func TestShutdownHasAnEnd(t *testing.T) {
	told := make(chan error, 1)
	h := &recorder{message: func(ctx context.Context, body io.Reader) *Reply {
		_, _ = io.Copy(io.Discard, body)
		<-ctx.Done()
		told <- ctx.Err()
		return ReplyLocalError()
	}}
	in(t, h, Config{}, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		writing, judged := o.ready(t), o.ready(t)
		writing.send("x\r\n")
		judged.send("x\r\n.\r\n")
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		d := took(func() {
			if err := o.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shutdown: %v", err)
			}
		})
		if d != 5*time.Second {
			t.Errorf("after %v", d)
		}
		writing.wantClosed()
		judged.wantClosed()
		<-told
	})
}

// The end of Serve's context cuts its sessions.
func TestServeContextCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		srv := NewServer(Config{Hostname: "mx.example.com"}, h)
		l := newPipes()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- srv.Serve(ctx, l, ListenerOptions{}) }()
		c := (&clockwork{&house{recorder: h, srv: srv}, l}).greeted(t)
		cancel()
		c.wantClosed()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("serve: %v", err)
		}
		if err := srv.Shutdown(context.Background()); err != nil || h.closed != 1 {
			t.Errorf("shutdown: %v, closed %d", err, h.closed)
		}
	})
}

// I-02, I-04: under stress the sessions that are idle for longest make room; who is reserved, or has just come, stays.
func TestTheLongestIdleMakeRoomUnderStress(t *testing.T) {
	var stress atomic.Bool
	friend := netip.MustParseAddr("192.0.2.9")
	cfg := Config{
		Limits: over(Limits{Connections: 40, Reserve: 50, Junk: 1000, StressJunk: 1000}), Stress: stress.Load,
		Reserved: func(a netip.Addr) bool { return a == friend },
	}
	proxy := ListenerOptions{ProxyProtocol: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	h := &recorder{}
	in(t, h, cfg, proxy, func(t *testing.T, o *clockwork) {
		come := func(from string) *client {
			ours, theirs := net.Pipe()
			o.l.ch <- addressed{theirs}
			c := newClient(t, ours)
			_ = ours.SetDeadline(time.Time{})
			c.send("PROXY TCP4 " + from + " 192.0.2.25 1000 25\r\n")
			c.want("220 ")
			c.ask("EHLO client.example", "250 ")
			return c
		}
		oldest := come(friend.String())
		var strangers []*client
		for range 18 {
			time.Sleep(100 * time.Millisecond)
			strangers = append(strangers, come("198.51.100.1"))
		}
		time.Sleep(time.Second)
		strangers[0].ask("NOOP", "250") // not idle for long any more
		latest := come("198.51.100.2")
		stress.Store(true)
		// Twenty are open, which is all that is for everybody, and two of these shall be free.
		for _, c := range strangers[1:3] {
			c.want("421 4.3.2")
			c.wantClosed()
		}
		time.Sleep(3 * time.Second)
		for _, c := range append(strangers[3:], strangers[0], oldest, latest) {
			c.inStep()
		}
		if n := o.srv.Stats().Events["dropped"]; n != 2 {
			t.Errorf("%d dropped", n)
		}
	})
}

// addressed is a connection that has an address of TCP, as proxies have.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }
func (addressed) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 25} }

func TestHowLongAConnectionWaitedIsToldWithoutTheGreetDelay(t *testing.T) { // HOSTILE 3.4
	var mu sync.Mutex
	var told []time.Duration
	cfg := Config{
		GreetDelay: func(Peer) time.Duration { return 3 * time.Second },
		Served: func(wait time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, wait)
		},
	}
	busy := func(Peer) *Reply {
		time.Sleep(1500 * time.Millisecond)
		return nil
	}
	in(t, &recorder{connect: busy}, cfg, ListenerOptions{}, func(t *testing.T, o *clockwork) {
		o.greeted(t)
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 1 || told[0] != 1500*time.Millisecond {
			t.Errorf("told %v", told)
		}
	})
}
