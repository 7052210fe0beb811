package forward_test

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/forward"
	"gatepost/test/harness/badsink"
	"gatepost/test/harness/postfix"
)

func TestRealPostfixAsNextHop(t *testing.T) { // P-06, R-06
	p := postfix.Start(t, postfix.Config{})
	f := forwarder(t, forward.Config{}, p.Address)
	if got, r := f.Verify(t.Context(), address(t, "b@b.test")); got != forward.Known {
		t.Errorf("b@b.test: %v %v", got, r)
	}
	if got, r := f.Verify(t.Context(), address(t, "gone@b.test")); got != forward.Unknown {
		t.Errorf("gone@b.test: %v %v", got, r)
	}
	body := ".\r\n..\r\n" + strings.Repeat("dots . and 8-bit \xc3\xa9\r\n", 20000)
	content := "X-Old: drop\r\nFrom: a@a.test\r\nSubject: x\r\n\r\n" + body
	d := delivery(t, content, "b@b.test", "gone@b.test")
	d.Envelope.Body8Bit = true
	d.Edits = forward.Edits{Add: "X-New: yes\r\n", Drop: []mail.Span{{Start: 0, End: int64(len("X-Old: drop\r\n"))}}}
	for range 3 {
		out := f.Send(t.Context(), d)
		if replies(out) != "250 2.0.0, 550 5.1.1" {
			t.Fatalf("%v %v\n%s", out[0].Reply, out[1].Reply, p.Log())
		}
	}
	for _, m := range p.Mail(t, "b", 3) {
		head, got, _ := bytes.Cut(m, []byte("\n\n"))
		if string(got) != strings.ReplaceAll(body, "\r\n", "\n") {
			t.Error("the body arrived changed")
		}
		if !bytes.Contains(head, []byte("X-New: yes\nFrom: a@a.test")) || bytes.Contains(head, []byte("X-Old")) {
			t.Errorf("%s", head)
		}
	}
	if n := strings.Count(p.Log(), " connect from "); n > 2 { // the harness and we
		t.Errorf("%d connections", n)
	}
}

func TestRealPostfixWithVerifiedTLSAndXFORWARD(t *testing.T) { // P-16, R-11
	cert, err := badsink.SelfSigned(time.Now().Add(time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(file, cert.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	p := postfix.Start(t, postfix.Config{Main: []string{
		"smtpd_tls_security_level = encrypt", "smtpd_tls_chain_files = " + file, "smtpd_tls_loglevel = 1",
		"smtpd_authorized_xforward_hosts = 127.0.0.1/32",
	}})
	hop := forward.Domain{Name: "b.test", Downstream: []string{p.Address}, TLS: "verify", Announce: "xforward"}
	f := routed(t, forward.Config{TLS: &tls.Config{RootCAs: cert.Roots}}, hop)
	d := delivery(t, "From: a@a.test\r\nSubject: x\r\n\r\nx\r\n", "b@b.test")
	d.Envelope.Remote, d.Envelope.Helo, d.Envelope.ESMTP = netip.MustParseAddr("192.0.2.7"), "client.test", true
	for range 3 {
		if out := f.Send(t.Context(), d); replies(out) != "250 2.0.0" {
			t.Fatalf("%v\n%s", out[0].Err, p.Log())
		}
	}
	p.Mail(t, "b", 3)
	if log := p.Log(); !strings.Contains(log, "orig_client=unknown[192.0.2.7]") {
		t.Errorf("the client was not announced:\n%s", log)
	}
	if h := f.Hops()[0]; !h.Up || h.TLS.Version != "TLS 1.3" || h.Expires.IsZero() {
		t.Errorf("%+v", h)
	}
	strict := routed(t, forward.Config{}, hop) // without the roots
	if out := strict.Send(t.Context(), d); replies(out) != "451 4.4.1" {
		t.Errorf("%+v", out)
	}
}

// TestRealPostfixTakesChunks sends by BDAT what a server could misread in it, large and small, whole and refused.
func TestRealPostfixTakesChunks(t *testing.T) { // P-06, P-07, RFC 3030
	p := postfix.Start(t, postfix.Config{Main: []string{"message_size_limit = 4000000"}})
	hop := forward.Domain{Name: "b.test", Downstream: []string{p.Address}, Chunking: true}
	f := routed(t, forward.Config{}, hop)
	head := "From: a@a.test\r\nSubject: x\r\n\r\n"
	bodies := []string{
		".\r\n..\r\n.x\r\n\r\n.\r\n", "", strings.Repeat("dots . and 8-bit \xc3\xa9\r\n", 40000),
		strings.Repeat("y", 256<<10-len(head)-1) + "\r\n.\r\nMAIL FROM:<evil@a.test>\r\n", "BDAT 5 LAST\r\nQUIT\r\n.\r\n",
	}
	for i, body := range bodies {
		d := delivery(t, head+body, "b@b.test", "gone@b.test")
		d.Envelope.Body8Bit = true
		if out := f.Send(t.Context(), d); replies(out) != "250 2.0.0, 550 5.1.1" {
			t.Fatalf("%d: %v %v\n%s", i, out[0], out[1].Reply, p.Log())
		}
		d.Whole = true
		if out := f.Send(t.Context(), d); out[0].Reply.Code != 451 || out[1].Reply.Code != 550 {
			t.Errorf("%d: whole: %v %v", i, out[0].Reply, out[1].Reply)
		}
	}
	if !f.Hops()[0].Extensions.Chunking {
		t.Error("Postfix does not offer CHUNKING")
	}
	got := map[string]bool{}
	for _, m := range p.Mail(t, "b", len(bodies)) {
		_, body, _ := bytes.Cut(m, []byte("\n\n"))
		got[string(body)] = true
	}
	for i, body := range bodies {
		if !got[strings.ReplaceAll(body, "\r\n", "\n")] {
			t.Errorf("%d arrived changed", i)
		}
	}
	// It refuses the message when it has had enough of it, in the middle.
	big := delivery(t, head+strings.Repeat("z z z z z z z z\r\n", 400_000), "b@b.test")
	if out := f.Send(t.Context(), big); out[0].Reply.Code != 552 {
		t.Errorf("%v", out[0].Reply)
	}
	if out := f.Send(t.Context(), delivery(t, head+"after that\r\n", "b@b.test")); replies(out) != "250 2.0.0" {
		t.Errorf("afterwards: %v %v", out[0].Reply, out[0].Err)
	}
}
