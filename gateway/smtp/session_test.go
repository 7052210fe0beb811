package smtp

import (
	"strings"
	"testing"
)

func TestMessageIsDeliveredAsSent(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	c := o.greeted(t)
	c.send("MAIL FROM:<a@client.example> SIZE=40 BODY=8BITMIME\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n")
	c.want("250 2.1.0")
	c.want("250 2.1.5")
	c.want("250 2.1.5")
	c.want("354 ")
	c.send("Subject: x\r\n\r\n..\r\n...\r\n..x\r\nbody\r\n.\r\n")
	c.want("250 2.0.0 Accepted; reference T1")
	c.inStep()
	got := o.sent()
	if len(got) != 1 || got[0].body != "Subject: x\r\n\r\n.\r\n..\r\n.x\r\nbody\r\n" || len(got[0].rcpts) != 2 || got[0].from != "a@client.example" {
		t.Fatalf("got %+v", got)
	}
}

//
func TestNothingButTheRealEndEndsData(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	smuggled := "MAIL FROM:<x@evil.example>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n"
	for name, c := range map[string]struct{ eod, want string }{
		"A-01 LF.LF":     {"x\n.\n", "550 5.5.2"},
		"A-02 LF.CRLF":   {"x\n.\r\n", "550 5.5.2"},
		"A-03 CRLF.LF":   {"x\r\n.\n", "550 5.5.2"},
		"A-04 CR.CRLF":   {"x\r.\r\n", "550 5.5.2"},
		"A-05 CR.CR":     {"x\r.\r", "550 5.5.2"},
		"A-05 CR.LF":     {"x\r.\n", "550 5.5.2"},
		"A-05 LF.CR":     {"x\n.\r", "550 5.5.2"},
		"A-06 CRLF.CR":   {"x\r\n.\r", "550 5.5.2"},
		"A-07 NUL.":      {"x\r\n\x00.\r\n", "550 5.6.0"},
		"A-07 .NUL":      {"x\r\n.\x00\r\n", "550 5.6.0"},
		"A-08 .CRCRLF":   {"x\r\n.\r\r\n", "550 5.5.2"},
		"A-08 .CRCRLF 2": {"x\r\n.\r\r\n", "550 5.5.2"},
		"A-17 CR":        {"a\rb\r\n", "550 5.5.2"},
		"A-18 header":    {"Subject: a\rFrom: <admin@legit.example>\r\nFrom: <x@attack.example>\r\n", "550 5.5.2"},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := o.ready(t)
			c0.send("Subject: a\r\n\r\n" + c.eod + smuggled + ".\r\n")
			c0.want(c.want)
			c0.wantClosed()
		})
	}
	if got := o.sent(); len(got) != 0 {
		t.Fatalf("delivered %+v", got)
	}
}

// C-06, C-07.
func TestCommandsOutOfOrder(t *testing.T) {
	o := open(t, &recorder{}, Config{}, ListenerOptions{})
	c := o.dial(t)
	c.want("220 mx.example.com ESMTP")
	c.ask("MAIL FROM:<a@b.example>", "503 5.5.1")
	c.ask("EHLO c.example", "250 ")
	c.ask("RCPT TO:<a@b.example>", "503 5.5.1")
	c.ask("DATA", "503 5.5.1")
	c.ask("MAIL FROM:<a@b.example>", "250")
	c.ask("DATA", "503 5.5.1")
	c.ask("MAIL FROM:<a@b.example>", "503 5.5.1")
	c.inStep()
}

// B-01, B-03.
func TestStartTLSForgetsEverything(t *testing.T) {
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSOffered})
	c := o.greeted(t)
	c.ask("MAIL FROM:<a@b.example>", "250")
	c.ask("STARTTLS", "220 2.0.0")
	s := c.secure()
	s.ask("RCPT TO:<b@example.com>", "503 5.5.1")
	s.ask("EHLO c.example", "250 ")
	s.ask("RCPT TO:<b@example.com>", "503 5.5.1")
	s.inStep()
	if n := len(o.hellos); n != 2 || !o.hellos[1].TLS.On() || o.hellos[1].TLS.ServerName != "mx.example.com" {
		t.Fatalf("hellos %+v", o.hellos)
	}
	c = o.greeted(t)
	c.send("STARTTLS\r\nRSET\r\nMAIL FROM:<x@y.example>\r\n")
	c.want("554 5.5.0")
	c.wantClosed()
}

func TestCapabilitiesAreThoseOfThePath(t *testing.T) {
	o := open(t, &recorder{caps: Capabilities{Size: 1000}}, Config{}, ListenerOptions{})
	c := o.dial(t)
	c.want("220 ")
	c.send("EHLO c.example\r\n")
	var lines []string
	for {
		l, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(l))
		if l[3] == ' ' {
			break
		}
	}
	want := "250-mx.example.com|250-PIPELINING|250-SIZE 1000|250-ENHANCEDSTATUSCODES|250 LIMITS RCPTMAX=100 MAILMAX=100"
	if got := strings.Join(lines, "|"); got != want {
		t.Fatalf("got %s", got)
	}
}
