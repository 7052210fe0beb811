package forward

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/smtp"
)

// A Config holds what all routes have in common. Zero fields stand for the defaults.
type Config struct {
	Hostname      string           // given in EHLO; required
	TLS           *tls.Config      // roots and client certificates for next hops
	TLSA          Anchors          // for next hops with TLS mode dane
	Own           []netip.AddrPort // addresses of our own listeners, to which mail is never sent
	Connections   int              // at once to one next hop: 20
	PerConnection int              // transactions on one connection: 100
	Idle          time.Duration    // an unused connection is kept for 30 s
	Wait          time.Duration    // for one of the Connections to become free: 10 s
	Verify        VerifyConfig
	Deadlines     smtp.Deadlines
	// Dial opens connections; nil stands for a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Changed, if set, is told whenever a next hop goes down or comes back. It must not block.
	Changed func(HopState)
}

func (c Config) filled() Config {
	if c.Connections <= 0 {
		c.Connections = 20
	}
	if c.PerConnection <= 0 {
		c.PerConnection = 100
	}
	if c.Idle <= 0 {
		c.Idle = 30 * time.Second
	}
	if c.Wait <= 0 {
		c.Wait = 10 * time.Second
	}
	c.Verify = c.Verify.filled()
	return c
}

// A Route is where the mail of one domain goes.
type Route struct {
	Domain Domain
	hops   []*hop // in order of preference
}

// A Forwarder is a Sender over pooled connections. It also knows what next hops can take and whom they know. It may be
// used by any number of goroutines.
type Forwarder struct {
	cfg    Config
	routes map[string]*Route
	hops   []*hop          // each once, in order of first mention
	byKey  map[string]*hop // the same, by how they are spoken to
	known  *Memory
}

// New makes a Forwarder for domains. Domains with the same next hop and the same way of speaking to it share connections.
// Nothing is connected yet; see Warm.
func New(cfg Config, domains []Domain) (*Forwarder, error) {
	cfg = cfg.filled()
	f := &Forwarder{cfg: cfg, routes: make(map[string]*Route, len(domains)), known: NewMemory(cfg.Verify), byKey: make(map[string]*hop)}
	for _, d := range domains {
		route := &Route{Domain: d}
		for _, address := range d.Downstream {
			opts, err := cfg.options(d, address)
			if err != nil {
				return nil, fmt.Errorf("route of %s: %w", d.Name, err)
			}
			key := fmt.Sprint(opts.Address, opts.LMTP, opts.Security.Mode, opts.Security.Pins, opts.Announce, opts.Chunking)
			if f.byKey[key] == nil {
				f.byKey[key] = newHop(&f.cfg, opts)
				f.hops = append(f.hops, f.byKey[key])
			}
			route.hops = append(route.hops, f.byKey[key])
		}
		f.routes[strings.ToLower(d.Name)] = route
	}
	return f, nil
}

// options are how to speak to one next hop of d.
func (c *Config) options(d Domain, address string) (smtp.ClientOptions, error) {
	opts := smtp.ClientOptions{
		Address: address, Hello: c.Hostname, LMTP: d.Protocol == "lmtp",
		Security: smtp.Security{Mode: smtp.Protection(d.TLS), Config: c.TLS},
		Announce: smtp.Announce(d.Announce), Chunking: d.Chunking,
		Deadlines: c.Deadlines, Dial: c.Dial,
	}
	if _, _, err := net.SplitHostPort(address); err != nil && !strings.HasPrefix(address, "unix:/") {
		return opts, fmt.Errorf("next hop %q is neither host:port nor unix:/path", address)
	}
	if d.Protocol != "" && d.Protocol != "smtp" && d.Protocol != "lmtp" {
		return opts, fmt.Errorf("unknown protocol %q", d.Protocol)
	}
	if d.TLS == "" {
		opts.Security.Mode = smtp.Verified
		if local(address) {
			opts.Security.Mode = smtp.Unprotected
		}
	}
	switch opts.Security.Mode {
	case smtp.Unprotected, smtp.Opportunistic, smtp.Encrypted, smtp.Verified:
	case smtp.DANE:
		find, err := c.tlsa(address)
		if err != nil {
			return opts, err
		}
		opts.Security.TLSA = find
	case smtp.Pinned:
		if len(d.Pins) == 0 {
			return opts, fmt.Errorf("mode pin needs pins")
		}
	default:
		return opts, fmt.Errorf("unknown TLS mode %q", d.TLS)
	}
	for _, p := range d.Pins {
		pin, err := parsePin(p)
		if err != nil {
			return opts, err
		}
		opts.Security.Pins = append(opts.Security.Pins, pin)
	}
	switch opts.Announce {
	case smtp.Unannounced, smtp.XForward, smtp.XClient:
	default:
		return opts, fmt.Errorf("unknown way to announce clients %q", d.Announce)
	}
	return opts, nil
}

