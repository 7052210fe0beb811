package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"gatepost/filters/mail"
	"gatepost/gateway/certs"
	"gatepost/gateway/db"
	"gatepost/gateway/state"
	"gatepost/rules/conf"
)

// A review looks at whether what was read fits together and can work on this machine. It makes do with values that are
// missing because they were refused before.
type review struct {
	c        *Config
	now      time.Time
	problems []conf.Problem
	notes    []conf.Problem
}

func (r *review) all() {
	r.version()
	r.hostname()
	r.listeners()
	r.certificates()
	r.domains()
	r.arcSeal()
	r.demands()
	r.admin()
	r.webhooks()
	r.stores()
	r.files()
	r.limits()
}

func (r *review) problem(n conf.Node, format string, args ...any) {
	r.problems = append(r.problems, n.Problemf(format, args...))
}

func (r *review) note(n conf.Node, format string, args ...any) {
	r.notes = append(r.notes, n.Problemf(format, args...))
}

func (r *review) version() {
	if at := r.c.Node.Key("version"); r.c.Version != version && !at.IsNull() && r.c.Version != 0 {
		r.problem(at, "this program reads version %d of the file, and it says %d", version, r.c.Version)
	}
}

// webhooks looks for two of one name: pages and doctor could not tell them apart.
func (r *review) webhooks() {
	seen := map[string]bool{}
	for i, h := range r.c.Webhooks {
		if name := h.Title(); name != "" && seen[name] {
			r.problem(r.c.Node.Key("webhooks").Item(i), "another webhook is called %q, too: give it a name", name)
		} else {
			seen[name] = true
		}
	}
}

func (r *review) hostname() {
	at := r.c.Node.Key("hostname")
	if r.c.Hostname == "" {
		return
	}
	name, err := canonical(r.c.Hostname)
	if err != nil {
		r.problem(at, "expected a host name such as mx.example.com, found %q", r.c.Hostname)
		return
	}
	if r.c.Hostname = name; !strings.Contains(name, ".") {
		r.note(at, "%s has no domain; others will not find it in DNS, and some refuse mail about it", name)
	}
}

func (r *review) listeners() {
	seen := map[string]conf.Node{}
	for i := range r.c.Listeners {
		l := &r.c.Listeners[i]
		if l.Address == "" {
			continue
		}
		at := l.Node.Key("address")
		host, port, ok := splitAddress(l.Address)
		if !ok {
			r.problem(at, "expected HOST:PORT such as \":25\" or 192.0.2.1:25, with an IP address as HOST, found %q", l.Address)
			continue
		}
		for _, key := range []string{fmt.Sprint(host, port), fmt.Sprint(netip.Addr{}, port)} {
			if other, twice := seen[key]; twice && port != 0 {
				r.problem(at, "line %d already listens there", other.Pos().Line)
				break
			}
		}
		if _, twice := seen[fmt.Sprint(host, port)]; !twice {
			seen[fmt.Sprint(host, port)] = at
		}
		r.listenerTLS(l)
	}
	if r.c.Node.Key("listeners").Kind() == conf.Sequence && len(r.c.Node.Key("listeners").Items()) == 0 {
		r.problem(r.c.Node.Key("listeners"), "at least one listener is needed")
	}
}

func (r *review) listenerTLS(l *Listener) {
	exempt := l.Node.Key("tls_exempt")
	if l.TLS != "required" && l.TLS != "warn" && l.TLS != "observe" && !l.TLSExempt.Empty() {
		r.problem(exempt, "only tls: required, warn and observe have exemptions; this listener has tls: %s", l.TLS)
	}
	for i, p := range l.TLSExempt.Networks {
		if p.Bits() == 0 {
			r.problem(exempt.Key("networks").Item(i), "%s is everybody; write tls: offered", p)
		}
	}
	r.domainList(exempt.Key("sender_domains"), l.TLSExempt.SenderDomains)
	for i, a := range l.TLSExempt.Recipients {
		if !strings.EqualFold(a, "postmaster") {
			r.address(exempt.Key("recipients").Item(i), &l.TLSExempt.Recipients[i])
		}
	}
}

// domainList checks domains and gives them their one spelling.
func (r *review) domainList(at conf.Node, list []string) {
	for i, d := range list {
		if name, err := canonical(d); err != nil {
			r.problem(at.Item(i), "%q is not a domain", d)
		} else {
			list[i] = name
		}
	}
}

// address checks an address and gives it its one spelling.
func (r *review) address(at conf.Node, a *string) {
	parsed, err := mail.ParseAddress(*a)
	if err != nil {
		r.problem(at, "%q is not an address", *a)
		return
	}
	*a = parsed.Canonical()
}

