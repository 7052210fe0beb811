package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
)

// letter is an envelope from a client to one recipient.
func letter(t *testing.T, client, sender, rcpt string) (*mail.Envelope, []mail.Address) {
	t.Helper()
	env := &mail.Envelope{Remote: netip.MustParseAddr(client)}
	var err error
	if sender != "" {
		if env.From, err = mail.ParseAddress(sender); err != nil {
			t.Fatal(err)
		}
	}
	to, err := mail.ParseAddress(rcpt)
	if err != nil {
		t.Fatal(err)
	}
	return env, []mail.Address{to}
}

// vouched is authentication by SPF alone.
func vouched(domain string) *filters.Auth {
	return &filters.Auth{SPF: filters.SPF{Result: "pass", Domain: domain}}
}

func TestAProvidersPoolIsOneSenderAndWaitsOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		auth    *filters.Auth
		minutes []int // of the tries that are let through
	}{
		{"proven by SPF", vouched("provider.example"), []int{15, 45, 105}},
		{"unproven, from anywhere", nil, nil}, // what a greylist by network does to it
	} {
		g, now := gate(Limits{})
		start := *now
		var passed []int
		for i, minute := range []int{0, 15, 45, 105} { // each try from another network of the pool
			*now = start.Add(time.Duration(minute) * time.Minute)
			env, to := letter(t, fmt.Sprintf("198.51.%d.%d", i*5, 20-i), "news@provider.example", "b@example.com")
			if g.Doubted(t.Context(), env, c.auth, to) == nil {
				passed = append(passed, minute)
			}
		}
		if fmt.Sprint(passed) != fmt.Sprint(c.minutes) {
			t.Errorf("%s: let through at %v, want %v", c.name, passed, c.minutes)
		}
	}
}

func TestAnUnprovenSenderIsKnownByNetworkReverseNameSenderAndRecipient(t *testing.T) {
	base := func() (*mail.Envelope, []mail.Address) { return letter(t, "192.0.2.1", "a@x.example", "b@example.com") }
	for name, other := range map[string]func(env *mail.Envelope, to []mail.Address){
		"another network":      func(e *mail.Envelope, _ []mail.Address) { e.Remote = netip.MustParseAddr("192.0.3.1") },
		"another reverse name": func(e *mail.Envelope, _ []mail.Address) { e.RemoteName = "host.pool.example" },
		"another sender":       func(e *mail.Envelope, _ []mail.Address) { e.From = mail.Address{} },
		"another recipient":    func(_ *mail.Envelope, to []mail.Address) { to[0], _ = mail.ParseAddress("c@example.com") },
		"a neighbour":          func(e *mail.Envelope, _ []mail.Address) { e.Remote = netip.MustParseAddr("192.0.2.200") },
		"another spelling":     func(_ *mail.Envelope, to []mail.Address) { to[0], _ = mail.ParseAddress("B@EXAMPLE.com") },
	} {
		g, now := gate(Limits{})
		env, to := base()
		g.Doubted(t.Context(), env, nil, to)
		*now = now.Add(time.Minute)
		env, to = base()
		other(env, to)
		same := name == "a neighbour" || name == "another spelling"
		if got := g.Doubted(t.Context(), env, nil, to) == nil; got != same {
			t.Errorf("%s: let through %v", name, got)
		}
	}
}

func TestWhoIsKnownGoodOrTrustedNeverWaits(t *testing.T) {
	g, now := gate(Limits{})
	env, to := letter(t, "192.0.2.1", "a@good.example", "b@example.com")
	auth := &filters.Auth{Domain: "good.example"}
	g.Accepted(t.Context(), env, auth, true)
	if r := g.Doubted(t.Context(), env, auth, to); r != nil {
		t.Error("a sender of clean mail waits:", r)
	}
	if r := g.Doubted(t.Context(), env, nil, to); r == nil {
		t.Error("its name alone is enough")
	}
	*now = now.Add(g.Config().Greylist.Life)
	if r := g.Doubted(t.Context(), env, auth, to); r == nil {
		t.Error("never forgotten")
	}
	trusted, to := letter(t, "10.1.2.3", "", "b@example.com")
	if r := g.Doubted(t.Context(), trusted, nil, to); r != nil {
		t.Error("a trusted client waits:", r)
	}
	doubted, to := letter(t, "192.0.2.9", "a@doubt.example", "b@example.com")
	g.Accepted(t.Context(), doubted, vouched("doubt.example"), false)
	if g.Doubted(t.Context(), doubted, vouched("doubt.example"), to) == nil {
		t.Error("doubtful mail made its sender known")
	}
}

func TestTheReplySaysHowLongToWait(t *testing.T) {
	g, now := gate(Limits{})
	env, to := letter(t, "2001:db8::1", "a@x.example", "b@example.com")
	second, _ := mail.ParseAddress("c@example.com")
	r := g.Doubted(t.Context(), env, nil, to)
	if r == nil || r.Code != 450 || r.Enhanced != "4.7.1" || r.Text != "Greylisted: not seen before; please try again in 60 seconds" {
		t.Fatal(r)
	}
	*now = now.Add(50 * time.Second)
	if r = g.Doubted(t.Context(), env, nil, append(to, second)); r == nil || r.Text != "Greylisted: not seen before; please try again in 60 seconds" {
		t.Error("the recipient who waits longest decides:", r)
	}
	*now = now.Add(time.Minute)
	if r = g.Doubted(t.Context(), env, nil, append(to, second)); r != nil {
		t.Error("both have waited:", r)
	}
	s := g.Stats()
	if s["greylist_waiting"] != 2 || s["greylist_passed"] != 1 {
		t.Error(s)
	}
}
