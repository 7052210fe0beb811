package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"gatepost/filters/mail"
)

// A dialogue is lines to send and the reply that each must get.
type dialogue []struct{ line, want string }

// play runs a dialogue with a greeted client.
func (d dialogue) play(t *testing.T, c *client) {
	t.Helper()
	for _, step := range d {
		c.ask(step.line, step.want)
	}
}

// What a command is answered without the session being lost. C-06, C-07, C-08, C-11, C-12, C-17, C-18, C-22, C-30, K-02,
// K-04, K-08, K-10, B-07.
func TestDialogues(t *testing.T) {
	o := open(t, &recorder{}, Config{Limits: over(Limits{Errors: 100, SoftErrors: 100, UnknownCommands: 100})}, ListenerOptions{})
	sender := "MAIL FROM:<a@client.example>"
	for name, d := range map[string]dialogue{
		"C-06 order":          {{"RCPT TO:<b@example.com>", "503 5.5.1"}, {"DATA", "503 5.5.1"}, {sender, "250"}, {sender, "503 5.5.1"}, {"DATA", "503 5.5.1"}},
		"C-08 hello":          {{"EHLO", "501 5.5.4"}, {"EHLO a b", "501 5.5.4"}, {"EHLO \x00x", "501 5.5.4"}, {"EHLO -x", "501 5.5.4"}, {"EHLO [1.2.3]", "501 5.5.4"}, {"HELO " + strings.Repeat("a", 300), "501 5.5.4"}, {"HELO x ", "250 "}},
		"C-11 VRFY":           {{"VRFY user", "252 2.0.0"}, {"VRFY", "252 2.0.0"}, {"vrfy other@example.com", "252 2.0.0"}},
		"C-12 absent":         {{"EXPN list", "502 5.5.1"}, {"TURN", "502 5.5.1"}, {"ETRN x", "502 5.5.1"}, {"SEND FROM:<a@b>", "502 5.5.1"}, {"SAML FROM:<a@b>", "502 5.5.1"}, {"HELP", "502 5.5.1"}},
		"C-13 unknown":        {{"FOO bar", "500 5.5.2"}, {"MAILX FROM:<a@b>", "500 5.5.2"}, {"EHLOEHLOEHLO x", "500 5.5.2"}},
		"C-17 size":           {{sender + " SIZE=99999999999999999999", "552 5.3.4"}, {sender + " SIZE=-1", "501 5.5.4"}, {sender + " SIZE=1e9", "501 5.5.4"}, {sender + " SIZE=1048577", "552 5.3.4"}, {sender + " SIZE=1048576", "250"}},
		"C-18 parameters":     {{sender + " FOO=bar", "555 5.5.4"}, {sender + " SIZE=1 SIZE=2", "501 5.5.4"}, {sender, "250"}, {"RCPT TO:<b@example.com> NOTIFY=NEVER", "555 5.5.4"}},
		"C-19 senders":        {{"MAIL FROM:<;for i in 0 1;do x;done@x.example>", "501 5.1.7"}, {"MAIL FROM:<a@b@c>", "501 5.1.7"}, {"MAIL FROM:<a\rb@c.example>", "500 5.5.2"}},
		"C-22 AUTH":           {{"AUTH PLAIN AGEAYg==", "502 5.5.1"}},
		"C-30 without":        {{"MAIL FROM:<\u00fc@x.example>", "553 5.6.7"}, {sender, "250"}, {"RCPT TO:<\u00fc@example.com>", "553 5.6.7"}, {"RCPT TO:<b@example.com>", "250"}},
		"syntax":              {{"MAIL", "501 5.5.4"}, {"MAIL LALA:<>", "501 5.5.4"}, {"MAIL FROM:", "501 5.1.7"}, {"MAIL TO:<a@b>", "501 5.5.4"}, {sender, "250"}, {"RCPT TO:<>", "501 5.1.3"}, {"RCPT", "501 5.5.4"}, {"RCPT TO:", "501 5.1.3"}},
		"tolerance":           {{"mail from: <a@client.example> ", "250"}, {"rcpt to: b@example.com", "250"}, {"rset", "250"}, {"noop anything", "250"}},
		"arguments":           {{"RSET x", "501 5.5.4"}, {"DATA x", "503 5.5.1"}, {"NOOP \x01", "501 5.5.2"}, {"VRFY \x7f", "501 5.5.2"}},
		"null sender":         {{"MAIL FROM:<>", "250 2.1.0"}, {"RCPT TO:<b@example.com>", "250 2.1.5"}, {"RCPT TO:<c@example.com>", "452 4.5.3"}},
		"K-03 source route":   {{"MAIL FROM:<@x.example:a@client.example>", "250"}, {"RCPT TO:<@ours.example,@x.example:b@example.com>", "250"}},
		"K-04 quoted":         {{sender, "250"}, {`RCPT TO:<"user@foreign"@ours.example>`, "250"}, {`RCPT TO:<"a b"@ours.example>`, "250"}, {`RCPT TO:<"a\"b"@ours.example>`, "250"}},
		"K-08 postmaster":     {{sender, "250"}, {"RCPT TO:<postmaster>", "250"}, {"RCPT TO:<PostMaster>", "250"}, {"RCPT TO:<Postmaster@example.com>", "250"}},
		"K-10 path":           {{sender, "250"}, {"RCPT TO:<" + strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 62) + ">", "501 5.1.3"}},
		"no TLS here":         {{"STARTTLS", "502 5.5.1"}},
		"C-04 long command":   {{"NOOP " + strings.Repeat("a", 600), "250"}, {"NOOP " + strings.Repeat("a", 2048-7), "250"}},
		"second EHLO resets":  {{sender, "250"}, {"EHLO client.example", "250"}, {"RCPT TO:<b@example.com>", "503 5.5.1"}},
		"RSET resets":         {{sender, "250"}, {"RCPT TO:<b@example.com>", "250"}, {"RSET", "250"}, {"DATA", "503 5.5.1"}},
		"EHLO refused, state": {{sender, "250"}, {"EHLO -", "501"}, {"RCPT TO:<b@example.com>", "250"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := o.greeted(t)
			d.play(t, c)
			if last := d[len(d)-1]; !strings.Contains(last.line, "\r") {
				c.inStep()
			}
		})
	}
	var got []string
	for _, h := range o.recorder.sent() {
		got = append(got, h.body)
	}
	if len(got) != 0 {
		t.Errorf("delivered %q", got)
	}
}