func parsePin(s string) (pin [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil {
		b, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "sha256//"))
	}
	if err != nil || len(b) != len(pin) {
		return pin, fmt.Errorf("pin %q is not a SHA-256 in hexadecimal or base64", s)
	}
	return [sha256.Size]byte(b), nil
}

// local reports whether address is on this host for certain.
func local(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// Lookup is the route of exactly this domain: a parent domain's route is not its subdomains'.
func (f *Forwarder) Lookup(domain string) (Route, bool) {
	r, ok := f.routes[strings.ToLower(domain)]
	if !ok {
		return Route{}, false
	}
	return *r, true
}

// Warm connects to every next hop once, so that its extensions are known and its health is. It returns when all have
// answered or ctx ends.
func (f *Forwarder) Warm(ctx context.Context) {
	for _, h := range f.hops {
		h.start()
	}
	for _, h := range f.hops {
		h.settle(ctx)
	}
}

// Close lets deliveries in progress finish, closes all other connections, and connects no more.
func (f *Forwarder) Close() {
	for _, h := range f.hops {
		h.close()
	}
}

// Succeed takes over what old has learnt: what next hops can take, which are down, and whom they know. It is for a reload,
// before f is used; old is then closed by the caller and finishes what it has begun.
func (f *Forwarder) Succeed(old *Forwarder) {
	for key, h := range f.byKey {
		if was := old.byKey[key]; was != nil {
			h.succeed(was)
		}
	}
	f.known.succeed(old.known)
}

// Hops are the states of all next hops, in order of first mention in the configuration.
func (f *Forwarder) Hops() []HopState {
	states := make([]HopState, len(f.hops))
	for i, h := range f.hops {
		states[i] = h.state()
	}
	return states
}

// Capabilities are what every next hop of the domain that was ever reached can take, as it said when it was connected to
// last. ok is false, and nothing may be counted on, when none was reached yet or the domain is not ours.
func (f *Forwarder) Capabilities(domain string) (c smtp.Capabilities, ok bool) {
	r, ok := f.routes[strings.ToLower(domain)]
	if !ok {
		return c, false
	}
	return capabilities(r.hops)
}

// Offer is what may be offered before it is known whose mail comes: what all next hops of all domains can take. The SIZE
// is the largest that any domain takes, to be held against Capabilities at RCPT.
func (f *Forwarder) Offer() (c smtp.Capabilities, ok bool) {
	c, ok = capabilities(f.hops)
	for _, h := range f.hops {
		ext := h.learnt.Load()
		switch {
		case ext == nil:
		case ext.Size == 0: // it names no limit
			c.Size = 0
			return c, ok
		default:
			c.Size = max(c.Size, ext.Size)
		}
	}
	return c, ok
}

func capabilities(hops []*hop) (c smtp.Capabilities, ok bool) {
	c = smtp.Capabilities{EightBit: true, SMTPUTF8: true}
	for _, h := range hops {
		ext := h.learnt.Load()
		if ext == nil {
			continue
		}
		ok = true
		c.EightBit = c.EightBit && ext.EightBit
		c.SMTPUTF8 = c.SMTPUTF8 && ext.SMTPUTF8
		if ext.Size > 0 && (c.Size == 0 || ext.Size < c.Size) {
			c.Size = ext.Size
		}
	}
	if !ok {
		return smtp.Capabilities{}, false
	}
	return c, true
}

// A deliverable is a Delivery cut to the recipients of one route, by their place in it.
type deliverable struct {
	*Delivery
	places []int
}

// Send carries d to the first of its route's next hops that takes connections. Recipients of different routes are carried
// one route after the other.
func (f *Forwarder) Send(ctx context.Context, d Delivery) []Outcome {
	out := make([]Outcome, len(d.Rcpts))
	done := 0
	for first := range d.Rcpts {
		if out[first].Reply != nil {
			continue
		}
		route := f.way(&d, first)
		part := deliverable{Delivery: &d, places: make([]int, 0, len(d.Rcpts)-done)}
		for i := first; i < len(d.Rcpts); i++ {
			if out[i].Reply == nil && f.way(&d, i).same(route) {
				part.places = append(part.places, i)
			}
		}
		done += len(part.places)
		f.carry(ctx, route, part, out)
	}
	return out
}

// way is the route of the recipient numbered i; nil if there is none.
func (f *Forwarder) way(d *Delivery, i int) *Route {
	if d.Via != "" {
		return f.routes[d.Via]
	}
	return f.routes[d.Rcpts[i].Domain()]
}

// same reports whether r and o lead to the same next hops in the same order.
func (r *Route) same(o *Route) bool {
	if r == nil || o == nil || r == o {
		return r == o
	}
	if len(r.hops) != len(o.hops) {
		return false
	}
	for i := range r.hops {
		if r.hops[i] != o.hops[i] {
			return false
		}
	}
	return true
}

// carry gives one part of a delivery to the first next hop that can be reached, and fills in the outcomes.
func (f *Forwarder) carry(ctx context.Context, route *Route, part deliverable, out []Outcome) {
	if route == nil || len(route.hops) == 0 {
		part.fail("", ErrNoRoute, out)
		return
	}
	t := part.transaction()
	last := error(nil)
	for _, h := range f.order(ctx, route) {
		receipt, err := h.send(ctx, t)
		if receipt == nil { // not a word about this message was exchanged
			last = err
			if ctx.Err() != nil {
				break
			}
			continue
		}
		part.settle(h.opts.Address, receipt, err, out)
		return
	}
	if last == nil {
		last = ErrDown
	}
	part.fail(route.hops[0].opts.Address, last, out)
}

// order is the route's next hops that are up, in order. If none is, each is asked anew, at most once a second however
// much mail there is, and those that answer are taken.
func (f *Forwarder) order(ctx context.Context, route *Route) []*hop {
	if route.hops[0].up() && len(route.hops) == 1 {
		return route.hops
	}
	up := make([]*hop, 0, len(route.hops))
	for _, h := range route.hops {
		if h.up() {
			up = append(up, h)
		}
	}
	if len(up) > 0 {
		return up
	}
	for _, h := range route.hops {
		h.start()
	}
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	for _, h := range route.hops {
		if h.settle(ctx); h.up() {
			return []*hop{h}
		}
	}
	return nil
}

// transaction is what is to be said to a next hop. Its content can be written any number of times.
func (p deliverable) transaction() *smtp.Transaction {
	t := &smtp.Transaction{
		From: p.Envelope.From, Rcpts: p.Rcpts,
		Size:     p.Edits.Size(p.Source),
		EightBit: p.Envelope.Body8Bit, SMTPUTF8: p.Envelope.SMTPUTF8,
		Whole:   p.Whole,
		Content: &edited{Edits: p.Edits, src: p.Source, sum: p.Sum},
		Origin: &smtp.Origin{
			Addr: p.Envelope.Remote, Name: p.Envelope.RemoteName, Helo: p.Envelope.Helo, ESMTP: p.Envelope.ESMTP, ID: p.Envelope.ID,
		},
	}
	if len(p.places) < len(p.Rcpts) {
		t.Rcpts = make([]mail.Address, len(p.places))
		for i, at := range p.places {
			t.Rcpts[i] = p.Rcpts[at]
		}
	}
	return t
}

// settle makes the outcomes of what was said.
func (p deliverable) settle(hop string, receipt *smtp.Receipt, err error, out []Outcome) {
	for i, at := range p.places {
		o := &out[at]
		*o = Outcome{Rcpt: p.Rcpts[at], Hop: hop}
		if said := receipt.Rcpts[i]; said != nil {
			o.Reply, o.Err = verdict(said)
			o.Early = receipt.From != nil && receipt.From.Code/100 != 2
			continue
		}
		o.Err = err
		if err == nil {
			o.Err = ErrWithheld
		}
		o.Reply = excuse(o.Err)
		o.Doubtful = receipt.Dotted
	}
}

// fail makes the outcomes when nothing was said.
func (p deliverable) fail(hop string, err error, out []Outcome) {
	for _, at := range p.places {
		out[at] = Outcome{Rcpt: p.Rcpts[at], Hop: hop, Reply: excuse(err), Err: err}
	}
}
