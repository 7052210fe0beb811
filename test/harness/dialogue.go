package harness

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A Dialogue is one SMTP connection spoken by hand.
type Dialogue struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	said []string // the transcript so far, shown when an expectation fails
}

// patience is how long a peer may take for one step; it is no assertion about time, but the end of a hung test.
const patience = 60 * time.Second

// maxSaid bounds the transcript that is kept.
const maxSaid = 60

// Dial connects to addr; the banner is still to be read.
func Dial(t testing.TB, addr string) *Dialogue {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dialogue{t: t, conn: conn, r: bufio.NewReader(conn)}
	t.Cleanup(func() { conn.Close() })
	return d
}

// Talk speaks a whole transcript: lines that begin with "C: " are sent, lines that begin with "S: " are what must come
// back, as the beginning of a reply line or, with "S~ ", as a regular expression. "C* " sends without a line end and with
// \r and \n escapes. Other lines are comment.
func (d *Dialogue) Talk(transcript string) *Dialogue {
	d.t.Helper()
	for _, line := range strings.Split(transcript, "\n") {
		line = strings.TrimLeft(line, "\t ")
		switch {
		case strings.HasPrefix(line, "C: "), line == "C:":
			d.Raw(strings.TrimPrefix(strings.TrimPrefix(line, "C:"), " ") + "\r\n")
		case strings.HasPrefix(line, "C* "):
			d.Raw(strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00").Replace(line[3:]))
		case strings.HasPrefix(line, "S: "):
			d.Expect(line[3:])
		case strings.HasPrefix(line, "S~ "):
			d.Match(line[3:])
		}
	}
	return d
}

// Raw sends bytes as they are.
func (d *Dialogue) Raw(s string) {
	d.t.Helper()
	d.said = append(d.said[max(0, len(d.said)-maxSaid):], "C: "+s)
	d.conn.SetDeadline(time.Now().Add(patience))
	if _, err := d.conn.Write([]byte(s)); err != nil {
		d.fail(fmt.Sprintf("write: %v", err))
	}
}

// Reply reads one reply, all its lines, without the final line end.
func (d *Dialogue) Reply() string {
	d.t.Helper()
	var lines []string
	d.conn.SetDeadline(time.Now().Add(patience))
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			d.fail(fmt.Sprintf("read: %v", err))
		}
		line = strings.TrimSuffix(line, "\r\n")
		d.said = append(d.said, "S: "+line)
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// Expect reads a reply and wants it to begin with prefix.
func (d *Dialogue) Expect(prefix string) string {
	d.t.Helper()
	got := d.Reply()
	if !strings.HasPrefix(got, prefix) {
		d.fail(fmt.Sprintf("got %q, want %q", got, prefix))
	}
	return got
}

// Match reads a reply and wants it to match a regular expression.
func (d *Dialogue) Match(expr string) string {
	d.t.Helper()
	got := d.Reply()
	if !regexp.MustCompile(expr).MatchString(got) {
		d.fail(fmt.Sprintf("got %q, want a match of %q", got, expr))
	}
	return got
}

// Closed wants the server to have ended the connection.
func (d *Dialogue) Closed() {
	d.t.Helper()
	if b, err := d.r.ReadByte(); err == nil {
		d.fail(fmt.Sprintf("connection is still open and says %q", b))
	}
}

// StartTLS upgrades the session; any certificate will do.
func (d *Dialogue) StartTLS() {
	d.t.Helper()
	d.Raw("STARTTLS\r\n")
	d.Expect("220")
	conn := tls.Client(d.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		d.fail(fmt.Sprintf("handshake: %v", err))
	}
	d.conn, d.r = conn, bufio.NewReader(conn)
}

// Conn is the connection beneath, for what a dialogue cannot say.
func (d *Dialogue) Conn() net.Conn { return d.conn }

// Close hangs up.
func (d *Dialogue) Close() { d.conn.Close() }

func (d *Dialogue) fail(why string) {
	d.t.Helper()
	d.t.Fatalf("%s\ntranscript:\n%s", why, strings.Join(d.said, "\n"))
}

// Send delivers one message over a connection of its own and returns the reply to the end of data. Line ends of
// content are made CRLF and dots are stuffed.
func (w *World) Send(from, to, content string) string {
	w.t.Helper()
	d := Dial(w.t, w.SMTP)
	d.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<" + from + ">\nS: 250\nC: RCPT TO:<" + to + ">\nS: 250\nC: DATA\nS: 354")
	d.Raw(Wire(content) + ".\r\n")
	reply := d.Reply()
	d.Talk("C: QUIT\nS: 221")
	return reply
}

// Wire makes text ready for DATA: CRLF line ends, a line end at the end, dots stuffed.
func Wire(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	text = strings.ReplaceAll(text, "\n.", "\n..")
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}