// demands checks where TLS is asked for.
func (r *review) demands() {
	at := r.c.Node.Key("tls")
	for i := range r.c.TLS.Exempt {
		r.address(at.Key("exempt_recipients").Item(i), &r.c.TLS.Exempt[i])
	}
	for i := range r.c.TLS.Enforce {
		d := &r.c.TLS.Enforce[i]
		r.domainList(d.Node.Key("sender_domains"), d.Senders)
		r.domainList(d.Node.Key("recipient_domains"), d.Recipients)
		if len(d.Networks)+len(d.Senders)+len(d.Recipients) == 0 {
			r.problem(d.Node, "a demand needs networks, sender_domains or recipient_domains; for everybody, set tls of the listener")
		}
		for k, name := range d.Recipients {
			if !slices.ContainsFunc(r.c.Domains, func(o Domain) bool { return o.Name == name }) {
				r.problem(d.Node.Key("recipient_domains").Item(k), "%s is none of domains", name)
			}
		}
		if d.Stage == "required" && !slices.ContainsFunc(r.c.Listeners, func(l Listener) bool { return l.TLS != "off" }) {
			r.problem(d.Node.Key("stage"), "no listener has TLS: all have tls: off")
		}
	}
}

func (r *review) certificates() {
	tls := r.c.Node.Key("tls")
	if r.acme(tls.Key("acme")) {
		return
	}
	if len(r.c.TLS.Certificates) == 0 {
		i := slices.IndexFunc(r.c.Listeners, func(l Listener) bool { return l.TLS != "off" })
		if i >= 0 && len(r.c.TLS.Certificates) == 0 && tls.Key("certificates").Kind() != conf.Mapping {
			at := r.c.Listeners[i].Node
			r.note(at, "no certificate is configured: a self-signed one is shown, which senders that verify will not accept")
		}
		return
	}
	if !slices.ContainsFunc(r.c.Listeners, func(l Listener) bool { return l.TLS != "off" }) {
		r.problem(tls.Key("certificates"), "no listener shows them: all have tls: off")
	}
	named := false
	for _, c := range r.c.TLS.Certificates {
		if c.Cert == "" || c.Key == "" {
			named = true // said already
			continue
		}
		info, err := certs.Examine(certs.Pair{Cert: string(c.Cert), Key: string(c.Key)})
		if err != nil {
			at := c.Node.Key("cert")
			if certs.IsKeyError(err) {
				at = c.Node.Key("key")
			}
			r.problem(at, "%v", err)
			named = true
			continue
		}
		named = named || info.Covers(r.c.Hostname)
		if text := info.Warning(r.now); text != "" {
			r.note(c.Node.Key("cert"), "%s", text)
		}
	}
	if !named && r.c.Hostname != "" {
		r.note(tls.Key("certificates"), "none of them is for %s, the hostname: senders that verify will not accept it", r.c.Hostname)
	}
}

func (r *review) domains() {
	at := r.c.Node.Key("domains")
	if at.Kind() == conf.Sequence && len(at.Items()) == 0 {
		r.problem(at, "at least one domain is needed: mail for others is refused")
	}
	seen := map[string]int{}
	for i := range r.c.Domains {
		d := &r.c.Domains[i]
		if d.Name != "" {
			r.domainName(d, seen)
		}
		r.downstream(d)
		r.protection(d)
		if d.Recipients.Mode == "any" {
			r.note(d.Node.Key("recipients"), "every address is taken, whether it exists or not; what the next hop then refuses, we refuse")
		}
		if d.Recipients.File != "" {
			r.readable(d.Node.Key("recipients").Key("file"), string(d.Recipients.File))
		}
	}
}

func (r *review) domainName(d *Domain, seen map[string]int) {
	at := d.Node.Key("name")
	name, err := canonical(d.Name)
	switch {
	case strings.HasPrefix(d.Name, "*.") || strings.HasPrefix(d.Name, "."):
		r.problem(at, "patterns are not taken, for nobody would notice what else they accept; list each subdomain")
		return
	case strings.Contains(d.Name, "@"):
		r.problem(at, "expected a domain, found the address %q", d.Name)
		return
	case err != nil:
		r.problem(at, "%q is not a domain name", d.Name)
		return
	}
	if line, twice := seen[name]; twice {
		r.problem(at, "%s is already at line %d", name, line)
	}
	d.Name, seen[name] = name, at.Pos().Line
}

