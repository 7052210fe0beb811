package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"

	"gatepost/rules/conf"
)

// Config says whom to ask.
type Config struct {
	Servers   []string      `yaml:"servers" doc:"Name servers, as address or address:port. Default: those of /etc/resolv.conf. A caching resolver on this machine is best."`
	Trusted   []string      `yaml:"trusted_servers" doc:"Servers elsewhere whose word that an answer is authentic (DNSSEC) is taken, as those on this machine are: nobody may sit between."`
	Timeout   conf.Duration `yaml:"timeout" doc:"How long one try waits for an answer; a question gets two tries. Default 2s."`
	PerDomain int           `yaml:"per_domain" doc:"Questions a minute about one registered domain that senders may cause, beyond those answered from the cache. Default 480; -1: no limit."`
}

// The bounds of one resolver.
const (
	defaultTimeout   = 2 * time.Second
	defaultPerDomain = 480
	tries            = 2
	inFlight         = 256  // questions on the wire at once
	maxFlights       = 4096 // questions waiting or on the wire; more fail at once
)

// A Resolver looks names up in the shape of net.Resolver. Names are absolute, with or without trailing dot: there is
// no search list and no hosts file. Names in answers are lower case without trailing dot. Every error is a bare
// *net.DNSError: IsNotFound if there is no such record, or the name could not exist; otherwise IsTemporary. Slices
// are shared with the cache: read them only. A Resolver is safe for concurrent use.
type Resolver struct {
	*shared
	limit *limiter // nil: no limit by domain
}

// shared is what all views of one resolver have in common.
type shared struct {
	up      upstream
	cache   *cache
	breaker breaker
	slots   chan struct{}
	first   atomic.Uint32 // the server that answered last
	timeout time.Duration
	now     func() time.Time

	mu      sync.Mutex
	flights map[key]*flight

	hits, misses, failures atomic.Int64
}

// A flight is a question on its way; all who ask it meanwhile wait for the one answer.
type flight struct {
	done chan struct{}
	e    *entry
}

// New makes a resolver; it asks nothing yet.
func New(cfg Config) (*Resolver, error) {
	timeout := time.Duration(cfg.Timeout)
	if timeout < 0 {
		return nil, fmt.Errorf("dns timeout %s: must not be negative", timeout)
	}
	if timeout == 0 {
		timeout = defaultTimeout
	}
	addrs, err := servers(cfg.Servers)
	if err != nil {
		return nil, err
	}
	trusted := make(map[netip.Addr]bool, len(cfg.Trusted))
	for _, s := range cfg.Trusted {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("trusted name server %q: not an IP address", s)
		}
		trusted[a.Unmap()] = true
	}
	r, err := over(&network{addrs: addrs, trusted: trusted, timeout: timeout}, timeout)
	if err != nil {
		return nil, err
	}
	if cfg.PerDomain == 0 {
		cfg.PerDomain = defaultPerDomain
	}
	if cfg.PerDomain > 0 {
		r.limit, err = newLimiter(cfg.PerDomain)
	}
	return r, err
}

// FromZone makes a resolver that answers from a zone in the text form of ServeZone and asks nobody; TIMEOUT in it
// takes no time. It serves tests of policies and rules.
func FromZone(text string) (*Resolver, error) {
	z, err := parseZone(text)
	if err != nil {
		return nil, err
	}
	return over(memory{z}, defaultTimeout)
}

func over(up upstream, timeout time.Duration) (*Resolver, error) {
	c, err := newCache()
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &Resolver{shared: &shared{
		up: up, cache: c, timeout: timeout, now: time.Now,
		slots:   make(chan struct{}, inFlight),
		flights: map[key]*flight{},
	}}, nil
}

// servers completes the list of servers to host:port.
func servers(given []string) ([]string, error) {
	port := "53"
	if len(given) == 0 {
		c, err := mdns.ClientConfigFromFile("/etc/resolv.conf")
		switch {
		case err == nil && len(c.Servers) > 0:
			given, port = c.Servers, c.Port
		case err == nil || errors.Is(err, os.ErrNotExist):
			given = []string{"127.0.0.1"} // resolv.conf(5)
		default:
			return nil, fmt.Errorf("read resolv.conf: %w", err)
		}
	}
	out := make([]string, len(given))
	for i, s := range given {
		if ap, err := netip.ParseAddrPort(s); err == nil {
			out[i] = ap.String()
		} else if a, err := netip.ParseAddr(s); err == nil {
			out[i] = net.JoinHostPort(a.String(), port)
		} else {
			return nil, fmt.Errorf("name server %q: not an IP address, with or without port", s)
		}
	}
	return out, nil
}

