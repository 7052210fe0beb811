package access

import (
	"net/netip"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// gate makes a gate whose clock the test moves. Limits that are zero do not stand in the way.
func gate(l Limits, rules ...policy.Limit) (*Gate, *time.Time) {
	return gateOf(Config{Limits: l, Connections: 1000}, rules...)
}

func gateOf(c Config, rules ...policy.Limit) (*Gate, *time.Time) {
	now := time.Unix(1e9, 0)
	clock := func() time.Time { return now }
	d := DefaultLimits()
	for _, p := range []struct{ have, high *int }{{&c.Limits.PerClient, &c.Connections}, {&c.Limits.PerNetwork, &c.Connections}, {&c.Limits.Share, &d.Share}, {&c.Limits.StressAbove, &d.StressAbove}, {&c.Limits.StressBelow, &d.StressBelow}} {
		if *p.have == 0 {
			*p.have = *p.high
		}
	}
	c.Limits.UnknownBan, c.Limits.ErrorsBan, c.Limits.Pass = d.UnknownBan, d.ErrorsBan, d.Pass
	c.Limits.StressCalm, c.Limits.StressQueue, c.Limits.StressAccept, c.Greylist = d.StressCalm, d.StressQueue, d.StressAccept, DefaultGreylist()
	c.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	g := New(c, state.NewLocal(1000, clock), func() []policy.Limit { return rules })
	g.stress.now = clock
	return g, &now
}

func from(a string) *mail.Envelope { return &mail.Envelope{Remote: netip.MustParseAddr(a)} }

func TestEachRateAllowsExactlyItsNumber(t *testing.T) { // I-06, C-16
	rcpt, _ := mail.ParseAddress("a@example.com")
	for what, c := range map[string]struct {
		limits Limits
		rules  []policy.Limit
		try    func(g *Gate, e *mail.Envelope) bool
	}{
		"connections": {Limits{Connects: 3}, nil, func(g *Gate, e *mail.Envelope) bool {
			_, r := g.Connect(t.Context(), e.Remote)
			return r == nil
		}},
		"messages":   {Limits{Messages: 3}, nil, func(g *Gate, e *mail.Envelope) bool { return g.Mail(t.Context(), e) == nil }},
		"recipients": {Limits{Recipients: 3}, nil, func(g *Gate, e *mail.Envelope) bool { return g.Rcpt(t.Context(), e, rcpt) == nil }},
		"bytes":      {Limits{Bytes: 300}, nil, func(g *Gate, e *mail.Envelope) bool { return g.Content(t.Context(), e, 100) == nil }},
		"handshakes": {Limits{Handshakes: 3}, nil, func(g *Gate, e *mail.Envelope) bool { return g.TLS(t.Context(), e.Remote) == nil }},
		"a rule": {Limits{}, []policy.Limit{{Name: "r", Key: policy.ByRecipient, Count: policy.Recipients, Most: 3, Window: time.Hour}},
			func(g *Gate, e *mail.Envelope) bool { return g.Rcpt(t.Context(), e, rcpt) == nil }},
	} {
		g, _ := gate(c.limits, c.rules...)
		for i, want := range []bool{true, true, true, false} {
			if got := c.try(g, from("2001:db8::1")); got != want {
				t.Errorf("%s: number %d of 3: %v", what, i+1, got)
			}
		}
	}
}

func TestWhoHarvestsIsTurnedAwayInOtherSessionsToo(t *testing.T) { // C-16
	g, now := gate(Limits{Unknown: 3})
	for i := range 4 {
		if _, r := g.Connect(t.Context(), netip.MustParseAddr("192.0.2.1")); r != nil {
			t.Fatalf("turned away after %d", i)
		}
		g.Refused(t.Context(), from("192.0.2.1"), smtp.ReplyUnknownRecipient())
	}
	if _, r := g.Connect(t.Context(), netip.MustParseAddr("192.0.2.1")); r == nil || r.Code != 421 {
		t.Error("not turned away", r)
	}
	if _, r := g.Connect(t.Context(), netip.MustParseAddr("192.0.2.2")); r != nil {
		t.Error("the neighbour pays", r)
	}
	*now = now.Add(g.Config().Limits.UnknownBan)
	if _, r := g.Connect(t.Context(), netip.MustParseAddr("192.0.2.1")); r != nil {
		t.Error("never forgiven", r)
	}
}

func TestTooManyErrorsByAnAdministratorsKeyRefuseTheNextMessage(t *testing.T) {
	g, _ := gate(Limits{}, policy.Limit{Name: "e", Key: policy.ByClientNet, Count: policy.Errors, Most: 2, Window: time.Hour})
	for i := range 3 {
		if g.Mail(t.Context(), from("192.0.2.1")) != nil {
			t.Fatalf("refused after %d", i)
		}
		g.Refused(t.Context(), from("192.0.2.1"), smtp.ReplyRelayDenied())
	}
	if g.Mail(t.Context(), from("192.0.2.200")) == nil {
		t.Error("accepted")
	}
}

func TestAStrangerWaitsAndAKnownClientDoesNot(t *testing.T) { // C-01
	g, now := gateOf(Config{Greet: 3 * time.Second, StressGreet: time.Second, Connections: 10})
	a := netip.MustParseAddr("192.0.2.1")
	if g.Greet(t.Context(), a) != 3*time.Second || g.Greet(t.Context(), netip.MustParseAddr("10.1.1.1")) != 0 {
		t.Error("wrong wait")
	}
	g.Accepted(t.Context(), from("192.0.2.1"), nil, true)
	if g.Greet(t.Context(), a) != 0 {
		t.Error("not remembered")
	}
	*now = now.Add(g.Config().Limits.Pass)
	for range 9 {
		g.Connect(t.Context(), netip.MustParseAddr("10.1.1.1"))
	}
	if got := g.Greet(t.Context(), a); got != time.Second {
		t.Errorf("waits %v under stress", got)
	}
}

func TestStressBeginsAboveEightyPercentAndEndsAfterCalm(t *testing.T) { // I-02
	g, now := gateOf(Config{Connections: 10})
	told := 0
	g.OnStress(func(bool, string) { told++ })
	var leaves []func()
	open := func(n int) {
		for len(leaves) < n {
			leave, _ := g.Connect(t.Context(), netip.MustParseAddr("10.1.1.1"))
			leaves = append(leaves, leave)
		}
		for len(leaves) > n {
			leaves[0]()
			leaves = leaves[1:]
		}
	}
	for i, step := range []struct {
		open int
		wait time.Duration
		want bool
	}{{8, 0, false}, {9, 0, true}, {6, time.Hour, true}, {5, 29 * time.Second, true}, {6, time.Hour, true}, {5, 29 * time.Second, true}, {5, time.Second, false}} {
		open(step.open)
		*now = now.Add(step.wait)
		if g.Stress() != step.want {
			t.Errorf("step %d: stress is not %v", i, step.want)
		}
	}
	if told != 2 {
		t.Errorf("told %d times", told)
	}
}

func TestTrustedClientsAreExempt(t *testing.T) {
	g, _ := gate(Limits{Connects: 1, Errors: 1, Handshakes: 1})
	for range 5 {
		_, r := g.Connect(t.Context(), netip.MustParseAddr("10.1.1.1"))
		g.Refused(t.Context(), from("10.1.1.1"), smtp.ReplyRelayDenied())
		if r != nil || g.TLS(t.Context(), netip.MustParseAddr("10.1.1.1")) != nil {
			t.Error("refused", r)
		}
	}
}
