package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
)

// address parses one address of a test.
func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestAdmitDeniesAsEarlyAsCanBe(t *testing.T) {
	p := parse(t, `lists:
  bad: {networks: [203.0.113.128/25], file: testdata/bad-networks.txt}
access:
  - deny: {client: [203.0.113.0/26, "2001:db8::/32"]}
  - deny: {client: "list:bad"}
  - deny: {client: "*.pool.example"}
  - deny: {helo: ["*.dyn.example", localhost]}
  - deny: {sender: ["spam@b.example", "@c.example", "*.d.example", "<>"], country: [xx]}
  - deny: {sender: ["evil@e.example", "@f.example"]}
  - deny: {recipient: [old@example.com, "info@*"]}
  - deny: {country: [zz]}
  - deny: {asn: [AS64496]}
  - deny: {client: 192.0.2.50, expires: 2026-11-22}
  - deny: {client: 192.0.2.51, expires: 2026-11-23}
`)
	for _, c := range []struct {
		name string
		set  func(*mail.Envelope)
		rcpt string
		at   Moment // where it is denied; -1: nowhere
	}{
		{"a stranger", func(e *mail.Envelope) {}, "c@example.com", -1},
		{"a denied network", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("203.0.113.9") }, "c@example.com", Connect},
		{"its neighbour", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("203.0.113.64") }, "c@example.com", -1},
		{"IPv6", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("2001:db8:1::1") }, "c@example.com", Connect},
		{"a list", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("203.0.113.200") }, "c@example.com", Connect},
		{"a list's file", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("192.0.2.77") }, "c@example.com", Connect},
		{"a reverse name", func(e *mail.Envelope) { e.RemoteName = "1.pool.example" }, "c@example.com", Connect},
		{"a HELO suffix", func(e *mail.Envelope) { e.Helo = "A.Dyn.Example." }, "c@example.com", Helo},
		{"a HELO name", func(e *mail.Envelope) { e.Helo = "LOCALHOST" }, "c@example.com", Helo},
		{"a sender", func(e *mail.Envelope) { e.From = address("Evil@E.example") }, "c@example.com", MailFrom},
		{"a sender's domain", func(e *mail.Envelope) { e.From = address("x@f.example") }, "c@example.com", MailFrom},
		{"below a sender's domain", func(e *mail.Envelope) { e.From = address("x@a.f.example") }, "c@example.com", -1},
		{"only one of two conditions", func(e *mail.Envelope) { e.From = address("x@c.example") }, "c@example.com", -1},
		{"both conditions", func(e *mail.Envelope) { e.From, e.Country = address("x@y.d.example"), "XX" }, "c@example.com", MailFrom},
		{"both, null reverse-path", func(e *mail.Envelope) { e.From, e.Country = mail.Address{}, "XX" }, "c@example.com", MailFrom},
		{"a recipient", func(e *mail.Envelope) {}, "Old@Example.com", Rcpt},
		{"a local part anywhere", func(e *mail.Envelope) {}, "info@elsewhere.example", Rcpt},
		{"a country", func(e *mail.Envelope) { e.Country = "ZZ" }, "c@example.com", Connect},
		{"a network number", func(e *mail.Envelope) { e.ASN = 64496 }, "c@example.com", Connect},
		{"an expired entry", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("192.0.2.50") }, "c@example.com", -1},
		{"an entry on its last day", func(e *mail.Envelope) { e.Remote = netip.MustParseAddr("192.0.2.51") }, "c@example.com", Connect},
	} {
		env := envelope()
		c.set(env)
		denied := Moment(-1)
		for _, m := range []Moment{Connect, Helo, MailFrom, Rcpt} {
			r := p.Admit(m, env, address(c.rcpt))
			if r.Standing == Denied {
				denied = m
				if r.Reply.Code/100 != 5 || !strings.HasPrefix(r.Because.At, "policy.yaml:") {
					t.Errorf("%s: %+v", c.name, r)
				}
				break
			}
		}
		if denied != c.at {
			t.Errorf("%s: denied at %d, want %d", c.name, denied, c.at)
		}
	}
}

