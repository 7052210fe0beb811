package auth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// spf asks whether 192.0.2.1 may send for a domain.
func spf(t *testing.T, z Resolver, sender string) (result, reason string, weak bool) {
	t.Helper()
	s := CheckSPF(t.Context(), z, SPFQuery{IP: netip.MustParseAddr("192.0.2.1"), Sender: sender, Helo: "h.example", Receiver: "mx.example", Time: now()})
	return s.Result, s.Reason, s.Weak
}

// D-31: what one evaluation may cost is bounded, whatever the records say.
func TestSPFStopsAtItsLimits(t *testing.T) {
	z := table{"loop.example TXT": {"v=spf1 redirect=loop.example"}, "self.example TXT": {"v=spf1 include:self.example -all"}}
	for _, n := range []int{10, 11} {
		for i := range n {
			z[fmt.Sprintf("c%d.chain%d.example TXT", i, n)] = []string{fmt.Sprintf("v=spf1 include:c%d.chain%d.example -all", i+1, n)}
		}
		z[fmt.Sprintf("c%d.chain%d.example TXT", n, n)] = []string{"v=spf1 +ip4:192.0.2.1 -all"}
	}
	for _, n := range []int{2, 3} {
		z[fmt.Sprintf("void%d.example TXT", n)] = []string{"v=spf1 " + strings.Repeat("a:none.example ", n) + "ip4:192.0.2.1 -all"}
	}
	for _, n := range []int{10, 11} {
		z[fmt.Sprintf("mx%d.example TXT", n)] = []string{"v=spf1 mx -all"}
		for i := range n {
			z[fmt.Sprintf("mx%d.example MX", n)] = append(z[fmt.Sprintf("mx%d.example MX", n)], fmt.Sprintf("m%d.example", i))
			z[fmt.Sprintf("m%d.example A", i)] = []string{"198.51.100.1"}
		}
	}
	for _, c := range []struct{ sender, want string }{
		{"a@c0.chain10.example", "pass"}, {"a@c0.chain11.example", "permerror"}, {"a@loop.example", "permerror"}, {"a@self.example", "permerror"},
		{"a@void2.example", "pass"}, {"a@void3.example", "permerror"}, {"a@mx10.example", "fail"}, {"a@mx11.example", "permerror"},
	} {
		if got, why, _ := spf(t, z, c.sender); got != c.want {
			t.Errorf("%s: %s (%s), want %s", c.sender, got, why, c.want)
		}
	}
}

// D-31: a macro that repeats a long local part gives a name of at most 253 bytes, at little cost.
func TestSPFMacrosAreBounded(t *testing.T) {
	z := &asked{table: table{"m.example TXT": {"v=spf1 exists:" + strings.Repeat("%{l}.", 600) + "m.example ?all"}}}
	if got, why, _ := spf(t, z, strings.Repeat("x", 64<<10)+"@m.example"); got != "neutral" {
		t.Errorf("%s (%s)", got, why)
	}
	c := &spfCheck{local: strings.Repeat("x", 64<<10), domain: "m.example", r: z}
	if s, err := c.expand(t.Context(), strings.Repeat("%{l}", 600), "m.example", false, maxExpansion); err != nil || len(s) > maxExpansion {
		t.Errorf("%d bytes, %v", len(s), err)
	}
}

// L-04, L-05: a record that is too long, or stands twice, is an error and not a choice.
func TestSPFRecordsAreReadOneWay(t *testing.T) {
	z := table{
		"fits.example TXT":    {"v=spf1 ip4:192.0.2.1 x=" + strings.Repeat("y", maxRecord-len("v=spf1 ip4:192.0.2.1 x="))},
		"long.example TXT":    {"v=spf1 ip4:192.0.2.1 x=" + strings.Repeat("y", maxRecord)},
		"twice.example TXT":   {"v=spf1 -all", "v=spf1 +all"},
		"late.example TXT":    {"v=spf1 ip4:192.0.2.1 foo:bar"},
		"other.example TXT":   {"google-site-verification=x", "v=spf10 +all", "v=spf1 -all"},
		"dead.example TXT":    {"TEMP"},
		"include.example TXT": {"v=spf1 include:dead.example +all"},
		"past.example TXT":    {"v=spf1 a:dead.example +all"}, "dead.example A": {"TEMP"},
	}
	for name, want := range map[string]string{"fits": "pass", "long": "permerror", "twice": "permerror", "late": "permerror", "other": "fail",
		"none": "none", "dead": "temperror", "include": "temperror", "past": "temperror"} {
		if got, why, _ := spf(t, z, "a@"+name+".example"); got != want {
			t.Errorf("%s: %s (%s), want %s", name, got, why, want)
		}
	}
}