func (r *review) downstream(d *Domain) {
	at := d.Node.Key("downstream")
	if at.Kind() == conf.Sequence && len(at.Items()) == 0 {
		r.problem(at, "at least one next hop is needed")
	}
	seen := map[hop]bool{}
	for i, s := range d.Downstream {
		if s != at.Item(i).String() {
			continue // was refused
		}
		h, ok := splitHop(s)
		switch {
		case !ok:
			r.problem(at.Item(i), "expected HOST:PORT such as mail.internal:25, found %q", s)
			continue
		case seen[h]:
			r.problem(at.Item(i), "%s is listed twice", h)
		case r.isUs(h):
			r.problem(at.Item(i), "%s is this gateway: mail would go round in a circle", h)
		}
		seen[h] = true
		d.Downstream[i] = h.String()
	}
}

// isUs reports whether a next hop is one of our own listeners.
func (r *review) isUs(h hop) bool {
	for _, l := range r.c.Listeners {
		host, port, ok := splitAddress(l.Address)
		if !ok || port == 0 || fmt.Sprint(port) != h.port {
			continue
		}
		switch {
		case h.host == r.c.Hostname:
			return true
		case h.ip.IsValid() && h.ip == host:
			return true
		case host.IsValid() && !host.IsUnspecified():
			if h.host == "localhost" && host.IsLoopback() {
				return true
			}
		case h.here() || h.ip.IsUnspecified() || ours(h.ip):
			return true
		}
	}
	return false
}

// ours reports whether an address is one of this machine's.
func ours(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil || !ip.IsValid() {
		return false
	}
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr().Unmap() == ip
	})
}

// protection settles how the connections to the next hops are protected.
func (r *review) protection(d *Domain) {
	at := d.Node.Key("downstream_tls")
	away := slices.IndexFunc(d.Downstream, func(s string) bool { h, ok := splitHop(s); return ok && !h.here() })
	if d.TLS == "" && at.IsNull() {
		d.TLS = "verify"
		if away < 0 {
			d.TLS = "off"
		}
	}
	if away >= 0 {
		r.exposed(d, at, d.Downstream[away])
	}
	if d.TLS == "dane" {
		r.dane(d, at)
	}
	pins := d.Node.Key("downstream_pins")
	for i, p := range d.Pins {
		if !validPin(p) {
			r.problem(pins.Item(i), "expected sha256/ and the 44 characters of a Base64 SHA-256, found %q", p)
		}
	}
	switch {
	case d.TLS == "pin" && len(d.Pins) == 0 && pins.IsNull():
		r.problem(at, "pin needs downstream_pins: the keys that the next hop may have")
	case d.TLS == "pin" && len(d.Pins) == 0:
		r.problem(pins, "downstream_tls: pin needs at least one pin")
	case d.TLS == "pin" && len(d.Pins) == 1:
		r.note(pins, "one pin alone: when the next hop changes its key, mail is deferred until this file has the new one")
	case d.TLS != "pin" && len(d.Pins) > 0 && d.TLS != "":
		r.problem(pins, "pins are used with downstream_tls: pin alone; this domain has %s", d.TLS)
	}
}

// dane looks whether TLSA records can be had.
func (r *review) dane(d *Domain, at conf.Node) {
	for i, s := range d.Downstream {
		if h, ok := splitHop(s); ok && h.ip.IsValid() {
			r.problem(d.Node.Key("downstream").Item(i), "downstream_tls: dane needs the name of a host: TLSA records are found by it")
		}
	}
	believed := func(s string) bool {
		ip, err := netip.ParseAddr(s)
		if host, _, ok := splitAddress(s); err != nil && ok {
			ip = host
		}
		return ip.IsLoopback() || slices.Contains(r.c.DNS.Trusted, ip.Unmap().String())
	}
	if len(r.c.DNS.Servers) > 0 && !slices.ContainsFunc(r.c.DNS.Servers, believed) {
		r.problem(at, "dane needs a resolver that can be believed: none of dns.servers is on this machine or in dns.trusted_servers")
	}
}

// exposed tells of connections that leave the machine with less protection than they could have.
func (r *review) exposed(d *Domain, at conf.Node, to string) {
	if at.IsNull() {
		at = d.Node.Key("downstream")
	}
	h, _ := splitHop(to)
	switch d.TLS {
	case "off":
		r.note(at, "mail goes to %s in clear text: whoever is between can read and change it", to)
	case "opportunistic":
		r.note(at, "mail goes to %s in clear text whenever somebody between wants it to", to)
	case "verify":
		if h.ip.IsValid() {
			r.note(at, "verify asks %s for a certificate that names this address, which few have; use a host name, or pin", to)
		}
	}
}

