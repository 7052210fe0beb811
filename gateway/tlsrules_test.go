package gateway

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"gatepost/filters/mail"
)

func address(t *testing.T, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// B-04, B-05: every scope at every stage, for clear text and every version, with its exemptions.
func TestADemandForTLSBindsWhomItNames(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	scopes := map[string]TLSRule{
		"network":              {Networks: nets},
		"sender domain":        {Senders: map[string]bool{"bank.example": true}},
		"recipient domain":     {Recipients: map[string]bool{"example.com": true}},
		"sender and recipient": {Senders: map[string]bool{"bank.example": true}, Recipients: map[string]bool{"example.com": true}},
	}
	versions := map[string]uint16{"": 0, "TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}
	for scope, rule := range scopes {
		for stage := TLSObserve; stage <= TLSRequired; stage++ {
			for _, least := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				rule.Stage, rule.Least = stage, least
				p := TLSPolicy{Rules: []TLSRule{rule}, Exempt: map[string]bool{"tlsrpt@example.com": true}}
				for version, number := range versions {
					env := &mail.Envelope{Remote: netip.MustParseAddr("192.0.2.9"), From: address(t, "a@bank.example"), TLS: mail.TLS{Version: version}}
					want := stage
					if number >= least {
						want = TLSFree
					}
					if got := p.TLSShort(env, address(t, "bob@example.com")); got != want {
						t.Errorf("%s, %s, at least %x, %q: %s", scope, stage, least, version, got)
					}
					for _, rcpt := range []string{"Postmaster@example.com", "tlsrpt@example.com"} {
						if got := p.TLSShort(env, address(t, rcpt)); got != TLSFree {
							t.Errorf("%s: %s for the exempt %s", scope, got, rcpt)
						}
					}
					other := &mail.Envelope{Remote: netip.MustParseAddr("198.51.100.1"), TLS: env.TLS}
					if got := p.TLSShort(other, address(t, "bob@other.example")); got != TLSFree {
						t.Errorf("%s: %s for others", scope, got)
					}
				}
			}
		}
	}
}

func TestTheStrictestOfSeveralDemandsHolds(t *testing.T) {
	p := TLSPolicy{
		Listeners: map[string]ListenerTLS{":25": {Stage: TLSWarn, Senders: map[string]bool{"old.example": true}}},
		Rules: []TLSRule{
			{Stage: TLSRequired, Least: tls.VersionTLS12, Senders: map[string]bool{"bank.example": true}},
			{Stage: TLSRequired, Least: tls.VersionTLS13, Recipients: map[string]bool{"example.com": true}},
			{Stage: TLSObserve, Least: tls.VersionTLS13, Senders: map[string]bool{"bank.example": true}},
		},
	}
	for _, c := range []struct {
		from, to, version string
		want              TLSStage
	}{
		{"a@bank.example", "b@other.example", "", TLSRequired},
		{"a@bank.example", "b@other.example", "TLS 1.2", TLSFree},
		{"a@bank.example", "b@example.com", "TLS 1.2", TLSRequired},
		{"a@x.example", "b@other.example", "", TLSWarn},
		{"a@old.example", "b@other.example", "", TLSFree},
		{"a@old.example", "b@example.com", "", TLSRequired},
	} {
		env := &mail.Envelope{Listener: ":25", From: address(t, c.from), TLS: mail.TLS{Version: c.version}}
		if got := p.TLSShort(env, address(t, c.to)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// B-04, B-05: what a listener requires, and whom it lets through in clear text, step by step.
func TestAListenersDemandIsAskedWithWhatIsKnown(t *testing.T) {
	none, bob, post := mail.Address{}, address(t, "bob@example.com"), address(t, "postmaster@example.com")
	report, old := address(t, "tlsrpt@example.com"), address(t, "a@old.example")
	peer, friend := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.1")
	strict := ListenerTLS{Stage: TLSRequired, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Senders: map[string]bool{"old.example": true}}
	open := strict
	open.Recipients = map[string]bool{"postmaster": true}
	p := &TLSPolicy{Listeners: map[string]ListenerTLS{"strict": strict, "open": open, "warn": {Stage: TLSWarn}}}
	reports := &TLSPolicy{Listeners: p.Listeners, Exempt: map[string]bool{"tlsrpt@example.com": true}}
	for i, c := range []struct {
		p          *TLSPolicy
		listener   string
		peer       netip.Addr
		from, rcpt mail.Address
		want       bool
	}{
		{p, "strict", peer, none, none, false}, {p, "strict", peer, bob, none, false}, {p, "strict", peer, old, none, true},
		{p, "strict", friend, none, none, true}, {p, "strict", friend, bob, bob, true}, {p, "strict", peer, none, post, false},
		{p, "open", peer, none, none, true}, {p, "open", peer, bob, none, true}, {p, "open", peer, bob, bob, false}, {p, "open", peer, bob, post, true},
		{p, "warn", peer, none, none, true}, {p, "warn", peer, bob, bob, true},
		{reports, "strict", peer, bob, none, true}, {reports, "strict", peer, bob, report, true}, {reports, "strict", peer, bob, bob, false},
	} {
		if got := c.p.PlainAllowed(c.listener, c.peer, c.from, c.rcpt); got != c.want {
			t.Errorf("case %d: %v", i, got)
		}
	}
}
