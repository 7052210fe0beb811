package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/postfix"
)

// unlimited lifts the rates that are for strangers: tests speak from one address.
const unlimited = "trusted_networks: [127.0.0.0/8]\nlimits: {messages_per_session: 1000000}\n"

// output runs a program and wants it to succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

func TestPostfixAsTheMailServerBehindUs(t *testing.T) {
	p := postfix.Start(t, postfix.Config{})
	w := harness.Start(t, harness.Setup{Downstream: p.Address, Domain: "  - {name: b.test, downstream: [\"" + p.Address + "\"], downstream_tls: \"off\", recipients: downstream}", Zone: friend, Config: unlimited})
	letter := strings.ReplaceAll(hello, "bob@example.com", "b@b.test")
	if reply := w.Send("ann@friend.example", "b@b.test", letter); !strings.HasPrefix(reply, "250 2.0.0") {
		t.Fatalf("reply %q", reply)
	}
	got := p.Mail(t, "b", 1)[0]
	if !bytes.HasSuffix(got, []byte(letter)) {
		t.Errorf("Postfix has something else:\n%s", got)
	}
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<nobody@b.test>\nS: 550 5.1.1\nC: RCPT TO:<c@b.test>\nS: 250\nC: QUIT\nS: 221")
}

func TestSmtpSourceAndSwaksAreServed(t *testing.T) {
	source, swaks := harness.Need(t, "smtp-source"), harness.Need(t, "swaks")
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	output(t, source, "-s", "10", "-m", "200", "-l", "5120", "-f", "ann@friend.example", "-t", "bob@example.com", w.SMTP)
	if n := w.Sink.Count(); n != 200 {
		t.Errorf("%d of 200 messages arrived", n)
	}
	host, port, _ := strings.Cut(w.SMTP, ":")
	out := output(t, swaks, "--server", host, "--port", port, "--tls", "--from", "ann@friend.example", "--to", "bob@example.com", "--helo", "c.example",
		"--h-From", "Ann <ann@friend.example>", "--body", "line\n.\n..\nend")
	if !strings.Contains(out, "TLS started") || !strings.Contains(out, "250 2.0.0 Accepted") {
		t.Errorf("swaks was not served over TLS:\n%s", out)
	}
	if n := w.Sink.Count(); n != 201 {
		t.Errorf("swaks' message did not arrive")
	}
}

func TestLargeMessagesAreReadToTheirEndAndCarried(t *testing.T) { // P-06, P-08: beyond what is kept in memory
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited})
	long := strings.Repeat(strings.Repeat("long and clean ", 5)+"\n", 12000)
	reply := w.Send("ann@friend.example", "bob@example.com", hello+long)
	if !strings.HasPrefix(reply, "250 2.0.0") || w.Sink.Count() != 1 {
		t.Fatalf("large message: %q, %d arrived", reply, w.Sink.Count())
	}
	if want := harness.Wire(hello + long); len(w.Sink.Messages()[0].Data) < len(want)-100 {
		t.Errorf("%d bytes arrived of %d", len(w.Sink.Messages()[0].Data), len(want))
	}
	head, body, _ := strings.Cut(eicar, "\n\n")
	head = strings.Replace(head, "Content-Type: application/octet-stream; name=eicar.com", `Content-Type: multipart/mixed; boundary="b"`, 1)
	nested := fmt.Sprintf("%s\n\n--b\nContent-Type: text/plain\n\n%s\n--b\nContent-Type: application/octet-stream; name=eicar.com\n\n%s\n--b--\n", head, long, body)
	w.Send("ann@friend.example", "bob@example.com", nested)
	if n := w.Sink.Count(); n != 1 {
		t.Errorf("EICAR at the end of a large message went through (%d arrived)", n)
	}
}

func TestADeclaredDisagreementOfRecipientsIsKeptNotLost(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: `version: 1
rules:
  - name: only-for-bob
    when: message.subject == "Hello"
    then: quarantine
    for: ["carol@example.com"]
    reason: Carol wants to see these first.
`})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: RCPT TO:<carol@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(hello) + ".\r\n")
	d.Expect("250 2.0.0")
	got := w.Sink.Messages()
	if len(got) != 1 || len(got[0].Rcpts) != 1 || got[0].Rcpts[0] != "bob@example.com" {
		t.Errorf("delivered: %+v", got)
	}
	if out, _ := w.Command("quarantine", "list", "--json"); !strings.Contains(out, "carol@example.com") || strings.Contains(out, "bob@example.com") {
		t.Errorf("held: %s", out)
	}
}

func TestRulesAddHeadersRedirectAndCopy(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Config: unlimited, Policy: `version: 1
rules:
  - {name: mark, when: 'message.subject == "Hello"', then: {add_header: 'X-Site: read'}, for: ["bob@example.com"], reason: r}
  - {name: away, when: 'message.subject == "Hello"', then: {redirect: dave@example.com}, for: ["carol@example.com"], reason: r}
  - {name: archive, when: 'message.subject == "Hello"', then: {bcc: archive@example.com}, for: ["bob@example.com"], reason: r}
`})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: RCPT TO:<carol@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(hello) + ".\r\n")
	d.Expect("250 2.0.0")
	got := map[string]bool{}
	for _, m := range w.Sink.Messages() {
		got[strings.Join(m.Rcpts, ",")] = bytes.Contains(m.Data, []byte("X-Site: read"))
	}
	for rcpt, marked := range map[string]bool{"bob@example.com": true, "dave@example.com": false, "archive@example.com": false} {
		if m, ok := got[rcpt]; !ok || m != marked {
			t.Errorf("%s: arrived %v, marked %v", rcpt, ok, m)
		}
	}
	if len(got) != 3 {
		t.Errorf("delivered to %v", got)
	}
}
