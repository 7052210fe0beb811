package access

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// A limitProof is one limit of a client: with it set to n, so much is allowed and no more.
type limitProof struct {
	limits Limits
	n      int
	try    func(t *testing.T, g *Gate, i int) bool // the i-th of what is bounded, from 1
	event  string
}

const someone = "2001:db8::1"

// neighbour is the i-th client of one network.
func neighbour(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)) }

func connect(t *testing.T, g *Gate, a netip.Addr) bool {
	_, r := g.Connect(t.Context(), a)
	return r == nil
}

// limitProofs are all limits that bound a number, by their key in the configuration.
var limitProofs = map[string]limitProof{
	"client_connections": {Limits{PerClient: 4}, 4, func(t *testing.T, g *Gate, i int) bool {
		return connect(t, g, netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i))) // I-06: a /64 is one client
	}, "client_connections"},
	"network_connections": {Limits{PerNetwork: 5}, 5, func(t *testing.T, g *Gate, i int) bool { return connect(t, g, neighbour(i)) }, "network_connections"},
	"connects_per_minute": {Limits{Connects: 6}, 6, func(t *testing.T, g *Gate, _ int) bool {
		leave, r := g.Connect(t.Context(), netip.MustParseAddr(someone))
		if r == nil {
			leave()
		}
		return r == nil
	}, "connects_per_minute"},
	"messages_per_minute": {Limits{Messages: 3}, 3, func(t *testing.T, g *Gate, _ int) bool { return g.Mail(t.Context(), from(someone)) == nil }, "messages_per_minute"},
	"recipients_per_minute": {Limits{Recipients: 3}, 3, func(t *testing.T, g *Gate, _ int) bool {
		rcpt, _ := mail.ParseAddress("a@example.com")
		return g.Rcpt(t.Context(), from(someone), rcpt) == nil
	}, "recipients_per_minute"},
	"bytes_per_minute": {Limits{Bytes: 3}, 3, func(t *testing.T, g *Gate, _ int) bool { return g.Content(t.Context(), from(someone), 1) == nil }, "bytes_per_minute"},
	"tls_per_minute": {Limits{Handshakes: 3}, 3, func(t *testing.T, g *Gate, _ int) bool {
		return g.TLS(t.Context(), netip.MustParseAddr(someone)) == nil
	}, "tls_per_minute"},
	"network_share": {Limits{Messages: 1, Share: 4}, 4, func(t *testing.T, g *Gate, i int) bool {
		return g.Mail(t.Context(), from(neighbour(i).String())) == nil
	}, "messages_per_minute"},
	"errors_per_minute": {Limits{Errors: 5}, 5, func(t *testing.T, g *Gate, _ int) bool {
		g.Refused(t.Context(), from(someone), smtp.ReplyRelayDenied())
		return connect(t, g, netip.MustParseAddr(someone))
	}, "errors_per_minute"},
	"unknown_recipients_per_minute": {Limits{Unknown: 5}, 5, func(t *testing.T, g *Gate, _ int) bool { // C-16
		g.Refused(t.Context(), from(someone), smtp.ReplyUnknownRecipient())
		return connect(t, g, netip.MustParseAddr(someone))
	}, "unknown_recipients_per_minute"},
}

// elsewhere are the limits that bound a time or a part, with the test that proves them.
var elsewhere = map[string]func(*testing.T){
	"errors_ban": TestBansLastAsLongAsTheyShould, "unknown_recipients_ban": TestBansLastAsLongAsTheyShould,
	"known_client":         TestAStrangerWaitsAndAKnownClientDoesNot,
	"stress_above_percent": TestStressBeginsAboveEightyPercentAndEndsAfterCalm, "stress_below_percent": TestStressBeginsAboveEightyPercentAndEndsAfterCalm,
	"stress_calm": TestStressBeginsAboveEightyPercentAndEndsAfterCalm, "stress_queue": TestStressBeginsWhenMessagesWaitForLong,
	"stress_accept": TestStressBeginsWhenConnectionsWaitForLong,
}