// What ends the session at once, with the reply that it must get first; "" is none., B-12, C-02, C-03,
// C-04, C-05.
func TestWhatEndsTheSession(t *testing.T) {
	envelope := "MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.com>\r\n"
	bdat := "BDAT 86 LAST\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n"
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	for name, c := range map[string]struct {
		send string
		skip int // replies before
		want string
	}{
		"A-12 content before 354":     {envelope + "DATA\r\nFrom: a\r\n\r\nx\r\n.\r\n", 2, "554 5.5.0"},
		"A-13 BDAT":                   {bdat, 0, "521 5.5.1"},
		"A-13 BDAT in a transaction":  {envelope + bdat, 2, "521 5.5.1"},
		"A-13 BDAT without a size":    {"BDAT 99999999999999999999 LAST\r\nNOOP\r\n", 0, "521 5.5.1"},
		"A-21 bare LF":                {"NOOP\n", 0, "500 5.5.2"},
		"A-21 bare LF between":        {"EHLO x\nMAIL FROM:<a@b.example>\r\n", 0, "500 5.5.2"},
		"A-21 bare CR":                {"NOOP x\ry\r\n", 0, "500 5.5.2"},
		"A-21 CR CR LF":               {"NOOP\r\r\n", 0, "500 5.5.2"},
		"B-12 HTTP":                   {"GET / HTTP/1.1\r\nHost: ui\r\n\r\n", 0, "521 5.5.1"},
		"C-02 CONNECT":                {"CONNECT x:25 HTTP/1.1\r\n", 0, "521 5.5.1"},
		"C-02 SSH":                    {"SSH-2.0-x\r\n", 0, "521 5.5.1"},
		"C-03 header":                 {"Subject: x\r\nMAIL FROM:<a@b.example>\r\n", 0, "521 5.5.1"},
		"C-03 header with digits":     {"X-Foo_1:x\r\n", 0, "521 5.5.1"},
		"C-03 blank":                  {" x\r\n", 0, "521 5.5.1"},
		"C-03 empty line":             {"\r\nNOOP\r\n", 0, "521 5.5.1"},
		"C-03 dot":                    {".\r\n", 0, "521 5.5.1"},
		"C-03 8 bit":                  {"\xc3\xbc\r\n", 0, "521 5.5.1"},
		"C-04 too long":               {"NOOP " + strings.Repeat("a", 2048-6) + "\r\n", 0, "500 5.5.2"},
		"C-05 without a line end":     {"NOOP " + strings.Repeat("a", 2048), 0, "500 5.5.2"},
		"C-05 for ever":               {"NOOP " + strings.Repeat("a", 200000), 0, "500 5.5.2"},
		"sync EHLO":                   {"EHLO x\r\nNOOP\r\n", 0, "554 5.5.0"},
		"sync HELO":                   {"HELO x\r\nNOOP\r\n", 0, "554 5.5.0"},
		"sync QUIT":                   {"QUIT\r\nNOOP\r\n", 0, "554 5.5.0"},
		"sync STARTTLS":               {"STARTTLS\r\nNOOP\r\n", 0, "554 5.5.0"},
		"sync at the end of a buffer": {"NOOP " + strings.Repeat("a", 2036) + "\r\nNOOP " + strings.Repeat("a", 2034) + "\r\n" + "EHLO client.x\r\nNOOP\r\n", 2, "554 5.5.0"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := o.greeted(t)
			cl.send(c.send)
			for range c.skip {
				cl.want("250 ")
			}
			cl.want(c.want)
			cl.wantClosed()
		})
	}
	if got := o.sent(); len(got) != 0 {
		t.Errorf("delivered %+v", got)
	}
}

