package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Resolver finds the addresses of a host.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// ErrAddress means that a name led to an address that is not public and not in networks (HOSTILE O-13), or that
// http:// would cross a public network.
var ErrAddress = errors.New("address is not allowed")

// A dialer connects to addresses that may be called. What is looked at is the address that is dialled, at every dial: a
// name that leads elsewhere a moment later changes nothing.
type dialer struct {
	resolver Resolver
	networks []netip.Prefix
	clear    bool // without TLS: listed networks only
}

const (
	dialTime     = 5 * time.Second
	maxAddresses = 4 // of one host that are tried
)

// dial is for http.Transport.DialContext.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("split address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, a := range addrs[:min(len(addrs), maxAddresses)] {
		a = a.Unmap().WithZone("")
		if why := d.refuse(a); why != "" {
			failed = beside(failed, fmt.Errorf("%w: %s is %s", ErrAddress, a, why))
			continue
		}
		c, err := new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return c, nil
		}
		failed = beside(failed, err)
	}
	if failed == nil {
		return nil, fmt.Errorf("look up %s: no addresses", host)
	}
	return nil, failed
}

// beside puts one error after another, on one line.
func beside(first, next error) error {
	if first == nil {
		return next
	}
	return fmt.Errorf("%w; %w", first, next)
}

// lookup finds the addresses of a host. localhost is this machine, whatever a server says (RFC 6761 section 6.3).
func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("look up host: %w", err)
	}
	return addrs, nil
}

// refuse says why a must not be called; "" if it may.
func (d *dialer) refuse(a netip.Addr) string {
	if slices.ContainsFunc(d.networks, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return ""
	}
	if !public(a) {
		return "not public and not in networks"
	}
	if d.clear {
		return "not in networks, and http:// would show the event to everybody between: use https://"
	}
	return ""
}

// public reports whether a is an address of the internet at large (IANA special-purpose registries, RFC 6890). An IPv6
// address that stands for an IPv4 one, such as one of NAT64 (RFC 6052), leads where that leads, and is not.
func public(a netip.Addr) bool {
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// special are the ranges that netip does not know by name.
func special() []netip.Prefix {
	text := []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "240.0.0.0/4", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
		"2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"}
	out := make([]netip.Prefix, len(text))
	for i, s := range text {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Bounds of one try.
const (
	tryTime   = 10 * time.Second
	maxAnswer = 4 << 10 // bytes of the answer that are read, and thrown away
)

// client calls one receiver. It uses no proxy, follows no redirect and keeps no cookie.
func client(d *dialer) *http.Client {
	return &http.Client{
		Timeout:       tryTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: d.dial, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: tryTime,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConns: 1, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true},
	}
}

// Probe connects to the receiver's host and says nothing: for doctor.
func Probe(ctx context.Context, c Config, r Resolver) error {
	t, err := targetOf(c)
	if err != nil {
		return err
	}
	d := &dialer{resolver: r, networks: c.Networks, clear: t.Scheme == "http"}
	port := t.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.Scheme]
	}
	conn, err := d.dial(ctx, "tcp", net.JoinHostPort(t.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
