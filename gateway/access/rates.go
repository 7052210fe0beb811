package access

import (
	"context"
	"net/netip"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// take counts n events of a client and of its network. A limit of 0 is none.
func (g *Gate) take(ctx context.Context, e event, a netip.Addr, n, most int) bool {
	if most == 0 {
		return true
	}
	ok, _ := g.counter.Take(ctx, key(e.String(), client(a).String()), n, state.Rate{Count: most, Window: time.Minute})
	if ok {
		share := max(g.cfg.Load().Limits.Share, 1)
		ok, _ = g.counter.Take(ctx, key(e.String(), "network", network(a).String()), n, state.Rate{Count: most * share, Window: time.Minute})
	}
	if !ok {
		g.count(e)
	}
	return ok
}

// A tally is what is counted now: n of a kind, and for whom if that is known.
type tally struct {
	kind policy.LimitCount
	n    int
	rcpt string
}

// ruled applies the administrator's limits of one kind of count.
func (g *Gate) ruled(ctx context.Context, env *mail.Envelope, t tally) *smtp.Reply {
	for _, l := range g.rules() {
		value := ""
		if l.Count == t.kind {
			value = valueOf(l.Key, env, t.rcpt)
		}
		if value == "" {
			continue
		}
		if ok, _ := g.counter.Take(ctx, key("limit", l.Name, value), t.n, state.Rate{Count: int(l.Most), Window: l.Window}); ok {
			continue
		}
		g.count(policyLimit)
		if t.kind == policy.Errors { // what went wrong has been answered; the next message is what is refused
			g.counter.Remember(ctx, key("erring", l.Name, value), l.Window)
		}
		return smtp.ReplyRate()
	}
	return nil
}

// erring reports whether an administrator's limit of errors is passed.
func (g *Gate) erring(ctx context.Context, env *mail.Envelope) bool {
	for _, l := range g.rules() {
		if l.Count != policy.Errors {
			continue
		}
		if v := valueOf(l.Key, env, ""); v != "" && g.counter.Known(ctx, key("erring", l.Name, v)) {
			return true
		}
	}
	return false
}

// Content counts the bytes of a message that has come.
func (g *Gate) Content(ctx context.Context, env *mail.Envelope, size int64) *smtp.Reply {
	if env.Trusted {
		return nil
	}
	if !g.take(ctx, bytes, env.Remote, int(size), int(g.cfg.Load().Limits.Bytes)) {
		return smtp.ReplyRate()
	}
	return g.ruled(ctx, env, tally{policy.Bytes, int(size), ""})
}

// Refused counts a refusal. Who errs too often, or asks for too many recipients that do not exist, is turned away for a
// while, also in other sessions and, where state is shared, at other gateways (HOSTILE C-16).
func (g *Gate) Refused(ctx context.Context, env *mail.Envelope, r *smtp.Reply) {
	c := g.cfg.Load()
	if r.Code < 500 || c.exempt(env.Remote) {
		return
	}
	who := client(env.Remote).String()
	if unknownRcpt := smtp.ReplyUnknownRecipient(); r.Code == unknownRcpt.Code && r.Enhanced == unknownRcpt.Enhanced && !g.one(ctx, unknown, who, c.Limits.Unknown) {
		g.counter.Remember(ctx, key("penalty", who), c.Limits.UnknownBan)
	}
	if !g.one(ctx, errorRate, who, c.Limits.Errors) {
		g.counter.Remember(ctx, key("penalty", who), c.Limits.ErrorsBan)
	}
	g.counter.Remember(ctx, key("erred", who), seldom)
	g.ruled(ctx, env, tally{policy.Errors, 1, ""})
}

// one counts one event of a client alone: its neighbours do not pay for its errors. A limit of 0 is none.
func (g *Gate) one(ctx context.Context, e event, who string, most int) bool {
	if most == 0 {
		return true
	}
	ok, _ := g.counter.Take(ctx, key(e.String(), who), 1, state.Rate{Count: most, Window: time.Minute})
	if !ok {
		g.count(e)
	}
	return ok
}

// Greet is how long a client waits for the banner: not at all if it is trusted or has sent mail that was accepted.
func (g *Gate) Greet(ctx context.Context, a netip.Addr) time.Duration {
	c := g.cfg.Load()
	if c.Greet == 0 || c.exempt(a) {
		return 0
	}
	if g.counter.Known(ctx, key("pass", client(a).String())) {
		g.count(greetSpared)
		return 0
	}
	g.count(greetWaited)
	if g.Stress() {
		return min(c.Greet, c.StressGreet)
	}
	return c.Greet
}

// TLS counts a handshake.
func (g *Gate) TLS(ctx context.Context, a netip.Addr) *smtp.Reply {
	c := g.cfg.Load()
	if c.exempt(a) || g.take(ctx, handshakes, a, 1, c.Limits.Handshakes) {
		return nil
	}
	return smtp.ReplyTLSUnavailable()
}
