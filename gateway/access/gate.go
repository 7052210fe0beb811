package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// seldom is how long is remembered that a client erred, for times of stress (HOSTILE 3.4).
const seldom = 24 * time.Hour

// A Counter counts events in windows of time, remembers marks, and knows who waits. *state.Local and *state.Redis are
// Counters.
type Counter interface {
	Take(ctx context.Context, key string, n int, r state.Rate) (ok bool, wait time.Duration)
	Remember(ctx context.Context, key string, life time.Duration)
	Known(ctx context.Context, key string) bool
	Wait(ctx context.Context, key string, v state.Visit, t state.Terms) (left time.Duration)
}

// A Gate counts who speaks.
type Gate struct {
	cfg     atomic.Pointer[Config]
	counter Counter
	rules   func() []policy.Limit // the administrator's, of the current policy
	counts  counters

	mu   sync.Mutex
	open map[netip.Prefix]int
	all  int

	stress stress
}

// New makes a Gate. rules are asked each time.
func New(c Config, counter Counter, rules func() []policy.Limit) *Gate {
	g := &Gate{counter: counter, rules: rules, open: map[netip.Prefix]int{}, stress: stress{now: time.Now}}
	g.Adjust(c)
	return g
}

// Adjust replaces the configuration from the next event on. Nobody is turned away for what is open already.
func (g *Gate) Adjust(c Config) {
	g.cfg.Store(&c)
	g.stress.adjust(&c.Limits)
}

// Config is what holds now.
func (g *Gate) Config() Config { return *g.cfg.Load() }

// client and network are the blocks that an address is counted by (HOSTILE I-06).
func client(a netip.Addr) netip.Prefix  { return block(a, 32, 64) }
func network(a netip.Addr) netip.Prefix { return block(a, 24, 48) }

func block(a netip.Addr, v4, v6 int) netip.Prefix {
	bits := v4
	if a.Is6() {
		bits = v6
	}
	p, _ := a.Prefix(bits) // cannot fail: bits fit the family
	return p
}

// Connect counts a connection; leave must be called once when it ends.
func (g *Gate) Connect(ctx context.Context, a netip.Addr) (leave func(), refusal *smtp.Reply) {
	c := g.cfg.Load()
	one, many := client(a), network(a)
	free := c.exempt(a)
	if full := g.enter(c, one, many, free); full < eventCount {
		g.count(full)
		return nil, smtp.ReplyTooManyConnections()
	}
	leave = func() { g.leave(one, many) }
	if free {
		return leave, nil
	}
	if r := g.turnAway(ctx, a); r != nil {
		leave()
		return nil, r
	}
	return leave, nil
}

// enter counts a connection in, unless a limit is reached: then it says which. It is eventCount otherwise.
func (g *Gate) enter(c *Config, one, many netip.Prefix, free bool) event {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case free:
	case g.all >= c.Connections:
		return connections
	case g.open[one] >= c.Limits.PerClient:
		return perClient
	case g.open[many] >= c.Limits.PerNetwork:
		return perNetwork
	}
	g.all++
	g.open[one]++
	g.open[many]++
	g.stress.see(g.all, c.Connections)
	return eventCount
}

// turnAway refuses a client for what it did before.
func (g *Gate) turnAway(ctx context.Context, a netip.Addr) *smtp.Reply {
	who := client(a).String()
	switch {
	case g.counter.Known(ctx, key("penalty", who)):
		g.count(banned)
		return smtp.ReplyTooManyErrors()
	case g.Stress() && g.counter.Known(ctx, key("erred", who)):
		g.count(stressed)
		return smtp.ReplyOverload()
	case !g.take(ctx, connects, a, 1, g.cfg.Load().Limits.Connects),
		g.ruled(ctx, &mail.Envelope{Remote: a}, tally{policy.Connections, 1, ""}) != nil:
		return smtp.ReplyTooManyConnections()
	}
	return nil
}

// leave takes a connection off the count.
func (g *Gate) leave(blocks ...netip.Prefix) {
	most := g.cfg.Load().Connections
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	g.stress.see(g.all, most)
	for _, b := range blocks {
		if g.open[b]--; g.open[b] <= 0 {
			delete(g.open, b)
		}
	}
}

// Open is how many connections are open now.
func (g *Gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all
}

// Mail counts one message.
func (g *Gate) Mail(ctx context.Context, env *mail.Envelope) *smtp.Reply {
	if env.Trusted {
		return nil
	}
	if !g.take(ctx, messages, env.Remote, 1, g.cfg.Load().Limits.Messages) || g.erring(ctx, env) {
		return smtp.ReplyRate()
	}
	return g.ruled(ctx, env, tally{policy.Messages, 1, ""})
}

// Rcpt counts one recipient.
func (g *Gate) Rcpt(ctx context.Context, env *mail.Envelope, rcpt mail.Address) *smtp.Reply {
	if env.Trusted || rcpt.Canonical() == "postmaster@"+rcpt.Domain() {
		return nil
	}
	if !g.take(ctx, recipients, env.Remote, 1, g.cfg.Load().Limits.Recipients) {
		return smtp.ReplyRate()
	}
	return g.ruled(ctx, env, tally{policy.Recipients, 1, rcpt.Canonical()})
}

// valueOf is what a limit counts by; empty if this message has none.
func valueOf(by policy.LimitKey, env *mail.Envelope, rcpt string) string {
	switch by {
	case policy.ByClient:
		return client(env.Remote).String()
	case policy.ByClientNet:
		return network(env.Remote).String()
	case policy.ByHelo:
		return env.Helo
	case policy.BySender:
		return env.From.Canonical()
	case policy.BySenderDomain:
		return env.From.Domain()
	case policy.ByRecipient:
		return rcpt
	}
	return ""
}

// exempt reports whether a is trusted.
func (c *Config) exempt(a netip.Addr) bool {
	for _, p := range c.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Trusts reports whether a is in a trusted network: never refused here, and served from the reserve.
func (g *Gate) Trusts(a netip.Addr) bool { return g.cfg.Load().exempt(a) }

// key hashes what a stranger may have chosen, so that no text of theirs becomes part of a key (HOSTILE C-20).
func key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
