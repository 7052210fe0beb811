package smtp

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A-12 under TLS: the content has a record of its own, and comes with the same segment or a later one.
func TestContentBefore354UnderTLS(t *testing.T) {
	for _, n := range []int{1, 400, 600, 4000, 40_000} { // a part of the longer ones is still in the kernel when TLS has read DATA
		t.Run(strconv.Itoa(n), func(t *testing.T) { contentBefore354(t, "From: a\r\n\r\n"+strings.Repeat("x", n)+"\r\n.\r\n") })
	}
}

func contentBefore354(t *testing.T, content string) {
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSImplicit})
	nc, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	held := &holdingConn{Conn: nc}
	tc := tls.Client(held, insecure())
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, tc)
	c.want("220 ")
	c.ask("EHLO client.example", "250 ")
	c.ask("MAIL FROM:<a@client.example>", "250 ")
	c.ask("RCPT TO:<b@example.com>", "250 ")
	held.hold = true
	c.send("DATA\r\n")
	c.send(content)
	held.release()
	c.want("554 5.5.0")
	c.wantClosed()
}

// A holdingConn keeps writes back and sends them at once.
type holdingConn struct {
	net.Conn
	hold bool
	kept []byte
}

func (c *holdingConn) Write(p []byte) (int, error) {
	if c.hold {
		c.kept = append(c.kept, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *holdingConn) release() {
	c.hold = false
	_, _ = c.Conn.Write(c.kept)
}

// more than the buffer holds was sent, and what is too early still waits in the kernel.
func TestContentBefore354BehindTheBuffer(t *testing.T) {
	o := open(t, &recorder{}, Config{Limits: over(Limits{CommandBytes: 4096})}, ListenerOptions{})
	c := o.greeted(t)
	group := "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\n"
	pad := "NOOP " + strings.Repeat("x", smallBuffer-len(group)-len("DATA\r\n")-7) + "\r\n"
	c.send(group + pad + "DATA\r\n" + "From: a\r\n\r\nx\r\n.\r\n")
	c.want("250 2.1.0")
	c.want("250 2.1.5")
	c.want("250 2.0.0")
	c.want("554 5.5.0")
	c.wantClosed()
}

// C-01 under implicit TLS: the wait before the banner is within TLS, and does it no harm.
func TestGreetDelayUnderTLS(t *testing.T) {
	cfg := Config{TLS: testTLS(t), GreetDelay: func(Peer) time.Duration { return 3 * time.Second }}
	in(t, &recorder{}, cfg, ListenerOptions{TLS: TLSImplicit}, func(t *testing.T, o *clockwork) {
		c := o.dial(t)
		tc := tls.Client(c.nc, insecure())
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		s := newClient(t, tc)
		_ = tc.SetDeadline(time.Time{})
		s.wantAfter(3*time.Second, "220 ")
		s.inStep()
	})
}

// I-05: with no file left the client is turned away at once, and the server lives.
func TestNoFileLeft(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	o.dial(t).want("220 ")
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }()
	var files []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	_ = files[0].Close() // for the client
	c := o.dial(t)
	c.wantNothing()
	for _, f := range files[1:] {
		_ = f.Close()
	}
	o.dial(t).want("220 ")
	if o.srv.Stats().Events["accept_error"] == 0 {
		t.Error("no accept error was counted")
	}
}

// idleClients is set, to "address count", for the process that holds the client side of idle sessions.
const idleClients = "GATEPOST_IDLE_CLIENTS"

// TestIdleClients is the client side of BenchmarkIdleTLS; by itself it does nothing.
func TestIdleClients(t *testing.T) {
	addr, count, ok := strings.Cut(os.Getenv(idleClients), " ")
	if !ok {
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	held := make([]net.Conn, 0, n) // or the collector closes them
	for range n {
		nc, err := tls.Dial("tcp", addr, insecure())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, nc)
		r := bufio.NewReaderSize(nc, 512)
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write([]byte("EHLO client.example\r\n"))
		for line := ""; !strings.HasPrefix(line, "250 "); {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	fmt.Println("held")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	runtime.KeepAlive(held)
}

// BenchmarkIdleTLS holds idle TLS sessions and reports what one costs in this process, in bytes resident.
func BenchmarkIdleTLS(b *testing.B) {
	const sessions = 2000
	o := open(b, &recorder{}, Config{TLS: testTLS(b), Limits: over(Limits{Connections: 20000})}, ListenerOptions{TLS: TLSImplicit})
	before := resident(b)
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleClients$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", idleClients, o.addr, sessions))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "held") {
	}
	for b.Loop() {
		runtime.GC()
	}
	runtime.GC()
	b.ReportMetric(float64(resident(b)-before)/sessions, "B/session")
	b.ReportMetric(float64(o.srv.Stats().Open), "sessions")
	_, _ = fmt.Fprintln(stdin)
	_ = stdin.Close()
	_ = cmd.Wait()
}

// resident is this process's resident memory in bytes.
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	var size, rss int64
	if _, err := fmt.Sscan(string(text), &size, &rss); err != nil {
		b.Fatal(err)
	}
	return rss * int64(os.Getpagesize())
}
