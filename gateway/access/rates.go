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
func (g *Gate) take(ctx context.Context, what string, a netip.Addr, n, most int) bool {
	if most == 0 {
		return true
	}
	ok, _ := g.counter.Take(ctx, key(what, client(a).String()), n, state.Rate{Count: most, Window: time.Minute})
	if !ok {
		return false
	}
	ok, _ = g.counter.Take(ctx, key(what, "network", network(a).String()), n, state.Rate{Count: most * networkShare, Window: time.Minute})
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
	if !g.take(ctx, "bytes", env.Remote, int(size), g.limits.BytesAMinute) {
		return smtp.ReplyRate()
	}
	return g.ruled(ctx, env, tally{policy.Bytes, int(size), ""})
}

// Refused counts a refusal. Who errs too often, or asks for too many recipients that do not exist, is turned away for a
// while, also in other sessions and, where state is shared, at other gateways (HOSTILE C-16).
func (g *Gate) Refused(ctx context.Context, env *mail.Envelope, r *smtp.Reply) {
	if r.Code < 500 || g.exempt(env.Remote) {
		return
	}
	penalty := key("penalty", client(env.Remote).String())
	if unknown := smtp.ReplyUnknownRecipient(); r.Code == unknown.Code && r.Enhanced == unknown.Enhanced && !g.one(ctx, "unknown", env.Remote, g.limits.UnknownAMinute) {
		g.counter.Remember(ctx, penalty, penaltyLife)
	}
	if !g.one(ctx, "errors", env.Remote, g.limits.ErrorsAMinute) {
		g.counter.Remember(ctx, penalty, errorsLife)
	}
	g.ruled(ctx, env, tally{policy.Errors, 1, ""})
}

// one counts one event of a client alone: its neighbours do not pay for its errors. A limit of 0 is none.
func (g *Gate) one(ctx context.Context, what string, a netip.Addr, most int) bool {
	if most == 0 {
		return true
	}
	ok, _ := g.counter.Take(ctx, key(what, client(a).String()), 1, state.Rate{Count: most, Window: time.Minute})
	return ok
}

// Accepted remembers a client whose message was accepted.
func (g *Gate) Accepted(ctx context.Context, a netip.Addr) {
	if g.limits.GreetDelay > 0 && !g.exempt(a) {
		g.counter.Remember(ctx, key("pass", client(a).String()), passLife)
	}
}

// Greet is how long a client waits for the banner: not at all if it is trusted or has sent mail that was accepted.
func (g *Gate) Greet(ctx context.Context, a netip.Addr) time.Duration {
	if g.limits.GreetDelay == 0 || g.exempt(a) || g.counter.Known(ctx, key("pass", client(a).String())) {
		return 0
	}
	if g.Stress() {
		return min(g.limits.GreetDelay, g.limits.StressGreetDelay)
	}
	return g.limits.GreetDelay
}

// TLS counts a handshake; a Reply refuses it.
func (g *Gate) TLS(ctx context.Context, a netip.Addr) *smtp.Reply {
	if g.exempt(a) || g.take(ctx, "tls", a, 1, g.limits.TLSAMinute) {
		return nil
	}
	return smtp.ReplyTLSUnavailable()
}