func TestTheFirstEntryThatMatchesDecides(t *testing.T) {
	p := parse(t, `access:
  - allow: {recipient: "postmaster@*"}
  - deny: {client: 198.51.100.0/24}
  - allow: {client: 198.51.100.7}
`)
	env := envelope("c@example.com")
	if r := p.Admit(Connect, env, mail.Address{}); r.Standing != Undecided {
		t.Errorf("the recipient may still be postmaster, yet it is %v", r)
	}
	if r := p.Admit(Rcpt, env, address("Postmaster@example.com")); r.Standing != Allowed {
		t.Errorf("postmaster: %v", r)
	}
	if r := p.Admit(Rcpt, env, address("c@example.com")); r.Standing != Denied {
		t.Errorf("anyone else: %v", r)
	}
	d := p.Decide(envelope("postmaster@example.com", "c@example.com"), report("content.gtube"))
	if d.Recipients[0].Action != Accept || d.Recipients[1].Action != Quarantine || d.Recipients[1].Wanted != Reject {
		t.Errorf("at the end: %+v", d.Recipients)
	}
}

// TestAForgedSenderIsNotAllowed is the forgery set of BETS 8: twenty spoofed messages for an allowed domain are all
// judged; the same twenty, authenticated, are all allowed.
func TestAForgedSenderIsNotAllowed(t *testing.T) {
	p := parse(t, `access: [{allow: {sender: ["@partner.example", "*.partner.example", "boss@friend.example"]}}]`)
	unsafe := parse(t, `access: [{allow: {sender: ["@partner.example", "*.partner.example", "boss@friend.example"], unsafe: true}}]`)
	paths := []string{"a@partner.example", "A@PARTNER.example", "b@mail.partner.example", "boss@friend.example", "bounce@esp.example"}
	authors := []string{"a@partner.example", "ceo@partner.example", "x@news.partner.example", "boss@friend.example"}
	n := 0
	for _, path := range paths {
		for _, author := range authors {
			n++
			env, rep := envelope("c@example.com"), report("content.gtube")
			env.From = address(path)
			rep.Message.From, rep.Message.FromDomain = author, domainOf(author)
			for _, other := range []string{"", "attacker.example", "example", "notpartner.example", "notfriend.example"} {
				rep.Auth.Domain = other
				if d := p.Decide(env, rep); d.Action != Reject {
					t.Errorf("%s %s with %q authenticated: %s", path, author, other, d.Action)
				}
			}
			rep.Auth.Domain = domainOf(author)
			if d := p.Decide(env, rep); d.Action != Accept {
				t.Errorf("%s %s authenticated: %s", path, author, d.Action)
			}
			rep.Auth.Domain = ""
			if d := unsafe.Decide(env, rep); d.Action != Accept {
				t.Errorf("%s %s unsafe: %s", path, author, d.Action)
			}
			rep.Auth = nil
			if d := p.Decide(env, rep); d.Action != Reject {
				t.Errorf("%s %s without authentication: %s", path, author, d.Action)
			}
		}
	}
	if n != 20 {
		t.Errorf("%d messages", n)
	}
}

func TestADenyBehindAnAllowThatMayYetCountWaits(t *testing.T) {
	p := parse(t, `access:
  - allow: {sender: "@partner.example"}
  - deny: {client: 198.51.100.0/24}
`)
	env := envelope("c@example.com")
	env.From = address("a@partner.example")
	for m := Connect; m <= Rcpt; m++ {
		if r := p.Admit(m, env, env.Rcpts[0]); r.Standing != Undecided {
			t.Errorf("moment %d: %v", m, r)
		}
	}
	rep := report()
	rep.Message.From, rep.Message.FromDomain = "a@partner.example", "partner.example"
	if d := p.Decide(env, rep); d.Action != Reject {
		t.Errorf("forged: %s", d.Action)
	}
	rep.Auth.Domain = "partner.example"
	if d := p.Decide(env, rep); d.Action != Accept {
		t.Errorf("authenticated: %s", d.Action)
	}
	env.From = address("a@b.example")
	if r := p.Admit(MailFrom, env, mail.Address{}); r.Standing != Denied {
		t.Errorf("another sender: %v", r)
	}
}

func TestExpiredLists(t *testing.T) {
	p := parse(t, `lists: {bad: {networks: [198.51.100.0/24], expires: 2026-11-23}}
access: [{deny: {client: "list:bad"}}]`)
	env := envelope()
	if p.Admit(Connect, env, mail.Address{}).Standing != Denied {
		t.Error("the list does not count on its last day")
	}
	env.Time = env.Time.Add(24 * time.Hour)
	if p.Admit(Connect, env, mail.Address{}).Standing != Undecided {
		t.Error("the list counts after its last day")
	}
}

