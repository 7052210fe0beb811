package smtp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A script is a connection whose client sends what it is given, in pieces, and leaves.
type script struct {
	pieces
	sent bytes.Buffer // by the server
}

func (s *script) Write(p []byte) (int, error)      { return s.sent.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 25), Port: 25} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 50000} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// perform runs one session over what a client sends, and returns what it was answered and what was delivered.
func perform(t testing.TB, list ...string) (replies []string, got []delivery) {
	t.Helper()
	h := &recorder{caps: allCaps}
	srv := NewServer(Config{Hostname: "mx.example.com", Timeouts: hasty()}, h)
	nc := &script{pieces: pieces{list}}
	c := newConn(srv, &listener{tls: newTLSKeeper(srv.cfg.TLS)}, nc)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.serve()
	if h.closed != 1 {
		t.Fatalf("session closed %d times", h.closed)
	}
	for line := range strings.Lines(nc.sent.String()) {
		if len(line) < 6 || len(line) > 512 || !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(line[:len(line)-2], "\r\n\x00") {
			t.Fatalf("reply %q", line)
		}
		if line[3] == ' ' {
			replies = append(replies, line[:len(line)-2])
		} else if line[3] != '-' || line[:3] != "250" {
			t.Fatalf("reply %q", line)
		}
	}
	return replies, h.deliveries
}

// cut cuts s in pieces of n octets.
func cut(s string, n int) []string {
	if n <= 0 {
		return []string{s}
	}
	var list []string
	for len(s) > n {
		list, s = append(list, s[:n]), s[n:]
	}
	return append(list, s)
}

// FuzzCommand: whatever a client sends, the replies are well-formed, nothing panics, and how the octets were cut into
// segments makes no difference to what is delivered unless the client is out of step, which it can only be to its loss.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"EHLO c.example\r\nMAIL FROM:<a@b.example> SIZE=10\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
		"MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nRSET\r\nNOOP\r\nVRFY x\r\nQUIT\r\n",
		"BDAT 10 LAST\r\nQUIT\r\n", "AUTH PLAIN AA==\r\nSTARTTLS\r\n", "GET / HTTP/1.1\r\n\r\n", "Subject: x\r\n",
		"mail from:<\"a b\"@c.example> body=8bitmime smtputf8\r\nrcpt to:<@x,@y:z@w.example>\r\n",
	} {
		f.Add(s, 0)
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		replies, got := perform(t, cut(s, n)...)
		if len(replies) == 0 || !strings.HasPrefix(replies[0], "220 ") {
			t.Fatalf("no banner: %q", replies)
		}
		if ends := strings.Count("\r\n"+s, "\r\n.\r\n"); len(got) > ends {
			t.Fatalf("%d messages from %d ends", len(got), ends)
		}
		if last := len(replies) - 1; len(replies) > strings.Count(s, "\n")+2 {
			t.Fatalf("%d replies to %d lines: %q", len(replies), strings.Count(s, "\n"), replies[last])
		}
	})
}

// FuzzData: one message in is never two out. The content has every real end taken out of it, so that what it holds, be
// it whole dialogues, is content; at most the one message comes out, and exactly as the model reads it.
func FuzzData(f *testing.F) {
	for _, data := range endings {
		f.Add(data, 0)
		f.Add(data, 1)
	}
	f.Add("x\r\n.\rMAIL FROM:<e@x.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		agree(t, false, cut(s, n)...)
		agree(t, true, cut(s, n)...)
		s = "\r\n" + s // the header section is empty
		for strings.Contains(s, "\r\n.\r\n") {
			s = strings.ReplaceAll(s, "\r\n.\r\n", "\r\n..\r\n")
		}
		if strings.HasSuffix(s, "\r\n.\r") || strings.HasSuffix(s, "\r\n.") {
			s += "x"
		}
		const envelope = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
		end := "\r\n.\r\n"
		list := append([]string{"EHLO c.example\r\n", envelope + "DATA\r\n"}, cut(s+end+"NOOP\r\nQUIT\r\n", n)...)
		replies, got := perform(t, list...)
		m := model(s+end, false)
		if sound := m.ended && m.flaw(false) == sound; len(got) > 1 || sound != (len(got) == 1) && len(m.content) < 60000 {
			t.Fatalf("%q: %d messages, sound %v, replies %q", s, len(got), sound, replies)
		}
		if len(got) == 1 && (got[0].body != m.content || !strings.HasPrefix(replies[len(replies)-1], "221 ")) {
			t.Fatalf("%q: content %q, replies %q", s, got[0].body, replies)
		}
		if len(got) == 0 && strings.HasPrefix(replies[len(replies)-1], "221 ") && m.flaw(false) != sound {
			t.Fatalf("%q: the session went on: %q", s, replies)
		}
	})
}

var _ io.Reader = (*content)(nil)
