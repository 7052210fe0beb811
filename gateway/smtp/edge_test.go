package smtp

import (
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// keywords are what EHLO offers.
func keywords(t *testing.T, c *client) []string {
	t.Helper()
	c.send("EHLO client.example\r\n")
	var list []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		word, _, _ := strings.Cut(strings.TrimSpace(line[4:]), " ")
		list = append(list, word)
		if strings.HasPrefix(line, "250 ") {
			return list[1:] // the first line is the host's name
		}
	}
}

// A-14, C-22: what the whole path can honour is offered, and nothing that makes a second way to send content or to log in.
func TestNothingIsOfferedThatIsNotMeant(t *testing.T) {
	all := []string{"8BITMIME", "ENHANCEDSTATUSCODES", "LIMITS", "PIPELINING", "SIZE", "SMTPUTF8"}
	for _, mode := range []TLSMode{TLSOff, TLSOffered, TLSRequired} {
		o := open(t, &recorder{caps: allCaps}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: mode})
		c := o.dial(t)
		c.want("220 ")
		got, want := keywords(t, c), slices.Clone(all)
		if mode != TLSOff {
			want = append(want, "STARTTLS")
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: offered %v, want %v", mode, got, want)
		}
		if mode == TLSOff {
			continue
		}
		c.ask("STARTTLS", "220")
		got = keywords(t, c.secure())
		slices.Sort(got)
		if !slices.Equal(got, all) {
			t.Errorf("%s, protected: offered %v, want %v", mode, got, all)
		}
	}
	o := open(t, &recorder{caps: Capabilities{MaxRcpts: 10}}, Config{}, ListenerOptions{})
	c := o.dial(t)
	c.want("220 ")
	if got := keywords(t, c); !slices.Equal(got, []string{"PIPELINING", "ENHANCEDSTATUSCODES", "LIMITS"}) {
		t.Errorf("with a next hop that takes nothing: %v", got)
	}
}

// C-22, C-23, C-24: nobody can log in here, in clear or protected; what is tried changes no state and is not written down.
func TestALoginIsNeitherTakenNorWrittenDown(t *testing.T) {
	const secret = "SecretPasswordOfAnn"
	h := &recorder{}
	o := open(t, h, Config{TLS: testTLS(t), Limits: over(Limits{Errors: 12, SoftErrors: 100, UnknownCommands: 10})}, ListenerOptions{TLS: TLSOffered})
	for _, protect := range []bool{false, true} {
		c := o.greeted(t)
		if protect {
			c.ask("STARTTLS", "220")
			c = c.secure()
			c.ask("EHLO client.example", "250 ")
		}
		dialogue{
			{"AUTH PLAIN " + secret, "502 5.5.1"}, {"AUTH LOGIN", "502 5.5.1"}, {secret[:12], "500 5.5.2"}, {"AUTH PLAIN =%=", "502 5.5.1"}, {"AUTH", "502 5.5.1"},
			{"MAIL FROM:<a@client.example>", "250"}, {"AUTH PLAIN " + secret, "502 5.5.1"}, {"RCPT TO:<b@example.com>", "250"}, {"RSET", "250"},
			{"MAIL FROM:<a@client.example> AUTH=<>", "555 5.5.4"}, {"AUTH X", "502"}, {"AUTH X", "502"}, {"AUTH X", "502"}, {"AUTH X", "502"}, {"AUTH X", "502"}, {"AUTH X", "421 4.7.0"},
		}.play(t, c)
		c.wantClosed()
	}
	c := o.greeted(t)
	c.send("AUTH PLAIN " + strings.Repeat(secret, 1000) + "\r\n")
	c.want("500 5.5.6")
	c.wantClosed()
	for _, r := range h.refusals() {
		if strings.Contains(strings.ToUpper(r), strings.ToUpper(secret[:8])) {
			t.Errorf("written down: %q", r)
		}
	}
	if o.srv.Stats().Events["auth"] == 0 {
		t.Error("not counted")
	}
}

// K-06: a recipient's domain may end in a dot, as it may in DNS; a sender's may not.
func TestARecipientMayNameTheRootOfItsDomain(t *testing.T) {
	var got mail.Address
	h := &recorder{rcpt: func(a mail.Address) *Reply { got = a; return nil }}
	c := open(t, h, Config{}, ListenerOptions{}).greeted(t)
	c.ask("MAIL FROM:<a@client.example.>", "501 5.1.7")
	c.ask("MAIL FROM:<a@client.example>", "250")
	c.ask("RCPT TO:<B@Example.com.>", "250")
	if got.Domain() != "example.com" || got.Canonical() != "b@example.com" || got.String() != "B@Example.com." {
		t.Errorf("recipient %s of %s", got, got.Domain())
	}
	c.ask("RCPT TO:<b@example.com..>", "501 5.1.3")
}

// B-10: a client that does nothing but renew its keys is cut off.
func TestEndlessKeyUpdatesEndTheSession(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	o := open(t, &recorder{}, Config{TLS: testTLS(t)}, ListenerOptions{TLS: TLSImplicit})
	cmd := exec.Command(openssl, "s_client", "-connect", o.addr, "-tls1_3", "-alpn", "smtp")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	greeted := make(chan bool)
	go func() {
		var text strings.Builder
		buf := make([]byte, 4096)
		for told := false; ; {
			n, err := out.Read(buf)
			text.Write(buf[:n])
			if !told && strings.Contains(text.String(), "220 mx.example.com") {
				told = true
				close(greeted)
			}
			if err != nil {
				break
			}
		}
		ended <- cmd.Wait()
	}()
	select {
	case <-greeted:
	case err := <-ended:
		t.Fatal("no greeting: ", err)
	}
	sent := 0
	for deadline := time.Now().Add(patience); ; sent++ {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("%d key updates, and the session lives", sent)
		}
		if _, err := io.WriteString(in, "K\n"); err != nil { // each in a write of its own is one command
			break
		}
		select {
		case <-ended:
			ended <- nil
		case <-time.After(5 * time.Millisecond):
			continue
		}
		break
	}
	<-ended
	if sent < 5 || sent > 500 {
		t.Errorf("ended after %d key updates", sent)
	}
}