// HOSTILE 3.3, C-16, I-01, I-06, B-15: each limit allows n and not one more, and says so in a metric; none is left out.
func TestEachLimitAllowsItsNumberAndNotOneMore(t *testing.T) {
	fields := reflect.TypeFor[Limits]()
	for i := range fields.NumField() {
		key := fields.Field(i).Tag.Get("yaml")
		p, ok := limitProofs[key]
		if !ok && elsewhere[key] == nil {
			t.Errorf("%s is not tested", key)
		}
		if !ok {
			continue
		}
		g, _ := gate(p.limits)
		for i := 1; i <= p.n+1; i++ {
			if got := p.try(t, g, i); got != (i <= p.n) {
				t.Errorf("%s: number %d of %d: %v", key, i, p.n, got)
			}
			if counted := g.Stats()[p.event]; counted > 0 != (i > p.n) {
				t.Errorf("%s: number %d of %d: %d counted", key, i, p.n, counted)
			}
		}
	}
}

func TestBansLastAsLongAsTheyShould(t *testing.T) { // C-16, M-03
	a := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]struct {
		limits Limits
		reply  *smtp.Reply
		ban    time.Duration
	}{
		"errors":             {Limits{Errors: 1}, smtp.ReplyRelayDenied(), DefaultLimits().ErrorsBan},
		"unknown recipients": {Limits{Unknown: 1}, smtp.ReplyUnknownRecipient(), DefaultLimits().UnknownBan},
		"both":               {Limits{Unknown: 1, Errors: 1}, smtp.ReplyUnknownRecipient(), DefaultLimits().UnknownBan}, // the longer one holds
	} {
		g, now := gate(c.limits)
		for range 2 {
			g.Refused(t.Context(), from(a.String()), c.reply)
		}
		for _, step := range []struct {
			wait time.Duration
			open bool
		}{{0, false}, {c.ban - time.Second, false}, {time.Second, true}} {
			*now = now.Add(step.wait)
			if got := connect(t, g, a); got != step.open {
				t.Errorf("%s, after %v: %v", name, step.wait, got)
			}
		}
		if g.Stats()["banned"] != 2 {
			t.Errorf("%s: %v", name, g.Stats())
		}
	}
}

func TestStressBeginsWhenMessagesWaitForLong(t *testing.T) { // HOSTILE 3.4
	g, now := gateOf(Config{Connections: 100})
	for i, step := range []struct {
		full bool
		wait time.Duration
		want bool
	}{
		{true, 4 * time.Second, false}, {false, time.Hour, false}, {true, 5 * time.Second, true}, {true, time.Hour, true},
		{false, 29 * time.Second, true}, {false, time.Second, false},
	} {
		g.Queue(step.full)
		*now = now.Add(step.wait)
		if g.Stress() != step.want {
			t.Errorf("step %d: stress is not %v", i, step.want)
		}
	}
}

func TestStressBeginsWhenConnectionsWaitForLong(t *testing.T) { // HOSTILE 3.4: accept latency p95 > 1 s
	for _, c := range []struct {
		name        string
		quick, slow int
		want        bool
		p95         time.Duration
	}{
		{"one in twenty is the 95th percentile itself", 19, 1, false, time.Millisecond},
		{"two in twenty are above it", 18, 2, true, 2 * time.Second},
		{"a few are no crowd", 0, 19, false, 2 * time.Second},
		{"all are slow", 0, 20, true, 2 * time.Second},
		{"many are quick", 1000, 50, false, time.Millisecond},
	} {
		g, now := gateOf(Config{Connections: 100})
		var told []string
		g.OnStress(func(on bool, why string) { told = append(told, fmt.Sprint(on, " ", why)) })
		for range c.quick {
			g.Served(800 * time.Microsecond)
		}
		for range c.slow {
			g.Served(1100 * time.Millisecond)
		}
		if g.Stress() != c.want || g.AcceptLatency() != c.p95 {
			t.Errorf("%s: stress is %v, accept latency %s", c.name, g.Stress(), g.AcceptLatency())
		}
		if !c.want {
			continue
		}
		if _, why := g.Stressed(); why != "connections wait long to be attended to" {
			t.Errorf("%s: because %s", c.name, why)
		}
		*now = now.Add(9 * time.Second)
		if !g.Stress() || g.AcceptLatency() == 0 {
			t.Errorf("%s: forgotten within ten seconds", c.name)
		}
		for _, step := range []struct {
			wait time.Duration
			want bool
		}{{time.Second, true}, {29 * time.Second, true}, {time.Second, false}} {
			*now = now.Add(step.wait)
			if g.Stress() != step.want {
				t.Errorf("%s: %s later stress is not %v", c.name, step.wait, step.want)
			}
		}
		if g.AcceptLatency() != 0 || len(told) != 2 || told[1] != "false calm" {
			t.Errorf("%s: accept latency %s, told %q", c.name, g.AcceptLatency(), told)
		}
	}
}