// C-02: the first line of another protocol gets one plain word.
func TestOtherProtocolsAreTurnedAway(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	for _, first := range []string{"\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n", "CONNECT x:25 HTTP/1.0\r\n", "SSH-2.0-OpenSSH\r\n", "PRI * HTTP/2.0\r\n", "POST /x HTTP/1.1\r\n"} {
		c := o.dial(t)
		c.want("220 ")
		c.send(first)
		c.want("500 5.5.2")
		c.wantClosed()
	}
}

// C-07.
func TestNoValidRecipients(t *testing.T) {
	h := &recorder{rcpt: func(mail.Address) *Reply { return ReplyRelayDenied() }}
	o := open(t, h, Config{}, ListenerOptions{})
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("RCPT TO:<b@foreign.example>", "550 5.7.1")
	c.ask("DATA", "554 5.5.1")
	c.inStep()
}

// C-03: after a refused DATA the content is not executed.
func TestContentAfterRefusedDataIsNotExecuted(t *testing.T) {
	o := open(t, &recorder{data: ReplyBusy}, Config{}, ListenerOptions{})
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("RCPT TO:<b@example.com>", "250")
	c.ask("DATA", "451 4.3.2")
	c.send("Received: x\r\nMAIL FROM:<evil@x.example>\r\n")
	c.want("521 5.5.1")
	c.wantClosed()
	if o.resets != 1 {
		t.Errorf("%d resets", o.resets)
	}
}