func (r *review) admin() {
	if m := &r.c.Admin.MTASTS; m.Mode != "off" && len(m.MX) == 0 && r.c.Hostname != "" {
		m.MX = []string{r.c.Hostname}
	}
	at := r.c.Node.Key("admin").Key("address")
	host, port, ok := splitAddress(r.c.Admin.Address)
	if !ok {
		r.problem(at, "expected HOST:PORT such as 127.0.0.1:8025, with an IP address as HOST, found %q", r.c.Admin.Address)
		return
	}
	if !host.IsLoopback() {
		r.note(at, "the review pages can be reached from other machines, without TLS of their own; put a proxy that speaks TLS before them")
	}
	for _, l := range r.c.Listeners {
		h, p, ok := splitAddress(l.Address)
		if ok && p == port && p != 0 && (h == host || !h.IsValid() || !host.IsValid()) {
			if at.IsNull() {
				at = l.Node.Key("address")
			}
			r.problem(at, "the review pages and a listener cannot share %s", r.c.Admin.Address)
		}
	}
}

func (r *review) stores() {
	r.store()
	if url := r.c.State.URL.Reveal(); url != "" {
		if err := state.CheckURL(url); err != nil {
			r.problem(r.c.Node.Key("state").Key("url"), "%v", err)
		}
	}
	for i, s := range r.c.DNS.Trusted {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			r.problem(r.c.Node.Key("dns").Key("trusted_servers").Item(i), "expected an IP address, found %q", s)
			continue
		}
		r.c.DNS.Trusted[i] = ip.Unmap().String()
	}
	servers := r.c.Node.Key("dns").Key("servers")
	for i, s := range r.c.DNS.Servers {
		if !validServer(s) {
			r.problem(servers.Item(i), "expected an IP address, or one with a port such as 127.0.0.1:53, found %q", s)
		}
	}
}

// store looks at the URL of the store. It does not repeat it, for it may hold a password.
func (r *review) store() {
	at, url := r.c.Node.Key("store").Key("url"), r.c.Store.URL.Reveal()
	if url == "" {
		return
	}
	place, err := db.Locate(url)
	switch {
	case err != nil:
		r.problem(at, "%v", err)
	case place.Blind:
		r.note(at, "%s need not show who it is: whoever is between can take its place; say sslmode=verify-full", place.Name)
	case place.Clear:
		r.note(at, "held mail goes to %s in clear text: whoever is between can read and change it", place.Name)
	}
	if err == nil && place.Shared && r.c.State.URL.Reveal() == "" {
		r.note(at, "gateways that share a store should share their counters too: without state.url each counts for itself")
	}
}

func (r *review) files() {
	if r.c.Policy != "" {
		r.readable(r.c.Node.Key("policy"), string(r.c.Policy))
	}
	if info, err := os.Stat(string(r.c.DataDir)); err == nil && !info.IsDir() {
		r.problem(r.c.Node.Key("data_dir"), "%s is not a directory", r.c.DataDir)
	}
}

// readable reports a file that cannot be read, or is none.
func (r *review) readable(at conf.Node, path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		r.problem(at, "%s: %v", path, cause(err))
		return
	case !info.Mode().IsRegular():
		r.problem(at, "%s is not a file", path)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		r.problem(at, "%s: %v", path, cause(err))
		return
	}
	f.Close()
}

// cause is an error without the operation and the path that came with it.
func cause(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		return p.Err
	}
	return err
}

func (r *review) limits() {
	if at := r.c.Node.Key("limits").Key("recipients"); r.c.Limits.SessionLimits.Recipients > 0 && r.c.Limits.SessionLimits.Recipients < 100 {
		r.note(at, "RFC 5321 section 4.5.3.1.8 wants at least 100 recipients to be taken")
	}
	if at := r.c.Node.Key("greylist"); r.c.Greylist.Window > 0 && r.c.Greylist.Window <= r.c.Greylist.Delay && !at.IsNull() {
		r.problem(at, "window is not longer than delay: nobody could come back in time")
	}
	normal := r.c.Node.Key("timeouts").Key("normal")
	if at := normal.Key("idle"); r.c.Timeouts.Normal.Idle > 0 && r.c.Timeouts.Normal.Idle < 5*time.Minute {
		r.note(at, "RFC 5321 section 4.5.3.2.7 wants five minutes for a command")
	}
}

func (r *review) arcSeal() {
	s := r.c.ARCSeal
	if s.Node.IsNull() {
		return
	}
	for _, k := range [...]struct {
		name    string
		missing bool
	}{{"domain", s.Domain == ""}, {"selector", s.Selector == ""}, {"key", s.Key.IsZero()}} {
		if k.missing && s.Node.Key(k.name).IsNull() {
			r.problem(s.Node, "%s must be given to seal", k.name)
		}
	}
}
