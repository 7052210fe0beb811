package dns

import (
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// ask sends one question to a server of the test.
func ask(t *testing.T, s *Server, network, name string, qtype uint16) (*mdns.Msg, error) {
	t.Helper()
	m := new(mdns.Msg)
	m.SetQuestion(mdns.Fqdn(name), qtype)
	m.SetEdns0(1232, false)
	c := &mdns.Client{Net: network, Timeout: 300 * time.Millisecond}
	r, _, err := c.Exchange(m, s.Addr())
	return r, err
}

func start(t *testing.T, zone string) *Server {
	t.Helper()
	s, err := ServeZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestServedZoneAnswersEveryTypeItHolds(t *testing.T) {
	s := start(t, `
		# a comment
		b.example TXT v=spf1 -all
		b.example 60 TXT "two " "texts"
		b.example A 192.0.2.1
		b.example AAAA 2001:db8::1
		b.example MX 10 mx.b.example
		1.2.0.192.in-addr.arpa PTR b.example
		www.b.example CNAME b.example
		*.wild.example TXT any
		long.example TXT `+strings.Repeat("x", 700)+`
	`)
	for _, q := range []struct{ name, want string }{
		{"b.example TXT", "\"v=spf1 -all\""},
		{"b.example TXT", `"two " "texts"`},
		{"b.example A", "192.0.2.1"},
		{"b.example AAAA", "2001:db8::1"},
		{"b.example MX", "10 mx.b.example."},
		{"1.2.0.192.in-addr.arpa PTR", "b.example."},
		{"www.b.example A", "192.0.2.1"},
		{"x.y.wild.example TXT", "any"},
		{"long.example TXT", strings.Repeat("x", 255) + `" "`},
	} {
		name, kind, _ := strings.Cut(q.name, " ")
		r, err := ask(t, s, "udp", name, mdns.StringToType[kind])
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		if !strings.Contains(r.String(), q.want) {
			t.Errorf("%s: no %s in\n%s", q.name, q.want, r)
		}
	}
	if n := s.Asked("b.example TXT"); n != 2 {
		t.Errorf("b.example TXT was asked %d times, want 2", n)
	}
}

func TestServedZoneMisbehavesAsTold(t *testing.T) {
	s := start(t, `
		dead.example TIMEOUT
		half.example TXT TIMEOUT
		half.example A 192.0.2.2
		broken.example SERVFAIL
		closed.example TXT REFUSED
		cut.example TRUNCATED
		cut.example TXT whole
		slow.example DELAY 20ms
		slow.example TXT late
		below.parent.example A 192.0.2.3
	`)
	for name, rcode := range map[string]int{
		"broken.example": mdns.RcodeServerFailure, "closed.example": mdns.RcodeRefused,
		"none.example": mdns.RcodeNameError, "parent.example": mdns.RcodeSuccess, "slow.example": mdns.RcodeSuccess,
	} {
		if r, err := ask(t, s, "udp", name, mdns.TypeTXT); err != nil || r.Rcode != rcode {
			t.Errorf("%s: %v %v, want code %d", name, r, err, rcode)
		}
	}
	for _, name := range []string{"dead.example", "half.example"} {
		if r, err := ask(t, s, "udp", name, mdns.TypeTXT); err == nil {
			t.Errorf("%s answered: %v", name, r)
		}
	}
	if r, err := ask(t, s, "udp", "half.example", mdns.TypeA); err != nil || len(r.Answer) != 1 {
		t.Errorf("half.example A: %v %v", r, err)
	}
	if r, err := ask(t, s, "udp", "cut.example", mdns.TypeTXT); err != nil || !r.Truncated || len(r.Answer) != 0 {
		t.Errorf("cut.example over UDP: %v %v", r, err)
	}
	if r, err := ask(t, s, "tcp", "cut.example", mdns.TypeTXT); err != nil || len(r.Answer) != 1 {
		t.Errorf("cut.example over TCP: %v %v", r, err)
	}
}

func TestBrokenZoneTextIsRefusedWithItsLine(t *testing.T) {
	for _, bad := range []string{"a.example", "a.example WHAT x", "a.example A notanip", `a.example TXT "open`,
		"a.example DELAY soon", `a.example TXT "a" b`} {
		_, err := ServeZone("# first\n" + bad)
		if err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want an error that names line 2", bad, err)
		}
	}
}
