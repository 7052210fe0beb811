package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/gateway/dns"
	"gatepost/test/harness"
)

// What is forwarded is sealed, by the edits that were made and no others: the mail server behind us finds the chain
// intact, and in it what we found out about the sender.
func TestForwardedMailIsSealed(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	w := harness.Start(t, harness.Setup{
		Zone:   "friend.example TXT v=spf1 ip4:127.0.0.1 -all\n_dmarc.friend.example TXT v=DMARC1; p=reject\n",
		Config: "arc_seal: {domain: example.com, selector: gate, key: {file: arc.pem}}\n",
		Files:  map[string]string{"arc.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))},
	})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
	d.Raw("Authentication-Results: mx.gatepost.example; dmarc=pass header.from=bank.example\r\n" +
		"From: A <a@friend.example>\r\nTo: bob@example.com\r\nSubject: Hello\r\nDate: " + time.Now().Format(time.RFC1123Z) +
		"\r\nMessage-ID: <1@friend.example>\r\n\r\nSome text.\r\n.\r\n")
	if r := d.Reply(); !strings.HasPrefix(r, "250") {
		t.Fatal(r)
	}
	arrived := w.Sink.Messages()[0].Data
	zone, err := dns.FromZone("gate._domainkey.example.com TXT v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public))
	if err != nil {
		t.Fatal(err)
	}
	behind := auth.New(auth.Config{TrustedSealers: []string{"example.com"}}, zone, nil)
	facts, err := behind.Check(t.Context(), &mail.Mail{Envelope: &mail.Envelope{Time: time.Now()}, Message: mail.Parse(mail.Memory(arrived))})
	if err != nil {
		t.Fatal(err)
	}
	if a := facts.Auth.ARC; a.Result != "pass" || a.Sealer != "example.com" || !a.Trusted {
		t.Errorf("%+v\n%s", a, arrived)
	}
	if !strings.Contains(string(arrived), "ARC-Authentication-Results: i=1; mx.gatepost.example") || strings.Contains(string(arrived), "bank.example") {
		t.Errorf("what was found out is not what was sealed:\n%s", arrived)
	}
}