// The limits of a session at n and n+1: C-13, C-14, C-15, C-16, J-08, errors, messages.
func TestSessionLimits(t *testing.T) {
	limits := over(Limits{Errors: 4, UnknownCommands: 3, Junk: 6, UnknownRcpts: 3, ExcessRcpts: 2, Recipients: 5, Messages: 2, SoftErrors: 100, SoftUnknownRcpts: 100})
	h := &recorder{rcpt: func(a mail.Address) *Reply {
		if strings.HasPrefix(a.Local(), "nobody") {
			return ReplyUnknownRecipient()
		}
		return nil
	}}
	o := open(t, h, Config{Limits: limits}, ListenerOptions{})
	sender := "MAIL FROM:<a@client.example>"
	for name, c := range map[string]struct {
		before dialogue
		line   string
		want   string
		n      int
		event  string
	}{
		"C-13 unknown commands":   {nil, "FOO bar", "500 5.5.2", 3, "unknown_commands"},
		"C-14 NOOP":               {nil, "NOOP", "250 2.0.0", 6, "junk_commands"},
		"C-14 RSET":               {nil, "RSET", "250 2.0.0", 6, "junk_commands"},
		"C-14 EHLO":               {nil, "EHLO client.example", "250 ", 6, "junk_commands"},
		"C-11 VRFY":               {nil, "VRFY x", "252 2.0.0", 6, "junk_commands"},
		"C-15 too many":           {dialogue{{sender, "250"}, {"RCPT TO:<b1@x.example>", "250"}, {"RCPT TO:<b2@x.example>", "250"}, {"RCPT TO:<b3@x.example>", "250"}, {"RCPT TO:<b4@x.example>", "250"}, {"RCPT TO:<b5@x.example>", "250"}}, "RCPT TO:<b6@x.example>", "452 4.5.3", 2, "recipient_excess"},
		"J-08 null sender":        {dialogue{{"MAIL FROM:<>", "250"}, {"RCPT TO:<b1@x.example>", "250"}}, "RCPT TO:<b2@x.example>", "452 4.5.3", 2, "recipient_excess"},
		"C-16 unknown recipients": {dialogue{{sender, "250"}}, "RCPT TO:<nobody@x.example>", "550 5.1.1", 3, "unknown_recipients"},
		"errors":                  {nil, "MAIL FROM:<a@b@c>", "501 5.1.7", 4, "errors"},
		"absent commands":         {nil, "EXPN x", "502 5.5.1", 4, "errors"},
	} {
		t.Run(name, func(t *testing.T) {
			before := o.srv.Stats().Events[c.event]
			cl := o.greeted(t)
			c.before.play(t, cl)
			for range c.n {
				cl.ask(c.line, c.want)
			}
			cl.ask(c.line, "421 4.7.0")
			cl.wantClosed()
			if got := o.srv.Stats().Events[c.event] - before; got != 1 {
				t.Errorf("event %s: %d", c.event, got)
			}
		})
	}
	t.Run("messages", func(t *testing.T) {
		cl := o.greeted(t)
		for range 2 {
			cl.ask(sender, "250")
			cl.ask("RCPT TO:<b@x.example>", "250")
			cl.ask("DATA", "354")
			cl.ask("x\r\n.", "250")
		}
		cl.ask(sender, "421 4.7.0")
		cl.wantClosed()
	})
}

// C-27: replies come in order and in few writes.
func TestPipelinedGroupIsAnsweredInOrder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counted := &writeCounter{Listener: l}
	o := openOn(t, counted, &recorder{}, Config{Limits: over(Limits{Recipients: 300})}, ListenerOptions{})
	c := o.greeted(t)
	var b strings.Builder
	b.WriteString("MAIL FROM:<a@client.example>\r\n")
	for i := range 200 {
		fmt.Fprintf(&b, "RCPT TO:<recipient-%03d@example.com>\r\n", i)
	}
	b.WriteString("DATA\r\n")
	before := counted.writes.Load()
	c.send(b.String())
	c.want("250 2.1.0")
	for range 200 {
		c.want("250 2.1.5")
	}
	c.want("354 ")
	if n := counted.writes.Load() - before; n > 4 {
		t.Errorf("%d writes", n)
	}
	c.ask("\r\nx\r\n.", "250 2.0.0")
	if got := o.sent(); len(got) != 1 || len(got[0].rcpts) != 200 || got[0].rcpts[199] != "recipient-199@example.com" {
		t.Fatalf("got %+v", got)
	}
}