// D-30: a pass that half the world would get is marked, and stays a pass.
func TestWeakSPFPassesAreMarked(t *testing.T) {
	for record, weak := range map[string]bool{
		"v=spf1 ip4:192.0.2.0/24 -all":                  false,
		"v=spf1 ip4:192.0.0.0/16 -all":                  false,
		"v=spf1 ip4:192.0.0.0/16 ip4:198.51.100.7 -all": true,
		"v=spf1 ip4:192.0.0.0/15 -all":                  true,
		"v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all":     true,
		"v=spf1 +all":                                         true,
		"v=spf1 ip4:192.0.2.1 +all":                           true,
		"v=spf1 include:all.example -all":                     true,
		"v=spf1 -ip4:0.0.0.0/1 ip4:192.0.2.1 -all":            false,
		"v=spf1 a:h.example/8 -all":                           true,
		"v=spf1 ip4:192.0.2.1 ~all exp=explain.%{d}":          false,
		"v=spf1 redirect=all.example":                         true,
		"v=spf1 ?ip4:198.51.100.0/24 include:ok.example ~all": false,
	} {
		z := table{"w.example TXT": {record}, "all.example TXT": {"v=spf1 all"}, "ok.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}, "h.example A": {"192.0.2.77"}}
		got, why, w := spf(t, z, "a@w.example")
		if got != "pass" || w != weak {
			t.Errorf("%s: %s, weak %v (%s), want pass, weak %v", record, got, w, why, weak)
		}
		f := session{ip: "192.0.2.1", helo: "h.example", from: "a@w.example", zone: z, message: letter("a@w.example")}.facts(t)
		if has(f, "spf.weak") != weak || f.Auth.SPF.Result != "pass" {
			t.Errorf("%s: finding spf.weak %v", record, !weak)
		}
	}
}

// D-01, D-03: the HELO identity never stands in for a MAIL FROM that is there; for a bounce it is the identity.
func TestHeloAndMailFromAreKeptApart(t *testing.T) {
	z := table{"helo.attack.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}, "_dmarc.legit.example TXT": {"v=DMARC1; p=reject"},
		"_dmarc.mailer.example TXT": {"v=DMARC1; p=reject"}, "mx.mailer.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}
	f := session{ip: "192.0.2.1", helo: "helo.attack.example", from: "any@nonexist.legit.example", zone: z, message: letter("admin@legit.example")}.facts(t)
	if a := f.Auth; a.SPF.Result != "none" || a.SPFHelo.Result != "pass" || a.DMARC.Result != "fail" || !has(f, "dmarc.fail-reject") {
		t.Errorf("spf %s, helo %s, dmarc %s", a.SPF.Result, a.SPFHelo.Result, a.DMARC.Result)
	}
	f = session{ip: "192.0.2.1", helo: "mx.mailer.example", zone: z, message: letter("postmaster@mailer.example")}.facts(t)
	if a := f.Auth; a.SPF.Result != "pass" || a.DMARC.Result != "pass" || a.Domain != "mailer.example" || a.By != "spf" {
		t.Errorf("bounce: spf %s, dmarc %s (%s), domain %q by %q", a.SPF.Result, a.DMARC.Result, a.DMARC.Reason, a.Domain, a.By)
	}
}

// The domain's own words are shown as text, never as more than text.
func TestSPFExplanationsArePrintable(t *testing.T) {
	z := table{"e.example TXT": {"v=spf1 -all exp=why.example"}, "why.example TXT": {"%{i} may not, see http://%{d}/%{l}"},
		"bad.example TXT": {"v=spf1 -all exp=ctl.example"}, "ctl.example TXT": {"line\r\nX: y"}}
	for sender, want := range map[string]string{"a@e.example": "192.0.2.1 may not, see http://e.example/a", "a@bad.example": ""} {
		s := CheckSPF(t.Context(), z, SPFQuery{IP: netip.MustParseAddr("192.0.2.1"), Sender: sender})
		if s.Result != "fail" || s.Explanation != want {
			t.Errorf("%s: %s %q, want %q", sender, s.Result, s.Explanation, want)
		}
	}
}

func FuzzSPFRecord(f *testing.F) {
	for _, s := range []string{"v=spf1", "v=spf1 +mx/24//64 a:%{ir}.x.example -all", "v=spf1 ip6:2001:db8::/32 ptr:x.example redirect=%{d2}.example",
		"v=spf1 exp=%{S}.%%%_%- all=x", "v=spf1 ip4:1.2.3.4/33"} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, record, local string) {
		if !isSPF(record) {
			record = "v=spf1 " + record
		}
		z := &asked{table: table{"f.example TXT": {record}}}
		s := CheckSPF(t.Context(), z, SPFQuery{IP: netip.MustParseAddr("192.0.2.1"), Sender: local + "@f.example", Time: now()})
		switch s.Result {
		case "pass", "fail", "softfail", "neutral", "permerror":
		default:
			t.Errorf("%q: result %q", record, s.Result)
		}
		if len(z.list) > 1+spfMaxTerms+1 {
			t.Errorf("%q: %d questions", record, len(z.list))
		}
		for _, q := range z.list {
			if len(q) > 253 {
				t.Errorf("asked for a name of %d bytes", len(q))
			}
		}
	})
}
