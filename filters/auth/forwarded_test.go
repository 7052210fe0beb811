package auth

import (
	"net/netip"
	"testing"
)

func received(by, from string) string {
	return "Received: from " + from + " (host [" + from + "])\r\n\tby " + by + " (Postfix); Mon, 23 Nov 2026 09:00:00 +0000\r\n"
}

// A trusted forwarder's newest Received field is believed, down to the first that no trusted forwarder wrote.
func TestATrustedForwarderSaysWhomItHadTheMessageFrom(t *testing.T) {
	zone := table{
		"a.example TXT":        {"v=spf1 ip4:198.51.100.7 -all"},
		"relay.example TXT":    {"v=spf1 ip4:192.0.2.0/24 -all"},
		"198.51.100.7 PTR":     {"mail.a.example"},
		"mail.a.example A":     {"198.51.100.7"},
		"_dmarc.a.example TXT": {"v=DMARC1; p=reject"},
	}
	trust := Config{TrustedForwarders: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	mail := letter("x@a.example")
	for _, c := range []struct {
		name, ip, from, message, spf, origin string
		cfg                                  Config
	}{
		{"through it", "192.0.2.1", "x@a.example", received("mx2", "198.51.100.7") + mail, "pass", "198.51.100.7", trust},
		{"through two", "192.0.2.1", "x@a.example", received("mx2", "192.0.2.9") + received("mx3", "198.51.100.7") + mail, "pass", "198.51.100.7", trust},
		{"a forger through it", "192.0.2.1", "x@a.example", received("mx2", "203.0.113.9") + received("forged", "198.51.100.7") + mail, "fail", "203.0.113.9", trust},
		{"a forger who is not trusted", "203.0.113.9", "x@a.example", received("mx2", "198.51.100.7") + mail, "fail", "", trust},
		{"nobody is trusted", "192.0.2.1", "x@a.example", received("mx2", "198.51.100.7") + mail, "fail", "", Config{}},
		{"it rewrites the reverse-path", "192.0.2.1", "SRS0=x@relay.example", received("mx2", "203.0.113.9") + mail, "pass", "203.0.113.9", trust},
		{"it does not say", "192.0.2.1", "x@a.example", "Received: by mx2; Mon, 23 Nov 2026 09:00:00 +0000\r\n" + mail, "none", "unknown", trust},
		{"it wrote nothing", "192.0.2.1", "x@a.example", mail, "fail", "", trust},
	} {
		f := session{ip: c.ip, helo: "relay.example", from: c.from, zone: zone, cfg: c.cfg, message: c.message}.facts(t)
		if f.Auth.SPF.Result != c.spf || f.Auth.Origin != c.origin {
			t.Errorf("%s: SPF %s (%s), origin %q", c.name, f.Auth.SPF.Result, f.Auth.SPF.Reason, f.Auth.Origin)
		}
		if (c.origin != "") != (has(f, "auth.forwarded") || has(f, "auth.forwarded-unknown")) {
			t.Errorf("%s: what was believed is not told", c.name)
		}
		if c.name == "through it" && (f.Auth.IPRev != "pass" || f.Auth.DMARC.Result != "pass") {
			t.Errorf("%s: iprev %s, DMARC %s", c.name, f.Auth.IPRev, f.Auth.DMARC.Result)
		}
	}
}
