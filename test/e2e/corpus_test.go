package e2e

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"gatepost/filters/auth"
	"gatepost/filters/mail"
	"gatepost/test/harness"
)

// letEverythingPass switches off what would hold or refuse a message for its content, so that the way itself is tested.
const letEverythingPass = `version: 1
thresholds: {tag: 900, quarantine: 950, reject: 999}
rules:
  - {name: fragment, mode: monitor}
  - {name: malware, mode: monitor}
  - {name: malformed, mode: monitor}
  - {name: ambiguous, mode: monitor}
  - {name: dmarc-reject, mode: monitor}
  - {name: dmarc-quarantine, mode: monitor}
  - {name: own-domain-from-outside, mode: monitor}
  - {name: macro-from-stranger, mode: monitor}
  - {name: unscannable, mode: monitor}
  - {name: inconsistent-archive, mode: monitor}
failures: {auth: accept, attach: accept, headers: accept}
`

// onTheWire is what a stored message was on the wire: the mbox line taken off, CRLF line ends.
func onTheWire(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("From ")) {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return b
}

// unfit says why SMTP itself cannot carry a message; empty if it can.
func unfit(b []byte) string {
	rest := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	switch {
	case bytes.IndexByte(rest, '\r') >= 0:
		return "550 5.5.2" // a bare CR
	case bytes.IndexByte(b, 0) >= 0:
		return "550 5.6.0" // a NUL
	}
	for _, line := range bytes.Split(b, []byte("\r\n")) {
		if len(line) > 64<<10 {
			return "550 5.6.0" // a line beyond what anybody should carry
		}
	}
	return ""
}

// files lists the files of a corpus folder that have one of the endings.
func files(t *testing.T, dir string, endings ...string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, e := range endings {
			if strings.HasSuffix(path, e) && d.Name() != "SOURCE.txt" && d.Name() != "SOURCE" {
				list = append(list, path)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRealMailArrivesByteForByte(t *testing.T) { // P-06, A-10
	corpora := map[string][]string{
		"mime-corpus":     {".eml", ".raw"},
		"ham-modern-usrp": {".eml", ".msg", ".txt", ""},
	}
	w := harness.Start(t, harness.Setup{Policy: letEverythingPass, Config: "limits: {messages_per_minute: 1000000, recipients_per_minute: 1000000, messages_per_session: 1000000}\n"})
	d := harness.Dial(t, w.SMTP)
	d.Talk("S: 220\nC: EHLO client.example\nS: 250")
	sent := 0
	for corpus, endings := range corpora {
		for _, path := range files(t, harness.Corpus(t, corpus), endings...) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			content := onTheWire(b)
			d.Talk("C: MAIL FROM:<a@friend.example>\nS: 250\nC: RCPT TO:<bob@example.com>\nS: 250\nC: DATA\nS: 354")
			d.Raw(stuffed(content) + ".\r\n")
			reply := d.Reply()
			if why := unfit(content); why != "" {
				if !strings.HasPrefix(reply, why) {
					t.Errorf("%s: %q, want %s", path, reply, why)
				}
				d.Close()
				d = harness.Dial(t, w.SMTP)
				d.Talk("S: 220\nC: EHLO client.example\nS: 250")
				continue
			}
			if !strings.HasPrefix(reply, "250 2.0.0") {
				t.Errorf("%s: %q", path, reply)
				continue
			}
			got := w.Sink.Messages()
			if sent++; len(got) != sent {
				held, _ := w.Command("quarantine", "list", "--json")
				t.Fatalf("%s: accepted, and did not arrive; %s", path, held)
			}
			arrived := got[len(got)-1].Data
			if bodyOf(arrived) != bodyOf(content) {
				t.Errorf("%s: the body was changed", path)
			}
			if !bytes.HasSuffix(arrived, withoutForged(content)) {
				t.Errorf("%s: more than our own fields was changed", path)
			}
		}
	}
	if sent < 500 {
		t.Errorf("only %d messages were carried", sent)
	}
	t.Logf("%d messages carried unchanged", sent)
}

// withoutForged leaves out what the gateway declares to leave out: results that claim to be ours, or that nobody can read.
func withoutForged(content []byte) []byte {
	var out []byte
	at := int64(0)
	for _, s := range auth.Forged(mail.Parse(bytes.NewReader(content)), "mx.gatepost.example") {
		out = append(out, content[at:s.Start]...)
		at = s.End
	}
	return append(out, content[at:]...)
}

// stuffed doubles the dots that begin lines (RFC 5321 section 4.5.2).
func stuffed(b []byte) string {
	s := strings.ReplaceAll(string(b), "\r\n.", "\r\n..")
	if strings.HasPrefix(s, ".") {
		s = "." + s
	}
	return s
}

func TestASignatureThatVerifiedStillVerifies(t *testing.T) { // P-06
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	record := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
	w := harness.Start(t, harness.Setup{Zone: friend + "s._domainkey.friend.example TXT " + record + "\n"})
	for _, c := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
		var signed bytes.Buffer
		text := strings.ReplaceAll("Subject:  two  blanks \nFrom: Ann <ann@friend.example>\nTo: <bob@example.com>\nDate: Mon, 23 Nov 2026 09:00:00 +0000\nMessage-ID: <"+string(c)+"@friend.example>\n\n.dot\n  blanks  \n\n\n", "\n", "\r\n")
		o := &dkim.SignOptions{Domain: "friend.example", Selector: "s", Signer: private, HeaderCanonicalization: c, BodyCanonicalization: c}
		if err := dkim.Sign(&signed, strings.NewReader(text), o); err != nil {
			t.Fatal(err)
		}
		if reply := w.Send("ann@friend.example", "bob@example.com", signed.String()); !strings.HasPrefix(reply, "250") {
			t.Fatalf("%s: %q", c, reply)
		}
		got := w.Sink.Messages()
		arrived := got[len(got)-1].Data
		if !strings.Contains(string(arrived), "dkim=pass") {
			t.Errorf("%s: we did not see it pass:\n%s", c, arrived)
		}
		v, err := dkim.VerifyWithOptions(bytes.NewReader(arrived), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{record}, nil }})
		if err != nil || len(v) != 1 || v[0].Err != nil {
			t.Errorf("%s: does not verify any more: %v %v", c, err, v)
		}
	}
}
