package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"gatepost/test/harness"
	"gatepost/test/harness/badsink"
)

// TestANextHopUnderDANE has one next hop whose records agree, one whose records are of another key, and one of which nothing
// is published: only the first gets mail, and doctor and log say why the others do not.
func TestANextHopUnderDANE(t *testing.T) { // P-16, R-11, RFC 7672
	zone, domains := friend, ""
	sinks := map[string]*badsink.Sink{}
	for _, name := range []string{"good", "wrong", "bare"} {
		cert, err := badsink.SelfSigned(time.Now().Add(time.Hour), "elsewhere.test")
		if err != nil {
			t.Fatal(err)
		}
		s, err := badsink.Start(badsink.Script{TLS: &tls.Config{Certificates: cert.Server.Certificates}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		sinks[name] = s
		_, port, err := net.SplitHostPort(s.Address())
		if err != nil {
			t.Fatal(err)
		}
		pin := cert.Pin
		if name == "wrong" {
			pin[0] ^= 1
		}
		if name != "bare" {
			zone += fmt.Sprintf("_%s._tcp.localhost TLSA 3 1 1 %x\n_%s._tcp.localhost AUTHENTIC\n", port, pin, port)
		}
		domains += fmt.Sprintf("  - {name: %s.example, downstream: [\"localhost:%s\"], downstream_tls: dane, recipients: any}\n", name, port)
	}
	w := harness.Start(t, harness.Setup{Zone: zone, Domain: domains, Config: unlimited})
	for name, want := range map[string]string{"good": "250 2.0.0 ", "wrong": "451 4.4.1 ", "bare": "451 4.4.1 "} {
		if reply := w.Send("ann@friend.example", "bob@"+name+".example", hello); !strings.HasPrefix(reply, want) {
			t.Errorf("%s: %q", name, reply)
		}
	}
	if m := sinks["good"].Messages(); len(m) != 1 || !m[0].TLS || sinks["wrong"].Count()+sinks["bare"].Count() != 0 {
		t.Errorf("%+v", m)
	}
	for _, name := range []string{"wrong", "bare"} {
		for _, line := range sinks[name].Lines() {
			if strings.Contains(line, "MAIL") {
				t.Errorf("%s: the envelope was sent", name)
			}
		}
	}
	out, code := w.Command("doctor")
	for _, want := range []string{
		"next hop " + strings.Replace(sinks["good"].Address(), "127.0.0.1", "localhost", 1) + ": takes mail over TLS 1.3, as its TLSA records say",
		"STARTTLS: next hop's certificate matches none of its TLSA records", "TLSA: there is no usable TLSA record at _",
	} {
		if code == 0 || !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
	if w.Logged("next hop is down") != 2 || w.Logged("matches none of its TLSA records") == 0 {
		t.Errorf("no alarm:\n%s", w.Log())
	}
}
