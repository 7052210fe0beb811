package auth

import (
	"slices"
	"strings"
	"testing"
)

// RFC 9989 section 4.10: a walk asks eight questions at most, and these.
func TestTreeWalkAsksTheNamesOfTheRFC(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		"a.b.c.d.e.f.example.com":              "a.b.c.d.e.f.example.com b.c.d.e.f.example.com c.d.e.f.example.com d.e.f.example.com e.f.example.com f.example.com example.com com",
		"mail.example.com":                     "mail.example.com example.com com",
	} {
		z := &asked{table: table{}}
		walkTree(t.Context(), z, domain)
		got := strings.ReplaceAll(strings.Join(z.list, " "), "_dmarc.", "")
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", domain, got, want)
		}
	}
}

// RFC 9989 section 4.10.2, with its examples.
func TestOrganizationalDomains(t *testing.T) {
	for _, c := range []struct {
		name, domain, want string
		z                  table
	}{
		{"highest record", "a.mail.example.com", "example.com", table{"_dmarc.mail.example.com TXT": {"v=DMARC1; p=none"}, "_dmarc.example.com TXT": {"v=DMARC1; p=none"}}},
		{"psd=n ends the walk", "a.mail.example.com", "mail.example.com", table{"_dmarc.mail.example.com TXT": {"v=DMARC1; psd=n"}, "_dmarc.example.com TXT": {"v=DMARC1; p=none"}}},
		{"one below psd=y", "a.mail.example.com", "example.com", table{"_dmarc.com TXT": {"v=DMARC1; p=none; psd=y"}}},
		{"psd=y below the top", "x.mail.example.com", "mail.example.com", table{"_dmarc.example.com TXT": {"v=DMARC1; psd=y"}}},
		{"psd=y where it starts", "bank.example", "bank.example", table{"_dmarc.bank.example TXT": {"v=DMARC1; psd=y"}}},
		{"nothing", "a.mail.example.com", "a.mail.example.com", table{}},
	} {
		w := walkTree(t.Context(), c.z, c.domain)
		if got := w.organizational(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// D-34, L-04, L-05: every odd record has one reading.
func TestDMARCRecordsAreReadOneWay(t *testing.T) {
	const rua = "; rua=mailto:d@example.com"
	for _, c := range []struct {
		name, policy string // empty: no record
		records      []string
	}{
		{"usual", "reject", []string{"v=DMARC1; p=reject"}},
		{"no spaces", "reject", []string{"v=DMARC1;p=reject;"}},
		{"spaces everywhere", "reject", []string{"v = DMARC1 ; p = reject ;"}},
		{"upper case value", "reject", []string{"v=DMARC1; P=Reject; adkim=R"}},
		{"lower case version", "", []string{"v=dmarc1; p=reject"}},
		{"version not first", "", []string{"p=reject; v=DMARC1"}},
		{"version 2", "", []string{"v=DMARC12; p=reject"}},
		{"p= missing", "none", []string{"v=DMARC1"}},
		{"p= missing, reports", "none", []string{"v=DMARC1" + rua}},
		{"p= unknown", "", []string{"v=DMARC1; p=block"}},
		{"p= unknown, reports", "none", []string{"v=DMARC1; p=block" + rua}},
		{"sp= unknown, reports", "none", []string{"v=DMARC1; p=reject; sp=block" + rua}},
		{"sp= unknown, no reports", "", []string{"v=DMARC1; p=reject; sp=block"}},
		{"tags of RFC 7489", "quarantine", []string{"v=DMARC1; p=quarantine; pct=0; rf=iodef; ri=0; fo=zz"}},
		{"unknown tags and junk", "reject", []string{"v=DMARC1; zz=1; junk; p=reject; =; \x00=1"}},
		{"two", "", []string{"v=DMARC1; p=reject", "v=DMARC1; p=none"}},
		{"beside other text", "reject", []string{"v=spf1 -all", "v=DMARC1; p=reject"}},
		{"10 KB", "", []string{"v=DMARC1; p=reject; x=" + strings.Repeat("y", 10<<10)}},
		{"4096 bytes", "reject", []string{"v=DMARC1; p=reject; x=" + strings.Repeat("y", maxRecord-len("v=DMARC1; p=reject; x="))}},
	} {
		f := session{zone: table{"_dmarc.example.com TXT": c.records}, message: letter("a@example.com")}.facts(t)
		d, want := f.Auth.DMARC, "fail"
		if c.policy == "" {
			want = "none"
		}
		if d.Result != want || d.Policy != c.policy {
			t.Errorf("%s: %s, policy %q (%s), want %s, %q", c.name, d.Result, d.Policy, d.Reason, want, c.policy)
		}
	}
}

// RFC 9989 section 4.10.1: which policy applies to which author domain, and what test mode makes of it.
func TestPolicyDependsOnTheAuthorDomain(t *testing.T) {
	z := table{"_dmarc.example.com TXT": {"v=DMARC1; p=reject; sp=quarantine; np=reject"}, "here.example.com A": {"192.0.2.1"},
		"_dmarc.test.example TXT": {"v=DMARC1; p=reject; sp=quarantine; t=y"}, "_dmarc.own.example.com TXT": {"v=DMARC1; p=none; sp=reject"},
		"_dmarc.bank TXT": {"v=DMARC1; p=reject; sp=none; np=quarantine; psd=y"}, "x.bank A": {"192.0.2.1"},
		"_dmarc.np.example TXT": {"v=DMARC1; p=reject; np=none"}, "dead.example.com A": {"TEMP"}}
	for domain, want := range map[string]string{
		"example.com": "reject reject", "here.example.com": "quarantine quarantine", "gone.example.com": "reject reject", "own.example.com": "none none",
		"test.example": "reject quarantine", "sub.test.example": "quarantine none", "x.bank": "none none", "y.bank": "quarantine quarantine",
		"sub.np.example": "none none", "dead.example.com": "temperror",
	} {
		d := session{zone: z, message: letter("a@" + domain)}.facts(t).Auth.DMARC
		got := d.Policy + " " + d.Disposition
		if d.Result != "fail" {
			got = d.Result
		}
		if got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}

// What aligns: the very domain always, one of the same Organizational Domain in relaxed mode.
func TestAlignment(t *testing.T) {
	k, record := testKey(t, 1024)
	z := table{"s._domainkey.example.com TXT": {record}, "s._domainkey.mail.example.com TXT": {record}, "s._domainkey.evilexample.com TXT": {record},
		"_dmarc.example.com TXT": {"v=DMARC1; p=reject"}, "_dmarc.strict.example TXT": {"v=DMARC1; p=reject; adkim=s; aspf=s"},
		"s._domainkey.sub.strict.example TXT": {record}, "s._domainkey.strict.example TXT": {record}, "sub.strict.example TXT": {"v=spf1 ip4:192.0.2.1 -all"},
		"_dmarc.cut.example.com TXT": {"v=DMARC1; p=reject; psd=n"}, "s._domainkey.cut.example.com TXT": {record}, "bounce.example.com TXT": {"v=spf1 ip4:192.0.2.1 -all"},
		"s._domainkey.a.none.example TXT": {record}, "_dmarc.org.uk TXT": {"v=DMARC1; p=none; psd=y"},
		"s._domainkey.other.org.uk TXT": {record}, "_dmarc.mine.org.uk TXT": {"v=DMARC1; p=reject"}}
	for _, c := range []struct{ author, signer, sender, want, domain string }{
		{"example.com", "example.com", "", "pass", "example.com by dkim"},
		{"example.com", "mail.example.com", "", "pass", "example.com by dkim"},
		{"deep.mail.example.com", "mail.example.com", "", "pass", "deep.mail.example.com by dkim"},
		{"mail.example.com", "example.com", "", "pass", "mail.example.com by dkim"},
		{"example.com", "evilexample.com", "", "fail", " by "},
		{"example.com", "", "x@bounce.example.com", "pass", "example.com by spf"},
		{"strict.example", "sub.strict.example", "x@sub.strict.example", "fail", " by "},
		{"strict.example", "strict.example", "", "pass", "strict.example by dkim"},
		{"example.com", "cut.example.com", "", "fail", " by "},
		{"cut.example.com", "example.com", "", "fail", " by "},
		{"none.example", "a.none.example", "", "none", "none.example by dkim"}, // no policy: the Public Suffix List decides
		{"mine.org.uk", "other.org.uk", "", "fail", " by "},
	} {
		msg := letter("a@" + c.author)
		if c.signer != "" {
			msg = pen{k, strings.Replace(usualTags, "d=example.com", "d="+c.signer, 1)}.sign(t, msg)
		}
		a := session{ip: "192.0.2.1", helo: "h.example", from: c.sender, zone: z, message: msg}.facts(t).Auth
		if got := a.Domain + " by " + a.By; a.DMARC.Result != c.want || got != c.domain {
			t.Errorf("author %s, signer %s, sender %s: %s %q (%s), want %s %q", c.author, c.signer, c.sender, a.DMARC.Result, got, a.DMARC.Reason, c.want, c.domain)
		}
		if c.signer != "" && a.DKIM[0].Aligned != (c.want != "fail") {
			t.Errorf("author %s, signer %s: aligned %v", c.author, c.signer, a.DKIM[0].Aligned)
		}
	}
}

// L-01, L-02, P-21: no answer is a temporary error wherever it matters, never an absence and never a pass.
func TestOutagesAreTemporaryErrors(t *testing.T) {
	k, record := testKey(t, 1024)
	msg := pen{k, usualTags}.sign(t, letter("a@example.com"))
	for _, c := range []struct {
		name, want string
		z          table
	}{
		{"policy", "temperror", table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"TEMP"}}},
		{"key", "temperror", table{"s._domainkey.example.com TXT": {"TEMP"}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}}},
		{"policy above the author's own", "pass", table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}, "_dmarc.com TXT": {"TEMP"}}},
		{"spf", "temperror", table{"_dmarc.example.com TXT": {"v=DMARC1; p=reject"}, "example.com TXT": {"TEMP"}}},
		{"spf, while DKIM passes", "pass", table{"s._domainkey.example.com TXT": {record}, "_dmarc.example.com TXT": {"v=DMARC1; p=reject"}, "example.com TXT": {"TEMP"}}},
	} {
		f := session{ip: "192.0.2.1", helo: "h.example", from: "a@example.com", zone: c.z, message: msg}.facts(t)
		if d := f.Auth.DMARC; d.Result != c.want || c.want != "pass" && f.Auth.Domain != "" {
			t.Errorf("%s: %s (%s), want %s", c.name, d.Result, d.Reason, c.want)
		}
	}
}

