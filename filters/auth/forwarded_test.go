package auth

import (
	"net/netip"
	"strings"
	"testing"
)

// The fields are as Postfix, Exim, qmail, Sendmail, Exchange, Gmail and OpenSMTPD write them.
func TestReceivedFieldsNameTheClient(t *testing.T) {
	for value, want := range map[string]string{
		" from mail.a.example (host.a.example [198.51.100.7])\r\n\tby mx2.b.example (Postfix) with ESMTPS id 1; Mon, 23 Nov 2026 09:00:00 +0000": "198.51.100.7 mail.a.example",
		" from [6.6.6.6] (unknown [198.51.100.7]) by mx2.b.example":                                                                              "198.51.100.7 [6.6.6.6]",
		" from host.a.example ([198.51.100.7] helo=mail.a.example)\r\n by mx2.b.example with esmtp":                                              "198.51.100.7 mail.a.example",
		" from [198.51.100.7] (helo=[6.6.6.6]) by mx2.b.example with esmtp":                                                                      "198.51.100.7 [6.6.6.6]",
		" from [198.51.100.7] (port=25 helo=mail.a.example) by mx2.b.example":                                                                    "198.51.100.7 mail.a.example",
		" from unknown (HELO mail.a.example) (198.51.100.7) by mx2.b.example with SMTP":                                                          "198.51.100.7 mail.a.example",
		" from unknown (HELO 6.6.6.6) (user@198.51.100.9) by mx2.b.example with SMTP":                                                            "",
		" from mail.a.example (198.51.100.7) by mx2.b.example (10.0.0.1) with Microsoft SMTP":                                                    "198.51.100.7 mail.a.example",
		" from mail.a.example (mail.a.example. [2001:db8::7]) by mx.b.example with ESMTPS":                                                       "2001:db8::7 mail.a.example",
		" from mail.a.example (host [IPv6:2001:db8::7]) by mx.b.example":                                                                         "2001:db8::7 mail.a.example",
		" from mail.a.example (host [::ffff:198.51.100.7]) by mx.b.example":                                                                      "198.51.100.7 mail.a.example",
		" FROM mail.a.example (host.a.example [198.51.100.7]:4711) BY mx2.b.example":                                                             "198.51.100.7 mail.a.example",
		" from mail.a.example by mx2.b.example ([198.51.100.7])":                                                                                 "",
		" from mail.a.example (no address) by mx2.b.example":                                                                                     "",
		" from mail.a.example (open [198.51.100.7] by mx2.b.example":                                                                             "",
		" by mx2.b.example (from [198.51.100.7])":                                                                                                "",
		" (qmail 1 invoked by uid 89); 23 Nov 2026 09:00:00 -0000":                                                                               "",
		"": "",
	} {
		ip, helo, ok := receivedFrom(value)
		got := ""
		if ok {
			got = ip.String() + " " + helo
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
}

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

func FuzzReceivedFrom(f *testing.F) {
	f.Add(" from a (b [192.0.2.1]) by c")
	f.Add(" from a (HELO x) (192.0.2.1) by c")
	f.Add(" from [IPv6:2001:db8::1] (((helo=x) by c")
	f.Fuzz(func(t *testing.T, value string) {
		ip, _, ok := receivedFrom(value)
		if ok != ip.IsValid() || ip.Is4In6() {
			t.Errorf("%v %v", ip, ok)
		}
		if ok && !strings.Contains(strings.ToLower(value), "from") {
			t.Error("an address without a from clause")
		}
	})
}