// A writeCounter counts the writes to all connections of a Listener.
type writeCounter struct {
	net.Listener
	writes atomic.Int64
}

func (l *writeCounter) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return &countedConn{nc, l}, err
}

type countedConn struct {
	net.Conn
	l *writeCounter
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.l.writes.Add(1)
	return c.Conn.Write(p)
}

// C-29: QUIT right behind the final dot, and gone: the message is accepted.
func TestClientThatLeavesAfterTheDotIsServed(t *testing.T) {
	done := make(chan error, 1)
	h := &recorder{message: func(ctx context.Context, body io.Reader) *Reply {
		_, err := io.Copy(io.Discard, body)
		if err == nil {
			err = ctx.Err()
		}
		done <- err
		return nil
	}}
	o := open(t, h, Config{}, ListenerOptions{})
	c := o.ready(t)
	c.send("x\r\n.\r\nQUIT\r\n")
	_ = c.nc.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// half an end is none.
func TestCutContentIsNotAMessage(t *testing.T) {
	for _, tail := range []string{"", ".", ".\r", "x", "x\r"} {
		o := open(t, &recorder{}, Config{}, ListenerOptions{})
		c := o.ready(t)
		c.send("Subject: x\r\n\r\nx\r\n" + tail)
		_ = c.nc.Close()
		_ = o.srv.Shutdown(context.Background())
		if len(o.sent()) != 0 || len(o.broken) != 1 {
			t.Errorf("%q: delivered %v, broken %v", tail, o.sent(), o.broken)
		}
	}
}

// A Session that panics costs its session alone.
func TestPanicEndsOneSession(t *testing.T) {
	var seen []any
	h := &recorder{rcpt: func(mail.Address) *Reply { panic("rcpt") }}
	o := open(t, h, Config{Panicked: func(v any, stack []byte) { seen = append(seen, v, len(stack) > 0) }}, ListenerOptions{})
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("RCPT TO:<b@example.com>", "421 4.3.0")
	c.wantClosed()
	h.rcpt = nil
	h.message = func(context.Context, io.Reader) *Reply { panic("message") }
	c = o.ready(t)
	c.send("x\r\nMAIL FROM:<evil@x.example>\r\n")
	c.want("421 4.3.0")
	c.wantClosed()
	if err := o.srv.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 || seen[0] != "rcpt" || seen[2] != "message" || o.closed != 2 {
		t.Errorf("panics %v, closed %d", seen, o.closed)
	}
}

// A Session's yes to what it did not read is not passed on; its no is, once the content was read.
func TestSessionThatDoesNotReadCannotAccept(t *testing.T) {
	answer := ReplyAccepted("")
	h := &recorder{message: func(context.Context, io.Reader) *Reply { return answer }}
	o := open(t, h, Config{}, ListenerOptions{})
	c := o.ready(t)
	c.ask("x\r\n.", "451 4.3.0")
	answer = ReplyStorage()
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("RCPT TO:<b@example.com>", "250")
	c.ask("DATA", "354")
	c.ask("\r\n"+strings.Repeat("x\r\n", 50000)+".", "452 4.3.1")
	c.inStep()
}

// What the server refuses by itself is told to the Session, with the verb.
func TestOwnRefusalsAreRecorded(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	c := o.greeted(t)
	c.ask("FOO", "500")
	c.ask("MAIL FROM:<a@b@c>", "501")
	c.ask("\x01", "521")
	c.wantClosed()
	_ = o.srv.Shutdown(context.Background())
	want := "FOO 500 5.5.2|MAIL 501 5.1.7|MAIL 521 5.5.1"
	if got := strings.Join(o.refusals(), "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