// D-07, D-12 to D-17, D-32, D-33: every address that could be shown as the author must be proven.
func TestEveryShownAuthorMustBeProven(t *testing.T) {
	z := table{"attack.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}, "_dmarc.attack.example TXT": {"v=DMARC1; p=none"}, "_dmarc.legit.example TXT": {"v=DMARC1; p=reject"},
		"_dmarc.quiet.example TXT": {"v=DMARC1; p=none"}, "bare TXT": {"v=spf1 +all"}}
	for _, c := range []struct{ from, result, author string }{
		{"x@attack.example", "pass", "attack.example"},
		{"<x@attack.example>, <admin@legit.example>", "fail", "legit.example"},
		{"<admin@legit.example>, <x@attack.example>", "fail", "legit.example"},
		{"x@quiet.example, admin@legit.example", "fail", "legit.example"},
		{"x@attack.example\r\nFrom: admin@legit.example", "fail", "legit.example"},
		{"<@attack.example,@any.example:admin@legit.example>", "fail", "legit.example"},
		{"\"admin@legit.example\" <x@attack.example>", "pass", "attack.example"},
		{"x@attack.example (admin@legit.example)", "pass", "attack.example"},
		{"admin@legit.example.", "fail", "legit.example"},
		{"admin@LEGIT.example", "fail", "legit.example"},
		{"admin@localhost", "permerror", "localhost"},
		{"admin@[192.0.2.1]", "permerror", "[192.0.2.1]"},
		{"admin@co.uk", "permerror", "co.uk"},
		{"nobody", "permerror", ""},
	} {
		a := session{ip: "192.0.2.1", helo: "h.example", from: "x@attack.example", zone: z, message: letter(c.from)}.facts(t).Auth
		if a.DMARC.Result != c.result || a.DMARC.From != c.author || a.Domain != "" && a.Domain != "attack.example" {
			t.Errorf("From: %s: %s for %q, domain %q, want %s for %q", c.from, a.DMARC.Result, a.DMARC.From, a.Domain, c.result, c.author)
		}
	}
}