// Unlimited is the same resolver without the limit by domain, for names that the administrator chose, such as block
// lists and next hops.
func (r *Resolver) Unlimited() *Resolver { return &Resolver{shared: r.shared} }

// LookupTXT returns the TXT records of name, each with its texts joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	e := r.lookup(ctx, name, mdns.TypeTXT)
	if e.err != nil {
		return nil, e.err
	}
	return slices.Clip(e.txt), nil
}

// LookupMX returns the MX records of name by preference. The host of a null MX (RFC 7505) is ".".
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	e := r.lookup(ctx, name, mdns.TypeMX)
	if e.err != nil {
		return nil, e.err
	}
	return slices.Clip(e.mx), nil
}

// LookupNetIP returns the addresses of host: IPv4 for the network "ip4", IPv6 for "ip6", both for "ip".
func (r *Resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	switch network {
	case "ip4", "ip6":
		t := mdns.TypeA
		if network == "ip6" {
			t = mdns.TypeAAAA
		}
		e := r.lookup(ctx, host, t)
		if e.err != nil {
			return nil, e.err
		}
		return slices.Clip(e.addrs), nil
	case "ip":
		return r.lookupBoth(ctx, host)
	}
	return nil, notFound(host)
}

// lookupBoth asks for both families at once. A family that is missing is no error while the other has addresses.
func (r *Resolver) lookupBoth(ctx context.Context, host string) ([]netip.Addr, error) {
	e4, e6 := r.bothEntries(ctx, host)
	all := slices.Concat(e4.addrs, e6.addrs)
	switch {
	case len(all) > 0:
		return all, nil
	case e4.err != nil && !e4.err.IsNotFound:
		return nil, e4.err
	default:
		return nil, e6.err
	}
}

// bothEntries is what is known about a host's addresses of both families.
func (r *Resolver) bothEntries(ctx context.Context, host string) (four, six *entry) {
	if six = r.atHand(host, mdns.TypeAAAA); six != nil {
		return r.lookup(ctx, host, mdns.TypeA), six
	}
	answer := make(chan *entry, 1)
	go func() { answer <- r.lookup(ctx, host, mdns.TypeAAAA) }()
	four = r.lookup(ctx, host, mdns.TypeA)
	return four, <-answer
}

// LookupAddr returns the names that the reverse tree gives to an address. Names that no host can have are left out.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, notFound(addr)
	}
	name, err := mdns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return nil, notFound(addr)
	}
	e := r.lookup(ctx, name, mdns.TypePTR)
	if e.err != nil {
		return nil, e.err
	}
	return slices.Clip(e.names), nil
}

// LookupTLSA returns the TLSA records of name ("_25._tcp.mx.example.com"), and whether they are authentic: a
// server on this machine, or one of Config.Trusted, says that it validated them. Without that they must not be used (RFC 7672 section 2.1).
func (r *Resolver) LookupTLSA(ctx context.Context, name string) ([]TLSA, bool, error) {
	e := r.lookup(ctx, name, mdns.TypeTLSA)
	if e.err != nil {
		return nil, e.authentic, e.err
	}
	return slices.Clip(e.tlsa), e.authentic, nil
}

// Exists reports whether name is in the DNS at all, with or without records (RFC 8020). An error is temporary.
func (r *Resolver) Exists(ctx context.Context, name string) (bool, error) {
	e := r.lookup(ctx, name, mdns.TypeA)
	if e.err != nil && !e.err.IsNotFound {
		return false, e.err
	}
	_, ok := canonical(name)
	return ok && !e.nxdomain, nil
}

// Stats says how a resolver is doing.
type Stats struct {
	Hits     int64 // questions answered from the cache
	Misses   int64 // questions put to the servers
	Failures int64 // of those, the ones that got no usable answer
	Entries  int   // answers in the cache
	Down     bool  // no server answers: lookups fail at once
}

// Stats returns the counts since the resolver was made.
func (r *Resolver) Stats() Stats {
	return Stats{Hits: r.hits.Load(), Misses: r.misses.Load(), Failures: r.failures.Load(),
		Entries: r.cache.entries.Len(), Down: r.breaker.isOpen()}
}

// Probe asks the servers a question of our own and returns nil if any of them answered.
func (r *Resolver) Probe(ctx context.Context) error {
	_, err := r.ask(ctx, key{"", mdns.TypeNS})
	return err
}
