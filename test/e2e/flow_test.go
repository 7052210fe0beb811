package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

const friend = `friend.example TXT v=spf1 ip4:127.0.0.0/8 -all
_dmarc.friend.example TXT v=DMARC1; p=reject
bank.example TXT v=spf1 ip4:192.0.2.1 -all
_dmarc.bank.example TXT v=DMARC1; p=reject
`

const hello = "From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: Hello\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <1@friend.example>\n\nGood morning.\n..dots..\n.\nlast\n"

const spoofed = "From: Bank <service@bank.example>\nTo: <bob@example.com>\nSubject: Your account\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <2@bank.example>\n\nGive us your password.\n"

// eicar is the harmless test file in one plain part, put together here so that this source is not taken for it.
const eicar = "From: Ann <ann@friend.example>\nTo: <bob@example.com>\nSubject: Test file\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <3@friend.example>\nMIME-Version: 1.0\nContent-Type: application/octet-stream; name=eicar.com\n\n" +
	`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-` + "TEST-FILE!$H+H*\n"

func TestCleanMailArrivesByteForByte(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend})
	reply := w.Send("ann@friend.example", "bob@example.com", hello)
	if !strings.HasPrefix(reply, "250 2.0.0 ") {
		t.Fatalf("reply %q", reply)
	}
	got := w.Sink.Messages()
	if len(got) != 1 {
		t.Fatalf("%d messages arrived", len(got))
	}
	want := strings.ReplaceAll(hello, "\n", "\r\n")
	if !strings.HasSuffix(string(got[0].Data), want) {
		t.Errorf("the message was changed:\n%s", got[0].Data)
	}
	added := strings.TrimSuffix(string(got[0].Data), want)
	for _, field := range []string{"Received: ", "Authentication-Results: mx.gatepost.example", "X-Gatepost-Id: ", "X-Gatepost-Score: ", "X-Gatepost-Action: accept"} {
		if strings.Count("\r\n"+added, "\r\n"+field) != 1 {
			t.Errorf("not exactly one %q in:\n%s", field, added)
		}
	}
	if !strings.Contains(added, "dmarc=pass") || !strings.Contains(added, "spf=pass") {
		t.Errorf("results are missing:\n%s", added)
	}
}

func TestForgedResultsOfOursAreRemoved(t *testing.T) { // D-26, D-27
	w := harness.Start(t, harness.Setup{Zone: friend})
	forged := "Authentication-Results: MX.gatepost.example;\n dmarc=pass header.from=bank.example\nX-Gatepost-Action: accept\nAuthentication-Results: other.example; spf=pass\n"
	w.Send("ann@friend.example", "bob@example.com", forged+hello)
	got := string(w.Sink.Messages()[0].Data)
	if strings.Contains(got, "header.from=bank.example") || strings.Count(got, "X-Gatepost-Action:") != 1 {
		t.Errorf("forged fields are still there:\n%s", got)
	}
	if !strings.Contains(got, "Authentication-Results: other.example") {
		t.Errorf("another server's results were removed:\n%s", got)
	}
}

func TestSpoofedMailIsRefusedAndEICARIsHeldAndCanBeReleased(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend})
	if reply := w.Send("x@friend.example", "bob@example.com", spoofed); !strings.HasPrefix(reply, "550 5.7.26 ") {
		t.Errorf("spoofed mail: %q", reply)
	}
	if reply := w.Send("ann@friend.example", "bob@example.com", eicar); !strings.HasPrefix(reply, "250 2.") {
		t.Errorf("EICAR: %q", reply)
	}
	if n := w.Sink.Count(); n != 0 {
		t.Fatalf("%d messages went through", n)
	}
	out, code := w.Command("quarantine", "list", "--json")
	if code != 0 {
		t.Fatalf("list: exit %d", code)
	}
	var held []struct{ ID, Class, Subject string }
	if err := json.Unmarshal([]byte(out), &held); err != nil || len(held) != 1 || held[0].Class != "malware" {
		t.Fatalf("list: %v\n%s", err, out)
	}
	explained, code := w.Command("explain", held[0].ID)
	if code != 0 || !strings.Contains(explained, "attach.eicar") {
		t.Errorf("explain: exit %d\n%s", code, explained)
	}
	if out, code := w.Command("quarantine", "release", held[0].ID); code != 0 || !strings.Contains(out, "250") {
		t.Fatalf("release: exit %d\n%s", code, out)
	}
	got := w.Sink.Messages()
	if len(got) != 1 || !strings.HasSuffix(string(got[0].Data), strings.ReplaceAll(eicar, "\n", "\r\n")) {
		t.Errorf("release delivered %d messages", len(got))
	}
	w.Command("quarantine", "release", held[0].ID) // again: nothing more is delivered (P-05)
	if n := w.Sink.Count(); n != 1 {
		t.Errorf("released twice: %d copies", n)
	}
	if out, _ := w.Command("trace", held[0].ID); !strings.Contains(out, "released") {
		t.Errorf("trace does not know of the release:\n%s", out)
	}
}