func TestUnderStressWhoErredBeforeIsTurnedAway(t *testing.T) { // HOSTILE 3.4, I-02, I-04
	g, _ := gateOf(Config{Connections: 10})
	g.Refused(t.Context(), from("192.0.2.1"), smtp.ReplyUnknownCommand())
	g.Refused(t.Context(), from("10.1.1.1"), smtp.ReplyUnknownCommand())
	if !connect(t, g, netip.MustParseAddr("192.0.2.1")) {
		t.Fatal("turned away without stress")
	}
	for range 8 {
		connect(t, g, netip.MustParseAddr("10.1.1.1"))
	}
	if !g.Stress() {
		t.Fatal("no stress")
	}
	_, r := g.Connect(t.Context(), netip.MustParseAddr("192.0.2.1"))
	if r == nil || r.Code != 421 || r.Enhanced != "4.3.2" {
		t.Error("not turned away under stress:", r)
	}
	if !connect(t, g, netip.MustParseAddr("192.0.2.2")) || !connect(t, g, netip.MustParseAddr("10.1.1.1")) {
		t.Error("others are turned away")
	}
}

func TestNewLimitsHoldAtOnce(t *testing.T) { // P-18
	g, _ := gate(Limits{Messages: 1})
	g.Mail(t.Context(), from(someone))
	if g.Mail(t.Context(), from(someone)) == nil {
		t.Fatal("no limit")
	}
	c := g.Config()
	c.Limits.Messages, c.Greet = 3, time.Second
	g.Adjust(c)
	if g.Mail(t.Context(), from(someone)) != nil || g.Greet(t.Context(), netip.MustParseAddr(someone)) != time.Second {
		t.Error("the old limits hold")
	}
}

// seen is a counter that notes the keys that it is given.
type seen struct {
	Counter
	keys map[string]bool
}

func (s *seen) Take(ctx context.Context, key string, n int, r state.Rate) (bool, time.Duration) {
	s.keys[key] = true
	return s.Counter.Take(ctx, key, n, r)
}

func (s *seen) Remember(ctx context.Context, key string, life time.Duration) {
	s.keys[key] = true
	s.Counter.Remember(ctx, key, life)
}

func (s *seen) Known(ctx context.Context, key string) bool {
	s.keys[key] = true
	return s.Counter.Known(ctx, key)
}

func (s *seen) Wait(ctx context.Context, key string, v state.Visit, t state.Terms) time.Duration {
	s.keys[key] = true
	return s.Counter.Wait(ctx, key, v, t)
}

func TestNoKeyHoldsWhatAStrangerWrote(t *testing.T) { // C-20
	rules := []policy.Limit{}
	for _, k := range []policy.LimitKey{policy.ByClient, policy.ByClientNet, policy.ByHelo, policy.BySender, policy.BySenderDomain, policy.ByRecipient} {
		for _, c := range []policy.LimitCount{policy.Connections, policy.Messages, policy.Recipients, policy.Bytes, policy.Errors} {
			rules = append(rules, policy.Limit{Name: string(k + "-" + policy.LimitKey(c)), Key: k, Count: c, Most: 1, Window: time.Minute})
		}
	}
	counter := &seen{state.NewLocal(1000, time.Now), map[string]bool{}}
	g := New(Config{Limits: DefaultLimits(), Connections: 10, Greet: time.Second, Greylist: DefaultGreylist()}, counter, func() []policy.Limit { return rules })
	env, to := letter(t, "192.0.2.1", "\"' ; * : { }evil\"@sender.example", "\"KEYS[1]\"@example.com")
	env.Helo = "evil'helo;*{}"
	env.RemoteName = "evil.reverse.example"
	for range 2 {
		g.Connect(t.Context(), env.Remote)
		g.Greet(t.Context(), env.Remote)
		g.TLS(t.Context(), env.Remote)
		g.Mail(t.Context(), env)
		g.Rcpt(t.Context(), env, to[0])
		g.Content(t.Context(), env, 10)
		g.Refused(t.Context(), env, smtp.ReplyUnknownRecipient())
		g.Doubted(t.Context(), env, nil, to)
		g.Doubted(t.Context(), env, vouched("evil'.example"), to)
		g.Accepted(t.Context(), env, vouched("evil'.example"), true)
	}
	if len(counter.keys) < 20 {
		t.Errorf("only %d keys", len(counter.keys))
	}
	for k := range counter.keys {
		if len(k) != 32 || strings.Trim(k, "0123456789abcdef") != "" {
			t.Errorf("key %q", k)
		}
	}
}
