package forward_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/dns"
	"gatepost/gateway/forward"
	"gatepost/gateway/smtp"
	"gatepost/test/harness/badsink"
	"gatepost/test/harness/dnszone"
	"gatepost/test/harness/postfix"
)

// overDNS finds TLSA records by a real resolver over real packets.
type overDNS struct{ *dns.Resolver }

func (a overDNS) TLSA(ctx context.Context, name string) ([]smtp.TLSA, bool, error) {
	list, authentic, err := a.LookupTLSA(ctx, name)
	var out []smtp.TLSA
	for _, r := range list {
		b, _ := hex.DecodeString(r.Data)
		out = append(out, smtp.TLSA{Usage: r.Usage, Selector: r.Selector, Matching: r.Matching, Data: b})
	}
	return out, authentic, err
}

// self makes a self-signed certificate.
func self(t testing.TB, until time.Duration, names ...string) *badsink.Certificate {
	t.Helper()
	c, err := badsink.SelfSigned(time.Now().Add(until), names...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issued makes a certificate that an authority has signed.
func issued(t testing.TB, by *badsink.Certificate, until time.Duration, names ...string) *badsink.Certificate {
	t.Helper()
	c, err := by.Issue(time.Now().Add(until), names...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tlsa is a record about the nth certificate of a chain.
func tlsa(c *badsink.Certificate, n, usage, selector, matching int) string {
	part := c.Chain[n].Raw
	if selector == 1 {
		part = c.Chain[n].RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(part)
		part = sum[:]
	case 2:
		sum := sha512.Sum512(part)
		part = sum[:]
	}
	return fmt.Sprintf("TLSA %d %d %d %x", usage, selector, matching, part)
}

// A danish is one next hop under DANE: what it shows, what is published of it, and what must come of that.
type danish struct {
	name    string
	cert    *badsink.Certificate // nil: no STARTTLS
	records []string
	signed  bool
	want    error // nil: mail is taken
}

func danishCases(t *testing.T) []danish {
	const host = "mail.b.test"
	ee := self(t, time.Hour, host)
	elsewhere := self(t, -time.Hour, "elsewhere.test") // expired, and for another name: with usage 3 neither counts
	other := self(t, time.Hour, host)
	ca := self(t, time.Hour, "authority.test")
	leaf, misnamed, expired := issued(t, ca, time.Hour, host), issued(t, ca, time.Hour, "elsewhere.test"), issued(t, ca, -time.Minute, host)
	wrong := "TLSA 3 1 1 " + strings.Repeat("00", 32)
	return []danish{
		{"3 1 1", ee, []string{tlsa(ee, 0, 3, 1, 1)}, true, nil},
		{"3 1 2", ee, []string{tlsa(ee, 0, 3, 1, 2)}, true, nil},
		{"3 0 1", ee, []string{tlsa(ee, 0, 3, 0, 1)}, true, nil},
		{"3 1 0", ee, []string{tlsa(ee, 0, 3, 1, 0)}, true, nil},
		{"3 1 1 of an expired one for another name", elsewhere, []string{tlsa(elsewhere, 0, 3, 1, 1)}, true, nil},
		{"the next key beside this one", ee, []string{tlsa(other, 0, 3, 1, 1), tlsa(ee, 0, 3, 1, 1)}, true, nil},
		{"2 0 1", leaf, []string{tlsa(leaf, 1, 2, 0, 1)}, true, nil},
		{"2 1 1", leaf, []string{tlsa(leaf, 1, 2, 1, 1)}, true, nil},
		{"usable among unusable", ee, []string{"TLSA 1 1 1 " + strings.Repeat("00", 32), "TLSA 3 1 9 00", tlsa(ee, 0, 3, 1, 1)}, true, nil},

		{"not validated", ee, []string{tlsa(ee, 0, 3, 1, 1)}, false, forward.ErrInsecure},
		{"wrong digest", ee, []string{wrong}, true, smtp.ErrDANE},
		{"no record", ee, nil, true, smtp.ErrNoTLSA},
		{"unusable records only", ee, []string{tlsa(ee, 0, 1, 1, 1), tlsa(ee, 0, 0, 1, 1), "TLSA 3 2 1 " + strings.Repeat("00", 32), "TLSA 3 1 1 abcd", "TLSA 3 1 3 abcd"}, true, smtp.ErrNoTLSA},
		{"2 of an authority that did not sign it", ee, []string{tlsa(leaf, 1, 2, 0, 1)}, true, smtp.ErrDANE},
		{"2 for another name", misnamed, []string{tlsa(misnamed, 1, 2, 0, 1)}, true, smtp.ErrDANE},
		{"2 expired", expired, []string{tlsa(expired, 1, 2, 0, 1)}, true, smtp.ErrDANE},
		{"3 of the authority", leaf, []string{tlsa(leaf, 1, 3, 0, 1)}, true, smtp.ErrDANE},
		{"a weak digest beside a strong one that differs", ee, []string{tlsa(ee, 0, 3, 1, 1), "TLSA 3 1 2 " + strings.Repeat("00", 64)}, true, smtp.ErrDANE},
		{"no STARTTLS", nil, []string{tlsa(ee, 0, 3, 1, 1)}, true, smtp.ErrNoStartTLS},
		{"no answer", ee, []string{"TLSA SERVFAIL"}, true, nil},
	}
}

func TestWithDANENoContentGoesOutBeforeTheRecordsAgree(t *testing.T) { // P-16, R-11, RFC 7672
	for _, c := range danishCases(t) {
		t.Run(c.name, func(t *testing.T) {
			script := badsink.Script{}
			if c.cert != nil {
				script.TLS = c.cert.Server
			}
			s := start(t, script)
			f := danishForwarder(t, s.Address(), c.records, c.signed)
			out := f.Send(t.Context(), delivery(t, "x\r\n", "b@b.test"))[0]
			if c.want == nil && c.name != "no answer" {
				if out.Reply.Code != 250 || s.Count() != 1 || !s.Messages()[0].TLS {
					t.Fatalf("%v %v", out.Reply, out.Err)
				}
				return
			}
			// It is deferred, the next hop counts as down, and an operator is told why.
			if out.Reply.Code != 451 || !out.Down() || c.want != nil && !errors.Is(out.Err, c.want) {
				t.Errorf("%v: %v, want %v", out.Reply, out.Err, c.want)
			}
			if h := f.Hops()[0]; h.Up || h.Err == nil {
				t.Errorf("nobody is told: %+v", h)
			}
			for _, line := range s.Lines() {
				if !strings.Contains(line, "EHLO") && !strings.Contains(line, "STARTTLS") && !strings.Contains(line, "QUIT") {
					t.Errorf("said %q", line)
				}
			}
			if lookedFirst := errors.Is(out.Err, smtp.ErrNoTLSA) || errors.Is(out.Err, forward.ErrInsecure); lookedFirst && s.Sessions() != 0 {
				t.Error("it was connected to before there were records")
			}
		})
	}
}

// danishForwarder sends the mail of b.test to mail.b.test, which is at address, by what a name server says of it.
func danishForwarder(t *testing.T, address string, records []string, signed bool) *forward.Forwarder {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	name := "_" + port + "._tcp.mail.b.test "
	zone := "b.test TXT x\n"
	for _, r := range records {
		zone += name + r + "\n"
	}
	if signed {
		zone += name + "AUTHENTIC\n"
	}
	resolver, err := dns.New(dns.Config{Servers: []string{dnszone.Start(t, zone).Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := forward.Config{TLSA: overDNS{resolver}, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	return routed(t, cfg, forward.Domain{Name: "b.test", Downstream: []string{"mail.b.test:" + port}, TLS: "dane"})
}

func TestRealPostfixUnderDANE(t *testing.T) { // P-16
	cert := self(t, time.Hour, "mail.b.test")
	file := filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(file, cert.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	p := postfix.Start(t, postfix.Config{Main: []string{"smtpd_tls_security_level = may", "smtpd_tls_chain_files = " + file, "smtpd_tls_loglevel = 1"}})
	f := danishForwarder(t, p.Address, []string{tlsa(cert, 0, 3, 1, 1)}, true)
	if out := f.Send(t.Context(), delivery(t, "From: a@a.test\r\n\r\nx\r\n", "b@b.test")); replies(out) != "250 2.0.0" {
		t.Fatalf("%v\n%s", out[0].Err, p.Log())
	}
	p.Mail(t, "b", 1)
	if h := f.Hops()[0]; h.Mode != smtp.DANE || !strings.HasPrefix(h.TLS.Version, "TLS 1.") {
		t.Errorf("%+v", h)
	}
}

func TestDANENeedsAHostNameAndAResolver(t *testing.T) {
	for hop, cfg := range map[string]forward.Config{"192.0.2.1:25": {TLSA: overDNS{}}, "unix:/x": {TLSA: overDNS{}}, "mail.b.test:25": {}} {
		cfg.Hostname = "gate.test"
		if _, err := forward.New(cfg, []forward.Domain{{Name: "b.test", Downstream: []string{hop}, TLS: "dane"}}); err == nil {
			t.Errorf("%s is taken", hop)
		}
	}
}