func TestTheNextHopsRefusalIsPassedOn(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Script: badsink.Script{Replies: map[string]string{badsink.Dot: "552 5.2.2 mailbox is full"}}})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "552 5.2.2 ") {
		t.Errorf("reply %q", reply)
	}
}

func TestADeadNextHopDefersAndNothingIsLost(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Downstream: "127.0.0.1:1"})
	if reply := w.Send("ann@friend.example", "bob@example.com", hello); !strings.HasPrefix(reply, "451 4.4.1 ") {
		t.Errorf("reply %q", reply)
	}
}

func TestSIGTERMLetsDataInProgressFinish(t *testing.T) { // P-19
	w := harness.Start(t, harness.Setup{Zone: friend})
	idle := harness.Dial(t, w.SMTP).Talk("S: 220")
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw(harness.Wire(hello))
	w.Signal(syscall.SIGTERM)
	idle.Expect("421 4.3.2")
	d.Raw(".\r\n")
	d.Expect("250 2.0.0")
	if err := w.Stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if n := w.Sink.Count(); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}

func TestRelayingIsRefusedAndTheSessionStaysInStep(t *testing.T) { // K-01, K-02, K-03, K-09
	w := harness.Start(t, harness.Setup{Zone: friend})
	harness.Dial(t, w.SMTP).Talk(`S: 220
		C: EHLO c.example
		S: 250
		C: MAIL FROM:<ann@friend.example>
		S: 250
		C: RCPT TO:<bob@elsewhere.example>
		S: 550 5.7.1
		C: RCPT TO:<bob@sub.example.com>
		S: 550 5.7.1
		C: RCPT TO:<@example.com:bob@elsewhere.example>
		S: 550 5.7.1
		C: RCPT TO:<bob@EXAMPLE.com>
		S: 250 2.1.5
		C: NOOP
		S: 250
		C: QUIT
		S: 221`)
}

func TestRequiredTLSIsRequired(t *testing.T) { // B-04
	w := harness.Start(t, harness.Setup{Zone: friend, TLS: "required"})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 530 5.7.0")
	d.StartTLS()
	d.Talk("C: MAIL FROM:<ann@friend.example>\nS: 503 5.5.1\nC: EHLO c.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: QUIT\nS: 221")
}

func TestDeniedClientsSendersAndRecipients(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend, Policy: `version: 1
access:
  - deny: {sender: ["@bad.example"], reason: "sends only trouble", owner: ops}
  - deny: {recipient: [old@example.com], reason: "left the company"}
  - deny: {helo: [evil.example]}
`})
	harness.Dial(t, w.SMTP).Talk(`S: 220
		C: EHLO c.example
		S: 250
		C: MAIL FROM:<x@bad.example>
		S: 250
		C: RCPT TO:<bob@example.com>
		S: 55
		C: RCPT TO:<postmaster@example.com>
		S: 250
		C: RSET
		S: 250
		C: MAIL FROM:<ann@friend.example>
		S: 250
		C: RCPT TO:<old@example.com>
		S: 55
		C: RCPT TO:<bob@example.com>
		S: 250
		C: QUIT
		S: 221`)
	harness.Dial(t, w.SMTP).Talk("S: 220\nC: EHLO evil.example\nS: 250\nC: MAIL FROM:<ann@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 55")
	out, _ := w.Command("trace", "x@bad.example", "--json")
	if !strings.Contains(out, `"refusal"`) {
		t.Errorf("the refusal was not recorded:\n%s", out)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	w := harness.Start(t, harness.Setup{Zone: friend})
	w.Send("ann@friend.example", "bob@example.com", hello)
	for _, path := range []string{"/livez", "/readyz"} {
		if status, body := w.Get(path); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := w.Get("/metrics"); !strings.Contains(body, "gatepost_messages_total") {
		t.Errorf("metrics:\n%s", body)
	}
}

// bodyOf is everything after the first empty line.
func bodyOf(data []byte) [32]byte {
	_, body, _ := strings.Cut(string(data), "\r\n\r\n")
	return sha256.Sum256([]byte(body))
}
