package access

import (
	"context"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
)

// A sender is whom greylisting takes a message to come from.
type sender struct {
	who    string // the domain that vouched for it, or the client's network with its reverse-DNS domain
	proven bool   // it is a domain, and it was proven: all of its machines are one sender
}

// senderOf finds the sender of a message: the domain that authenticated, so that a provider's pool of machines counts as
// one; without one the client's /24 or /64 and the domain of its confirmed reverse name.
func senderOf(env *mail.Envelope, auth *filters.Auth) sender {
	if d := provenDomain(auth); d != "" {
		return sender{who: d, proven: true}
	}
	who := block(env.Remote, 24, 64).String()
	if d := mail.OrganizationalDomain(env.RemoteName); d != "" {
		who += " " + d
	}
	return sender{who: who}
}

// provenDomain is the domain that is responsible for a message beyond doubt, or empty: the author's, else the
// reverse-path's, else a signer's.
func provenDomain(auth *filters.Auth) string {
	const pass = "pass"
	switch {
	case auth == nil:
		return ""
	case auth.Domain != "":
		return strings.ToLower(auth.Domain)
	case auth.SPF.Result == pass && !auth.SPF.Weak && auth.SPF.Domain != "":
		return strings.ToLower(auth.SPF.Domain)
	}
	for _, d := range auth.DKIM {
		if d.Result == pass && d.Domain != "" {
			return strings.ToLower(d.Domain)
		}
	}
	return ""
}

// Doubted asks a doubtful message to come again later, unless its sender came back before or has sent mail that nobody
// doubted. Whoever comes back is let through; a proven sender is then known for all its mail.
func (g *Gate) Doubted(ctx context.Context, env *mail.Envelope, auth *filters.Auth, rcpts []mail.Address) *smtp.Reply {
	c := g.cfg.Load()
	if env.Trusted || c.exempt(env.Remote) {
		return nil
	}
	s := senderOf(env, auth)
	if g.counter.Known(ctx, key("good", s.who)) {
		g.count(greyKnown)
		return nil
	}
	var longest time.Duration
	terms := state.Terms{Delay: c.Greylist.Delay, Window: c.Greylist.Window, Life: c.Greylist.Life}
	from := env.From.Canonical()
	for _, r := range rcpts {
		v := state.Visit{Who: s.who, From: from, Rcpt: r.Canonical()}
		longest = max(longest, g.counter.Wait(ctx, key("grey", v.Who, v.From, v.Rcpt), v, terms))
	}
	if longest > 0 {
		g.count(greyWaiting)
		return smtp.ReplyGreylist(int((longest + time.Second - 1) / time.Second))
	}
	g.count(greyPassed)
	if s.proven {
		g.counter.Remember(ctx, key("good", s.who), c.Greylist.Life)
	}
	return nil
}

// Accepted remembers a client whose message was accepted, so that it is spared the wait for the banner; and, if the
// message was clean, its sender, so that it is never greylisted.
func (g *Gate) Accepted(ctx context.Context, env *mail.Envelope, auth *filters.Auth, clean bool) {
	c := g.cfg.Load()
	if c.exempt(env.Remote) {
		return
	}
	if c.Greet > 0 && c.Limits.Pass > 0 {
		g.counter.Remember(ctx, key("pass", client(env.Remote).String()), c.Limits.Pass)
	}
	if s := senderOf(env, auth); s.proven && clean {
		g.counter.Remember(ctx, key("good", s.who), c.Greylist.Life)
	}
}