func TestExpiryIsAnnounced(t *testing.T) {
	p := parse(t, "access:\n  - deny: {client: 192.0.2.1, expires: 2026-11-01}\n  - deny: {client: 192.0.2.2, expires: 2026-11-25}\n  - deny: {client: 192.0.2.3, expires: 2027-11-25}\n")
	over, ending := p.Expired(envelope().Time, 7*24*time.Hour)
	if fmt.Sprint(over) != "[policy.yaml:2: access.deny]" || fmt.Sprint(ending) != "[policy.yaml:3: access.deny]" {
		t.Errorf("over %v, ending %v", over, ending)
	}
}

// manyEntries is an access list of n entries of several kinds.
func manyEntries(n int) string {
	var s strings.Builder
	s.WriteString("access:\n")
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&s, "  - deny: {client: 10.%d.%d.0/24}\n", i>>8&255, i&255)
		case 1:
			fmt.Fprintf(&s, "  - deny: {sender: \"@d%d.example\"}\n", i)
		case 2:
			fmt.Fprintf(&s, "  - deny: {recipient: \"u%d@example.com\"}\n", i)
		case 3:
			fmt.Fprintf(&s, "  - allow: {sender: \"x%d@partner.example\"}\n", i)
		}
	}
	return s.String()
}

func TestThousandsOfEntriesAgreeWithTryingEach(t *testing.T) {
	p := parse(t, manyEntries(2000))
	for i := range 400 {
		env := envelope("c@example.com", fmt.Sprintf("u%d@example.com", i*2))
		env.Remote = netip.AddrFrom4([4]byte{10, byte(i >> 5), byte(i), 9})
		env.From = address(fmt.Sprintf("x%d@d%d.example", i, i*3))
		if i%2 == 0 {
			env.From = address(fmt.Sprintf("x%d@partner.example", i))
		}
		for m := Connect; m <= Rcpt; m++ {
			got := p.Admit(m, env, env.Rcpts[1])
			if want := tryEach(p, m, env, env.Rcpts[1]); got.Because.At != want {
				t.Errorf("case %d moment %d: got %q, want %q", i, m, got.Because.At, want)
			}
		}
	}
}

// tryEach is Admit by the definition: entries in order, and a deny waits for an allow before it.
func tryEach(p *Policy, m Moment, env *mail.Envelope, rcpt mail.Address) string {
	q := question{at: m, env: env, now: env.Time}
	if m >= MailFrom {
		q.sender = env.From.Canonical()
	}
	if m >= Rcpt {
		q.rcpt = rcpt.Canonical()
	}
	waits := false
	for _, e := range p.access.entries {
		switch e.match(&q) {
		case later:
			waits = waits || e.allow
		case yes:
			if waits && !e.allow {
				return ""
			}
			return e.at
		}
	}
	return ""
}

func TestLimits(t *testing.T) {
	p := parse(t, `limits:
  - {name: per-network, key: client_net, count: messages, rate: 600/10m}
  - {name: bytes, key: sender_domain, count: bytes, rate: 1GiB/1d}
  - {name: fast, key: client, count: connections, rate: 30/m}
`)
	l := p.Limits()
	if len(l) != 3 || l[0] != (Limit{"per-network", ByClientNet, Messages, 600, 10 * time.Minute, "policy.yaml:2"}) ||
		l[1].Most != 1<<30 || l[1].Window != 24*time.Hour || l[2].Window != time.Minute {
		t.Errorf("got %+v", l)
	}
}

func BenchmarkAdmit5000Entries(b *testing.B) {
	p := parse(b, manyEntries(5000))
	env := envelope("c@example.com")
	b.ReportAllocs()
	for b.Loop() {
		p.Admit(Rcpt, env, env.Rcpts[0])
	}
}

func FuzzAddressPattern(f *testing.F) {
	for _, s := range []string{"a@b.example", "@b.example", "*.b.example", "<>", "*", "info@*", "list:x", "@", "*@*", "a@@b", "\"a@b\"@c.example"} {
		f.Add(s, "a@b.example")
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		c := &compiler{p: &Policy{lists: map[string]*list{}}}
		s := c.address(items{{Value: pattern}})
		a, err := mail.ParseAddress(value)
		if err != nil {
			return
		}
		if s.has(a.Canonical(), time.Time{}) && len(c.problems) > 0 {
			t.Errorf("%q is refused, yet matches %q", pattern, value)
		}
	})
}
