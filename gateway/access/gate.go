package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
	"gatepost/gateway/state"
	"gatepost/policy"
)

// Limits are the numbers that one client, its network and the whole world may reach.
type Limits struct {
	Connections        int // open at once, of all clients
	PerClient          int // open at once, of one IPv4 address or IPv6 /64
	PerNetwork         int // open at once, of one IPv4 /24 or IPv6 /48
	ConnectionsAMinute int // new ones of one client
	MessagesAMinute    int // of one client
	RecipientsAMinute  int // of one client
	BytesAMinute       int // of content, of one client
	ErrorsAMinute      int // commands and recipients refused for good, of one client
	UnknownAMinute     int // recipients that do not exist, of one client
	TLSAMinute         int // handshakes of one client
	// GreetDelay is how long a stranger waits for the banner, and StressGreetDelay the same under stress.
	GreetDelay, StressGreetDelay time.Duration
}

// networkShare is how many clients' rates the network of a client has: /24, or /48.
const networkShare = 3

// How long is remembered who sent mail that was accepted, and who looked for addresses (HOSTILE C-16).
const (
	passLife    = 30 * 24 * time.Hour
	penaltyLife = 10 * time.Minute
	errorsLife  = time.Minute
)

// A Counter counts events in windows of time and remembers marks. *state.Local and *state.Redis are Counters.
type Counter interface {
	Take(ctx context.Context, key string, n int, r state.Rate) (ok bool, wait time.Duration)
	Remember(ctx context.Context, key string, life time.Duration)
	Known(ctx context.Context, key string) bool
}

// A Gate counts who speaks.
type Gate struct {
	limits  Limits
	trusted []netip.Prefix
	counter Counter
	rules   func() []policy.Limit // the administrator's, of the current policy

	mu   sync.Mutex
	open map[netip.Prefix]int
	all  int

	stress stress
}

// New makes a Gate. Clients in trusted are counted, but never refused.
func New(l Limits, trusted []netip.Prefix, c Counter, rules func() []policy.Limit) *Gate {
	return &Gate{limits: l, trusted: trusted, counter: c, rules: rules, open: map[netip.Prefix]int{}, stress: stress{now: time.Now}}
}

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
	one, many := client(a), network(a)
	free := g.exempt(a)
	g.mu.Lock()
	if !free && (g.all >= g.limits.Connections || g.open[one] >= g.limits.PerClient || g.open[many] >= g.limits.PerNetwork) {
		g.mu.Unlock()
		return nil, smtp.ReplyTooManyConnections()
	}
	g.all++
	g.open[one]++
	g.open[many]++
	g.stress.see(g.all, g.limits.Connections)
	g.mu.Unlock()
	leave = func() { g.leave(one, many) }
	if free {
		return leave, nil
	}
	if g.counter.Known(ctx, key("penalty", one.String())) {
		leave()
		return nil, smtp.ReplyTooManyErrors()
	}
	if !g.take(ctx, "connect", a, 1, g.limits.ConnectionsAMinute) || g.ruled(ctx, &mail.Envelope{Remote: a}, tally{policy.Connections, 1, ""}) != nil {
		leave()
		return nil, smtp.ReplyTooManyConnections()
	}
	return leave, nil
}

// leave takes a connection off the count.
func (g *Gate) leave(blocks ...netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	g.stress.see(g.all, g.limits.Connections)
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
	if !g.take(ctx, "messages", env.Remote, 1, g.limits.MessagesAMinute) || g.erring(ctx, env) {
		return smtp.ReplyRate()
	}
	return g.ruled(ctx, env, tally{policy.Messages, 1, ""})
}

// Rcpt counts one recipient.
func (g *Gate) Rcpt(ctx context.Context, env *mail.Envelope, rcpt mail.Address) *smtp.Reply {
	if env.Trusted || rcpt.Canonical() == "postmaster@"+rcpt.Domain() {
		return nil
	}
	if !g.take(ctx, "recipients", env.Remote, 1, g.limits.RecipientsAMinute) {
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
func (g *Gate) exempt(a netip.Addr) bool {
	for _, p := range g.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// key hashes what a stranger may have chosen, so that no text of theirs becomes part of a key (HOSTILE C-20).
func key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