// D-35, D-36: our own domain from outside, without proof.
func TestOurOwnDomainFromOutside(t *testing.T) {
	own := map[string]bool{"ours.example": true}
	z := table{"ours.example TXT": {"v=spf1 ip4:192.0.2.1 -all"}}
	for ip, want := range map[string]bool{"192.0.2.1": false, "192.0.2.9": true} {
		f := session{ip: ip, helo: "h.example", from: "chief@ours.example", zone: z, own: own, message: letter("chief@ours.example")}.facts(t)
		if has(f, "auth.own-domain-from-outside") != want {
			t.Errorf("%s: finding %v, want %v", ip, !want, want)
		}
	}
}

func FuzzDMARCRecord(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=reject", "v=DMARC1;p=none;sp=x;rua=mailto:a@b", "v = DMARC1 ;;; psd=y; t=y"} {
		f.Add(s)
	}
	words := []string{"", "none", "quarantine", "reject"}
	f.Fuzz(func(t *testing.T, s string) {
		if !isDMARC(s) {
			return
		}
		r, ok := parseDMARC(s)
		if ok && (r.policy == "" || !slices.Contains(words, r.policy) || !slices.Contains(words, r.subdomains) || !slices.Contains(words, r.nonexistent)) {
			t.Errorf("%q: %+v", s, r)
		}
	})
}
